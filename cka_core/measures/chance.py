"""What chance reaches: a map of unbiased CKA, and its best matches, when one network sees the images in another order.

A random permutation of one network's images within each minibatch leaves its Gram matrices what they are and takes away
everything the two share. Since the rows of a U-centred matrix sum to 0, the second moment of the product is known
exactly (compare Székely & Rizzo 2014, arXiv 1310.2926, on its mean, which is 0).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from cka_core.measures.grams import GramBatch, in_threads
from cka_core.measures.hsic import HsicSums, check_same_images

ABOVE = 5
"""Standard deviations that "above chance" means: the tail is skewed where a layer has few directions."""

DRAWS = 200

ORDERS = 4
"""Fewest random orders behind the draws of a best match's null; the rest are shifts of these."""

LAYER_PARTS = 16


def chance(sizes: Sequence[int]) -> float:
    """Standard deviation of unbiased CKA under permutation, for minibatches of these sizes, one or several.

        sqrt(2 sum m/(m-3)) / sum m,    for one minibatch sqrt(2 / (m(m-3)))

    Exact for one minibatch, the same for every pair of layers; for several where a layer's HSIC is the same in each
    (`chance_of` asks for no such thing). The mean is 0. ValueError for fewer than 4 images.
    """
    if not len(sizes) or min(sizes) < 4:
        raise ValueError(f"Expected minibatches of at least 4 images, got {list(sizes)}.")
    return math.sqrt(2 * sum(m / (m - 3) for m in sizes)) / sum(sizes)


def chance_of(batches: Iterable[tuple[GramBatch, GramBatch]], sums: HsicSums) -> np.ndarray:
    """`chance` of every cell, exact for unequal minibatches too: float64 (layers_a, layers_b), NaN without CKA.

        SD² = sum w² 2/(m(m-3)) |A|²|B|² / (sum w |A|² sum w |B|²),    w = 1/(m-3)

    ``batches`` of A and of B are those that ``sums`` is complete of.
    """
    variance = np.zeros_like(sums.matrix())
    for a, b in batches:
        own_a, own_b = (2 * unit**2 * batch.squares for unit, batch in zip(sums.units(a, b), (a, b), strict=True))
        variance += 2 / (a.m * (a.m - 3) ** 3) * np.multiply.outer(own_a, own_b)
    return np.where(np.isnan(sums.matrix()), np.nan, np.sqrt(variance))


@dataclasses.dataclass(frozen=True, eq=False)
class BestMatchChance:
    """Best matches of every layer where nothing is shared: the null of a maximum, float64 (layers,) each.

    ``mean`` and ``high`` (95 of 100 draws stay below) for each layer of A, over the layers of B; ``mean_b`` and
    ``high_b`` for each layer of B. NaN for a layer without CKA. ``draws`` permutations were made.
    """

    mean: np.ndarray
    high: np.ndarray
    mean_b: np.ndarray
    high_b: np.ndarray
    draws: int


def best_match_chance(
    batches: Sequence[tuple[GramBatch, GramBatch]], sums: HsicSums, draws: int = DRAWS, seed: int = 0
) -> BestMatchChance:
    """`BestMatchChance` by permuting the images of B, once a draw for all its layers, within each minibatch.

    ``batches`` of A and of B are those that ``sums`` is complete of. A random order and its cyclic shifts are random
    orders all; the products under all shifts of one are a correlation, which Fourier transforms give at the price of a
    few products. At least `ORDERS` random orders share the draws, none of which makes more than it has images. In
    float32, exact to 1e-6 of 1.
    """
    if draws < 1:
        raise ValueError(f"Expected at least one draw, got {draws}.")
    for a, b in batches:
        check_same_images(a, b)
    rng, missing = np.random.default_rng(seed), np.isnan(sums.matrix())
    rows, columns = [], []
    orders = min(draws, max(ORDERS, -(-draws // max(a.m for a, _ in batches))))
    for count in (len(part) for part in np.array_split(np.arange(draws), orders)):
        total = np.zeros((count, *missing.shape), np.float32)
        for a, b in batches:
            shifts = np.concatenate([rng.permutation(a.m) for _ in range(-(-count // a.m))])[:count]
            _add_shifted(total, a, b, sums.units(a, b), rng.permutation(a.m), shifts)
        total[:, missing] = -np.inf
        rows.append(total.max(axis=2))
        columns.append(total.max(axis=1))
    best_a, best_b = (np.where(np.isinf(best), np.nan, best) for best in map(np.concatenate, (rows, columns)))
    high_a, high_b = (np.quantile(best.astype(np.float64), 0.95, axis=0) for best in (best_a, best_b))
    return BestMatchChance(best_a.mean(axis=0, dtype=np.float64), high_a,
                           best_b.mean(axis=0, dtype=np.float64), high_b, draws)  # fmt: skip


def _add_shifted(
    total: np.ndarray,
    a: GramBatch,
    b: GramBatch,
    units: tuple[np.ndarray, np.ndarray],
    order: np.ndarray,
    shifts: np.ndarray,
) -> None:
    """Add to ``total`` (shifts, layers_a, layers_b) the products of A with B whose images are in ``order``, shifted."""
    m = a.m
    waves_a = _waves(a, units[0] * (2 / (m - 3)), np.arange(m)).conj()
    waves_a[:, :, -1] *= 1 if m % 2 else 0.5  # the entries m/2 apart were taken from either end
    waves_b = _waves(b, units[1], order).transpose(0, 2, 1)

    def one(part: np.ndarray) -> None:
        found = np.matmul(waves_a[:, part], waves_b)
        total[:, part] += np.fft.irfft(found, m, axis=0)[shifts]

    in_threads(one, [part for part in np.array_split(np.arange(len(total[0])), LAYER_PARTS) if len(part)])


def _waves(batch: GramBatch, unit: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Fourier transforms along the diagonals of each layer's matrix, its images in an order: complex64 (frequencies,
    layers, m // 2). Entry i of diagonal d is that of the images at i and at i + d, round the end."""
    m = batch.m
    at = np.arange(m)
    first, second = order[at][None, :], order[(at + np.arange(1, m // 2 + 1)[:, None]) % m]
    low, high = np.minimum(first, second), np.maximum(first, second)
    entries = low * (2 * m - low - 1) // 2 + high - low - 1
    waves = np.empty((m // 2 + 1, len(batch.triangles), m // 2), np.complex64)

    def one(layer: int) -> None:
        waves[:, layer] = np.fft.rfft(np.take(batch.triangles[layer], entries) * np.float32(unit[layer]), axis=1).T

    in_threads(one, range(len(batch.triangles)))
    return waves
