"""What is called without Python's lock gives NumPy's results, in threads too, and refuses what it would damage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cka_core.measures import lapack


def positive(m: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((m, 2 * m))
    return x @ x.T / m + 0.1 * np.eye(m)


@pytest.mark.parametrize("m", [1, 2, 5, 64, 256, 300])
def test_the_upper_half_is_the_inverse_and_the_lower_half_stays(m):
    matrix = positive(m)
    given = np.triu(matrix) + np.tril(np.full((m, m), np.nan), -1)
    lapack.invert_positive(given)
    above = np.triu_indices(m)
    assert np.abs(given[above] - np.linalg.inv(matrix)[above]).max() < 1e-11
    assert np.isnan(given[np.tril_indices(m, -1)]).all()


def test_threads_find_the_same_digits():
    stack = [positive(90, seed) for seed in range(12)]
    alone = [matrix.copy() for matrix in stack]
    for matrix in alone:
        lapack.invert_positive(matrix)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lapack.invert_positive, stack))
    assert all((one == other).all() for one, other in zip(stack, alone, strict=True))


def test_what_is_not_positive_definite_is_told():
    with pytest.raises(np.linalg.LinAlgError, match="dpotrf"):
        lapack.invert_positive(np.diag([1.0, -1.0]))


@pytest.mark.parametrize(
    "matrix", [np.eye(4, dtype=np.float32), np.eye(8)[::2, ::2], np.eye(4)[:3], np.ones(4)], ids=str
)
def test_arrays_that_it_would_read_wrongly_are_refused(matrix):
    with pytest.raises(ValueError, match="contiguous float64"):
        lapack.invert_positive(matrix)
