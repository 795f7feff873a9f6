"""Procrustes: how well one layer can be rotated into the other. As a cosine: the normalised Bures similarity."""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.matrices import doubly_centred_layer
from cka_core.measures.measure import Measure
from cka_core.measures.spectra import factor, left_out, load_scipy, stored_norms

LEFT_OUT = 1e-5
"""A layer has no value if its eigenvalues that are left out hold more of its variance."""


def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
    """|X'Y|_* / (|X| |Y|), the sum of the singular values of X'Y, which is sum sqrt eig(K^½ L K^½) / sqrt(tr K tr L).

    float64 (layers_a, layers_b); a decomposition a pair. Eigenvalues of K and L under 1e-6 of the largest are left out,
    which float32 Gram matrices do not determine. A layer of which they hold a share s of the variance can be wrong by
    sqrt(s), and has NaN where s is over 1e-5; where nothing is left out it is exact to 1e-5.
    """
    spaces_a = _spaces(a)
    spaces_b = spaces_a if b is a else _spaces(b)
    matrix = np.full((len(spaces_a), len(spaces_b)), np.nan)

    def one(cell: tuple[int, int]) -> None:
        x, y = spaces_a[cell[0]], spaces_b[cell[1]]
        if x is not None and y is not None:
            matrix[cell] = np.linalg.svd(x.T @ y, compute_uv=False).sum()

    cells = [cell for cell in np.ndindex(*matrix.shape) if b is not a or cell[0] <= cell[1]]
    in_threads(one, cells)
    return np.where(np.tri(len(matrix), k=-1, dtype=bool), matrix.T, matrix) if b is a else matrix


def _spaces(batch: GramBatch) -> list[np.ndarray | None]:
    """Each layer's scores (m, r) of norm 1, or None."""
    stored = stored_norms(batch)

    def one(layer: int) -> np.ndarray | None:
        if batch.reasons[layer] is not None:
            return None
        gram = doubly_centred_layer(batch, layer)
        values, vectors = factor(gram, stored=stored[layer])
        if left_out(gram, values, stored[layer]) > LEFT_OUT:
            return None
        return vectors * np.sqrt(values / values.sum())

    load_scipy()
    return in_threads(one, range(len(batch.triangles)))


MEASURE = Measure(
    name="procrustes",
    title="Procrustes",
    invariant="shifts, rotations and reflections of the features, and one factor for all of them",
    range="from 0 to 1; 1 where one layer is the other, rotated",
    chance="not 0, and higher for wide layers: permute the images of one network to see it",
    minibatches="much: the fewer images, the higher the level of chance",
    source="Williams, Kunz, Kornblith & Linderman 2021, arXiv 2110.14739; as a similarity: Harvey, Larsen & Williams "
    "2024, arXiv 2311.11436",
    pairs=pairs,
    residual_only=True,
    undefined="components under a millionth of the first, which float32 does not hold, have over 1e-5 of the variance",
)
