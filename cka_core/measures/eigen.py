"""The largest eigenvalues of symmetric matrices, several at a time.

Householder tridiagonalisation (dsytrd), relatively robust representations for the few values wanted (dstemr; Dhillon &
Parlett 2004, doi 10.1016/j.laa.2003.12.028), and the reflections back (dormtr).
"""

from __future__ import annotations

import ctypes

import numpy as np

from cka_core.measures import lapack

BLOCK = 64
"""Columns that LAPACK takes at a time, by which its working memory is measured."""


def largest(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest eigenvalues of a symmetric matrix (m, m), rising, and their vectors: float64 (count,),
    (m, count). LinAlgError where LAPACK finds none, as for what is not finite."""
    m = len(matrix)
    a = np.array(matrix.T, np.float64, order="F")  # its own transpose, copied as it lies
    d, e, tau, values = (np.empty(m) for _ in range(4))
    vectors = np.empty((m, count), order="F")
    support, found = np.empty(2 * count, np.int32), ctypes.c_int()
    work, integers = np.empty(max(BLOCK * m, 18 * m)), np.empty(10 * m, np.int32)
    lapack.call("dsytrd", b"L", m, a, m, d, e, tau, work, work.size)
    tridiagonal = (m, d, e, 0.0, 0.0, m - count + 1, m, found, values, vectors, m, count, support, ctypes.c_int(1))
    lapack.call("dstemr", b"V", b"I", *tridiagonal, work, work.size, integers, integers.size)
    if found.value != count:
        raise np.linalg.LinAlgError(f"LAPACK found {found.value} of {count} eigenvalues.")
    lapack.call("dormtr", b"L", b"L", b"N", m, count, a, m, tau, vectors, m, work, work.size)
    return values[:count], vectors
