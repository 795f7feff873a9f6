"""Biased and unbiased CKA against the number of images, held to the equations and to the theory."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.measures import estimators, kernels
from cka_core.measures.estimators import estimates, murphy, steps


def noise(seed: int, n: int, features: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, features))


@pytest.fixture(scope="module")
def layers() -> tuple[np.ndarray, np.ndarray]:
    """Two layers that share a part, of 96 images."""
    x = noise(0, 96, 30)
    return x, np.concatenate([x[:, :10] + 0.5 * noise(1, 96, 10), noise(2, 96, 20)], axis=1)


def test_each_draw_is_what_the_equations_give_of_its_images(layers):
    x, y = layers
    found = estimates(kernels.linear_gram(x), kernels.linear_gram(y), draws=2, seed=5)
    assert list(found.images) == list(found.sizes) == [8, 16, 32, 64, 96]
    order = np.random.default_rng((5, 1)).permutation(96)[:32]
    whole = found.biased[1, 2, 2], found.unbiased[1, 2, 2]
    assert whole[0] == pytest.approx(kernels.cka(x[order], y[order], unbiased=False))
    assert whole[1] == pytest.approx(kernels.cka(x[order], y[order]))
    halves = [order[:16], order[16:]]
    assert found.biased[1, 2, 1] == pytest.approx(np.mean([kernels.cka(x[h], y[h], unbiased=False) for h in halves]))
    hsic = {
        pair: sum(kernels.hsic_unbiased(*(kernels.linear_gram(z[h]) for z in pair_of)) for h in halves)
        for pair, pair_of in {"xy": (x, y), "xx": (x, x), "yy": (y, y)}.items()
    }
    assert found.unbiased[1, 2, 1] == pytest.approx(hsic["xy"] / np.sqrt(hsic["xx"] * hsic["yy"]))
    assert np.isnan(found.biased[:, 1, 2]).all(), "16 images are no minibatch of 32"
    assert np.isnan(found.biased[:, 4, 3]).all() and np.isfinite(found.biased[:, 4, 2]).all(), "96 is three times 32"


def test_the_biased_one_of_noise_follows_murphy_and_the_unbiased_one_is_zero():
    p, q, n = 300, 200, 64
    found = estimates(kernels.linear_gram(noise(3, 512, p)), kernels.linear_gram(noise(4, 512, q)), draws=40)
    row = list(found.images).index(n)
    assert found.biased[:, row, row].mean() == pytest.approx(float(murphy(n, p, q)), abs=0.01)
    assert found.level[row] == pytest.approx(float(murphy(n, p, q)), abs=0.01)
    assert abs(found.unbiased[:, row, row].mean()) < 0.01
    assert float(murphy(256, 20_000, 16_000)) == pytest.approx(0.9858, abs=1e-4)


def test_the_unbiased_one_stays_where_it_is_and_the_biased_one_rises(layers):
    x, y = layers
    found = estimates(kernels.linear_gram(x), kernels.linear_gram(y), draws=60)
    mean = found.unbiased.mean(axis=0).diagonal()
    assert np.ptp(mean[1:]) < 0.1
    biased = found.biased.mean(axis=0).diagonal()
    assert (np.diff(biased) < 0).all()
    spread = found.unbiased.std(axis=0).diagonal()
    assert spread[-1] < 1e-12 and spread[0] > spread[2]


def test_the_level_is_the_mean_under_permutation(layers):
    gram_x, gram_y = (kernels.linear_gram(z) for z in layers)
    found = estimates(gram_x, gram_y, draws=4)
    rng, shuffled = np.random.default_rng(0), []
    for _ in range(400):
        order = rng.permutation(96)
        a, b = kernels.centre(gram_x), kernels.centre(gram_y)[np.ix_(order, order)]
        shuffled.append(np.vdot(a, b) / np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    assert found.level[-1] == pytest.approx(np.mean(shuffled), abs=3 * np.std(shuffled) / 20)


def test_steps_and_refusals():
    assert steps(8) == [8] and steps(100) == [8, 16, 32, 64, 100]
    with pytest.raises(ValueError, match="at least 8 images, got 5"):
        estimates(np.eye(5), np.eye(5))
    with pytest.raises(ValueError, match="of the same images"):
        estimates(np.eye(8), np.eye(9))


def test_a_summary_has_the_mean_and_the_bounds_of_most_draws():
    values = np.stack([np.arange(101.0), np.full(101, np.nan)], axis=1)
    mean, low, high = estimators.summary(values)
    assert (mean[0], low[0], high[0]) == pytest.approx((50, 5, 95)) and np.isnan([mean[1], low[1], high[1]]).all()
