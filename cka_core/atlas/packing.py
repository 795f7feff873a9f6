"""How an atlas keeps its maps small: in 8 bits where the eye cannot tell, else in steps of 2 ** -24. Scores of images,
of which shares in percent are made, have 12 significant bits.

Maps are smooth along both axes, so that what a value differs from its neighbours is small,
v[i, j] - v[i-1, j] - v[i, j-1] + v[i-1, j-1]: its bytes, the low ones of all values first and the high ones last,
take little more than half the room of float32. The steps are those of float32 from 0.5 to 1, so that nothing there is
changed, and below by 3e-8 at most.
"""

from __future__ import annotations

import numpy as np

EIGHT_BIT = "Maps from before the last epoch have 8 bits: CKA is (value - 1) / 254, 0 and less is 1, none is 0."
IN_STEPS = (
    "Other maps have steps of 2 ** -24. A value is the sum of all e above and left of it, its own included, modulo "
    "2 ** 32; -2 ** 31 is none. Kept are the four bytes, lowest first, of 2 e, or of -2 e - 1 for e < 0: uint8 "
    "(4, rows, columns). Of a network with itself, those under the diagonal are left out: they mirror the others."
)
SCORES = "Scores of first components are rounded to 12 significant bits, 0.012 % of each."
SCORE_BITS = 12
STEPS = 1 << 24
PLANES = 4
LARGEST = 64.0
"""Larger values (no CKA is) have no room in 32 bits beside what they differ by."""
NONE = np.int32(-(2**31))


def in_bytes(matrix: np.ndarray) -> np.ndarray:
    """A map in 8 bits, uint8, by `EIGHT_BIT`: steps of 0.004 that no eye tells apart."""
    known = np.isfinite(matrix)
    return np.where(known, 1 + np.round(254 * np.clip(np.where(known, matrix, 0), 0, 1)), 0).astype(np.uint8)


def from_bytes(values: np.ndarray) -> np.ndarray:
    """The map that `in_bytes` made, float64; NaN for none."""
    return np.where(values > 0, (values.astype(np.float64) - 1) / 254, np.nan)


def in_steps(matrix: np.ndarray, *, symmetric: bool = False) -> np.ndarray:
    """A map by `IN_STEPS`, uint8 (4, rows, columns); of a ``symmetric`` one the half above the diagonal.

    ValueError for values over 64.
    """
    known = np.isfinite(matrix)
    values = np.where(known, matrix, 0.0).astype(np.float64)
    if np.any(np.abs(values) > LARGEST):
        raise ValueError(f"Expected a map with values of at most {LARGEST:g}, got {np.abs(values).max():g}.")
    steps = np.where(known, np.rint(values * STEPS), NONE).astype(np.int32).view(np.uint32)
    apart = np.diff(np.diff(steps, axis=0, prepend=np.uint32(0)), axis=1, prepend=np.uint32(0)).view(np.int32)
    if symmetric:
        apart = np.triu(apart)
    return np.stack([(_folded(apart) >> np.uint32(8 * plane)).astype(np.uint8) for plane in range(PLANES)])


def from_steps(planes: np.ndarray, *, symmetric: bool = False) -> np.ndarray:
    """The map that `in_steps` made, float64 (rows, columns); NaN for none. ValueError for another shape."""
    if planes.ndim != 3 or len(planes) != PLANES:
        raise ValueError(f"Expected a map in steps of shape ({PLANES}, rows, columns), got {planes.shape}.")
    folded = np.zeros(planes.shape[1:], np.uint32)
    for plane, values in enumerate(planes):
        folded |= values.astype(np.uint32) << np.uint32(8 * plane)
    apart = _unfolded(folded)
    if symmetric:
        apart = apart + np.triu(apart, 1).T
    steps = np.cumsum(np.cumsum(apart, axis=0, dtype=np.uint32), axis=1, dtype=np.uint32).view(np.int32)
    return np.where(steps == NONE, np.nan, steps / STEPS)


def in_bits(scores: np.ndarray) -> np.ndarray:
    """Scores by `SCORES`, float32: what is rounded off are zeros in the file, which take little room there."""
    part, exponent = np.frexp(scores.astype(np.float64))
    return np.ldexp(np.rint(part * (1 << SCORE_BITS)), exponent - SCORE_BITS).astype(np.float32)


def as_read(values: np.ndarray) -> np.ndarray:
    """The map that is read again where one is kept, given in 8 bits or as it is: float64 (rows, columns)."""
    return from_bytes(values) if values.dtype == np.uint8 else np.rint(values.astype(np.float64) * STEPS) / STEPS


def _folded(values: np.ndarray) -> np.ndarray:
    """0, -1, 1, -2, 2 … as 0, 1, 2, 3, 4 …: small numbers of either sign have high bytes of 0. int32 to uint32."""
    return ((values << 1) ^ (values >> 31)).view(np.uint32)


def _unfolded(values: np.ndarray) -> np.ndarray:
    return (values >> np.uint32(1)) ^ (np.uint32(0) - (values & np.uint32(1)))
