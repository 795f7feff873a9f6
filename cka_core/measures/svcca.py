"""SVCCA: how much of the first components' space two layers share."""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import inner_products
from cka_core.measures.matrices import doubly_centred_layer, packed
from cka_core.measures.measure import Measure
from cka_core.measures.spectra import factor, left_out, load_scipy, stored_norms

COMPONENTS = 20


def pairs(a: GramBatch, b: GramBatch, *, components: int = COMPONENTS) -> np.ndarray:
    """|U'V|² / min(r, s), the mean squared canonical correlation of the first components of two layers.

    U (m, r) and V (m, s) are the scores of the first 20 components, or of all that a layer has, made orthonormal:
    float64 (layers_a, layers_b). As exact as the components themselves are: float32 Gram matrices turn two of nearly
    equal variance, 1e-7 of the largest divided by the gap between the last kept and the first left out. NaN for a layer
    whose first component has over a million times the variance of others among the 20: they cannot be told from it.
    """
    spaces_a, ranks_a = _spaces(a, components)
    spaces_b, ranks_b = (spaces_a, ranks_a) if b is a else _spaces(b, components)
    least = np.minimum.outer(ranks_a, ranks_b)
    shared = inner_products(spaces_a, spaces_b)
    return np.divide(shared, least, out=np.full(shared.shape, np.nan), where=least > 0)


def expected(a: GramBatch, b: GramBatch, *, components: int = COMPONENTS) -> np.ndarray:
    """max(r, s) / (n - 1)."""
    ranks_a, ranks_b = _spaces(a, components)[1], _spaces(b, components)[1]
    return np.maximum.outer(ranks_a, ranks_b) / (a.m - 1)


def _spaces(batch: GramBatch, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Projections U U' of each layer as `matrices.packed`, and how many components are in them, int (layers,).

    Zeros for a layer that has none, or that has components which cannot be told from rounding.
    """
    count, m, stored = len(batch.triangles), batch.m, stored_norms(batch)
    ranks = np.zeros(count, np.int64)
    stack = np.zeros((count, m * (m + 1) // 2), np.float32)

    def one(layer: int) -> None:
        if batch.reasons[layer] is None:
            gram = doubly_centred_layer(batch, layer)
            values, vectors = factor(gram, components, stored[layer])
            if len(values) < min(components, m - 1) and left_out(gram, values, stored[layer]) > 0:
                return
            ranks[layer] = vectors.shape[1]
            stack[layer] = packed(vectors @ vectors.T)

    load_scipy()
    in_threads(one, range(count))
    return stack, ranks


MEASURE = Measure(
    name="svcca",
    title="SVCCA",
    invariant="shifts, and whatever keeps the space of the first 20 components: they all count alike",
    range="from 0 to 1; 1 where one space holds the other",
    chance="20 / (n - 1) for 20 components and n images",
    minibatches="much: the fewer images, the higher the level of chance",
    source="Raghu, Gilmer, Yosinski & Sohl-Dickstein 2017, arXiv 1706.05806; 20 components, mean of squares as in "
    "Kornblith et al. 2019, arXiv 1905.00414",
    pairs=pairs,
    expected=expected,
    undefined="the first component has over a million times the variance of others of the first 20",
)
