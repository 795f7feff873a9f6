"""Which images decide a similarity, and what it is without them: from the stored triangles alone.

- Nguyen, Raghu & Kornblith 2022, arXiv 2202.07184: the few dominant images behind a block.
- Davari et al. 2022, arXiv 2210.16156: a few images moved change CKA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import summed
from cka_core.measures.kernels import MIN_IMAGES, NO_VARIANCE, ONE_IMAGE, ONE_IMAGE_LIMIT, u_centre
from cka_core.measures.matrices import row, u_centred, upper


def shares(batches: Sequence[GramBatch]) -> np.ndarray:
    """h_i, the share of each image in each layer's HSIC1(K, K): float64 (layers, images), rows sum to 1.

    The images in the order of the minibatches; each minibatch counts as it does in the map, T/(m-3). NaN for a layer
    that has no CKA. 1 / sum h_i² is how many images decide the layer (`jackknife.Jackknife`).
    """
    sums = summed((batch, batch) for batch in batches)
    parts = []
    for batch in batches:
        unit = sums.units(batch, batch)[0]
        part = np.empty((len(batch.triangles), batch.m))

        def one(image: int, batch: GramBatch = batch, part: np.ndarray = part) -> None:
            rows = np.take(batch.triangles, row(batch.m, image), axis=1)
            part[:, image] = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)

        in_threads(one, range(batch.m))
        parts.append(part * unit[:, None] ** 2 / (batch.m - 3))
    found = np.concatenate(parts, axis=1)
    found[np.array([reason is not None for reason in sums.reasons_a])] = np.nan
    return found


def cell_shares(batches: Sequence[tuple[GramBatch, GramBatch]], layer_a: int, layer_b: int) -> np.ndarray:
    """How much each image adds to one cell: c_i(A, B) as a part of CKA itself, float64 (images,), which sum to CKA.

    Negative where an image pulls the two layers apart. NaN where one of the two has no CKA.
    """
    sums = summed(batches)
    parts = []
    for a, b in batches:
        unit_a, unit_b = sums.units(a, b)
        one, other = u_centred(a.triangles[layer_a], a.m), u_centred(b.triangles[layer_b], b.m)
        parts.append((one * other).sum(axis=1) * unit_a[layer_a] * unit_b[layer_b] / (a.m - 3))
    found = np.concatenate(parts)
    missing = sums.reasons_a[layer_a] is not None or sums.reasons_b[layer_b] is not None
    return np.full_like(found, np.nan) if missing else found


def most(values: np.ndarray, k: int) -> np.ndarray:
    """Positions of the ``k`` images of the largest values (images,), falling; of equal ones the first comes first."""
    if not 0 <= k <= len(values):
        raise ValueError(f"Expected from 0 to {len(values):,} images, got {k}.")
    return np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")[:k]


def without_images(batch: GramBatch, images: Any) -> GramBatch:
    """A minibatch without the images at these positions in it: its triangles centred again, without norms.

    What U-centring removes is of the form x_i + x_j, on fewer images too, so that the stored matrix serves for the one
    it came from. It is of other images than the batch, and goes only with others that lack the same. ValueError where
    fewer than 4 would be left.
    """
    removed = np.unique(np.asarray(images, np.intp))
    if removed.size and not (0 <= removed[0] and removed[-1] < batch.m):
        raise ValueError(f"Expected positions of images from 0 to {batch.m - 1}, got {removed.tolist()}.")
    kept = np.delete(np.arange(batch.m), removed)
    m = len(kept)
    if m < MIN_IMAGES:
        raise ValueError(f"Expected at least {MIN_IMAGES} images to be left in a minibatch, got {m} of {batch.m}.")
    left = GramBatch.empty(batch.names, m, batch.first)
    left.norms = None

    def one(layer: int) -> None:
        whole = u_centred(batch.triangles[layer], batch.m)[np.ix_(kept, kept)]
        centred = u_centre(whole)
        reason = batch.reasons[layer]
        if reason is None and not np.linalg.norm(centred) > ONE_IMAGE_LIMIT * np.sqrt(2 * batch.squares[layer]):
            reason = ONE_IMAGE if whole.any() else NO_VARIANCE
        triangle = np.zeros(m * (m - 1) // 2) if reason else centred.ravel()[upper(m)]
        left.triangles[layer] = triangle
        left.exponents[layer], left.reasons[layer] = batch.exponents[layer], reason
        left.squares[layer] = float(np.square(left.triangles[layer], dtype=np.float64).sum())

    in_threads(one, range(len(batch.triangles)))
    return left


def map_without(batches: Sequence[tuple[GramBatch, GramBatch]], images: Any) -> np.ndarray:
    """The map of unbiased CKA without the images at these positions in the sample: float64 (layers_a, layers_b)."""
    removed = np.unique(np.asarray(images, np.intp))
    count = sum(a.m for a, _ in batches)
    if removed.size and not (0 <= removed[0] and removed[-1] < count):
        raise ValueError(f"Expected positions of images from 0 to {count - 1:,}, got {removed.tolist()}.")
    return summed(left for _, left in both_without(batches, removed)).matrix()


def both_without(
    batches: Iterable[tuple[GramBatch, GramBatch]], images: Any
) -> Iterator[tuple[tuple[GramBatch, GramBatch], tuple[GramBatch, GramBatch]]]:
    """Each minibatch of both networks as it is, and `without_images` at these positions in the sample."""
    removed, start = np.asarray(images, np.intp), 0
    for a, b in batches:
        here = removed[(removed >= start) & (removed < start + a.m)] - start
        start += a.m
        left = without_images(a, here) if here.size else a
        yield (a, b), (left, left if b is a else without_images(b, here) if here.size else b)
