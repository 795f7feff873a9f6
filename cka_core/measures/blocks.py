"""Block structure: contiguous ranges of layers that are alike in a network's map against itself, found by one sentence.

    A run of at least an eighth of the hidden layers (at least 8; the head left out), 95 % of whose pairs have CKA of at
    least 0.9, and at one of whose ends inside the network mean similarity falls by at least 0.25 within a twentieth of
    the depth.

Nguyen, Raghu & Kornblith 2021 (arXiv 2010.15327, section 4) name blocks by eye, as bright squares with sharp edges. The
sentence and its thresholds were fixed on the networks of the first bundled study and are frozen: `docs/study.md`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

RULE = (
    "A run of at least an eighth of the hidden layers (at least 8; the head left out), 95 % of whose pairs have CKA of "
    "at least 0.9, and at one of whose ends inside the network mean similarity falls by at least 0.25 within a "
    "twentieth of the depth."
)
"""What a block is. An atlas's file says by which sentence its blocks were found."""

ALIKE, OTHERS = 0.9, 0.05
"""At most this share of a block's entries, ``OTHERS``, is under ``ALIKE``."""

FALL = 0.25
"""Mean similarity falls by at least this much at one of a block's ends."""

SHORTEST, SHARE = 8, 8
"""A block has at least 8 layers and at least one in 8 of the map's."""

EDGE, NARROWEST = 20, 2
"""What lies at an edge: one in 20 of the map's layers on either side, at least 2."""

STRIPES = 2
"""Up to this many darker layers in a row do not end a run: within a residual block some layers stand apart."""

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
    fall : float
        By how much mean similarity falls at the sharper of its ends inside the network, see `find_blocks`.
    low, high : float or None
        The 95 % interval of the fall over images, where it is known (`block_falls.with_intervals`).
    deciding : float or None
        How many images decide its similarity, where it is known; below `block_falls.FEW` the interval is too short.
    """

    start: int
    stop: int
    strength: float
    fall: float
    low: float | None = None
    high: float | None = None
    deciding: float | None = None

    @property
    def span(self) -> str:
        """See `span_text`."""
        return span_text(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


def span_text(start: int, stop: int) -> str:
    """ "27–94" for positions 27 to 95 - 1: both ends included, counted from 0 as in the map."""
    return f"{start}–{stop - 1}"


def find_blocks(matrix: Any) -> list[Block]:
    """The blocks of a self-similarity map cut to hidden layers, in their order, disjoint; empty where there is none.

    By `RULE`: the diagonal is replaced by its neighbours, and dips of up to two layers are closed (a grey closing along
    rows and columns). Candidates are all runs [a, b) of at least max(8, layers / 8) layers with at most 5 % of their
    entries under 0.9. Of these the longest comes first, and of the candidates whose ends lie within w = max(2,
    layers // 20) of its ends the one with the largest sum of the falls at both ends counts; what overlaps it is
    dropped, and so on. It is a block if the larger of its falls is at least 0.25. The fall at an end is the mean
    similarity of the run's layers with the last w of them, less that with the first w beyond (with all there are
    beyond, where they are fewer). An end of the map has no fall.

    Parameters
    ----------
    matrix : (layers, layers) numbers
        CKA of a network's hidden layers with themselves: `Comparison.matrix` without the head
        (`results.blocks.network_blocks` cuts it off). Its symmetric part is used. Rows and columns without any number
        (dead layers) are left out; a block may span them.

    Raises
    ------
    ValueError
        For what is not square, or entries that are not finite outside dead layers.
    """
    values, alive = _alive(matrix)
    n = len(values)
    if n < shortest(n):
        return []
    filled = smoothed(values)
    found = []
    start, stop = _runs(filled)
    left, right = _falls(filled, start, stop)
    summed = np.where(start > 0, left, 0.0) + np.where(stop < n, right, 0.0)
    while len(start):
        longest = np.lexsort((start, start - stop))[0]
        near = np.maximum(abs(start - start[longest]), abs(stop - stop[longest])) <= width(n)
        best = np.flatnonzero(near)[summed[near].argmax()]
        a, b, fall = int(start[best]), int(stop[best]), float(max(left[best], right[best]))
        if fall >= FALL - TOLERANCE:
            found.append(Block(int(alive[a]), int(alive[b - 1]) + 1, strength(values, a, b), fall))
        apart = (stop <= a) | (start >= b)
        start, stop, left, right, summed = (part[apart] for part in (start, stop, left, right, summed))
    return sorted(found)


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
    text = f"layers {block.span}, {block.strength:.2f}"
    if shares is None:
        return text
    values = np.asarray(shares, np.float64)
    if values.ndim != 1 or len(values) < block.stop:
        raise ValueError(f"Expected one share for each of at least {block.stop} layers, got shape {values.shape}.")
    inside = values[block.start : block.stop]
    inside = inside[np.isfinite(inside)]
    return f"{text}, first component {100 * np.median(inside):.0f} % of the variance" if inside.size else text


def ends_of(matrix: Any, block: Block) -> tuple[float, float]:
    """The falls at both ends of a block in a map, which need not be the one it was found in; -inf at an end of the map.

    Layers without similarity in this map are left out.
    """
    values, alive = _alive(matrix)
    start, stop = np.searchsorted(alive, (block.start, block.stop))
    return falls(smoothed(values), int(start), int(stop))


def falls(filled: np.ndarray, start: int, stop: int) -> tuple[float, float]:
    """The falls at both ends of the run ``start`` to ``stop`` - 1 of a map as `smoothed` gives it."""
    left, right = _falls(filled, np.array([start]), np.array([stop]))
    return float(left[0]), float(right[0])


def shortest(layers: int) -> int:
    """The fewest layers of a block in a map of ``layers``."""
    return max(SHORTEST, -(-layers // SHARE))


def width(layers: int) -> int:
    """How many layers on either side of an edge are looked at, in a map of ``layers``."""
    return max(NARROWEST, layers // EDGE)


def smoothed(values: np.ndarray) -> np.ndarray:
    """A symmetric map, float64 (layers, layers), as the rule sees it: without its diagonal, its dips closed."""
    return _closed(_closed(_without_diagonal(values)).T)


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


def _integral(values: np.ndarray) -> np.ndarray:
    """The integral image: [i, j] is the sum over the first i rows and j columns, float64 (rows + 1, columns + 1)."""
    sums = np.zeros(np.add(values.shape, 1))
    sums[1:, 1:] = values.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    return sums


def _runs(filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and stop of every run that is long enough and alike enough."""
    n = len(filled)
    dark = _integral(filled < ALIKE)
    start, stop = np.triu_indices(n + 1, shortest(n))
    under = dark[stop, stop] - dark[start, stop] - dark[stop, start] + dark[start, start]
    alike = under <= OTHERS * (stop - start) ** 2 + TOLERANCE
    return start[alike], stop[alike]


def _falls(filled: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fall at the start and at the stop of each run; -inf at an end of the map."""
    n, w, sums = len(filled), width(len(filled)), _integral(filled)

    def mean(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Of each run's layers with those from ``left`` to ``right`` - 1."""
        total = sums[stop, right] - sums[start, right] - sums[stop, left] + sums[start, left]
        found: np.ndarray = total / np.maximum((stop - start) * (right - left), 1)
        return found

    before = mean(start, start + w) - mean(np.maximum(start - w, 0), start)
    after = mean(stop - w, stop) - mean(stop, np.minimum(stop + w, n))
    return np.where(start > 0, before, -np.inf), np.where(stop < n, after, -np.inf)
