"""Mutual nearest neighbours: how many of an image's k nearest images are the same in both layers."""

from __future__ import annotations

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import inner_products
from cka_core.measures.matrices import cosines, distance_rounding, distance_triangle, u_centred
from cka_core.measures.measure import Measure

NEIGHBOURS = 10


def pairs(a: GramBatch, b: GramBatch, *, k: int = NEIGHBOURS) -> np.ndarray:
    """Mean share of common images among the ``k`` nearest (Euclidean) of each image, float64 (layers_a, layers_b).

    Images that are equally far, as near as float32 can tell, share the places that are left for them in equal parts,
    and the share is the cosine of who is near whom: so a layer is like itself, and the order of the images is no part
    of it. ValueError for a minibatch of k or fewer other images.
    """
    near_a, squares_a = _neighbours(a, k)
    near_b, squares_b = (near_a, squares_a) if b is a else _neighbours(b, k)
    return cosines(inner_products(near_a, near_b, np.float32), squares_a, squares_b)


def expected(a: GramBatch, b: GramBatch, *, k: int = NEIGHBOURS) -> np.ndarray:
    """k / (n - 1) where no images are equally far; else as many more times as the parts are smaller than the whole."""
    squares_a, squares_b = _neighbours(a, k)[1], _neighbours(b, k)[1]
    both = np.logical_and.outer(squares_a > 0, squares_b > 0)
    return cosines(np.where(both, a.m * k * k / (a.m - 1), 0.0), squares_a, squares_b)


def _neighbours(batch: GramBatch, k: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of whom is near whom, (layers, m * m), each image's k in all, zeros in a layer without any: uint8, or
    float16 where images share places; and the sum of the squares in each layer, float64."""
    m = batch.m
    if not 1 <= k < m - 1:
        raise ValueError(
            f"Expected minibatches of more than {k + 1} images, to find the {k} nearest of each, got one of {m}. Pass "
            "a larger batch_size, or another number of images."
        )
    stack, squares = np.zeros((len(batch.triangles), m, m), np.uint8), np.zeros(len(batch.triangles))
    shared: dict[int, np.ndarray] = {}

    def one(layer: int) -> None:
        if batch.reasons[layer] is not None:
            return
        triangle = distance_triangle(batch, layer)
        rounding = distance_rounding(batch, layer, triangle)
        distances = u_centred(triangle, m)
        np.fill_diagonal(distances, np.inf)
        nearest = np.partition(distances, k, axis=1)
        edge = nearest[:, :k].max(axis=1, keepdims=True)
        stack[layer] = distances <= edge
        # Only where the next image may be as far as the last one that counts is it asked who shares the places.
        close = np.flatnonzero(nearest[:, k] - edge[:, 0] <= rounding.max())
        if len(close):
            tied = np.abs(distances[close] - edge[close]) <= u_centred(rounding, m)[close]
            closer = (distances[close] < edge[close]) & ~tied
            left = k - closer.sum(axis=1, keepdims=True)
            shared[layer] = stack[layer].astype(np.float16)
            shared[layer][close] = np.where(tied, left / tied.sum(axis=1, keepdims=True), closer)
        squares[layer] = np.square(shared[layer], dtype=np.float64).sum() if len(close) else m * k

    in_threads(one, range(len(stack)))
    if shared:
        stack = stack.astype(np.float16)
        for layer, near in shared.items():
            stack[layer] = near
    return stack.reshape(len(stack), m * m), squares


MEASURE = Measure(
    name="mutual-knn",
    title="mutual nearest neighbours",
    invariant="shifts, rotations and reflections of the features, one factor for all of them, and whatever keeps each "
    "image's k = 10 nearest",
    range="from 0 to 1; 1 for the same neighbours",
    chance="k / (n - 1) for the k = 10 nearest of n images, more where many are equally far from each other: "
    "say k and n with every value",
    minibatches="much: neighbours are looked for within a minibatch, so that its size is part of what is measured",
    source="Huh, Cheung, Wang & Isola 2024, arXiv 2405.07987; Euclidean, k = 10",
    pairs=pairs,
    expected=expected,
)
