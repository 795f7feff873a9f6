"""Biased linear CKA: the cosine of the doubly centred Gram matrices, as first published.

<HKH, HLH> = 2 <v, w> + n/(n-2) <p, q> + n²/(n-1) mean(d) mean(e), with v, w the stored triangles and p, q the norms d,
e less their means: U-centring is an orthogonal projection, so that a product of whole matrices is the map's and a small
one of the norms.
"""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import products
from cka_core.measures.matrices import cosines, norm_products, norms
from cka_core.measures.measure import Measure


def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
    """<HKH, HLH> / (|HKH| |HLH|), float64 (layers_a, layers_b)."""
    n = a.m
    spread, means = norm_products(a, b)
    return cosines(2 * products(a, b) + n / (n - 2) * spread + n * n / (n - 1) * means, _squares(a), _squares(b))


def expected(a: GramBatch, b: GramBatch) -> np.ndarray:
    """tr(K) tr(L) / ((n-1) |HKH| |HLH|): the root of the two effective dimensions' product, divided by n - 1."""
    n, means = a.m, norm_products(a, b)[1]
    return cosines(n * n / (n - 1) * means, _squares(a), _squares(b))


def _squares(batch: GramBatch) -> np.ndarray:
    n, d = batch.m, norms(batch, "biased CKA")
    mean = d.mean(axis=1)
    spread = np.square(d - mean[:, None]).sum(axis=1)
    return 2 * batch.squares + n / (n - 2) * spread + n * n / (n - 1) * mean**2


MEASURE = Measure(
    name="cka-biased",
    title="biased CKA",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them",
    range="from 0 to 1; 1 for equal representations",
    chance="sqrt(D_A D_B) / (n - 1) with the effective dimensions D: near 1 for wide layers and few images",
    minibatches="smaller ones raise it: the fewer images, the higher the level of chance",
    source="Kornblith et al. 2019, arXiv 1905.00414, equation 4; its bias: Murphy, Zylberberg & Fyshe 2024, "
    "arXiv 2405.01012",
    pairs=pairs,
    expected=expected,
)
