"""Unbiased linear CKA: the map of this package. `hsic.HsicSums` has its sum over minibatches; this is one of them."""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import products
from cka_core.measures.matrices import cosines
from cka_core.measures.measure import Measure


def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
    """<U(K~), U(L~)> / (|U(K~)| |U(L~)|), float64 (layers_a, layers_b)."""
    return cosines(products(a, b), a.squares, b.squares)


def none(a: GramBatch, b: GramBatch) -> np.ndarray:
    """The mean under permutation of a measure whose mean is 0."""
    return np.zeros((len(a.triangles), len(b.triangles)))


MEASURE = Measure(
    name="cka",
    title="unbiased CKA",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them",
    range="from -1 to 1; 1 for equal, about 0 for independent representations",
    chance="0 on average, standard deviation sqrt(2 / (n(n - 3))) for n images",
    minibatches="nothing on average: HSIC is summed over minibatches before the ratio is taken",
    source="Nguyen, Raghu & Kornblith 2021, arXiv 2010.15327, equation 1",
    pairs=pairs,
    expected=none,
    no_interval="",
)
