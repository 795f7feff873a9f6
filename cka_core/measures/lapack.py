"""LAPACK without Python's lock, so that threads over the layers do not wait for each other.

SciPy's functions hold the lock while LAPACK works. Its ``cython_lapack`` has the addresses of the same functions for
other compiled code; called from here the lock is free.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np


def call(name: str, *arguments: Any) -> None:
    """A function of LAPACK by its Fortran interface: everything by address, the state last.

    Numbers and letters are given as they are; arrays are changed in place, columns first. LinAlgError where it says
    that it failed.
    """
    state = ctypes.c_int()
    given = [_address(argument) for argument in arguments]
    _function(name, len(given) + 1)(*(address for address, _ in given), ctypes.addressof(state))
    if state.value:
        raise np.linalg.LinAlgError(f"LAPACK's {name} ended with {state.value}.")


def invert_positive(matrix: np.ndarray) -> None:
    """Put the inverse of a symmetric, positive definite float64 matrix (m, m) in the place of its upper half.

    By Cholesky's factors (dpotrf, dpotri). The lower half is neither read nor written. LinAlgError for a matrix that is
    not positive definite.
    """
    if matrix.dtype != np.float64 or not matrix.flags.c_contiguous or matrix.ndim != 2 or len(set(matrix.shape)) != 1:
        raise ValueError(f"Expected a contiguous float64 (m, m) array, got {matrix.dtype} {matrix.shape}.")
    m = len(matrix)
    for name in ("dpotrf", "dpotri"):
        call(name, b"L", m, matrix, m)  # its columns are our rows


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
