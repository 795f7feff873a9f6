"""The first components of a Gram matrix, found alone, are those of its whole decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.measures import spectra

M = 200


def gram(eigenvalues: np.ndarray, seed: int = 0) -> np.ndarray:
    vectors, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((M, len(eigenvalues))))
    return (vectors * eigenvalues) @ vectors.T


@pytest.mark.parametrize(
    "eigenvalues",
    [
        np.arange(1, 181) ** -1.0,
        np.concatenate([np.full(5, 3.0), np.arange(1, 100) ** -2.0]),  # equal ones
        np.concatenate([[1e6], np.linspace(2, 1, 150)]),  # one far above the others
        np.array([3.0, 2.0, 1.0]),  # fewer than asked for
        np.concatenate([np.ones(30), np.full(100, 0.5)]),  # equal ones at the edge
    ],
    ids=["power law", "equal", "one large", "low rank", "edge"],
)
def test_a_few_components_are_the_first_of_all(eigenvalues):
    matrix = gram(eigenvalues)
    values, vectors = spectra.factor(matrix, 20)
    expected, _ = spectra.factor(matrix)
    assert np.allclose(values, expected[:20], rtol=1e-9) and len(values) == min(20, len(eigenvalues))
    assert np.allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-8)
    assert np.abs(matrix @ vectors - vectors * values).max() < 1e-8 * values[0]


def test_the_same_matrix_gives_the_same_digits():
    matrix = gram(np.arange(1, 181) ** -1.0)
    assert np.array_equal(spectra.factor(matrix, 20)[1], spectra.factor(matrix, 20)[1])
