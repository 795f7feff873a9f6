"""The largest eigenvalues of symmetric matrices, several at a time: LAPACK without Python's lock.

SciPy's functions hold the lock while LAPACK works, so that threads over the layers wait for each other. Its
``cython_lapack`` has the addresses of the same functions for other compiled code; called from here the lock is free.
Householder tridiagonalisation (dsytrd), relatively robust representations for the few values wanted (dstemr; Dhillon &
Parlett 2004, doi 10.1016/j.laa.2003.12.028), and the reflections back (dormtr).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

BLOCK = 64
"""Columns that LAPACK takes at a time, by which its working memory is measured."""


def largest(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest eigenvalues of a symmetric matrix (m, m), rising, and their vectors: float64 (count,),
    (m, count). LinAlgError where LAPACK finds none, as for what is not finite."""
    m = len(matrix)
    a = np.array(matrix, np.float64, order="F")
    d, e, tau, values = (np.empty(m) for _ in range(4))
    vectors = np.empty((m, count), order="F")
    support, found = np.empty(2 * count, np.int32), ctypes.c_int()
    work, integers = np.empty(max(BLOCK * m, 18 * m)), np.empty(10 * m, np.int32)
    _call("dsytrd", b"L", m, a, m, d, e, tau, work, work.size)
    tridiagonal = (m, d, e, 0.0, 0.0, m - count + 1, m, found, values, vectors, m, count, support, ctypes.c_int(1))
    _call("dstemr", b"V", b"I", *tridiagonal, work, work.size, integers, integers.size)
    if found.value != count:
        raise np.linalg.LinAlgError(f"LAPACK found {found.value} of {count} eigenvalues.")
    _call("dormtr", b"L", b"L", b"N", m, count, a, m, tau, vectors, m, work, work.size)
    return values[:count], vectors


def _call(name: str, *arguments: Any) -> None:
    """A function of LAPACK by its Fortran interface: everything by address, the state last."""
    state = ctypes.c_int()
    given = [_address(argument) for argument in arguments]
    _function(name, len(given) + 1)(*(address for address, _ in given), ctypes.addressof(state))
    if state.value:
        raise np.linalg.LinAlgError(f"LAPACK's {name} ended with {state.value}.")


def _address(argument: Any) -> tuple[int, Any]:
    """Where an argument lies, and what has to live until the call is over."""
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data, argument
    if isinstance(argument, bytes):
        argument = ctypes.c_char(argument)
    elif isinstance(argument, int):
        argument = ctypes.c_int(argument)
    elif isinstance(argument, float):
        argument = ctypes.c_double(argument)
    return ctypes.addressof(argument), argument


@lru_cache(maxsize=8)
def _function(name: str, arguments: int) -> Callable[..., None]:
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__[name]
    named, at = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    named.restype, named.argtypes = ctypes.c_char_p, [ctypes.py_object]
    at.restype, at.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    made: Callable[..., None] = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(at(capsule, named(capsule)))
    return made
