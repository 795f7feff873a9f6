"""What a comparison adds up, minibatch by minibatch: HSIC for CKA, means of another measure; then standard errors."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cka_core.base.store import Store
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import HsicSums
from cka_core.measures.jackknife import Jackknife, jackknife
from cka_core.measures.measure import Measure, MeasureMeans
from cka_core.measures.registry import STORED
from cka_core.networks.layers import Layer

HELD = 512 << 20
"""Bytes of Gram matrices that are held in memory until the standard errors are known, for which they are read twice."""

SAVE_SUMS_EVERY = 30.0
"""Seconds between two savings of the sums of a comparison whose Gram matrices are not kept."""

RESIDUAL = "Add"
"""The kind of layer that a residual output is."""


def start(measure: Measure, layers_a: int, layers_b: int) -> HsicSums | MeasureMeans:
    """The sums of CKA, or the means of another measure, of so many layers."""
    return HsicSums(layers_a, layers_b) if is_cka(measure) else MeasureMeans(measure, layers_a, layers_b)


def is_cka(measure: Measure) -> bool:
    """Whether it has sums over minibatches, and so an interval."""
    return not measure.no_interval


def patterns(
    measure: Measure, chosen: Sequence[str] | None, layers_a: Sequence[Layer], layers_b: Sequence[Layer]
) -> Sequence[str] | None:
    """The layers to compare: as chosen; of a measure for residual outputs, these, where both networks have any."""
    if chosen is None and measure.residual_only:
        if all(any(layer.kind == RESIDUAL for layer in layers) for layers in (layers_a, layers_b)):
            return [RESIDUAL]
    return chosen


def words(measure: Measure) -> dict[str, Any]:
    """What a provenance says of a measure: its name, and of one that is not symmetric which side comes first."""
    name = {"measure": STORED.get(measure.name, measure.name)}
    return name if measure.symmetric else {**name, "of": "rows"}


class Held:
    """The minibatches a map was made of, as far as they fit into `HELD`, for its standard errors."""

    def __init__(self, sums: HsicSums | MeasureMeans):
        self.sums, self.size = sums, 0
        self.batches: list[tuple[GramBatch, GramBatch]] | None = [] if isinstance(sums, HsicSums) else None

    def add(self, a: GramBatch, b: GramBatch) -> None:
        if self.batches is None:
            return
        self.size += a.triangles.nbytes + (0 if b is a else b.triangles.nbytes)
        if self.batches and self.size > HELD:
            self.batches = None
        else:
            self.batches.append((a, b))

    def jackknife(self, again: Callable[[], Iterable[tuple[GramBatch, GramBatch]]] | None = None) -> Jackknife | None:
        """The standard errors of the map; None of another measure.

        Minibatches that did not fit are read ``again``; where that cannot be there are none.
        """
        if not isinstance(self.sums, HsicSums):
            return None
        batches = self.batches if self.batches is not None else again() if again is not None else None
        return None if batches is None else jackknife(batches, self.sums)


class PartialSums:
    """The sums of a comparison too large for the store's budget, saved now and then so that it can go on."""

    def __init__(self, key: str, store: Store):
        self.key, self.store = key, store
        self.saved = time.monotonic()

    def load(self) -> tuple[int, HsicSums] | None:
        data = self.store.get("partial", self.key)
        if data is None:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
        return int(state.pop("next_minibatch")), HsicSums.from_state(state)

    def save(self, next_minibatch: int, sums: HsicSums) -> None:
        if time.monotonic() - self.saved < SAVE_SUMS_EVERY:
            return
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"next_minibatch": next_minibatch, **sums.state()}
        np.savez(buffer, **arrays)
        kept = self.store.put("partial", self.key, buffer.getvalue())
        self.forget(but=kept)
        self.saved = time.monotonic()

    def forget(self, but: str = "") -> None:
        for entry in self.store.entries("partial"):
            if entry.key == self.key and entry.path != but:
                self.store.remove(entry.path)
