"""Block structure: contiguous ranges of layers that are alike, found in a network's map against itself.

Nguyen, Raghu & Kornblith 2021 (arXiv 2010.15327, section 4) see such blocks as bright squares with sharp edges and name
them by eye. Here they are found by one rule, the same for every map. What tells a block from similarity that merely
decays with depth: inside a block similarity does not depend on how far apart two layers are, and it falls at the edge.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

CONTRAST = 0.1
"""The threshold: a block's layers are at least this much more similar to each other than to the layers beyond it."""

SHORTEST = 5
SHARE = 12
"""A block has at least 5 layers and at least one in 12 of the map's."""

STRIPES = 2
"""Up to this many darker layers in a row do not end a block: within a residual block some layers stand apart."""

FLAT = 0.8
"""What flat means: the two ends of a block are at least this share as similar to each other as its neighbours are."""

NEARLY = 0.02
"""Ranges that differ by a few layers and by at most this in contrast are equally good by it."""

EDGE = (2, 7)
"""Layers on either side of an edge that are looked at: one in 20 of the map's, at least 2 and at most 7."""

TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, order=True)
class Block:
    """A contiguous range of mutually similar layers, positions ``start`` to ``stop`` - 1 of the map.

    Attributes
    ----------
    start, stop : int
        Half open, positions in the matrix given, dead layers counted.
    strength : float
        The similarity of its layers to each other: the median over its layers of each one's median similarity to the
        others. Medians, so that a few darker layers do not change it.
    contrast : float
        By how much its layers are more similar to each other than to those beyond its weaker edge, see `find_blocks`;
        for a block that is the whole map, 0: it has no edge.
    """

    start: int
    stop: int
    strength: float
    contrast: float

    def __len__(self) -> int:
        return self.stop - self.start


@dataclasses.dataclass(frozen=True)
class _Segment:
    """A range, its contrast, and the sum of the contrasts at its two edges."""

    start: int
    stop: int
    contrast: float
    edges: float = 0.0

    def near(self, other: _Segment, layers: int) -> bool:
        return abs(self.start - other.start) <= layers and abs(self.stop - other.stop) <= layers

    def inside(self, other: _Segment, layers: int) -> bool:
        return other.start - layers <= self.start and self.stop <= other.stop + layers and len(self) < len(other)

    def __len__(self) -> int:
        return self.stop - self.start


def find_blocks(matrix: Any) -> list[Block]:
    """The blocks of a self-similarity map, in their order, disjoint; an empty list where there is none.

    Every range of at least max(5, layers/12) layers is a candidate. Its contrast at an edge is the least of three
    differences, each mean similarity inside minus mean similarity across that edge (less one standard error, from the
    noise of the map), and its contrast is that at the weaker edge:

    1. fall: of its layers with the outermost few inside, against the few just beyond, less the slope from the next few
       inside to the outermost. A gradient has no fall.
    2. corner: of its first third with its last third, against the few just beyond. A block's two ends are more like
       each other than like their neighbours outside. A decay is the other way round.
    3. at equal distance: of pairs inside, against pairs across the edge that are as many layers apart, over all
       distances. This is 0 in any map where similarity depends on distance alone, however bright its diagonal.

    A range is a block if its contrast is at least 0.1 (`CONTRAST`, the one threshold) and it is flat, which is what a
    block is: its corner at least 0.8 (`FLAT`) of the similarity between its layers up to a third of its length apart.
    Of ranges that differ by a few layers the one of the highest contrast counts, and of those nearly as high the one
    whose two edges are sharpest; one that two smaller blocks fill to two thirds gives way to them; of what then
    overlaps, the choice with the highest sum of length times contrast (dynamic programming).

    One or two darker layers between brighter ones are filled in first (a grey closing), as within a residual block.
    The diagonal is not looked at. A map without any edge is one block over everything if its corner is at least 0.9
    and similarity does not fall with distance by more than three standard errors: if every layer is the same.

    Parameters
    ----------
    matrix : (layers, layers) numbers
        CKA of a network's layers with themselves, as `Comparison.matrix`. Its symmetric part is used. Rows and columns
        without any number (dead layers) are left out; a block may span them.

    Raises
    ------
    ValueError
        For what is not square, or entries that are not finite outside dead layers.
    """
    values, alive = _alive(matrix)
    n = len(values)
    shortest = max(SHORTEST, -(-n // SHARE))
    if n < shortest:
        return []
    noise = _noise(values)
    raw = _without_diagonal(values)
    filled = _closed(_closed(raw).T)
    width = int(np.clip(n // 20, *EDGE))
    found = _candidates(filled, noise, shortest, width)
    if found:
        chosen = _best(_distinct(found, width), n)
    else:
        chosen = [_Segment(0, n, 0.0)] if _all_alike(raw, noise) else []
    return [
        Block(int(alive[s.start]), int(alive[s.stop - 1]) + 1, strength(values, s.start, s.stop), s.contrast)
        for s in chosen
    ]


def strength(matrix: Any, start: int, stop: int) -> float:
    """How similar the layers ``start`` to ``stop`` - 1 are to each other, see `Block`; NaN if none is alive."""
    inside = np.array(matrix, np.float64)[start:stop, start:stop]
    np.fill_diagonal(inside, np.nan)
    inside = inside[~np.isnan(inside).all(axis=1)]
    return float(np.median(np.nanmedian(inside, axis=1))) if len(inside) else float("nan")


def block_text(block: Block, shares: Any = None) -> str:
    """A block in words: "layers 48–99, 0.96" (both ends included, positions counted from 0 as in the map).

    With ``shares`` (layers,), the first principal component's share of each layer's variance, also the median share
    over the block's layers: "layers 48–99, 0.96, first component 71 % of the variance".
    """
    text = f"layers {block.start}–{block.stop - 1}, {block.strength:.2f}"
    if shares is None:
        return text
    values = np.asarray(shares, np.float64)
    if values.ndim != 1 or len(values) < block.stop:
        raise ValueError(f"Expected one share for each of at least {block.stop} layers, got shape {values.shape}.")
    inside = values[block.start : block.stop]
    inside = inside[np.isfinite(inside)]
    return f"{text}, first component {100 * np.median(inside):.0f} % of the variance" if inside.size else text


def _alive(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric part of the map between layers that have a similarity, and their positions."""
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(
            f"Expected the (layers, layers) map of a network with itself, got shape {values.shape}. "
            "Blocks are looked for in a self-comparison."
        )
    off_diagonal = ~np.eye(len(values), dtype=bool)
    known = ~np.isnan(values) & off_diagonal
    alive = np.flatnonzero(known.any(axis=1) & known.any(axis=0))
    values = values[np.ix_(alive, alive)]
    values = (values + values.T) / 2
    bad = ~np.isfinite(values)
    np.fill_diagonal(bad, False)
    if bad.any():
        row, column = alive[np.argwhere(bad)[0]]
        raise ValueError(
            f"Expected a similarity for layers {row} and {column}, got NaN or infinity. A layer without similarity "
            "has NaN in its whole row and column."
        )
    return values, alive


def _without_diagonal(values: np.ndarray) -> np.ndarray:
    """The map with each diagonal entry, which is always 1, replaced by that of neighbouring layers."""
    filled = values.copy()
    beside = np.diagonal(values, 1)
    np.fill_diagonal(filled, (np.append(beside[:1], beside) + np.append(beside, beside[-1:])) / 2)
    return filled


def _closed(values: np.ndarray) -> np.ndarray:
    """Grey closing along each row: dips of at most `STRIPES` entries are filled, steps stay where they are."""
    window = STRIPES + 1
    padded = np.pad(values, ((0, 0), (STRIPES, STRIPES)), constant_values=-np.inf)
    highest = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1).max(axis=-1)
    return np.lib.stride_tricks.sliding_window_view(highest, window, axis=1).min(axis=-1)


def _noise(values: np.ndarray) -> float:
    """Standard deviation of entries around a map made of flat parts, slopes and stripes: those cancel in
    S[i, j] - S[i+1, j] - S[i, j+1] + S[i+1, j+1], where four independent errors add up."""
    mixed = (values[:-1, :-1] - values[1:, :-1] - values[:-1, 1:] + values[1:, 1:])[np.triu_indices(len(values) - 1, 2)]
    return float(np.median(np.abs(mixed))) / 0.6745 / 2 if mixed.size else 0.0


def _candidates(values: np.ndarray, noise: float, shortest: int, width: int) -> list[_Segment]:
    """All ranges with enough contrast at their edges that are flat inside."""
    n = len(values)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)

    def mean(top: Any, bottom: Any, left: Any, right: Any) -> np.ndarray:
        total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return total / np.maximum((bottom - top) * (right - left), 1)

    start, stop = np.triu_indices(n + 1, shortest)
    length, third, strip = stop - start, -(-(stop - start) // 3), np.minimum(width, (stop - start) // 2)
    corner = mean(start, start + third, stop - third, stop)
    fall_error = noise * np.sqrt(2 / (strip * length))
    corner_error = noise * np.sqrt(1 / third**2 + 1 / (strip * length))

    def contrast(inside: np.ndarray, further: np.ndarray, beyond: np.ndarray, exists: np.ndarray) -> np.ndarray:
        slope = np.maximum(further - inside - 2 * fall_error, 0.0)
        least = np.minimum(inside - beyond - slope - fall_error, corner - beyond - corner_error)
        return np.where(exists, least, np.inf)

    before = mean(start, stop, np.maximum(start - strip, 0), start)
    after = mean(start, stop, stop, np.minimum(stop + strip, n))
    left = contrast(
        mean(start, stop, start, start + strip), mean(start, stop, start + strip, start + 2 * strip), before, start > 0
    )
    right = contrast(
        mean(start, stop, stop - strip, stop), mean(start, stop, stop - 2 * strip, stop - strip), after, stop < n
    )
    least = np.where(length < n, np.minimum(left, right), -np.inf)
    along = _along_diagonals(values)
    found = []
    for i in np.flatnonzero(least >= CONTRAST - TOLERANCE):
        a, b = int(start[i]), int(stop[i])
        close = np.arange(1, third[i] + 1)
        neighbours = (along[close, b - close] - along[close, a]).sum() / (b - a - close).sum()
        if corner[i] < FLAT * neighbours:
            continue
        value = min(float(least[i]), _at_equal_distance(along, a, b))
        if value >= CONTRAST - TOLERANCE:
            edges = sum(float(side[i]) for side in (left, right) if np.isfinite(side[i]))
            found.append(_Segment(a, b, value, edges))
    return found


def _along_diagonals(values: np.ndarray) -> np.ndarray:
    """[d, k] = sum of the first k entries of the d-th diagonal above the main one."""
    n = len(values)
    sums = np.zeros((n, n + 1))
    for distance in range(n):
        sums[distance, 1 : n - distance + 1] = np.diagonal(values, distance).cumsum()
    return sums


def _at_equal_distance(along: np.ndarray, start: int, stop: int) -> float:
    """Mean similarity inside minus across the weaker edge, over pairs of layers equally far apart."""
    n, distance = len(along), np.arange(1, stop - start)
    inside = (along[distance, stop - distance] - along[distance, start]) / (stop - start - distance)
    least = np.inf
    for low, high in (
        (np.maximum(start - distance, 0), np.full_like(distance, start)),
        (stop - distance, np.minimum(stop, n - distance)),
    ):
        pairs = np.maximum(high - low, 0)
        weight = np.minimum(pairs, stop - start - distance)
        if weight.any():
            across = (along[distance, np.maximum(high, low)] - along[distance, low]) / np.maximum(pairs, 1)
            least = min(least, float(weight @ (inside - across)) / float(weight.sum()))
    return least


def _distinct(found: list[_Segment], width: int) -> list[_Segment]:
    """One range of each group that differs by a few layers, without those that two smaller ones fill."""
    kept: list[_Segment] = []
    for segment in sorted(found, key=lambda s: (-s.contrast, s.start, s.stop)):
        if not any(segment.near(other, width) for other in kept):
            kept.append(segment)

    # The weaker edge alone decides a range's contrast. Where the other one lies, the sum of both says.
    kept = [
        max((s for s in found if s.near(best, width) and s.contrast >= best.contrast - NEARLY), key=lambda s: s.edges)
        for best in kept
    ]

    def filled(whole: _Segment) -> bool:
        parts = [part for part in kept if part.inside(whole, width)]
        return any(
            one.stop <= two.start and 3 * (len(one) + len(two)) >= 2 * len(whole) for one in parts for two in parts
        )

    return [segment for segment in kept if not filled(segment)]


def _best(segments: list[_Segment], n: int) -> list[_Segment]:
    """The disjoint ranges with the highest sum of length times contrast."""
    total, last = [0.0] * (n + 1), [None] * (n + 1)  # type: tuple[list[float], list[_Segment | None]]
    for stop in range(1, n + 1):
        total[stop] = total[stop - 1]
        for segment in segments:
            if segment.stop == stop and total[segment.start] + len(segment) * segment.contrast > total[stop]:
                total[stop], last[stop] = total[segment.start] + len(segment) * segment.contrast, segment
    chosen, stop = [], n
    while stop > 0:
        segment_or_none = last[stop]
        if segment_or_none is None:
            stop -= 1
        else:
            chosen.append(segment_or_none)
            stop = segment_or_none.start
    return chosen[::-1]


def _all_alike(values: np.ndarray, noise: float) -> bool:
    """Whether every layer is like every other, the first ones like the last as much as like their neighbours."""
    n, third = len(values), -(-len(values) // 3)
    along = _along_diagonals(values)
    close = np.arange(1, third + 1)
    near = along[close, n - close].sum() / (n - close).sum()
    corner = float(values[:third, n - third :].mean())
    error = noise * np.sqrt(1 / third**2 + 1 / (n - close).sum())
    return bool(corner >= 1 - CONTRAST and near - corner <= 3 * error + TOLERANCE)
