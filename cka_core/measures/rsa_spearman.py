"""Representational similarity analysis by ranks: only the order of the distances between images counts."""

from __future__ import annotations

import numpy as np

from cka_core.measures.cka_linear import none
from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import inner_products
from cka_core.measures.matrices import cosines, distance_triangle
from cka_core.measures.measure import Measure


def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
    """Pearson's correlation of the ranks of the triangles of D², float64 (layers_a, layers_b)."""
    ranks_a = _ranks(a)
    ranks_b = ranks_a if b is a else _ranks(b)
    squares = [np.einsum("ij,ij->i", ranks, ranks, dtype=np.float64) for ranks in (ranks_a, ranks_b)]
    return cosines(inner_products(ranks_a, ranks_b), *squares)


def _ranks(batch: GramBatch) -> np.ndarray:
    """Ranks less their mean, float32 (layers, m(m-1)/2), exact for up to 4,096 images; zeros in a layer without any."""
    stack = np.zeros_like(batch.triangles)

    def one(layer: int) -> None:
        if batch.reasons[layer] is None:
            stack[layer] = ranks(distance_triangle(batch, layer))

    in_threads(one, range(len(stack)))
    return stack


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of values of at least 0, as float32 numbers, less the mean rank: float64 (n,); of equal ones their mean.

    A float32 that is not negative sorts as the integer of the same bits; by its lower and its upper half, which numpy
    sorts in linear time, in a third of an argsort's.
    """
    n = len(values)
    bits = np.abs(values).astype(np.float32).view(np.uint32)
    order = np.argsort((bits & 0xFFFF).astype(np.uint16), kind="stable")
    order = order[np.argsort((bits >> 16).astype(np.uint16)[order], kind="stable")]
    bits = bits[order]
    starts = np.flatnonzero(np.concatenate([[True], bits[1:] != bits[:-1]]))
    counts = np.diff(starts, append=n)
    found = np.empty(n)
    found[order] = np.repeat(starts + (counts - 1) / 2, counts) if len(starts) < n else np.arange(n)
    return found - (n - 1) / 2


MEASURE = Measure(
    name="rsa-spearman",
    title="RSA (Spearman)",
    invariant="shifts, rotations and reflections of the features, one factor for all of them, and whatever keeps the "
    "order of the distances",
    range="from -1 to 1; 1 for distances in the same order",
    chance="0 on average; images far from the mean in both networks raise it",
    minibatches="little: values are averaged over minibatches",
    source="Kriegeskorte, Mur & Bandettini 2008, Frontiers in Systems Neuroscience 2:4; squared Euclidean distances",
    pairs=pairs,
    expected=none,
    undefined="all pairs of images are at the same distance",
)
