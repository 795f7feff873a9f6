"""A map planted by hand: what CKA makes of made-up layers with two blocks in them, for the lesson to hold real ones
against."""

from __future__ import annotations

import numpy as np

from cka_core.measures.components import cka_matrix
from cka_core.measures.kernels import linear_gram

LAYERS, IMAGES, FEATURES = 60, 96, 48
PLANTED = ((8, 22), (34, 54))
"""Where the blocks are: [start, stop), two runs of layers that are all one and the same."""
KEPT, JUMP = 0.97, 0.8
"""How much a layer keeps of the one before: outside the blocks, and where one begins or ends."""


def planted_map(seed: int = 1) -> np.ndarray:
    """Unbiased CKA of `LAYERS` made-up layers with each other, float64 (layers, layers).

    Each layer is the one before, turned a little towards noise; inside a block nothing changes at all:

        X_0 = E_0        X_l = a X_(l-1) + sqrt(1 - a²) E_l,   a = 1 in a block, `KEPT` outside, `JUMP` at its ends

    with E standard normal (images, features). No network is behind it.
    """
    random = np.random.default_rng(seed)
    x = random.normal(size=(IMAGES, FEATURES))
    grams = []
    for layer in range(LAYERS):
        kept = next((_kept(layer, block) for block in PLANTED if block[0] <= layer <= block[1]), KEPT)
        x = kept * x + np.sqrt(1 - kept**2) * random.normal(size=x.shape)
        grams.append(linear_gram(x))
    return cka_matrix(np.stack(grams))


def _kept(layer: int, block: tuple[int, int]) -> float:
    return JUMP if layer in block else 1.0
