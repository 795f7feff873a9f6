"""Standard errors in closed form are those of leaving every image out, and intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.measures.grams import grams
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.jackknife import Jackknife, interval, jackknife
from tests import reference


def made(a, b, parts) -> tuple[HsicSums, Jackknife]:
    batches = []
    for part in parts:
        one = grams([x[part] for x in a], first=part.start)
        batches.append((one, one if b is a else grams([y[part] for y in b], first=part.start)))
    sums = HsicSums(len(a), len(b))
    for one, other in batches:
        sums.add(one, other)
    return sums, jackknife(batches, sums)


def leaving_out(x, y, parts):
    """CKA without each image in turn, recomputed from the activations in float64; minibatches of 3 have no HSIC."""
    values = []
    for image in range(parts[-1].stop):
        sums = np.zeros(3)
        for part in parts:
            kept = [i for i in range(part.start, part.stop) if i != image]
            if len(kept) >= 4:
                k, w = reference.gram(x[kept]), reference.gram(y[kept])
                sums += len(kept) * np.array([reference.hsic1(k, w), reference.hsic1(k, k), reference.hsic1(w, w)])
        values.append(sums[0] / np.sqrt(sums[1] * sums[2]))
    values = np.array(values)
    return np.sqrt((len(values) - 1) / len(values) * np.square(values - values.mean()).sum())


PARTS = {
    "one": [slice(0, 36)],
    "equal": minibatches(36, 12),
    "unequal": [slice(0, 20), slice(20, 29), slice(29, 36)],
    "one of four": [slice(0, 32), slice(32, 36)],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_errors_are_those_of_leaving_every_image_out(parts):
    rng = np.random.default_rng(0)
    a = reference.network(1, 36, layers=3)
    b = [a[0] + 1e-3 * rng.standard_normal(a[0].shape), 1e10 * reference.network(2, 36, layers=2)[1], a[1] ** 3]
    exact = np.array([[leaving_out(x, y, parts) for y in b] for x in a])
    assert np.abs(made(a, b, parts)[1].errors - exact).max() < 1e-7
    assert exact.min() < 1e-4 < 1e-2 < exact.max()


def test_of_a_network_with_itself_they_are_symmetric_and_zero_on_the_diagonal():
    a = reference.network(1, 40)
    found = made(a, a, minibatches(40, 20))[1]
    assert np.allclose(found.errors, found.errors.T, atol=1e-7)
    assert np.diagonal(found.errors).max() < 1e-7
    assert np.array_equal(found.n_eff_a, found.n_eff_b)


def test_how_many_images_decide():
    rng = np.random.default_rng(0)
    even = np.repeat(np.eye(2), 20, axis=0)  # all images alike: each decides as much
    few = rng.standard_normal((40, 30))
    few[:3] += 1000 * rng.standard_normal(30)
    found = made([even, few], [even], [slice(0, 40)])[1]
    assert found.n_eff_a[0] == pytest.approx(40, rel=1e-5)
    assert 2 < found.n_eff_a[1] < 5


def test_a_layer_without_variance_has_no_error():
    a = reference.network(1, 30, layers=2)
    found = made([a[0], np.ones((30, 3))], [a[1]], [slice(0, 30)])[1]
    assert np.isfinite(found.errors[0]).all() and np.isnan(found.errors[1]).all()
    assert np.isfinite(found.n_eff_a[0]) and np.isnan(found.n_eff_a[1])


def test_a_layer_dead_in_one_minibatch_counts_in_the_others():
    a = [x.astype(np.float64) for x in reference.network(1, 30, layers=1)]
    b = reference.network(2, 30, layers=1)
    a[0][:10] = 1.0
    found = made(a, b, minibatches(30, 10))[1]
    exact = leaving_out(a[0], b[0], minibatches(30, 10))
    assert found.errors[0, 0] == pytest.approx(exact, abs=1e-7)


def outlying(times, n=40):
    """A layer with an image so many times further from the mean than it was, and another that shares something."""
    x = np.random.default_rng(1).standard_normal((n, 20))
    y = x[:, :8] + np.random.default_rng(2).standard_normal((n, 8))
    x[n // 3] *= times
    return x, y


@pytest.mark.parametrize("times", [10, 100, 1000])
def test_of_an_image_far_from_all_others_three_digits_are_right(times):
    x, y = outlying(times)
    found = made([x], [y], [slice(0, 40)])[1]
    assert found.errors[0, 0] == pytest.approx(leaving_out(x, y, [slice(0, 40)]), rel=1e-3)
    assert found.n_eff_a[0] < 11


@pytest.mark.parametrize("times", [1e4, 1e6])
def test_where_nothing_is_left_without_one_image_there_is_no_error_and_not_that_of_rounding(times):
    x, y = outlying(times)
    found = made([x, y], [y], [slice(0, 40)])[1]
    assert np.isnan(found.errors[0, 0]) and np.isfinite(found.errors[1, 0])
    assert found.n_eff_a[0] < 5, "that few images decide is known all the same"


def test_a_layer_that_is_gone_without_one_image_has_no_error():
    one = np.eye(10)[[0, 0, 1, 2, 3, 4, 5, 6, 7, 8]]  # two alike, each other one for itself
    y = np.random.default_rng(0).standard_normal((10, 6))
    sums, found = made([one], [one, y], [slice(0, 10)])
    assert np.isfinite(sums.matrix()).all() and np.isnan(found.errors).all()


def test_four_images_have_no_error():
    a = reference.network(1, 4, layers=1)
    assert np.isnan(made(a, a, [slice(0, 4)])[1].errors).all()


def test_other_minibatches_than_the_maps_are_refused():
    a = grams(reference.network(1, 30, layers=1))
    sums = HsicSums(1, 1)
    sums.add(a, a)
    with pytest.raises(ValueError, match="the map's 30 images, got those of 0"):
        jackknife([], sums)


def test_an_interval_holds_its_value_and_stays_within_one():
    matrix = np.array([[1.0, 0.9999999, 0.5, -0.2, np.nan]])
    errors = np.array([[0.0, 1e-8, 0.3, 0.1, np.nan]])
    low, high = interval(matrix, errors)
    assert np.isnan(low[0, 4]) and np.isnan(high[0, 4])
    assert (low[0, :4] <= matrix[0, :4]).all() and (matrix[0, :4] <= high[0, :4]).all()
    assert (low[0, :4] > -1).all() and (high[0, :4] <= 1).all()
    assert low[0, 2] == pytest.approx(np.tanh(np.arctanh(0.5) - 1.959964 * 0.3 / 0.75), abs=1e-6)
    wide = interval(matrix, errors, 0.99)
    assert (wide[0][0, 2:4] < low[0, 2:4]).all() and (wide[1][0, 2:4] > high[0, 2:4]).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        interval(matrix, errors, 95)


def draws(rng, kind, n, samples):
    """Pairs of representations of n images each, of a population whose CKA is known from a very large sample."""
    mix = np.random.default_rng(7).standard_normal((6, 6))
    for _ in range(samples):
        x = rng.standard_normal((n, 6)) if kind == "normal" else rng.standard_t(5, (n, 6))
        yield x, x @ mix + 1.5 * rng.standard_normal((n, 6))


@pytest.mark.parametrize("kind", ["normal", "heavy tails"])
def test_intervals_hold_the_truth_as_often_as_they_say(kind):
    rng = np.random.default_rng(0)
    truth = np.mean([reference.cka(x, y) for x, y in draws(rng, kind, 2000, 3)])
    a, b = zip(*draws(rng, kind, 100, 200), strict=True)
    sums, found = made(a, b, [slice(0, 100)])  # on the diagonal: 200 samples of 100 images
    low, high = (np.diagonal(side) for side in interval(sums.matrix(), found.errors))
    assert 0.9 <= np.mean((low <= truth) & (truth <= high)) <= 0.995
