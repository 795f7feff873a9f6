"""Ridge R²: how much of a layer's variance a linear map of the other layer gives back. Not symmetric."""

from __future__ import annotations

import numpy as np

from cka_core.measures import lapack
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import inner_products
from cka_core.measures.matrices import doubly_centred_layer, norms, packed_stack
from cka_core.measures.measure import Measure
from cka_core.measures.spectra import load_scipy

PENALTY = 0.01
"""In mean eigenvalues of B's Gram matrix, tr(K) / n."""


def pairs(a: GramBatch, b: GramBatch, *, penalty: float = PENALTY) -> np.ndarray:
    """tr(K_B (K_B + λ)⁻¹ K_A) / tr K_A, λ = 0.01 tr K_B / n: of the rows' layers from the columns'.

    float64 (layers_a, layers_b). On the images it was fitted to: no held-out R².
    """
    shares = packed_stack(len(a.triangles), a.m, lambda layer: _share(a, layer))
    return inner_products(shares, _hats(b, penalty))


def expected(a: GramBatch, b: GramBatch, *, penalty: float = PENALTY) -> np.ndarray:
    """tr(K_B (K_B + λ)⁻¹) / (n - 1): the effective number of B's directions, whatever A is."""
    traces = _hats(b, penalty)[:, -b.m :].sum(axis=1, dtype=np.float64)
    return np.tile(traces / (b.m - 1), (len(a.triangles), 1))


def _share(batch: GramBatch, layer: int) -> np.ndarray | None:
    if batch.reasons[layer] is not None:
        return None
    return doubly_centred_layer(batch, layer) / norms(batch, "ridge R²")[layer].sum()


def _hats(batch: GramBatch, penalty: float) -> np.ndarray:
    """K (K + λ)⁻¹ = I - λ (K + λ)⁻¹ of each layer, by Cholesky's factors."""

    def one(layer: int) -> np.ndarray | None:
        if batch.reasons[layer] is not None:
            return None
        gram, m = doubly_centred_layer(batch, layer), batch.m
        gram /= norms(batch, "ridge R²")[layer].sum()
        shrink = penalty / m
        gram.ravel()[:: m + 1] += shrink
        lapack.invert_positive(gram)
        gram *= -shrink  # its upper half, which is all that is packed
        gram.ravel()[:: m + 1] += 1
        return gram

    load_scipy()
    return packed_stack(len(batch.triangles), batch.m, one)


MEASURE = Measure(
    name="ridge",
    title="ridge R² of rows from columns",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them, of either layer",
    range="from 0 to 1; near 1 where a linear map of the column's layer gives the row's",
    chance="the effective number of the column's directions, tr K(K + λ)⁻¹, divided by n - 1",
    minibatches="much: with fewer images anything can be fitted, and the level of chance rises",
    source="Kornblith et al. 2019, arXiv 1905.00414, section 3 (linear regression), with a penalty of "
    "λ = 0.01 tr K / n",
    pairs=pairs,
    expected=expected,
    symmetric=False,
)
