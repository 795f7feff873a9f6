"""A layer on a minibatch in a few numbers: its spectrum, its effective dimension, an image's neighbours in it.

All from the Gram matrix with its norms. The first components' scores are `components.principal_components` of
`matrices.doubly_centred`.
"""

from __future__ import annotations

import math

import numpy as np

from cka_core.measures import eigen
from cka_core.measures.grams import GramBatch

NOISE = 1e-6
"""Eigenvalues under this share of the largest are what float32 leaves of zero."""

ROUNDINGS = 16 * 2.0**-24
"""Sixteen roundings of float32, in shares of a Gram matrix' Frobenius norm: a sum of its eigenvalues is known to that.
Of layers of few directions up to 13 were seen, where their mean was multiplied with them (`centring.SMALL_MEAN`)."""


def spectrum(gram: np.ndarray) -> np.ndarray:
    """Eigenvalues of HKH (m, m), falling, float64 (m,), as shares of their sum: explained variance a component.

    Those under 1e-6 of the largest are 0. All NaN for a layer without variance.
    """
    values = np.linalg.eigvalsh(np.asarray(gram, np.float64))[::-1]
    values = np.where(values < NOISE * values[0], 0.0, values)
    total = values.sum()
    return values / total if total > 0 else np.full(len(values), np.nan)


def effective_dimension(gram: np.ndarray) -> float:
    """(sum of eigenvalues)² / sum of their squares of HKH (m, m): the participation ratio, from 1 to m - 1, or NaN.

    It needs no decomposition: tr(K)² / |K|².
    """
    gram = np.asarray(gram, np.float64)
    trace, square = float(np.trace(gram)), float(np.vdot(gram, gram))
    return trace * trace / square if square > 0 else float("nan")


def load_scipy() -> None:
    """Bring SciPy's own BLAS in: before threads are started by `grams.in_threads`, which limits what is loaded by then.

    It takes 20 MB, which a server that only shows results does not need.
    """
    import scipy.linalg  # noqa: F401


def factor(gram: np.ndarray, components: int | None = None, stored: float = math.inf) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of HKH (m, m), falling, and their vectors: float64 (r,), (m, r).

    At most ``components`` of them (None: all), and none under 1e-6 of the largest or of ``stored``, whichever is less:
    r may be less. ``stored`` is one of `stored_norms`, where it is known.
    """
    from scipy.linalg import eigh

    if components is not None and 0 < components < len(gram):
        values, vectors = eigen.largest(gram, components)
    else:
        values, vectors = eigh(gram, check_finite=False)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > NOISE * min(max(values[0], 0.0), stored)
    return values[kept], vectors[:, kept]


def left_out(gram: np.ndarray, values: np.ndarray, stored: float = math.inf) -> float:
    """The share of the variance of HKH (m, m) that is not in its eigenvalues ``values`` (r,).

    Exactly 0 where float32's rounding may be all that is left, as in a layer of r directions.
    """
    trace = float(np.trace(gram))
    left = trace - float(values.sum())
    return left / trace if left > ROUNDINGS * min(float(np.linalg.norm(gram)), stored) else 0.0


def stored_norms(batch: GramBatch) -> np.ndarray:
    """Frobenius norms of the U-centred matrices as they are stored, float64 (layers,): what float32 rounds is of them.

    The images' own norms are not among it, so that one image far from all others costs them no digits.
    """
    return np.sqrt(2 * batch.squares)


def neighbours(distances: np.ndarray, image: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` images nearest to one: positions int (k,), rising in distance, and squared distances float64 (k,).

    ``distances`` (m, m) squared (`matrices.squared_distances`). Of equal distances the first image comes first.
    """
    m = len(distances)
    if not 0 <= image < m or not 1 <= k < m:
        raise ValueError(f"Expected an image from 0 to {m - 1} and from 1 to {m - 1} neighbours, got {image} and {k}.")
    found = np.asarray(distances[image], np.float64).copy()
    found[image] = np.inf
    nearest = np.argsort(found, kind="stable")[:k]
    return nearest, found[nearest]


def nearest(distances: np.ndarray, k: int) -> np.ndarray:
    """`neighbours` of every image, their positions only: int (m, k)."""
    m = len(distances)
    if not 1 <= k < m:
        raise ValueError(f"Expected from 1 to {m - 1} neighbours, got {k}.")
    found = np.array(distances, np.float64)
    np.fill_diagonal(found, np.inf)
    return np.argsort(found, axis=1, kind="stable")[:, :k]
