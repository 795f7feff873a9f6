"""The lesson's equations in a real browser: those of kernels.py, and what mathematics says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from cka_core.measures import kernels
from cka_core.measures.chance import chance
from cka_core.results.spec import CompareSpec

EQUATIONS = (Path(__file__).parents[2] / "pages" / "parts" / "learn" / "equations.js").read_text(encoding="utf-8")


@pytest.fixture
def compute(page: Page):
    """Evaluate an expression with the equations of the lesson, in the browser. ``x`` and ``y`` are representations."""

    def evaluate(expression: str, x: np.ndarray, y: np.ndarray):
        return page.evaluate(
            "([source, expression, x, y]) => new Function('x', 'y', `${source}; return ${expression}`)(x, y)",
            [EQUATIONS, expression, x.tolist(), y.tolist()],
        )

    return evaluate


def representations(seed: int, n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p)) + 3 * random.normal(size=p)  # with a mean, as after a ReLU
    return x, x[:, :1] * random.normal(size=q) + random.normal(size=(n, q))


SHAPES = [(0, 4, 1, 1), (1, 8, 5, 3), (2, 12, 2, 9), (3, 40, 64, 20), (4, 25, 200, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_lessons_equations_are_those_of_kernels(compute, shape):
    x, y = representations(*shape)
    k, l_ = kernels.linear_gram(x), kernels.linear_gram(y)
    scale = np.abs(k).max()
    np.testing.assert_allclose(compute("gram(x)", x, y), k, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(compute("centre(gram(x))", x, y), kernels.centre(k), rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(compute("uCentre(gram(x))", x, y), kernels.u_centre(k), rtol=1e-9, atol=1e-9 * scale)
    for name, reference in (("hsicUnbiased", kernels.hsic_unbiased), ("hsicBiased", kernels.hsic_biased)):
        largest = np.sqrt(reference(k, k) * reference(l_, l_))
        assert compute(f"{name}(gram(x), gram(y))", x, y) == pytest.approx(
            reference(k, l_), rel=1e-9, abs=1e-9 * largest
        )
    for unbiased in (True, False):
        value = compute(f"cka(gram(x), gram(y), {str(unbiased).lower()})", x, y)
        assert value == pytest.approx(kernels.cka(x, y, unbiased=unbiased), rel=1e-9, abs=1e-9)


def test_centring_goes_to_u_centring_one_change_at_a_time(compute):
    x, y = representations(1, 8, 5, 3)
    k = kernels.linear_gram(x)
    steps = [np.array(one) for one in compute("uCentreSteps(gram(x)).matrices", x, y)]
    off = k - np.diag(np.diag(k))
    outside = 1 - np.eye(8)
    rows = off.sum(axis=1, keepdims=True) / 6
    for step, expected in zip(
        steps, [k, off, (off - rows) * outside, (off - rows - rows.T) * outside, kernels.u_centre(k)], strict=True
    ):
        np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-9)


def test_a_feature_at_a_time_makes_the_same_gram_matrix(compute):
    x, y = representations(1, 8, 5, 3)
    script = """(() => {
      const k = x.map(() => x.map(() => 0));
      x[0].forEach((_, f) => addFeature(k, x.map((row) => row[f])));
      return k;
    })()"""
    np.testing.assert_allclose(compute(script, x, y), kernels.linear_gram(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_procrustes_is_the_normalised_bures_similarity(compute, shape):
    x, y = representations(*shape)
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    nuclear = np.linalg.svd(a.T @ b, compute_uv=False).sum() / (np.linalg.norm(a) * np.linalg.norm(b))
    values, vectors = np.linalg.eigh(a @ a.T)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ b @ b.T @ root)
    bures = np.sqrt(np.maximum(eigenvalues, 0)).sum() / (np.linalg.norm(a) * np.linalg.norm(b))
    value = compute("procrustes(x, y)", x, y)
    assert value == pytest.approx(nuclear, abs=1e-9)
    assert value == pytest.approx(bures, abs=1e-5)  # roots of eigenvalues that should be zero


def test_chance_is_what_permuting_the_images_gives(compute):
    x, y = representations(1, 8, 5, 3)
    random = np.random.default_rng(0)
    drawn = [kernels.cka(x, y[random.permutation(8)]) for _ in range(20_000)]
    assert compute("chance(8)", x, y) == pytest.approx(np.std(drawn), rel=0.02)


def test_chance_over_minibatches_is_that_of_the_package(compute):
    x, y = representations(1, 8, 5, 3)
    assert compute("chance(256, 3)", x, y) == pytest.approx(chance([256] * 3), rel=1e-12)
    assert compute("chanceInTheApp()", x, y) == pytest.approx(chance([CompareSpec.batch_size] * 3), rel=1e-12)


def test_an_image_far_out_leaves_the_others_their_products(compute):
    x, y = representations(2, 12, 2, 2)
    x[7] *= 1e13
    k = kernels.linear_gram(x)
    expected = kernels.u_centre(k)
    assert np.abs(np.array(compute("uCentre(gram(x))", x, y)) - expected).max() < 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize(("n", "p", "q"), [(64, 256, 256), (100, 40, 300)])
def test_biased_cka_of_noise_is_what_theory_says(compute, n, p, q):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(n, p)), random.normal(size=(n, q))
    assert compute(f"noiseBiased({n}, {p}, {q})", x[:4], y[:4]) == pytest.approx(
        kernels.cka(x, y, unbiased=False), abs=0.02
    )
