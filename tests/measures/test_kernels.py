"""The equations hold, exactly where exact arithmetic can say so."""

from __future__ import annotations

import itertools
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import csr_array

from cka_core.measures import kernels
from cka_core.measures.kernels import NO_VARIANCE, ONE_IMAGE, cka, degenerate_reason
from tests import reference


def draw(n, features, seed=0):
    return np.random.default_rng(seed).standard_normal((n, features))


def rotation(size, seed=1):
    return np.linalg.qr(draw(size, size, seed))[0]


def exact_hsic1(x, y):
    """The three terms in whole-number arithmetic, on whole-number activations."""
    n = len(x)
    k, w = (z @ z.T * (1 - np.eye(n, dtype=int)) for z in (x, y))
    middle = Fraction(int(k.sum() * w.sum()), (n - 1) * (n - 2))
    last = Fraction(2 * int((k @ w).sum()), n - 2)
    return (int(np.trace(k @ w)) + middle - last) / (n * (n - 3))


def whole(n, features, seed):
    return np.random.default_rng(seed).integers(-9, 10, (n, features))


def test_hsic_unbiased_is_the_three_terms_of_the_paper():
    x, y = whole(7, 3, 0), whole(7, 5, 1)
    got = kernels.hsic_unbiased(kernels.linear_gram(x), kernels.linear_gram(y))
    assert got == pytest.approx(float(exact_hsic1(x, y)), rel=1e-12)
    assert reference.hsic1(x @ x.T, y @ y.T) == pytest.approx(float(exact_hsic1(x, y)), rel=1e-12)


def test_hsic1_does_not_see_a_shift_of_the_features():
    x, y = whole(6, 3, 2), whole(6, 4, 3)
    assert exact_hsic1(x + np.array([5, -300, 7]), y) == exact_hsic1(x, y) != 0


def test_hsic_unbiased_of_all_images_is_its_average_over_every_four_of_them():
    x, y = draw(8, 3), draw(8, 4, 1)

    def estimate(rows):
        rows = list(rows)
        return kernels.hsic_unbiased(kernels.linear_gram(x[rows]), kernels.linear_gram(y[rows]))

    fours = [estimate(rows) for rows in itertools.combinations(range(8), 4)]
    assert np.mean(fours) == pytest.approx(estimate(range(8)), rel=1e-10)


def test_hsic_biased_is_the_trace_formula():
    k, w = kernels.linear_gram(draw(9, 3)), kernels.linear_gram(draw(9, 5, 1))
    h = np.eye(9) - 1 / 9
    assert kernels.hsic_biased(k, w) == pytest.approx(np.trace(k @ h @ w @ h) / 64, rel=1e-12)


def test_centring_leaves_rows_and_columns_that_sum_to_zero():
    k = kernels.linear_gram(draw(9, 4) + 3)
    assert np.abs(kernels.centre(k).sum(axis=0)).max() < 1e-12 * np.abs(k).sum()
    u = kernels.u_centre(k)
    assert np.abs(u.sum(axis=0)).max() < 1e-12 * np.abs(k).sum()
    assert np.all(np.diag(u) == 0)
    assert np.allclose(u, u.T)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("unbiased", [True, False])
class TestCka:
    def test_of_a_representation_with_itself_is_one(self, kernel, unbiased):
        x = draw(20, 7)
        assert cka(x, x, kernel=kernel, unbiased=unbiased) == pytest.approx(1, abs=1e-12)

    def test_is_symmetric(self, kernel, unbiased):
        x, y = draw(20, 7), draw(20, 3, 1)
        there, back = (cka(*pair, kernel=kernel, unbiased=unbiased) for pair in ((x, y), (y, x)))
        assert there == pytest.approx(back, abs=1e-13)

    def test_is_unchanged_by_rotation_scaling_and_shift(self, kernel, unbiased):
        x, y = draw(20, 7), draw(20, 3, 1)
        moved = -2.5 * (x @ rotation(7)) + 4
        before, after = (cka(z, y, kernel=kernel, unbiased=unbiased) for z in (x, moved))
        assert after == pytest.approx(before, abs=1e-12)

    def test_is_changed_by_a_general_linear_map(self, kernel, unbiased):
        x, y = draw(20, 7), draw(20, 7) + 0.1 * draw(20, 7, 1)
        before, after = (cka(z, y, kernel=kernel, unbiased=unbiased) for z in (x, x * [9, 1, 1, 1, 1, 1, 0]))
        assert abs(after - before) > 0.05

    def test_is_the_same_at_every_scale(self, kernel, unbiased):
        x, y = draw(20, 7), draw(20, 3, 1)
        expected = cka(x, y, kernel=kernel, unbiased=unbiased)
        for scale in (1e-160, 1e-12, 1e15, 1e160):
            assert cka(x * scale, y / scale, kernel=kernel, unbiased=unbiased) == pytest.approx(expected, abs=1e-12)


def test_the_estimator_is_chosen_by_true_or_false():
    with pytest.raises(ValueError, match="Expected unbiased=True or unbiased=False, got 'no'."):
        kernels.cka(np.ones((5, 2)), np.ones((5, 2)), unbiased="no")


def test_cka_equals_the_reference():
    x, y = draw(40, 30), np.maximum(draw(40, 30) @ draw(30, 20, 1), 0)
    assert cka(x, y) == pytest.approx(reference.cka(x, y), abs=1e-12)
    images = x.reshape(40, 5, 3, 2)
    assert cka(images, y) == pytest.approx(reference.cka(x, y), abs=1e-12)


def test_independent_noise_is_near_zero_unbiased_and_near_one_biased():
    x, y = draw(64, 8000), draw(64, 8000, 1)
    assert abs(cka(x, y)) < 0.05
    assert cka(x, y, unbiased=False) > 0.98


def test_the_unbiased_estimate_is_not_clamped():
    values = [cka(draw(8, 3, seed), draw(8, 3, seed + 100)) for seed in range(20)]
    assert min(values) < -0.05


def test_rbf_gram_is_its_formula():
    x = draw(6, 3)
    distance = np.array([[np.linalg.norm(p - q) for q in x] for p in x])
    sigma = 0.5 * np.median([distance[i, j] for i, j in itertools.combinations(range(6), 2)])
    assert np.allclose(kernels.rbf_gram(x + 7, 0.5), np.exp(-(distance**2) / (2 * sigma**2)), atol=1e-12)


def test_a_wide_rbf_kernel_is_nearly_linear():
    x = draw(20, 7)
    y = np.maximum(x, 0)
    assert cka(x, y, kernel="rbf", bandwidth=300) == pytest.approx(cka(x, y), abs=1e-3)
    assert abs(cka(x, y, kernel="rbf", bandwidth=0.3) - cka(x, y)) > 0.02


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.full((10, 3), 0.1, np.float32), NO_VARIANCE),
        (np.full((10, 3), 0.1) + 1e-9 * draw(10, 3), NO_VARIANCE),
        (np.zeros((10, 3)), NO_VARIANCE),
        (np.eye(10)[:, :1] * [[1.0, 2.0, 3.0]], ONE_IMAGE),
    ],
)
def test_a_layer_without_usable_variance_is_nan_with_its_reason(x, reason):
    with pytest.warns(RuntimeWarning, match=f"y has .*{reason}"):
        assert np.isnan(cka(draw(10, 4), x))
    with pytest.warns(RuntimeWarning, match=f"x has .*{reason}"):
        assert np.isnan(cka(x, x))


@pytest.mark.parametrize("x", [300 + draw(10, 3), 50 + 0.01 * draw(10, 3), 1e-12 * draw(10, 3)])
def test_a_small_deviation_from_a_large_mean_is_alive(x):
    assert cka(x, x) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("norms", "reason"),
    [
        ((1e-9, 1, 1, 1), NO_VARIANCE),
        ((4.5e-7, 1, 1, 1), NO_VARIANCE),
        ((5e-7, 1, 1, 1), None),
        ((0, 0, 0, 0), NO_VARIANCE),
        ((float("nan"), 1, 1, 1), NO_VARIANCE),
        ((1, 1, 9e-7, 1), ONE_IMAGE),
        ((1, 1, 1.1e-6, 1), None),
        ((1e20, 1e20, 1e30, 1e40), ONE_IMAGE),
    ],
)
def test_both_degenerate_tests_are_relative(norms, reason):
    assert degenerate_reason(*norms) == reason


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (draw(10, 2), draw(9, 2), "same images.*10 rows in x and 9 in y"),
        (draw(3, 2), draw(3, 2), "at least 4 images, got 3"),
        (np.where(np.arange(20).reshape(10, 2) == 13, np.nan, 1.0), draw(10, 2), "x, image 6"),
        (draw(10, 2), np.where(np.arange(20).reshape(10, 2) == 4, np.inf, 1.0), "y, image 2"),
        (np.array([["a"]] * 5), draw(5, 2), "numbers in x"),
        (draw(5, 2) * 1j, draw(5, 2), "numbers in x"),
        (draw(5, 2).astype(object), draw(5, 2), r"numbers in x, got Python objects \(ndarray\)"),
        (draw(5, 2), csr_array(draw(5, 2)), r"numbers in y, got a sparse csr_array. Give its toarray\(\)"),
        ([[1, 2], [3]] * 5, draw(10, 2), "numbers in x, got a list with rows of several lengths"),
        (np.ones((5, 0)), draw(5, 2), r"got shape \(5, 0\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        cka(x, y)


def test_unknown_kernels_and_bandwidths_are_refused():
    with pytest.raises(ValueError, match="Valid: linear, rbf"):
        cka(draw(5, 2), draw(5, 2), kernel="cosine")
    with pytest.raises(ValueError, match="bandwidth above 0"):
        cka(draw(5, 2), draw(5, 2), kernel="rbf", bandwidth=0)
    with pytest.raises(ValueError, match="half of all pairs"):
        cka(np.repeat([[1.0], [2.0]], [9, 1], axis=0), draw(10, 2), kernel="rbf")


def test_the_package_offers_its_names_and_imports_no_tensorflow():
    code = (
        "import sys, numpy, cka_core\n"
        "x = numpy.random.default_rng(0).standard_normal((9, 3))\n"
        "assert abs(cka_core.cka(x, x) - 1) < 1e-9\n"
        "assert cka_core.compare_activations({'x': x}, {'x': x}).matrix.shape == (1, 1)\n"
        "assert set(cka_core.__all__) <= set(dir(cka_core))\n"
        "from cka_core import Comparison, build_network, load_images\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "try: cka_core.nothing\n"
        "except AttributeError as error: assert 'compare_activations' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
