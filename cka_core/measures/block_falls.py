"""How sure a block is: the jackknife interval of its fall, and what one half of the images says of the other's blocks.

Both need the U-centred Gram matrices of the network's hidden layers, `GramBatch` of one minibatch at a time.

The fall of a block is a difference of means of CKA, so that its delete-one values follow from those of every cell.
With A, B the U-centred Gram matrices of a minibatch of m images, T = sum_ij A_ij B_ij and c_i = sum_j A_ij B_ij,
removing image i and centring again leaves

    T(-i) = T - 2 c_i (m - 2) / (m - 3)        HSIC1(-i) = T(-i) / ((m - 1)(m - 4))

(the tests centre anew). In the ratio of sums over minibatches T / (m - 3) of the image's own minibatch becomes
T(-i) / (m - 4). The standard error is the jackknife's, SE² = (N - 1)/N sum (fall(-i) - mean)² (Efron & Stein 1981,
Ann. Statist. 9).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cka_core.measures.blocks import Block, ends_of, falls, find_blocks, smoothed, span_text
from cka_core.measures.components import gram_batch
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import SLICE, HsicSums

FEW = 30
"""Where fewer images decide, the interval is too short: rare images could change everything, and are not seen."""

HALVED = 8
"""Images of a minibatch that can be halved."""

NEVER = -(1 << 30)
"""The exponent of a layer that no minibatch says anything of."""

Batches = Callable[[], Iterable[GramBatch]]
"""Gives a network's Gram matrices, one minibatch after the other, as often as it is called: they need not be kept."""


@dataclasses.dataclass(frozen=True)
class OnHalf:
    """A block found on one half of the images: positions ``start`` to ``stop`` - 1, its fall there, and its fall at the
    same end on the other half, which had no part in finding it."""

    start: int
    stop: int
    fall: float
    elsewhere: float

    @property
    def span(self) -> str:
        """See `blocks.span_text`."""
        return span_text(self.start, self.stop)


def with_intervals(blocks: Sequence[Block], batches: Batches, layers: int) -> tuple[Block, ...]:
    """The same blocks with the 95 % interval of their falls over images, and how many images decide them.

    The interval is that of the fall at the block's sharper end, where it was found: its place is taken as given.
    ``deciding`` is the median over the block's layers of 1 / sum h_i² with h_i image i's share of HSIC1(A, A).

    Parameters
    ----------
    blocks : of `find_blocks` on the map of the first ``layers`` layers of the batches
    batches : `Batches`

    Raises ValueError for minibatches of fewer than 5 images, of which none can be left out.
    """
    if not blocks:
        return ()
    alive, exponents = _alive(batches, layers)
    totals = [(_inner(rows), batch.m) for batch in batches() for rows in [_triangles(batch, alive, exponents)]]
    whole = np.sum([total / (m - 3) for total, m in totals], axis=0)
    given = smoothed(_ratio(whole))
    places = [_place(block, alive) for block in blocks]
    sides = [int(np.argmax(falls(given, *place))) for place in places]
    left_out: list[list[float]] = [[] for _ in blocks]
    shares = []
    for batch, (total, m) in zip(batches(), totals, strict=True):
        triangles, rest = _triangles(batch, alive, exponents), whole - total / (m - 3)
        for image in range(m):
            row = _row(triangles, m, image)
            part = row @ row.T
            shares.append(np.diagonal(part) / (m - 3))
            matrix = smoothed(_ratio(rest + (total - 2 * (m - 2) / (m - 3) * part) / (m - 4)))
            for found, place, side in zip(left_out, places, sides, strict=True):
                found.append(falls(matrix, *place)[side])
    deciding = 1 / np.square(np.array(shares) / np.diagonal(whole)).sum(axis=0)
    return tuple(
        _known(block, values, float(np.median(deciding[slice(*place)])))
        for block, values, place in zip(blocks, left_out, places, strict=True)
    )


def on_halves(batches: Batches, layers: int) -> tuple[tuple[OnHalf, ...], tuple[OnHalf, ...]]:
    """The blocks found on every second image of each minibatch, measured on the others, and the other way round.

    Raises ValueError for minibatches of fewer than 8 images.
    """
    sums = [HsicSums(layers, layers), HsicSums(layers, layers)]
    for batch in batches():
        for half, of in enumerate(sums):
            part = _half(batch, layers, half)
            of.add(part, part)
    one, other = (half.matrix() for half in sums)
    return _measured(one, other), _measured(other, one)


def _alive(batches: Batches, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """The layers that have a similarity, and the exponents their triangles are brought to."""
    exponents = np.full(layers, NEVER, np.int64)
    for batch in batches():
        if batch.m < 5:
            raise ValueError(f"Expected minibatches of at least 5 images to leave one out, got one of {batch.m}.")
        here = np.array([reason is None for reason in batch.reasons[:layers]])
        exponents = np.where(here, np.maximum(exponents, batch.exponents[:layers]), exponents)
    alive = np.flatnonzero(exponents > NEVER)
    return alive, exponents[alive]


def _triangles(batch: GramBatch, alive: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """The triangles of the layers ``alive`` in units of 2 ** exponents, float32; zeros where one says nothing."""
    live = np.array([batch.reasons[layer] is None for layer in alive])
    factors = np.where(live, np.ldexp(1.0, np.clip(batch.exponents[alive] - exponents, -1000, 0)), 0.0)
    found = batch.triangles[alive]
    found *= factors[:, None].astype(np.float32)
    return found


def _inner(triangles: np.ndarray) -> np.ndarray:
    """<A, B> of every two layers, float64; a few entries at a time."""
    parts = (triangles[:, at : at + SLICE].astype(np.float64) for at in range(0, triangles.shape[1], SLICE))
    return 2 * np.sum([part @ part.T for part in parts], axis=0)


def _row(triangles: np.ndarray, m: int, image: int) -> np.ndarray:
    """Row ``image`` of U(K~) of every layer, float64 (layers, m), from its strict upper triangle."""
    others = np.delete(np.arange(m), image)
    first, second = np.minimum(others, image), np.maximum(others, image)
    row = np.zeros((len(triangles), m))
    row[:, others] = triangles[:, first * m - first * (first + 1) // 2 + second - first - 1]
    return row


def _ratio(sums: np.ndarray) -> np.ndarray:
    """CKA from sums of HSIC1."""
    scale = np.sqrt(np.diagonal(sums))
    found: np.ndarray = sums / np.multiply.outer(scale, scale)
    return found


def _place(block: Block, alive: np.ndarray) -> tuple[int, int]:
    """A block's positions among the layers ``alive``."""
    start, stop = np.searchsorted(alive, (block.start, block.stop))
    return int(start), int(stop)


def _known(block: Block, left_out: Sequence[float], deciding: float) -> Block:
    values = np.asarray(left_out)
    n = len(values)
    reach = 1.96 * float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum()))
    return dataclasses.replace(block, low=block.fall - reach, high=block.fall + reach, deciding=deciding)


def _half(batch: GramBatch, layers: int, half: int) -> GramBatch:
    """Every second image, from image ``half`` on. U-centring sees neither the diagonal nor what is constant in a row:
    the entries of the whole, centred again, are those of the half."""
    if batch.m < HALVED:
        raise ValueError(f"Expected minibatches of at least {HALVED} images to halve them, got one of {batch.m}.")
    images = range(half, batch.m, 2)
    stack = np.stack([_row(batch.triangles[:layers], batch.m, image)[:, half::2] for image in images], axis=1)
    return gram_batch(stack, batch.first, batch.exponents[:layers])


def _measured(found_on: np.ndarray, measured_on: np.ndarray) -> tuple[OnHalf, ...]:
    found = []
    for block in find_blocks(found_on):
        here, there = ends_of(found_on, block), ends_of(measured_on, block)
        side = int(np.argmax(here))
        found.append(OnHalf(block.start, block.stop, here[side], there[side]))
    return tuple(found)
