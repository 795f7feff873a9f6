"""The largest eigenvalues are those of NumPy's decomposition, in threads too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cka_core.measures import eigen


def matrix(m: int, seed: int = 0, fall: float = 0.5, rank: int = 400) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((m, rank)) * np.arange(1, rank + 1) ** -fall
    return x @ x.T


@pytest.mark.parametrize("m, count", [(4, 1), (5, 4), (64, 20), (256, 20), (300, 299)])
@pytest.mark.parametrize("fall", [0.0, 0.5, 3.0])
def test_values_and_vectors_are_those_of_the_whole_decomposition(m, count, fall):
    k = matrix(m, fall=fall)
    before = k.copy()
    values, vectors = eigen.largest(k, count)
    assert (k == before).all()
    assert np.abs(values - np.linalg.eigvalsh(k)[-count:]).max() <= 1e-13 * m * np.abs(k).max()
    assert np.abs(vectors.T @ vectors - np.eye(count)).max() < 1e-11
    assert np.abs(k @ vectors - vectors * values).max() <= 1e-12 * m * np.abs(k).max()


def test_equal_eigenvalues_have_vectors_at_right_angles():
    values, vectors = eigen.largest(np.diag([3.0, 3.0, 3.0, 1.0, 1.0, 0.0]), 4)
    assert np.allclose(values, [1, 3, 3, 3]) and np.abs(vectors.T @ vectors - np.eye(4)).max() < 1e-14


def test_threads_find_the_same_digits():
    stack = [matrix(80, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: eigen.largest(k, 10), stack))
    for k, (values, vectors) in zip(stack, found, strict=True):
        alone = eigen.largest(k, 10)
        assert (values == alone[0]).all() and (vectors == alone[1]).all()


def test_rows_or_columns_first_and_parts_of_arrays_are_one():
    k = matrix(40)
    parts = np.zeros((80, 80))
    parts[::2, ::2] = k
    for given in (np.asfortranarray(k), parts[::2, ::2]):
        assert (eigen.largest(given, 5)[1] == eigen.largest(k, 5)[1]).all()
