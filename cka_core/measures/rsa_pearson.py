"""Representational similarity analysis: the correlation of squared Euclidean distances between images.

D²_ij = -2 u_ij + n/(n-2) (d_i + d_j) + constant, with u the stored triangle and d the norms, and triangles are
orthogonal to what is of the form x_i + x_j: so the covariance is 4 <v, w> + n²/(n-2) <p, q> (`matrices.norm_products`).
"""

from __future__ import annotations

import numpy as np

from cka_core.measures.cka_linear import none
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import products
from cka_core.measures.matrices import cosines, norm_products, norms
from cka_core.measures.measure import Measure


def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
    """Pearson's correlation of the triangles of D², float64 (layers_a, layers_b)."""
    spread, _ = norm_products(a, b)
    return cosines(4 * products(a, b) + a.m**2 / (a.m - 2) * spread, _squares(a), _squares(b))


def _squares(batch: GramBatch) -> np.ndarray:
    d = norms(batch, "RSA")
    spread = np.square(d - d.mean(axis=1, keepdims=True)).sum(axis=1)
    return 4 * batch.squares + batch.m**2 / (batch.m - 2) * spread


MEASURE = Measure(
    name="rsa-pearson",
    title="RSA (Pearson)",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them",
    range="from -1 to 1; 1 for equal representations",
    chance="0 on average; images far from the mean in both networks raise it",
    minibatches="little: values are averaged over minibatches",
    source="Kriegeskorte, Mur & Bandettini 2008, Frontiers in Systems Neuroscience 2:4; squared Euclidean distances",
    pairs=pairs,
    expected=none,
)
