"""What the best match of each layer reaches by chance, beside a comparison: kept in the store, or bundled."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any

import numpy as np

from cka_core.base import npz, shipped
from cka_core.base.keys import key_of
from cka_core.base.store import Store
from cka_core.measures.chance import DRAWS, BestMatchChance
from cka_core.results.spec import MEASURE, CompareSpec

KIND = "nulls"
ARRAYS = ("mean", "high", "mean_b", "high_b")
LIMIT = 16 << 20
"""Bytes that such a file may unpack to."""


@dataclasses.dataclass(frozen=True)
class BestMatchSpec:
    """By chance, with ``draws`` permutations, of a comparison by unbiased CKA in one pass."""

    of: CompareSpec
    draws: int = DRAWS

    def __post_init__(self) -> None:
        if self.of.measure != MEASURE or self.of.passes > 1 or self.of.without:
            raise ValueError("The best match by chance is known of unbiased CKA in one pass over the images only.")

    @property
    def key(self) -> str:
        return key_of({"best match by chance": self.of.key, "draws": self.draws})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BestMatchSpec:
        """The one whose ``dataclasses.asdict`` is ``values``."""
        return cls(CompareSpec.from_json(values["of"]), int(values["draws"]))


def to_bytes(found: BestMatchChance) -> bytes:
    """An npz file of it; `from_bytes` reads it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        npz.add(archive, "draws", np.array([found.draws], "<i8"))
        for name in ARRAYS:
            npz.add(archive, name, np.asarray(getattr(found, name), "<f8"))
    return buffer.getvalue()


def from_bytes(data: bytes) -> BestMatchChance:
    """Read what `to_bytes` wrote; `npz.NotReadable`, a ValueError, for anything else. Nothing is unpickled."""
    with npz.reading("the best match by chance"), npz.opened(io.BytesIO(data), npz.Bounds(unpacked=LIMIT)) as archive:
        values = [npz.array(archive, name, "<f8") for name in ARRAYS]
        if len(values[0]) != len(values[1]) or len(values[2]) != len(values[3]):
            raise ValueError("its arrays are of different numbers of layers")
        draws = int(npz.array(archive, "draws", "<i8", (1,))[0])
    return BestMatchChance(values[0], values[1], values[2], values[3], draws)


def find(spec: BestMatchSpec, store: Store) -> BestMatchChance | None:
    """What is kept or bundled of it, or of the networks swapped; None if nothing is."""
    swapped = dataclasses.replace(spec, of=spec.of.swapped())
    for one in (spec, swapped):
        found = _read(one.key, store)
        if found is not None:
            return (
                found
                if one is spec
                else BestMatchChance(found.mean_b, found.high_b, found.mean, found.high, found.draws)
            )
    return None


def _read(key: str, store: Store) -> BestMatchChance | None:
    bundled = shipped.NULLS / f"{key}.npz"
    data = bundled.read_bytes() if bundled.is_file() else store.get(KIND, key)
    if data is None:
        return None
    try:
        return from_bytes(data)
    except ValueError as error:
        store.set_aside_object(KIND, key, str(error))
        return None


def keep(spec: BestMatchSpec, found: BestMatchChance, store: Store) -> None:
    """Into the store."""
    store.put(KIND, spec.key, to_bytes(found))
