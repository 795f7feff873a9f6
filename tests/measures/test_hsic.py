"""Layers against layers over minibatches: at most 1e-5 from the float64 reference, whatever the activations."""

from __future__ import annotations

import io

import numpy as np
import pytest

from cka_core.measures.grams import grams
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.kernels import NO_VARIANCE, ONE_IMAGE
from tests import reference

PROMISE = 1e-5


def sums_of(a, b, parts):
    sums = HsicSums(len(a), len(b))
    for part in parts:
        batch_a = grams([x[part] for x in a], first=part.start)
        batch_b = batch_a if b is a else grams([y[part] for y in b], first=part.start)
        sums.add(batch_a, batch_b)
    return sums


def matrix(a, b, parts):
    return sums_of(a, b, parts).matrix()


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [
        (256, 256, [256]),
        (257, 256, [257]),
        (259, 256, [259]),
        (260, 256, [256, 4]),
        (512, 256, [256, 256]),
        (515, 256, [256, 259]),
        (1000, 256, [256, 256, 256, 232]),
        (5, 4, [5]),
        (8, 4, [4, 4]),
        (4, 256, [4]),
        (7, 100, [7]),
    ],
)
def test_a_remainder_of_fewer_than_four_joins_the_minibatch_before_it(n, size, sizes):
    parts = minibatches(n, size)
    assert [part.stop - part.start for part in parts] == sizes
    assert np.array_equal(np.concatenate([np.arange(n)[part] for part in parts]), np.arange(n))


def test_too_few_images_and_too_small_minibatches_are_refused():
    with pytest.raises(ValueError, match="at least 4 images, got 3"):
        minibatches(3, 256)
    with pytest.raises(ValueError, match="batch_size of at least 4, got 3"):
        minibatches(100, 3)
    for wrong in ("x", 32.0, None):
        with pytest.raises(ValueError, match=f"batch_size to be a whole number of images, got {wrong!r}"):
            minibatches(100, wrong)
    assert minibatches(100, np.int64(50)) == minibatches(100, 50)


@pytest.mark.parametrize("parts", [minibatches(64, 64), minibatches(129, 64), minibatches(150, 64)], ids=len)
def test_every_pair_agrees_with_the_reference(parts):
    n = parts[-1].stop
    a, b = reference.network(1, n), reference.network(2, n, layers=4, width=900)
    assert np.abs(matrix(a, b, parts) - reference.matrix(a, b, parts)).max() <= PROMISE


def test_minibatches_are_averaged_as_hsic_and_not_as_ratios():
    a, b = reference.network(1, 24), reference.network(2, 24)
    parts = minibatches(24, 8)
    ratios = np.mean([reference.matrix([x[p] for x in a], [y[p] for y in b]) for p in parts], axis=0)
    got = matrix(a, b, parts)
    assert np.abs(got - reference.matrix(a, b, parts)).max() <= PROMISE
    assert np.abs(got - ratios).max() > 0.01


def test_a_shorter_last_minibatch_counts_by_its_number_of_images():
    a, b = reference.network(1, 30), reference.network(2, 30)
    parts = minibatches(30, 24)
    got = matrix(a, b, parts)
    plain = [[0.0] * len(b) for _ in a]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            pairs = [(reference.gram(x[p]), reference.gram(y[p])) for p in parts]
            over = sum(reference.hsic1(k, w) for k, w in pairs)
            under = sum(reference.hsic1(k, k) for k, _ in pairs) * sum(reference.hsic1(w, w) for _, w in pairs)
            plain[i][j] = over / np.sqrt(under)
    assert np.abs(got - reference.matrix(a, b, parts)).max() <= PROMISE
    assert np.abs(got - plain).max() > 0.003


def test_a_network_with_itself_has_a_unit_diagonal_and_is_symmetric():
    a = reference.network(1, 129, layers=7, width=300)
    got = matrix(a, a, minibatches(129, 64))
    assert np.array_equal(np.diag(got), np.ones(7))
    assert np.array_equal(got, got.T)
    assert np.abs(got - reference.matrix(a, a, minibatches(129, 64))).max() <= PROMISE


def test_the_same_network_computed_twice_differs_by_rounding_only():
    a = reference.network(1, 64)
    parts = minibatches(64, 32)
    assert np.abs(matrix(a, [x.copy() for x in a], parts) - matrix(a, a, parts)).max() <= 1e-6


def test_swapped_networks_give_the_transpose():
    a, b = reference.network(1, 64), reference.network(2, 64, layers=3)
    parts = minibatches(64, 32)
    assert np.allclose(matrix(b, a, parts), matrix(a, b, parts).T, atol=1e-7, rtol=0)


def test_rotation_and_scaling_change_nothing_and_a_general_linear_map_does():
    a, b = reference.network(1, 64), reference.network(2, 64)
    parts = minibatches(64, 32)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((40, 40)))[0]
    before = matrix(a, b, parts)
    assert np.abs(matrix([x.astype(np.float64) @ turn * -7 for x in a], b, parts) - before).max() <= 1e-6
    stretch = np.where(np.arange(40) < 2, 20, 1)
    assert np.abs(matrix([x * stretch for x in a], b, parts) - before).max() > 0.05


@pytest.mark.parametrize("scale_a", [1e-12, 1.0, 1e15])
@pytest.mark.parametrize("scale_b", [1e-12, 1e15])
def test_any_scale_agrees_with_the_reference(scale_a, scale_b):
    a, b = reference.network(1, 64), reference.network(2, 64)
    parts = minibatches(64, 32)
    got = matrix([np.float32(scale_a) * x for x in a], [np.float32(scale_b) * y for y in b], parts)
    assert np.abs(got - reference.matrix(a, b, parts)).max() <= PROMISE


@pytest.mark.parametrize("scales", [(1, 100), (1e-12, 1e-11), (1e15, 3e14), (1e-12, 1e15), (1e15, 1e-12), (1e-3, 10)])
def test_minibatches_of_unlike_scale_keep_their_weight(scales):
    """Never brought to the same norm: that would be another estimator."""
    a, b = reference.network(1, 48), reference.network(2, 48)
    parts = minibatches(48, 24)
    factor = np.repeat(np.array(scales, np.float32), 24)[:, None]
    a = [x * factor for x in a]
    got = matrix(a, b, parts)
    exact = reference.matrix([x.astype(np.float64) / max(scales) for x in a], b, parts)
    assert np.abs(got - exact).max() <= PROMISE


@pytest.mark.parametrize(
    "shift", [lambda x: 300 + x / x.std(), lambda x: 50 + 0.01 * x / x.std()], ids=["300 ± 1", "50 ± 0.01"]
)
def test_a_large_mean_costs_nothing(shift):
    a = [shift(x).astype(np.float32) for x in reference.network(1, 256, layers=4, width=1000)]
    b = reference.network(2, 256, layers=4)
    parts = minibatches(256, 256)
    assert np.abs(matrix(a, b, parts) - reference.matrix(a, b, parts)).max() <= PROMISE
    raw = a[3] @ a[3].T
    assert abs(reference.hsic1(raw, raw) / reference.hsic1(*2 * [reference.gram(a[3])]) - 1) > 1e-3


def test_low_rank_and_single_features():
    rng = np.random.default_rng(0)
    a = [rng.standard_normal((64, rank)) @ rng.standard_normal((rank, 300)) for rank in (1, 2, 5)]
    b = [rng.standard_normal((64, 1)), a[0][:, 7], rng.standard_normal((64, 2))]
    a, b = ([x.reshape(64, -1).astype(np.float32) for x in side] for side in (a, b))
    parts = minibatches(64, 64)
    got = matrix(a, b, parts)
    assert np.abs(got - reference.matrix(a, b, parts)).max() <= PROMISE
    assert got[0, 1] == pytest.approx(1, abs=PROMISE)


@pytest.mark.parametrize("clusters", [2, 3, 10])
def test_images_in_clusters_agree_with_the_reference(clusters):
    """As a trained network's last layers see them. Gram matrices then hold few values, each many times."""
    rng = np.random.default_rng(0)
    classes = np.eye(clusters, dtype=np.float32)[np.sort(rng.integers(0, clusters, 256))]
    a = [classes, classes * np.float32(1.3), classes + np.float32(1e-3) * rng.standard_normal(classes.shape)]
    b = [classes @ rng.standard_normal((clusters, 50)), classes * np.float32(0.7), classes * np.float32(3.1) + 5]
    a, b = ([x.astype(np.float32) for x in side] for side in (a, b))
    parts = minibatches(256, 256)
    assert np.abs(matrix(a, b, parts) - reference.matrix(a, b, parts)).max() <= PROMISE / 10


def test_one_outlier_and_two_agree_with_the_reference():
    parts = minibatches(128, 64)
    for rows in ([16], [17], [16, 20], [3, 64, 127]):
        for times in (1e3, 1e4, 1e6):
            a, b = (reference.network(seed, 128, layers=2, width=300) for seed in (1, 2))
            for x in (*a, b[0]):
                x[rows] *= np.float32(times)
            error = np.abs(matrix(a, b, parts) - reference.matrix(a, b, parts)).max()
            assert error <= PROMISE, (rows, times, error)


def test_independent_noise_is_near_zero():
    rng = np.random.default_rng(0)
    a, b = ([rng.standard_normal((256, 8192)).astype(np.float32)] for _ in range(2))
    parts = minibatches(256, 256)
    got = matrix(a, b, parts)
    assert abs(got[0, 0]) < 0.02
    assert np.abs(got - reference.matrix(a, b, parts)).max() <= PROMISE


def test_the_estimate_is_not_clamped():
    rng = np.random.default_rng(0)
    a, b = ([rng.standard_normal((8, 3)).astype(np.float32) for _ in range(9)] for _ in range(2))
    assert matrix(a, b, minibatches(8, 8)).min() < -0.1


def test_layers_that_say_nothing_are_nan_with_their_reason():
    n, rng = 32, np.random.default_rng(0)
    live = reference.network(1, n, layers=2)
    one = np.zeros((n, 40), np.float32)
    one[5] = rng.standard_normal(40)
    one_each = one.copy()
    one_each[20] = rng.standard_normal(40)
    a = [live[0], np.full((n, 9), 0.1, np.float32), one, one_each, live[1]]
    sums = sums_of(a, live, minibatches(n, 16))
    assert sums.reasons_a == (None, NO_VARIANCE, ONE_IMAGE, ONE_IMAGE, None)
    assert sums.reasons_b == (None, None)
    got = sums.matrix()
    assert np.isnan(got[1:4]).all()
    assert np.abs(got[[0, 4]] - reference.matrix([a[0], a[4]], live, minibatches(n, 16))).max() <= PROMISE
    turned = sums_of(live, a, minibatches(n, 16))
    assert turned.reasons_b == sums.reasons_a and np.isnan(turned.matrix()[:, 1:4]).all()


def test_two_images_alone_in_one_minibatch_are_a_layer():
    one_each = np.zeros((32, 40), np.float32)
    one_each[[5, 20]] = np.abs(np.random.default_rng(0).standard_normal((2, 40)))
    live = reference.network(1, 32, layers=2)
    sums = sums_of([one_each], live, minibatches(32, 32))
    assert sums.reasons_a == (None,)
    assert np.abs(sums.matrix() - reference.matrix([one_each], live)).max() <= PROMISE


def test_a_minibatch_that_says_nothing_adds_exactly_zero():
    a, b = reference.network(1, 64, layers=2), reference.network(2, 64, layers=2)
    a[0][:32] = 0.1
    parts = minibatches(64, 32)
    got = matrix(a, b, parts)
    a[0] = a[0].astype(np.float64)
    a[0][:32] = 0
    assert np.abs(got - reference.matrix(a, b, parts)).max() <= PROMISE
    assert not np.isnan(got).any()


def test_an_outlier_is_told_once_an_image():
    a, b = reference.network(1, 64, layers=3), reference.network(2, 64, layers=2)
    assert sums_of(a, b, minibatches(64, 32)).warnings == ()
    a[0][40] *= 5e4
    a[2][40] *= 1e5
    a[1][3] *= 1e5
    warnings = sums_of(a, b, minibatches(64, 32)).warnings
    assert len(warnings) == 2
    assert sum("Image 40 is" in text and "and 1 more" in text for text in warnings) == 1
    assert sum("Image 3 is" in text and "in layer 1)" in text for text in warnings) == 1
    alone = sums_of(a, a, minibatches(64, 32)).warnings
    assert alone == warnings


def test_many_outliers_are_counted():
    x = np.random.default_rng(0).standard_normal((120, 40)).astype(np.float32)
    x[::8] *= 1e5
    warnings = sums_of([x], [x], minibatches(120, 8)).warnings
    assert len(warnings) == 11
    assert warnings[-1] == "The same is true of 5 more images."


def test_sums_stored_halfway_go_on_as_if_never_stopped():
    a, b = reference.network(1, 96, layers=3), reference.network(2, 96, layers=2)
    a[1][:32] = 0.1
    a[2][50] *= 1e20
    parts = minibatches(96, 32)
    whole = sums_of(a, b, parts)
    buffer = io.BytesIO()
    np.savez(buffer, **sums_of(a, b, parts[:2]).state())
    with np.load(io.BytesIO(buffer.getvalue()), allow_pickle=False) as arrays:
        resumed = HsicSums.from_state(dict(arrays))
    resumed.add(*(grams([x[parts[2]] for x in side], first=64) for side in (a, b)))
    assert np.array_equal(resumed.matrix(), whole.matrix(), equal_nan=True)
    for told in ("reasons_a", "reasons_b", "warnings"):
        assert getattr(resumed, told) == getattr(whole, told)
    assert resumed.images == whole.images == 96


def test_gram_matrices_of_different_images_are_refused():
    x = reference.network(1, 64, layers=2)
    first, second = (grams([y[part] for y in x], first=part.start) for part in minibatches(64, 32))
    short = grams([y[:16] for y in x])
    sums = HsicSums(2, 2)
    with pytest.raises(ValueError, match="32 images from image 0 on, and 32 from image 32 on"):
        sums.add(first, second)
    with pytest.raises(ValueError, match="32 images from image 0 on, and 16 from image 0 on"):
        sums.add(first, short)
    with pytest.raises(ValueError, match="2 and 3 layers, got 2 and 2"):
        HsicSums(2, 3).add(first, first)
    assert sums.images == 0
