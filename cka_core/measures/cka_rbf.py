"""Unbiased CKA with an RBF kernel, whose width is the median distance between two images of the minibatch."""

from __future__ import annotations

import numpy as np

from cka_core.measures.cka_linear import none
from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import inner_products
from cka_core.measures.kernels import ONE_IMAGE_LIMIT
from cka_core.measures.matrices import cosines, distance_rounding, distance_triangle, norms, row, u_centred, upper
from cka_core.measures.measure import Measure

BANDWIDTH = 1.0
"""In median distances."""

COINCIDE = 1e-6
"""A squared distance of this share of the mean one is what float32 leaves of zero."""

FAR = 2
"""So many images furthest from the mean have no part in that mean: they cost the distances of the others no digits."""


def pairs(a: GramBatch, b: GramBatch, *, bandwidth: float = BANDWIDTH) -> np.ndarray:
    """The cosine of U(K~), K_ij = exp(-D²_ij / (2 (s median)²)), float64 (layers_a, layers_b).

    NaN for a layer in which half of all pairs of images are at distance 0, as near as float32 can tell. See
    `kernels.rbf_gram`.
    """
    kernels_a = _kernels(a, bandwidth)
    kernels_b = kernels_a if b is a else _kernels(b, bandwidth)
    product = inner_products(kernels_a, kernels_b)
    squares = [np.einsum("ij,ij->i", kernels, kernels, dtype=np.float64) for kernels in (kernels_a, kernels_b)]
    return cosines(product, *squares)


def _kernels(batch: GramBatch, bandwidth: float) -> np.ndarray:
    """Triangles of the U-centred kernel matrices, float32 (layers, m(m-1)/2); zeros where there is none."""
    stack, m = np.zeros_like(batch.triangles), batch.m

    def one(layer: int) -> None:
        if batch.reasons[layer] is not None:
            return
        squares = distance_triangle(batch, layer)
        median = _median_distance(squares)
        # Ten times what could be rounding: few layers have to be looked at closely.
        if median**2 <= 10 * COINCIDE * squares.mean() and median**2 <= _rounding(batch, layer, squares):
            return
        kernel = np.exp(squares / (-2 * (bandwidth * median) ** 2))
        sums = u_centred(kernel, m).sum(axis=1)
        remove = sums / (m - 2) - sums.sum() / (2 * (m - 1) * (m - 2))
        centred = kernel - np.add.outer(remove, remove).ravel()[upper(m)]
        if np.linalg.norm(centred) > ONE_IMAGE_LIMIT * np.linalg.norm(kernel):
            stack[layer] = centred

    in_threads(one, range(len(stack)))
    return stack


def _rounding(batch: GramBatch, layer: int, squares: np.ndarray) -> float:
    """What float32 may leave of a median squared distance of zero."""
    others = np.ones(len(squares), bool)
    for image in np.argsort(norms(batch, "a distance")[layer])[-FAR:]:
        others[row(batch.m, image)] = False
    return float(max(np.median(distance_rounding(batch, layer, squares)), COINCIDE * squares[others].mean()))


def _median_distance(squares: np.ndarray) -> float:
    half = len(squares) // 2
    if len(squares) % 2:
        return float(np.sqrt(np.partition(squares, half)[half]))
    return float(np.sqrt(np.partition(squares, (half - 1, half))[half - 1 : half + 1]).mean())


MEASURE = Measure(
    name="cka-rbf",
    title="RBF CKA",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them",
    range="from -1 to 1; 1 for equal, about 0 for independent representations",
    chance="0 on average",
    minibatches="little: the median distance is that of each minibatch, and values are averaged",
    source="Kornblith et al. 2019, arXiv 1905.00414, section 3, bandwidth 1.0; unbiased as in arXiv 2010.15327",
    pairs=pairs,
    expected=none,
    undefined="half of all pairs of images coincide",
)
