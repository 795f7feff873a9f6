"""The fast path of one layer against the equations in float64."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest

from cka_core.measures import centring, kernels
from cka_core.measures.centring import NonFiniteActivation, gram
from cka_core.measures.kernels import NO_VARIANCE, ONE_IMAGE
from tests import reference


def draw(m, features, seed=0):
    return np.random.default_rng(seed).standard_normal((m, features)).astype(np.float32)


def triangle_of(x):
    """U(K~) above the diagonal, float64, features centred first."""
    x = np.asarray(x).astype(np.float64)
    u = kernels.u_centre(reference.gram(x))
    return u[np.triu_indices(len(u), 1)]


def assert_right(x, tolerance=1e-6):
    """``gram`` gives U(K~) to a relative error in norm, without a word of numpy's and without touching its input."""
    before = np.array(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gram(x)
    assert np.array_equal(np.asarray(x), before)
    assert made.reason is None
    scale = float(np.abs(np.asarray(x).astype(np.float64)).max()) or 1.0
    expected = triangle_of(np.asarray(x).astype(np.float64) / scale)
    got = np.ldexp(made.triangle.astype(np.float64), made.exponent) / scale**2
    assert np.linalg.norm(got - expected) <= tolerance * np.linalg.norm(expected)
    assert made.square == pytest.approx(float(np.square(made.triangle.astype(np.float64)).sum()), rel=1e-12)
    return made


low_rank = draw(64, 3) @ draw(3, 700, 1)
drift = draw(64, 50) + np.linspace(-100, 100, 64, dtype=np.float32)[:, None]


@pytest.mark.parametrize(
    "x",
    [
        draw(64, 500),
        draw(4, 30),
        draw(5, 1),
        draw(33, 3),
        draw(70, 9000),
        draw(256, 3 * 4096 + 5),
        low_rank,
        300 + draw(64, 2000),
        50 + np.float32(0.01) * draw(64, 2000),
        drift,
        draw(64, 300) * np.logspace(-4, 4, 300, dtype=np.float32),
        draw(64, 300).reshape(64, 5, 6, 10),
        draw(64, 300)[:, ::3],
        np.asfortranarray(draw(64, 300)),
        draw(128, 300)[::2],
        draw(1100, 6),
    ],
    ids=lambda x: "x".join(map(str, x.shape)),
)
def test_the_triangle_is_the_u_centred_gram_matrix(x):
    # Deviations of 0.01 from 50 have only 12 bits left in float32 data: the data is what it is, the result still exact.
    assert_right(x)


@pytest.mark.parametrize("features", [100, 500, 4000])
def test_numbers_of_one_sign_keep_the_bits_that_are_promised(features):
    """They are multiplied with their mean, so that 19 bits are left (`SMALL_MEAN`); the sums of a BLAS may take one."""
    assert_right(np.maximum(draw(64, features), 0), 2.0**-18)


@pytest.mark.parametrize("scale", [1e-30, 1e-19, 1e-12, 1e-8, 1e-4, 1e4, 1e8, 1e15, 1e25, 7e37])
def test_every_scale_is_as_exact(scale):
    made = assert_right((draw(64, 800) * np.float32(scale)).astype(np.float32))
    assert 2.0**-50 < made.square < 2.0**50


@pytest.mark.parametrize("scale", [1e-160, 1e-40, 1e40, 1e160])
def test_float64_beyond_the_range_of_float32(scale):
    x = draw(32, 100).astype(np.float64)
    small, scaled = gram(x), gram(x * scale)
    ratio = np.ldexp(scaled.triangle.astype(np.float64), 0) / small.triangle
    powers = 2 * np.log2(scale) - (scaled.exponent - small.exponent)
    assert np.log2(ratio) == pytest.approx(powers, abs=1e-4)


def test_float64_is_multiplied_in_float64():
    x = 1e6 + draw(64, 400).astype(np.float64)
    assert_right(x, 2e-7)


@pytest.mark.parametrize(
    "x",
    [
        draw(32, 200).astype(np.float16),
        draw(32, 200).astype(ml_dtypes.bfloat16),
        np.random.default_rng(0).integers(0, 256, (32, 200), np.uint8),
        np.random.default_rng(0).integers(253, 256, (32, 2000), np.uint8),
        np.random.default_rng(0).integers(-1000, 1000, (32, 5000)),
        np.random.default_rng(0).random((32, 200)) < 0.3,
        draw(32, 200).astype(np.longdouble),
        draw(32, 200).astype(">f4"),
    ],
    ids=lambda x: str(x.dtype),
)
def test_every_type_of_number_is_taken(x):
    assert_right(x)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.full((64, 900), 0.1, np.float32), NO_VARIANCE),
        (np.full((64, 9000), 1e-3, np.float32), NO_VARIANCE),
        (np.full((64, 900), 12345.678, np.float32), NO_VARIANCE),
        (np.full((64, 900), 1e-20, np.float32), NO_VARIANCE),
        (np.full((64, 900), 3e38, np.float32), NO_VARIANCE),
        (np.zeros((64, 900), np.float32), NO_VARIANCE),
        (np.float32(0.1) + np.float32(1e-9) * draw(64, 900), NO_VARIANCE),
        (300 + np.float32(3e-5) * draw(64, 900), NO_VARIANCE),
        (np.tile(draw(1, 900), (64, 1)), NO_VARIANCE),
        (np.tile(100 * draw(1, 900), (257, 1)), NO_VARIANCE),
        (np.eye(64, 1, -2, np.float32) * draw(1, 900), ONE_IMAGE),
        (np.eye(64, 1, -3, np.float32) * draw(1, 900), ONE_IMAGE),
        (np.eye(64, 1, -3, np.float32) * 1e12 * draw(1, 900), ONE_IMAGE),
        (np.eye(64, 1, -3, np.float32) * draw(1, 900) + 5, ONE_IMAGE),
        (np.eye(64, dtype=np.float32), ONE_IMAGE),
    ],
)
def test_a_layer_that_says_nothing_is_told_by_its_reason(x, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gram(x)
    assert made.reason == reason
    assert made.square == 0 and not made.triangle.any()
    assert made.outlier is None


def test_two_images_are_enough_to_be_alive():
    x = np.zeros((64, 900), np.float32)
    x[[5, 40]] = np.abs(draw(2, 900))
    assert_right(x)


@pytest.mark.parametrize("row", [16, 17, 255])
@pytest.mark.parametrize("times", [1e3, 3e4, 1e6])
def test_an_outlier_is_told_and_costs_no_digits(row, times):
    """Whether or not the image takes part in the shift (every eighth does)."""
    x = draw(256, 20) @ draw(20, 1500, 1) + draw(256, 1500, 2)
    x[row] *= 2 * times
    made = assert_right(x)
    assert made.outlier is not None
    assert made.outlier[0] == row
    assert made.outlier[1] == pytest.approx(2 * times, rel=0.6)
    others = np.delete(np.arange(256), row)
    upper = np.triu_indices(256, 1)
    quiet = np.isin(upper[0], others) & np.isin(upper[1], others)
    got, expected = np.ldexp(made.triangle.astype(np.float64), made.exponent), triangle_of(x)
    assert np.linalg.norm((got - expected)[quiet]) <= 1e-4 * np.linalg.norm(expected[quiet])


@pytest.mark.parametrize("m", [40, 256])
@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0, 2.0, 2.8, 3.0, 5.0, 40.0])
def test_a_mean_costs_few_digits_whether_it_is_removed_or_not(m, mean):
    """Of 24 bits 19 are left in a typical entry where it is not (`SMALL_MEAN`), less what the sums lose."""
    assert_right(draw(m, 3000) + np.float32(mean), 2.0**-18)


def test_a_layer_with_a_small_mean_is_multiplied_as_it_is(monkeypatch):
    def copied(*given, **more):
        raise AssertionError("copied")

    monkeypatch.setattr(centring, "_product", copied)
    assert_right(np.maximum(draw(256, 300), 0), 2.0**-19)
    assert_right(np.maximum(draw(40, 300), 0).astype(np.float64), 2e-7)
    for other in (draw(256, 3000) + 2, draw(256, 3000).astype(np.float16), np.asfortranarray(draw(64, 300))):
        with pytest.raises(AssertionError, match="copied"):
            gram(other)


def test_a_mean_that_few_images_do_not_show_is_seen_in_the_product(monkeypatch):
    """Every eighth image is looked at first. Where the others have a mean the product is made once more."""
    x = draw(256, 700)
    x[np.arange(256) % 8 != 0] += 10
    x[::8] *= 10
    asked = []
    product = centring._product
    monkeypatch.setattr(centring, "_product", lambda *given, **more: asked.append(given) or product(*given, **more))
    monkeypatch.setattr(centring, "SMALL_MEAN", 1.0)
    monkeypatch.setattr(centring, "SEEMS_SMALL", 1.0)
    assert_right(x, 1e-5)
    assert len(asked) == 1


def test_ordinary_differences_in_size_are_no_outliers():
    x = draw(256, 500)
    x[3] *= 100
    assert assert_right(x).outlier is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (7, 4500), (17, 8999)])
def test_an_activation_that_is_not_finite_names_its_layer_and_image(bad, dtype, row, column):
    x = draw(20, 9000).astype(dtype)
    x[row, column] = bad
    with pytest.raises(NonFiniteActivation, match=rf"'conv1'.*image {256 + row}\. Leave this layer out") as caught:
        gram(x, "conv1", first=256)
    assert (caught.value.layer, caught.value.image) == ("conv1", 256 + row)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (draw(3, 5), "at least 4 images in a minibatch, got 3"),
        (np.ones((8, 0)), r"got shape \(8, 0\)"),
        (np.float32(3), r"got shape \(\)"),
        (np.array([["a"]] * 8), "array of numbers"),
        (draw(8, 5) * 1j, "array of numbers"),
        (np.array([[None]] * 8), "array of numbers"),
    ],
)
def test_what_is_no_layer_is_refused_by_name(x, message):
    with pytest.raises(ValueError, match=f"Layer 'conv1': .*{message}"):
        gram(x, "conv1")


def test_the_triangle_is_written_where_asked():
    out = np.full(64 * 63 // 2, np.nan, np.float32)
    made = gram(draw(64, 100), out=out)
    assert made.triangle is out
    assert np.array_equal(out, gram(draw(64, 100)).triangle)
