"""The whole matrices that a batch of stored triangles stands for: doubly centred, and squared distances.

U-centring (Székely & Rizzo 2014, arXiv 1310.2926) takes its diagonal d, the images' squared norms, from K = HKH, whose
rows sum to 0: off the diagonal u_ij = k_ij + (d_i + d_j) / (m-2) - sum(d) / ((m-1)(m-2)). With d kept beside the
triangle everything comes back. A layer's numbers are in units of 2 ** exponent, which no measure here depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads


def norms(batch: GramBatch, what: str) -> np.ndarray:
    """The images' squared norms, float64 (layers, m); ValueError for a batch that was stored without them.

    ``what`` needs them, in the message.
    """
    if batch.norms is None:
        raise ValueError(f"Expected Gram matrices with the norms of their images, for {what}. {batch.lacks}")
    return batch.norms


def live(batch: GramBatch) -> np.ndarray:
    """Which layers say something in this minibatch, bool (layers,)."""
    return np.array([reason is None for reason in batch.reasons], bool)


def row(m: int, image: int) -> np.ndarray:
    """Positions in a triangle of ``m`` images of the entries of one image with each other, int (m - 1,)."""
    before = np.arange(image)
    start = image * (2 * m - image - 1) // 2
    return np.concatenate([before * (2 * m - before - 1) // 2 + image - before - 1, start + np.arange(m - 1 - image)])


@lru_cache(maxsize=2)
def upper(m: int) -> np.ndarray:
    """Positions of the strict upper triangle in the flattened (m, m) matrix, int (m(m-1)/2,)."""
    return np.flatnonzero(np.triu(np.ones((m, m), bool), 1))


def u_centred(triangle: np.ndarray, m: int) -> np.ndarray:
    """U(K~) of one layer, float64 (m, m), from its strict upper triangle."""
    matrix = np.zeros((m, m))
    matrix.ravel()[upper(m)] = triangle
    both: np.ndarray = matrix + matrix.T  # in place NumPy would copy it first
    return both


def doubly_centred(batch: GramBatch, layers: Sequence[int] | None = None) -> np.ndarray:
    """HKH of each layer (at the positions ``layers``; None: all), float64 (layers, m, m), in units of 2 ** exponent.

    Zeros for a layer without variance. ValueError for a batch that was stored without norms.
    """
    chosen = range(len(batch.triangles)) if layers is None else layers
    stack = np.zeros((len(chosen), batch.m, batch.m))

    def one(index: int) -> None:
        stack[index] = doubly_centred_layer(batch, chosen[index])

    norms(batch, "the matrix HKH")
    in_threads(one, range(len(chosen)))
    return stack


def doubly_centred_layer(batch: GramBatch, layer: int) -> np.ndarray:
    """`doubly_centred` of one layer, float64 (m, m)."""
    m, d = batch.m, norms(batch, "the matrix HKH")[layer]
    if batch.reasons[layer] is not None:
        return np.zeros((m, m))
    remove = d / (m - 2) - d.sum() / (2 * (m - 1) * (m - 2))
    matrix = u_centred(batch.triangles[layer], m)
    matrix -= remove
    matrix -= remove[:, None]
    np.fill_diagonal(matrix, d)
    return matrix


def squared_distances(batch: GramBatch, layer: int) -> np.ndarray:
    """Squared distances of the images in one layer, float64 (m, m), in units of 2 ** exponent: d_i + d_j - 2 HKH_ij."""
    d = norms(batch, "a distance")[layer]
    matrix = d[:, None] + d[None, :] - 2 * doubly_centred_layer(batch, layer)
    np.fill_diagonal(matrix, 0.0)
    return np.maximum(matrix, 0.0, out=matrix)


def distance_triangle(batch: GramBatch, layer: int) -> np.ndarray:
    """The strict upper triangle of `squared_distances`, float64 (m(m-1)/2,)."""
    m, d = batch.m, norms(batch, "a distance")[layer]
    part = d * (m / (m - 2)) - d.sum() / ((m - 1) * (m - 2))
    distances = np.add.outer(part, part).ravel()[upper(m)]
    distances -= 2.0 * batch.triangles[layer]
    return np.maximum(distances, 0.0, out=distances)


ROUNDING = 8 * 2.0**-24
"""A distance may be this share away from the true one, of itself and of what it was made of: eight roundings."""


def distance_rounding(batch: GramBatch, layer: int, distances: np.ndarray) -> np.ndarray:
    """How far each of `distance_triangle` may be from the true one, float32 (m(m-1)/2,): the numbers it is made of are
    rounded, and with the entry of the triangle itself the norms are bounded too."""
    terms = np.abs(batch.triangles[layer])
    terms *= 2
    terms += distances
    terms *= np.float32(ROUNDING)
    return terms


def norm_products(a: GramBatch, b: GramBatch) -> tuple[np.ndarray, np.ndarray]:
    """What the norms add to products of whole matrices: (<p, q>, mean d * mean e), float64 (layers_a, layers_b) each.

    p and q are the norms d and e less their means. The triangles of U(K~) are orthogonal to everything of the form
    x_i + x_j, so a product of two matrices HKH, or of two matrices of squared distances, is that of the triangles and a
    multiple of these.
    """
    d, e = norms(a, "this measure"), norms(b, "this measure")
    mean_d, mean_e = d.mean(axis=1), e.mean(axis=1)
    return (d - mean_d[:, None]) @ (e - mean_e[:, None]).T, np.multiply.outer(mean_d, mean_e)


def packed(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix (m, m) as float32 (m(m+1)/2,), so that inner products of two are those of the matrices."""
    m = len(matrix)
    off = matrix.ravel()[upper(m)] * np.sqrt(2)
    return np.concatenate([off, matrix.diagonal()]).astype(np.float32)


def packed_stack(count: int, m: int, one: Callable[[int], np.ndarray | None]) -> np.ndarray:
    """`packed` of the matrix that ``one`` makes of each of ``count`` layers, zeros where it makes none."""
    stack = np.zeros((count, m * (m + 1) // 2), np.float32)

    def fill(layer: int) -> None:
        matrix = one(layer)
        if matrix is not None:
            stack[layer] = packed(matrix)

    in_threads(fill, range(count))
    return stack


def cosines(product: np.ndarray, squares_a: np.ndarray, squares_b: np.ndarray) -> np.ndarray:
    """Inner products divided by the norms, NaN where one of them is 0."""
    squares = np.multiply.outer(squares_a, squares_b)
    return np.divide(product, np.sqrt(squares), out=np.full(product.shape, np.nan), where=squares > 0)
