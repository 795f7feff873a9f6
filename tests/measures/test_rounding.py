"""What float32 Gram matrices hold is measured to the digit; what they do not hold is told from what is not there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from cka_core.measures import spectra
from cka_core.measures.grams import grams
from cka_core.measures.matrices import doubly_centred_layer
from cka_core.measures.measure import MeasureMeans
from cka_core.measures.registry import MEASURES
from cka_core.measures.rsa_spearman import ranks
from tests.measures.test_registry import REFERENCE, value

TYPES = (np.float32, np.float64)


def noise(n: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, features))


def dominated(n: int, factor: float, seed: int) -> np.ndarray:
    """64 directions of a layer's own and one, the same whatever the seed, with ``factor`` times their deviation."""
    return np.hstack([noise(n, 64, seed), factor * noise(n, 1, 99)])


def with_outlier(factor: float, n: int = 256) -> np.ndarray:
    x = noise(n, 30)
    x[0] *= factor
    return x


def reasons(name: str, x: np.ndarray, y: np.ndarray) -> tuple[str | None, str | None]:
    """Why a layer of A and one of B have no value, after seeing that they have none."""
    means = MeasureMeans(MEASURES[name], 1, 1)
    means.add(grams([x]), grams([y]))
    assert np.isnan(means.matrix()).all()
    return means.reasons_a[0], means.reasons_b[0]


class TestComponents:
    """SVCCA and Procrustes."""

    @pytest.mark.parametrize("dtype", TYPES)
    def test_svcca_does_not_leave_out_components_in_silence(self, dtype):
        lost, sound = MEASURES["svcca"].undefined, noise(256, 40, 3).astype(dtype)
        x, y = (dominated(256, 8000, seed).astype(dtype) for seed in (1, 2))
        assert reasons("svcca", x, y) == (lost, lost)
        assert reasons("svcca", x, sound) == (lost, None)
        assert reasons("svcca", sound, y) == (None, lost)

    @pytest.mark.parametrize("dtype", TYPES)
    @pytest.mark.parametrize("name", ["svcca", "procrustes"])
    def test_a_layer_of_few_directions_is_compared_by_those(self, name, dtype):
        y, rng = noise(256, 40, 3).astype(dtype), np.random.default_rng(4)
        for x in (
            noise(256, 3),
            np.maximum(noise(256, 3), 0),
            np.eye(10)[rng.integers(0, 10, 256)],
            5 * noise(256, 10) + 20,
            noise(256, 10) @ noise(10, 200, 5),
            rng.random((256, 12)) > 0.5,
        ):
            x = x.astype(dtype)
            assert value(name, x, y) == pytest.approx(REFERENCE[name](x, y), abs=1e-6)

    @pytest.mark.parametrize("dtype", TYPES)
    @pytest.mark.parametrize("name", ["svcca", "procrustes"])
    @pytest.mark.parametrize("factor", [1e3, 1e4, 1e5])
    def test_one_image_far_from_all_others_costs_no_digits(self, name, factor, dtype):
        x = with_outlier(factor).astype(dtype)
        y = (with_outlier(1)[:, :25] + 0.5 * noise(256, 25, 2)).astype(dtype)
        assert value(name, x, y) == pytest.approx(REFERENCE[name](x, y), abs=2e-6)

    @pytest.mark.parametrize("dtype", TYPES)
    def test_procrustes_is_as_exact_as_what_is_left_out_or_nan(self, dtype):
        x = noise(256, 256)
        steep = (x + np.outer(noise(256, 1, 1), noise(256, 1, 2)) * 1500 / 16).astype(dtype)
        assert reasons("procrustes", steep, x.astype(dtype)) == (MEASURES["procrustes"].undefined, None)
        falling = (noise(256, 300, 4) * np.arange(1, 301) ** -2.0).astype(dtype)
        left = share_left_out(falling)
        assert 0 < left < 1e-5
        exact = REFERENCE["procrustes"](falling, x[:, :25])
        assert abs(value("procrustes", falling, x[:, :25].astype(dtype)) - exact) < np.sqrt(left)

    def test_what_is_left_out_is_told_from_rounding(self):
        assert share_left_out(noise(256, 3)) == share_left_out(np.eye(10)[np.arange(256) % 10]) == 0
        x = dominated(256, 8000, 1)
        exact = np.square(np.linalg.svd(x - x.mean(axis=0), compute_uv=False))
        assert share_left_out(x) == pytest.approx(exact[1:].sum() / exact.sum(), rel=0.1)


def share_left_out(x: np.ndarray) -> float:
    batch = grams([x])
    gram, stored = doubly_centred_layer(batch, 0), spectra.stored_norms(batch)[0]
    return spectra.left_out(gram, spectra.factor(gram, stored=stored)[0], stored)


def rounding(n: int) -> np.ndarray:
    return np.full(n, 2e-6, np.float32)


@pytest.mark.parametrize("dtype", TYPES)
def test_images_of_one_class_but_a_few_have_no_rbf_kernel(dtype):
    x = np.eye(2, dtype=dtype)[(np.arange(256) < 13).astype(int)]
    assert reasons("cka-rbf", x, noise(256, 20).astype(dtype)) == ("half of all pairs of images coincide", None)


class TestTies:
    """Distances that are the same in the activations, and that float32 makes different."""

    @pytest.mark.parametrize("dtype", TYPES)
    def test_one_scale_changes_no_rank(self, dtype):
        rng = np.random.default_rng(0)
        codes, classes = (rng.random((200, 12)) > 0.5).astype(dtype), np.eye(10, dtype=dtype)[rng.integers(0, 10, 200)]
        for x, y in (
            (classes[:, :2], 3 * classes[:, :2]),
            (np.eye(2, dtype=dtype)[rng.integers(0, 2, 256)], None),
            (classes, dtype(0.1) * classes[:, ::-1] + 7),
            (codes, codes[:, ::-1]),
            (np.eye(2, dtype=dtype)[(np.arange(256) > 245).astype(int)], None),  # a rare class
        ):
            assert value("rsa-spearman", x, 3 * x if y is None else y) == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("dtype", TYPES)
    def test_ties_have_the_mean_rank_of_exact_distances(self, dtype):
        rng = np.random.default_rng(1)
        codes = (rng.random((200, 12)) > 0.5).astype(dtype)  # whose squared distances are whole numbers
        others = rng.integers(-2, 3, (200, 5)).astype(dtype)
        y = (codes[:, :6] @ rng.integers(-3, 4, (6, 9))).astype(dtype)
        for x, z in (
            (codes, others),
            (codes, y),
            (others, noise(200, 8).astype(dtype)),
            (np.maximum(others, 0), codes),
        ):
            assert value("rsa-spearman", x, z) == pytest.approx(REFERENCE["rsa-spearman"](x, z), abs=1e-6)

    def test_values_within_rounding_are_one_value(self):
        rng = np.random.default_rng(2)
        exact = rng.integers(0, 50, 5000) / 7
        rounded = np.maximum(exact + rng.uniform(-1, 1, 5000) * 1e-6, 0)
        assert np.array_equal(ranks(rounded, rounding(5000)), scipy.stats.rankdata(exact) - 2500.5)
        assert not ranks(np.full(100, 3.0), rounding(100)).any()

    def test_values_that_lie_densely_everywhere_keep_their_order(self):
        values = np.random.default_rng(3).uniform(1, 1.01, 1 << 19)
        got = ranks(values, rounding(len(values)))
        assert abs(got - scipy.stats.rankdata(values) + (len(got) + 1) / 2).max() < 4e-4 * len(got)

    @pytest.mark.parametrize("dtype", TYPES)
    @pytest.mark.parametrize("name", ["rsa-spearman", "cka-rbf"])
    @pytest.mark.parametrize("images", [1, 2])
    def test_images_far_from_all_others_make_no_others_coincide(self, name, images, dtype):
        for n, factor in ((256, 3e4), (48, 1e4)):
            x, y = noise(n, 30), noise(n, 30)[:, :20] + 0.5 * noise(n, 20, 1)
            x[:images] *= factor
            x, y = x.astype(dtype), y.astype(dtype)
            assert value(name, x, y) == pytest.approx(REFERENCE[name](x, y), abs=1e-3)


@pytest.mark.parametrize("mean", [1.5, 2.0, 2.5, 3.0, 3.5, 5.0])
@pytest.mark.parametrize("features", [15, 64, 4096])
def test_a_mean_does_not_make_a_layer_of_few_directions_one_that_lost_some(features, mean):
    """It may be multiplied with them (`centring.SMALL_MEAN`), and what float32 leaves of that is no direction."""
    rng = np.random.default_rng(features)
    x = rng.standard_normal((256, 10)) @ rng.standard_normal((10, features))
    other = rng.standard_normal((256, 40))
    given = (x + mean * x.std() * rng.choice([1, -1], features)).astype(np.float32)
    value, exact = (
        MEASURES["svcca"].pairs(grams([layer]), grams([other]))[0, 0] for layer in (given, given.astype(np.float64))
    )
    assert value == pytest.approx(exact, abs=1e-5)
