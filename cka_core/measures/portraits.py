"""Layers on a few images, as one looks at them: similarities, first components, spectra and neighbours, of every layer.

All from stored Gram matrices. What needs the norms of the images is NaN, or -1, where they were not stored.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from cka_core.measures.components import principal_components
from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.kernels import ONE_IMAGE_LIMIT, centre, u_centre
from cka_core.measures.matrices import doubly_centred_layer, u_centred, upper
from cka_core.measures.spectra import effective_dimension, nearest, spectrum

MOST_IMAGES = 64
COMPONENTS = 2
NEIGHBOURS = 8
SHARES = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Portraits:
    """Every layer of a network on the same ``m`` images, centred on these.

    Attributes
    ----------
    entries : float32 (layers, m(m-1)/2)
        The strict upper triangle of U(K~), divided by its root mean square: how alike a layer takes two images to be,
        in multiples of what is usual in it. Unbiased CKA of two layers on these images is the mean of the products of
        their entries. NaN for a layer that says nothing of these images.
    scores : float32 (layers, 2, m)
        Images in the layer's first components, in units in which the mean squared distance from the mean is 1.
    shares : float32 (layers, r)
        Variance explained by the first r components, at most 32, as parts of all of it, falling.
    dimensions : float64 (layers,)
        Effective dimension (`spectra.effective_dimension`).
    neighbours : int16 (layers, m, k)
        The k nearest images of each image, at most 8, the nearest first.
    """

    m: int
    entries: np.ndarray
    scores: np.ndarray
    shares: np.ndarray
    dimensions: np.ndarray
    neighbours: np.ndarray

    def cka(self, other: Portraits) -> np.ndarray:
        """Unbiased CKA on these images of every layer with every layer of another, float64 (layers, other's layers)."""
        pairs = self.entries.shape[1]
        found: np.ndarray = self.entries.astype(np.float64) @ other.entries.astype(np.float64).T / pairs
        return found


def portraits(batch: GramBatch, images: int = MOST_IMAGES) -> Portraits:
    """`Portraits` of the layers of a minibatch on its first ``images``, all of them where there are fewer."""
    m, count = min(images, batch.m), len(batch.triangles)
    few, whole = min(SHARES, m - 1), batch.norms is not None
    made = Portraits(
        m,
        np.full((count, m * (m - 1) // 2), np.nan, np.float32),
        np.full((count, COMPONENTS, m), np.nan, np.float32),
        np.full((count, few), np.nan, np.float32),
        np.full(count, np.nan),
        np.full((count, m, min(NEIGHBOURS, m - 1)), -1, np.int16),
    )
    stack = np.zeros((count, m, m))

    def one(layer: int) -> None:
        made.entries[layer] = _entries(batch, layer, m)
        if not whole or np.isnan(made.entries[layer, 0]):
            return
        gram = centre(doubly_centred_layer(batch, layer)[:m, :m])
        gram /= np.trace(gram) / m
        stack[layer] = gram
        made.shares[layer], made.dimensions[layer] = spectrum(gram)[:few], effective_dimension(gram)
        norms = gram.diagonal()
        distances = norms[:, None] + norms[None, :] - 2 * gram
        made.neighbours[layer] = nearest(distances, made.neighbours.shape[2])

    in_threads(one, range(count))
    if whole:
        made.scores[:] = principal_components(stack, COMPONENTS).scores
    return made


def _entries(batch: GramBatch, layer: int, m: int) -> np.ndarray:
    """`Portraits.entries` of one layer, float64 (m(m-1)/2,)."""
    u = u_centred(batch.triangles[layer], batch.m)
    usual = float(np.sqrt(np.mean(np.square(u)))) * (batch.reasons[layer] is None)
    entries: np.ndarray = u_centre(u[:m, :m]).ravel()[upper(m)]
    size = float(np.sqrt(np.mean(np.square(entries))))
    return entries / size if size > ONE_IMAGE_LIMIT * usual > 0 else np.full(entries.shape, np.nan)
