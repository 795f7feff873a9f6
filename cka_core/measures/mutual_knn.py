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
    near_a = _neighbours(a, k)
    near_b = near_a if b is a else _neighbours(b, k)
    return cosines(inner_products(near_a, near_b, np.float32), *_squares(near_a, near_b))


def expected(a: GramBatch, b: GramBatch, *, k: int = NEIGHBOURS) -> np.ndarray:
    """k / (n - 1) where no images are equally far; else as many more times as the parts are smaller than the whole."""
    near_a, near_b = _neighbours(a, k), _neighbours(b, k)
    sums = np.multiply.outer(near_a.sum(axis=1, dtype=np.float64), near_b.sum(axis=1, dtype=np.float64))
    return cosines(sums / (a.m * (a.m - 1)), *_squares(near_a, near_b))


def _squares(*sides: np.ndarray) -> list[np.ndarray]:
    return [np.einsum("ij,ij->i", near, near, dtype=np.float64) for near in sides]


def _neighbours(batch: GramBatch, k: int) -> np.ndarray:
    """How much of whom is near whom, float16 (layers, m * m), each image's k in all; zeros in a layer without any."""
    m = batch.m
    if not 1 <= k < m - 1:
        raise ValueError(
            f"Expected minibatches of more than {k + 1} images, to find the {k} nearest of each, got one of {m}. Pass "
            "a larger batch_size, or another number of images."
        )
    stack = np.zeros((len(batch.triangles), m, m), np.float16)

    def one(layer: int) -> None:
        if batch.reasons[layer] is None:
            triangle = distance_triangle(batch, layer)
            rounding = u_centred(distance_rounding(batch, layer, triangle), m)
            distances = u_centred(triangle, m)
            np.fill_diagonal(distances, np.inf)
            edge = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
            tied = np.abs(distances - edge) <= rounding
            closer = (distances < edge) & ~tied
            left = k - closer.sum(axis=1, keepdims=True)
            stack[layer] = np.where(tied, left / tied.sum(axis=1, keepdims=True), closer)

    in_threads(one, range(len(stack)))
    return stack.reshape(len(stack), m * m)


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
