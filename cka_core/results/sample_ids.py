"""The ids of images that arrays carry: row i of two networks' activations has to be one image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.base.foreign_rows import IDS, as_ids

__all__ = ["IDS", "check_same", "digest_of", "of"]


def of(values: Any, n: int, whose: str) -> tuple[str, ...]:
    """Ids as texts, one for each of ``n`` images; ValueError where there are as many as not, or one comes twice."""
    ids = as_ids(np.asarray(values))
    if len(ids) != n:
        raise ValueError(f"Expected {n:,} {IDS} of {whose}, one an image, got {len(ids):,}.")
    return ids


def digest_of(ids: Sequence[str]) -> str:
    """SHA-256 (32 hex digits) of ids in their order."""
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()[:32]


def check_same(a: Sequence[str], b: Sequence[str]) -> None:
    """A ValueError, naming the first row that differs, unless both are the same images in the same order."""
    if list(a) == list(b):
        return
    row = next((i for i, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
    told = [repr(side[row]) if row < len(side) else "no row" for side in (a, b)]
    order = " The same ids are in both, in another order: sort one of them." if sorted(a) == sorted(b) else ""
    raise ValueError(f"Expected activations of the same images, got row {row:,} of {told[0]} and of {told[1]}.{order}")
