"""Mutual nearest neighbours: how many of an image's k nearest images are the same in both layers."""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import inner_products
from cka_core.measures.matrices import squared_distances
from cka_core.measures.measure import Measure

NEIGHBOURS = 10


def pairs(a: GramBatch, b: GramBatch, *, k: int = NEIGHBOURS) -> np.ndarray:
    """Mean share of common images among the ``k`` nearest (Euclidean) of each image, float64 (layers_a, layers_b).

    Of equal distances at the edge either may count. ValueError for a minibatch of k or fewer other images.
    """
    near_a = _neighbours(a, k)
    near_b = near_a if b is a else _neighbours(b, k)
    return inner_products(near_a, near_b, np.float32) / (a.m * k)


def expected(a: GramBatch, b: GramBatch, *, k: int = NEIGHBOURS) -> np.ndarray:
    """k / (n - 1)."""
    return np.full((len(a.triangles), len(b.triangles)), k / (a.m - 1))


def _neighbours(batch: GramBatch, k: int) -> np.ndarray:
    """Who is near whom, uint8 (layers, m * m)."""
    m = batch.m
    if not 1 <= k < m - 1:
        raise ValueError(
            f"Expected minibatches of more than {k + 1} images, to find the {k} nearest of each, got one of {m}. Pass "
            "a larger batch_size, or another number of images."
        )
    stack = np.zeros((len(batch.triangles), m, m), np.uint8)

    def one(layer: int) -> None:
        if batch.reasons[layer] is None:
            distances = squared_distances(batch, layer).astype(np.float32)
            np.fill_diagonal(distances, np.inf)
            np.put_along_axis(stack[layer], np.argpartition(distances, k - 1, axis=1)[:, :k], 1, axis=1)

    in_threads(one, range(len(stack)))
    return stack.reshape(len(stack), m * m)


MEASURE = Measure(
    name="mutual-knn",
    title="mutual nearest neighbours",
    invariant="shifts, rotations and reflections of the features, one factor for all of them, and whatever keeps each "
    "image's k = 10 nearest",
    range="from 0 to 1; 1 for the same neighbours",
    chance="k / (n - 1) for the k = 10 nearest of n images: say both with every value",
    minibatches="much: neighbours are looked for within a minibatch, so that its size is part of what is measured",
    source="Huh, Cheung, Wang & Isola 2024, arXiv 2405.07987; Euclidean, k = 10",
    pairs=pairs,
    expected=expected,
)
