"""What a measure of similarity is here: words about it, and a function of two batches of Gram matrices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import check_same_images
from cka_core.measures.kernels import NO_VARIANCE, ONE_IMAGE, is_number
from cka_core.measures.matrices import doubly_centred, live
from cka_core.measures.warned import Warned

MOST_PAIRS = 4000
"""Pairs of layers of a measure that decomposes a matrix a pair: about a minute at 256 images."""

Pairs = Callable[[GramBatch, GramBatch], np.ndarray]
"""Two batches of one minibatch -> float64 (layers_a, layers_b); what a layer without variance gets is not looked at."""

NOT_DEFINED = "not defined"

NO_INTERVAL = (
    "no closed form leaves one image out of it, and the bootstrap is no way either: an image drawn twice is its own "
    "neighbour"
)


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measure of similarity of two layers, from their Gram matrices on the same images.

    Attributes
    ----------
    name, title : in code and command lines; on the screen
    invariant : what may be done to a layer without changing it, in one line
    range : the values it can take
    chance : its level where nothing is shared, in one line
    minibatches : what cutting the images into minibatches does to it
    source : where it comes from
    pairs : all layers of A against all of B on one minibatch (`Pairs`); values are averaged over minibatches
    expected : its mean when one network's images are permuted, exactly, like ``pairs``; None where no formula is known
    symmetric : whether A against B is B against A
    no_interval : why it has no interval, as the second half of a sentence; "" where it has
    residual_only : whether it is too slow for every pair of layers (`MOST_PAIRS`), and is for residual outputs
    undefined : why a layer that has variance may have none of it, with any layer or with itself
    """

    name: str
    title: str
    invariant: str
    range: str
    chance: str
    minibatches: str
    source: str
    pairs: Pairs
    expected: Pairs | None = None
    symmetric: bool = True
    no_interval: str = NO_INTERVAL
    residual_only: bool = False
    undefined: str = NOT_DEFINED


class MeasureMeans:
    """A measure of every layer of A with every layer of B, averaged over minibatches, each weighted by its images.

    Minibatches in which a layer says nothing are left out of its mean, as with `hsic.HsicSums`, whose methods it has.
    """

    def __init__(self, measure: Measure, layers_a: int, layers_b: int):
        if measure.residual_only and layers_a * layers_b > MOST_PAIRS:
            raise ValueError(
                f"{measure.title} decomposes a matrix a pair: expected at most {MOST_PAIRS:,} pairs of layers, got "
                f'{layers_a} × {layers_b}. Choose some, such as the residual outputs: layers=["Add"], --layers Add.'
            )
        self.measure, self.images = measure, 0
        self._sum, self._weight = np.zeros((layers_a, layers_b)), np.zeros((layers_a, layers_b))
        self._seen: tuple[list[str | None], list[str | None]] = ([NO_VARIANCE] * layers_a, [NO_VARIANCE] * layers_b)
        self._warned = Warned()

    def add(self, a: GramBatch, b: GramBatch) -> None:
        """Add one minibatch. For a network compared with itself pass the same object twice."""
        check_same_images(a, b)
        values = np.array(self.measure.pairs(a, b), np.float64)
        if values.shape != self._sum.shape:
            raise ValueError(
                f"Expected {self.measure.title} to give {self._sum.shape} values, layers of A by layers of B, "
                f"got {values.shape}."
            )
        alive = np.logical_and.outer(live(a), live(b)) & np.isfinite(values)
        self._sum += np.where(alive, a.m * values, 0.0)
        self._weight += np.where(alive, a.m, 0)
        self.images += a.m
        for known, batch, found in zip(self._seen, (a, b), (alive.any(axis=1), alive.any(axis=0)), strict=True):
            for layer, reason in enumerate(batch.reasons):
                if reason is None and not found[layer]:
                    reason = self._undefined(batch, layer)
                known[layer] = _told(known[layer], reason)
        for side, batch in enumerate((a,) if b is a else (a, b)):
            self._warned.note(batch, side)

    def merge(self, other: MeasureMeans) -> None:
        """Add the values of other minibatches of the same layers, by the same measure."""
        if other._sum.shape != self._sum.shape:
            raise ValueError(f"Expected values of {self._sum.shape} layers, got {other._sum.shape}.")
        self._sum += other._sum
        self._weight += other._weight
        self.images += other.images
        self._warned.merge(other._warned)
        for known, more in zip(self._seen, other._seen, strict=True):
            known[:] = [_told(one, two) for one, two in zip(known, more, strict=True)]

    def matrix(self) -> np.ndarray:
        """float64 (layers of A, layers of B), NaN where a layer has none."""
        return np.divide(self._sum, self._weight, out=np.full(self._sum.shape, np.nan), where=self._weight > 0)

    @property
    def reasons_a(self) -> tuple[str | None, ...]:
        """Why a layer of A has no value: no minibatch of it was usable. None where another layer says it."""
        return self._reasons(0, self._weight.max(axis=1) > 0)

    @property
    def reasons_b(self) -> tuple[str | None, ...]:
        return self._reasons(1, self._weight.max(axis=0) > 0)

    def _reasons(self, side: int, some: np.ndarray) -> tuple[str | None, ...]:
        unexplained = NOT_DEFINED if None in self._seen[1 - side] else None
        return tuple(
            reason or (None if found else unexplained) for reason, found in zip(self._seen[side], some, strict=True)
        )

    def _undefined(self, batch: GramBatch, layer: int) -> str | None:
        """Why a layer that varies has no value with any other: None where it has one with itself."""
        alone = batch.select([layer])
        return None if np.isfinite(self.measure.pairs(alone, alone)).all() else self.measure.undefined

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._warned.sentences()


def _told(one: str | None, two: str | None) -> str | None:
    """Why a layer has no value by two minibatches: None if one of them is usable, else what says most."""
    if one is None or two is None:
        return None
    return max(one, two, key=lambda reason: (reason != NO_VARIANCE) + (reason not in (NO_VARIANCE, ONE_IMAGE)))


def own_measure(function: Callable[..., Any]) -> Measure:
    """A `Measure` from a function of two stacks of matrices HKH, float64 (layers_a, m, m) and (layers_b, m, m).

    It is called once a minibatch, with the layers that vary in it, in their own units, the same stack twice for a
    network compared with itself, and returns (layers_a, layers_b) numbers.
    """
    name = getattr(function, "__name__", type(function).__name__)

    def pairs(a: GramBatch, b: GramBatch) -> np.ndarray:
        matrix = np.full((len(a.triangles), len(b.triangles)), np.nan)
        rows, columns = np.flatnonzero(live(a)), np.flatnonzero(live(b))
        if rows.size and columns.size:
            stack = _in_units(a, rows)
            values = np.asarray(function(stack, stack if b is a else _in_units(b, columns)))
            if values.shape != (len(rows), len(columns)):
                raise ValueError(
                    f"Expected {name} to return {(len(rows), len(columns))} values, layers of A by layers of B, "
                    f"got shape {values.shape}."
                )
            if not is_number(values.dtype):
                raise ValueError(
                    f"Expected {name} to return real numbers, got {values.flat[0]!r:.40} among them. Return an array "
                    "of floats."
                )
            matrix[np.ix_(rows, columns)] = values
        return matrix

    return Measure(
        name=name,
        title=name,
        invariant="not known: a function of your own",
        range="not known",
        chance="not known: permute the images of one network to see it",
        minibatches="its values are averaged over minibatches",
        source="a function of your own",
        pairs=pairs,
        symmetric=False,
        no_interval="nothing is known of a function of your own",
    )


def _in_units(batch: GramBatch, layers: np.ndarray) -> np.ndarray:
    stack = doubly_centred(batch, layers.tolist())
    return np.ldexp(stack, batch.exponents[layers][:, None, None])
