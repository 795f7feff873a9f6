"""A map without what a third representation explains: the images' pixels, usually.

Cui, Kumar, Marttinen & Kaski 2022, Deconfounded representation similarity, arXiv 2202.00095, say why: images alike in
their pixels are alike in every layer. Here it is the partial correlation of U-centred Gram matrices, which is exactly
the partial distance correlation of Székely & Rizzo 2014, arXiv 1310.2926, with linear kernels. (The authors' released
form is biased and differs: 0.690 against 0.653 in one case.)
"""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch
from cka_core.measures.measure import Measure

MOST_EXPLAINED = 0.95
"""Where the pixels explain more than this of a layer, r², what is left of it is too little to compare."""

EXPLAINED = "the pixels explain it"
"""The reason of a layer of which that is so."""


def without(matrix: np.ndarray, to_a: np.ndarray, to_b: np.ndarray) -> np.ndarray:
    """Unbiased CKA of every layer of A with every layer of B without what layer 0 explains of both, not clamped.

        (r_AB - r_A0 r_B0) / sqrt((1 - r_A0²)(1 - r_B0²))

    Parameters
    ----------
    matrix : float64 (layers_a, layers_b), unbiased CKA
    to_a, to_b : float64 (layers_a,), (layers_b,), unbiased CKA of the layers with layer 0, of the same images in the
        same minibatches: the map of A and of B with one layer more, the Gram matrix of the pixels

    Returns
    -------
    float64 (layers_a, layers_b), NaN where one has no CKA, or more than 0.95 of it (r²) is explained
    """
    matrix, to_a, to_b = (np.asarray(values, np.float64) for values in (matrix, to_a, to_b))
    if matrix.shape != (*to_a.shape, *to_b.shape):
        raise ValueError(f"Expected as many values as {matrix.shape} layers, got {to_a.shape} and {to_b.shape}.")
    left_a, left_b = (np.where(r**2 > MOST_EXPLAINED, np.nan, 1 - r**2) for r in (to_a, to_b))
    return (matrix - np.multiply.outer(to_a, to_b)) / np.sqrt(np.multiply.outer(left_a, left_b))


def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
    """Not of two batches alone."""
    raise ValueError("What pixels explain needs them as a third representation: see `measures.partial.without`.")


MEASURE = Measure(
    name="cka-without-pixels",
    title="unbiased CKA without what the pixels explain",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them",
    range="from -1 to 1; about 0 where the two layers share no more than the pixels give both",
    chance="0 on average, standard deviation about sqrt(2 / (n(n - 3))) for n images",
    minibatches="nothing on average, as with unbiased CKA",
    source="Székely & Rizzo 2014, arXiv 1310.2926, partial distance correlation; why: Cui et al. 2022, "
    "arXiv 2202.00095",
    pairs=pairs,
    no_interval="the closed form is of two representations, and this is of three",
)
