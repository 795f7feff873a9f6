"""Many layers against many layers: HSIC summed over minibatches, then CKA.

With v a layer's strict upper triangle of U(K~), HSIC1(K, L) = 2 <v, w> / (m(m-3)) (`kernels.hsic_unbiased`). So all
layers against all layers are one matrix product a minibatch, and the ratio is taken once, at the end: Nguyen et al.
2021, equation 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from cka_core.measures.grams import GramBatch, each_in_threads
from cka_core.measures.kernels import MIN_IMAGES, NO_VARIANCE, ONE_IMAGE
from cka_core.measures.warned import Warned

SLICE = 2048
"""Entries of the triangles brought to float64 at a time, to be multiplied and summed. A float32 product would cost a
third, but where many entries are equal, as when images fall into clusters, its roundings add up to 1e-5."""


def minibatches(n: int, size: int) -> list[slice]:
    """Cut ``n`` images into minibatches of ``size``; a remainder of fewer than 4 joins the minibatch before it."""
    if n < MIN_IMAGES:
        raise ValueError(f"Expected at least {MIN_IMAGES} images, got {n}.")
    if not isinstance(size, Integral):
        raise ValueError(f"Expected batch_size to be a whole number of images, got {size!r}.")
    if size < MIN_IMAGES:
        raise ValueError(f"Expected a batch_size of at least {MIN_IMAGES}, got {size}.")
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] < MIN_IMAGES:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n], strict=True)]


class HsicSums:
    """HSIC1 of every layer of A with every layer of B, summed over minibatches, each weighted by its number of images.

    Parameters
    ----------
    layers_a, layers_b : number of layers of the two networks
    """

    def __init__(self, layers_a: int, layers_b: int):
        self.images = 0
        self._cross = np.zeros((layers_a, layers_b))
        self._a, self._b = _Side(layers_a), _Side(layers_b)
        self._warned = Warned()

    def add(self, a: GramBatch, b: GramBatch) -> None:
        """Add one minibatch. For a network compared with itself pass the same object twice: the result is symmetric.

        Raises ValueError where the two are not of the same images or not of as many layers as before.
        """
        expected, got = self._cross.shape, (len(a.triangles), len(b.triangles))
        if got != expected:
            raise ValueError(
                f"Expected Gram matrices of {expected[0]} and {expected[1]} layers, got {got[0]} and {got[1]}."
            )
        check_same_images(a, b)
        add_part = self.start(a)
        add_part(b, range(len(b.triangles)))

    def start(self, a: GramBatch) -> Callable[[GramBatch, Sequence[int]], None]:
        """Begin a minibatch with all layers of A; the layers of B may follow in parts, so that they need not be kept.

        Returns a function to call with each part of B and the positions of its layers in B. Every layer of B has to
        come once before the next minibatch begins.
        """
        weight = 2 / (a.m - 3)
        relative_a, before_a = self._a.add(a, weight, range(len(a.triangles)))
        self._cross *= before_a[:, None]
        self.images += a.m
        self._warned.note(a, 0)

        def add_part(b: GramBatch, positions: Sequence[int]) -> None:
            check_same_images(a, b)
            product = products(a, b)
            relative_b, before_b = self._b.add(b, weight, positions)
            columns = np.asarray(positions, np.intp)
            self._cross[:, columns] *= before_b
            self._cross[:, columns] += weight * relative_a[:, None] * product * relative_b
            if b is not a:
                self._warned.note(b, 1)

        return add_part

    def merge(self, other: HsicSums) -> None:
        """Add the sums over other minibatches of the same layers. HSIC adds up, so the order makes no difference.

        Raises ValueError where the numbers of layers differ.
        """
        if other._cross.shape != self._cross.shape:
            raise ValueError(f"Expected sums of {self._cross.shape} layers, got {other._cross.shape}.")
        own_a, theirs_a = self._a.merge(other._a)
        own_b, theirs_b = self._b.merge(other._b)
        self._cross = own_a[:, None] * self._cross * own_b + theirs_a[:, None] * other._cross * theirs_b
        self.images += other.images
        self._warned.merge(other._warned)

    def matrix(self) -> np.ndarray:
        """CKA, float64 (layers of A, layers of B), not clamped; NaN for layers that have none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = self._cross / np.sqrt(np.multiply.outer(self._a.squares, self._b.squares))
        matrix[self._a.usable == 0] = np.nan
        matrix[:, self._b.usable == 0] = np.nan
        return matrix

    def units(self, a: GramBatch, b: GramBatch) -> tuple[np.ndarray, np.ndarray]:
        """What a minibatch's triangles are to be multiplied by, float64 one a layer, so that the map is the sum of
        2 <v, w> / (m-3): powers of two, divided by the root of the sum of HSIC1(K, K). 0 for a layer without CKA."""
        return self._a.units(a), self._b.units(b)

    @property
    def reasons_a(self) -> tuple[str | None, ...]:
        """Why a layer of A has no CKA: no minibatch of it was usable."""
        return self._a.reasons()

    @property
    def reasons_b(self) -> tuple[str | None, ...]:
        return self._b.reasons()

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `Warned.sentences`."""
        return self._warned.sentences()

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays to store; `from_state` goes on from there."""
        state = {"images": np.array(self.images), "cross": self._cross, **self._warned.state()}
        for name, side in (("a", self._a), ("b", self._b)):
            state |= {f"{field}_{name}": value for field, value in vars(side).items()}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> HsicSums:
        """Sums as `state` gave them."""
        sums = cls(*np.asarray(state["cross"]).shape)
        sums.images, sums._cross = int(state["images"]), np.array(state["cross"], np.float64)
        for name, side in (("a", sums._a), ("b", sums._b)):
            for field, value in vars(side).items():
                setattr(side, field, np.array(state[f"{field}_{name}"], value.dtype))
        sums._warned = Warned.from_state(state)
        return sums


def check_same_images(a: GramBatch, b: GramBatch) -> None:
    """ValueError unless both are of the same minibatch."""
    if (a.m, a.first) != (b.m, b.first):
        raise ValueError(
            f"Expected Gram matrices of the same images, got {a.m:,} images from image {a.first:,} on, "
            f"and {b.m:,} from image {b.first:,} on."
        )


def products(a: GramBatch, b: GramBatch) -> np.ndarray:
    """<v, w> of the triangles of every layer of A and of B, float64."""
    product = inner_products(a.triangles, b.triangles)
    if b is a:
        np.fill_diagonal(product, a.squares)
    return product


def summed(pairs: Iterable[tuple[GramBatch, GramBatch]]) -> HsicSums:
    """HSIC added up over minibatches, each a pair of both networks' Gram matrices; of one network the same one twice.

    ValueError where there are none.
    """
    sums: HsicSums | None = None
    for a, b in pairs:
        sums = HsicSums(len(a.triangles), len(b.triangles)) if sums is None else sums
        sums.add(a, b)
    if sums is None:
        raise ValueError("Expected at least one minibatch of Gram matrices, got none.")
    return sums


def inner_products(left: np.ndarray, right: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """Inner products of all rows of two arrays (rows, n), float64, multiplied in ``dtype``; a few entries at a time, so
    that few are held twice."""

    def one(start: int) -> np.ndarray:
        a: np.ndarray = left[:, start : start + SLICE].astype(dtype)
        b = a if right is left else right[:, start : start + SLICE].astype(dtype)
        return a @ b.T

    product = np.zeros((len(left), len(right)))
    for part in each_in_threads(one, range(0, left.shape[1], SLICE)):  # of 2,000 layers each is 32 MB
        product += part
    return product


class _Side:
    """One network: of each layer the sum of HSIC1(K, K), in units of 4**exponent, and the number of usable minibatches.

    A layer's exponent is the largest met so far. So minibatches keep their true weight against each other, however far
    apart their scales are, and nothing overflows.
    """

    def __init__(self, layers: int):
        self.squares = np.zeros(layers)
        self.exponents = np.full(layers, -(1 << 30), np.int64)
        self.usable = np.zeros(layers, np.int64)
        self.one_image = np.zeros(layers, bool)

    def add(self, batch: GramBatch, weight: float, positions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Add HSIC1(K, K) of the layers at ``positions``.

        Returns the factors of this minibatch's triangles and of what was summed before.
        """
        at = np.asarray(positions, np.intp)
        live = np.array([reason is None for reason in batch.reasons], bool)
        exponents = np.where(live, np.maximum(self.exponents[at], batch.exponents), self.exponents[at])
        before = np.ldexp(1.0, np.maximum(self.exponents[at] - exponents, -2000))
        relative = np.where(live, np.ldexp(1.0, np.clip(batch.exponents - exponents, -2000, 0)), 0.0)
        self.squares[at] = self.squares[at] * before**2 + weight * relative**2 * batch.squares
        self.exponents[at] = exponents
        self.usable[at] += live
        self.one_image[at] |= np.array([reason == ONE_IMAGE for reason in batch.reasons], bool)
        return relative, before

    def units(self, batch: GramBatch) -> np.ndarray:
        """See `HsicSums.units`."""
        live = (self.usable > 0) & np.array([reason is None for reason in batch.reasons], bool)
        relative = np.ldexp(1.0, np.clip(batch.exponents - self.exponents, -2000, 0))
        return np.where(live, relative / np.sqrt(np.where(live, self.squares, 1.0)), 0.0)

    def merge(self, other: _Side) -> tuple[np.ndarray, np.ndarray]:
        """Add another's sums. Returns the factors that bring either's cross sums to the common exponents."""
        exponents = np.maximum(self.exponents, other.exponents)
        own, theirs = (np.ldexp(1.0, np.maximum(side.exponents - exponents, -2000)) for side in (self, other))
        self.squares = self.squares * own**2 + other.squares * theirs**2
        self.exponents = exponents
        self.usable = self.usable + other.usable
        self.one_image = self.one_image | other.one_image
        return own, theirs

    def reasons(self) -> tuple[str | None, ...]:
        return tuple(
            None if usable else ONE_IMAGE if one_image else NO_VARIANCE
            for usable, one_image in zip(self.usable, self.one_image, strict=True)
        )
