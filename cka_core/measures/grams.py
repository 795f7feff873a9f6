"""Gram matrices of many layers on one minibatch: what a network is to everything that compares it.

Layers are spread over the processor's cores, with one BLAS thread each: that wastes less than a product on all cores.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from cka_core.measures.centring import LayerGram, NonFiniteActivation, gram
from cka_core.measures.kernels import MIN_IMAGES

__all__ = ["GramBatch", "NonFiniteActivation", "grams"]

AT_ONCE = 256 << 20
"""Bytes of activations that `of_rows` takes into memory at a time, and at least one layer."""

NO_NORMS = (
    "They were written before version 0.3 and lack the squared norms of the images: unbiased CKA can be had of them, "
    "but no principal components, distances or other measures. Make them again from the network and its images."
)


@dataclasses.dataclass(eq=False)
class GramBatch:
    """The Gram matrices of a network's layers on one minibatch of ``m`` images, the first of them image ``first``.

    ``triangles`` float32 (layers, m(m-1)/2), ``exponents`` int64, ``squares`` float64, ``reasons``, and ``outliers``
    hold the fields of `LayerGram`, one a layer. So do ``norms``, float64 (layers, m): with the triangles they give the
    doubly centred matrix HKH back. Files written before version 0.3 have none; ``norms`` is then None, see `lacks`.
    """

    names: tuple[str, ...]
    m: int
    first: int
    triangles: np.ndarray
    exponents: np.ndarray
    squares: np.ndarray
    reasons: list[str | None]
    outliers: list[tuple[int, float] | None]
    norms: np.ndarray | None = None

    @property
    def lacks(self) -> str | None:
        """What these Gram matrices do not have, and so cannot be asked for; None if they have everything."""
        return NO_NORMS if self.norms is None else None

    @classmethod
    def empty(cls, names: Sequence[str], m: int, first: int = 0) -> GramBatch:
        """Room for the layers ``names``, to be filled by `fill`."""
        if m < MIN_IMAGES:
            raise ValueError(f"Expected at least {MIN_IMAGES} images in a minibatch, got {m}.")
        count = len(names)
        return cls(
            names=tuple(names),
            m=m,
            first=first,
            triangles=np.empty((count, m * (m - 1) // 2), np.float32),
            exponents=np.zeros(count, np.int64),
            squares=np.zeros(count),
            reasons=[None] * count,
            outliers=[None] * count,
            norms=np.zeros((count, m)),
        )

    def fill(self, arrays: Sequence[Any], positions: Sequence[int] | None = None) -> None:
        """Compute the Gram matrices of the layers at ``positions`` (None: all) from their (m, ...) activations.

        Raises `NonFiniteActivation` for the first of them, in the order given, that is not finite.
        """
        arrays = [np.asanyarray(x) for x in arrays]  # `gram` refuses a mask
        positions = range(len(self.names)) if positions is None else positions
        for position, x in zip(positions, arrays, strict=True):
            if x.ndim and len(x) != self.m:
                raise ValueError(
                    f"Layer {self.names[position]!r}: expected {self.m} images, got {len(x)}. Leave out a layer whose "
                    "first axis is not that of the images (layers=…)."
                )

        def one(index: int) -> ValueError | None:
            position = positions[index]
            try:
                made = gram(arrays[index], self.names[position], first=self.first, out=self.triangles[position])
            except ValueError as error:
                return error
            self.put(position, made)
            return None

        # The largest first, so that the threads end together.
        order = sorted(range(len(arrays)), key=lambda index: -arrays[index].size)
        failures = dict(zip(order, in_threads(one, order), strict=True))
        for index in sorted(failures):
            error = failures[index]
            if error is not None:
                raise error

    def put(self, position: int, made: LayerGram) -> None:
        """Enter a Gram matrix whose triangle was written into its row of ``triangles`` already."""
        self.exponents[position], self.squares[position] = made.exponent, made.square
        self.reasons[position], self.outliers[position] = made.reason, made.outlier
        if self.norms is not None:
            self.norms[position] = made.norms

    def repeat(self, position: int, source: int) -> None:
        """Give the layer at ``position`` the Gram matrix of the one at ``source``: their activations are the same."""
        self.triangles[position] = self.triangles[source]
        self.exponents[position], self.squares[position] = self.exponents[source], self.squares[source]
        self.reasons[position], self.outliers[position] = self.reasons[source], self.outliers[source]
        if self.norms is not None:
            self.norms[position] = self.norms[source]

    def extended(self, rows: Sequence[int], names: Sequence[str]) -> GramBatch:
        """This batch and, after it, some of its rows again under other names; itself if there are none."""
        if not rows:
            return self
        both = self.select([*range(len(self.names)), *rows])
        both.names = (*self.names, *names)
        return both

    def select(self, rows: Sequence[int]) -> GramBatch:
        """Only the layers at these positions, in this order."""
        order = list(rows)
        return dataclasses.replace(
            self,
            names=tuple(self.names[row] for row in order),
            triangles=self.triangles[order],
            exponents=self.exponents[order],
            squares=self.squares[order],
            reasons=[self.reasons[row] for row in order],
            outliers=[self.outliers[row] for row in order],
            norms=None if self.norms is None else self.norms[order],
        )

    def to_bytes(self) -> bytes:
        """An npz file, not compressed; `from_bytes` reads it."""
        about = json.dumps({"names": self.names, "m": self.m, "first": self.first, "reasons": self.reasons})
        buffer = io.BytesIO()
        norms: dict[str, Any] = {} if self.norms is None else {"norms": self.norms}
        np.savez(
            buffer,
            **norms,
            about=np.frombuffer(about.encode(), np.uint8),
            triangles=self.triangles,
            exponents=self.exponents,
            squares=self.squares,
            outliers=np.array([outlier or (-1, 0.0) for outlier in self.outliers]).reshape(-1, 2),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> GramBatch:
        """Read what `to_bytes` wrote; ValueError for anything else. Nothing is unpickled."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                outliers = [(int(row), float(times)) if row >= 0 else None for row, times in arrays["outliers"]]
                batch = cls(
                    names=tuple(about["names"]),
                    m=int(about["m"]),
                    first=int(about["first"]),
                    triangles=arrays["triangles"],
                    exponents=arrays["exponents"],
                    squares=arrays["squares"],
                    reasons=list(about["reasons"]),
                    outliers=outliers,
                    norms=arrays["norms"] if "norms" in arrays.files else None,
                )
        except (ValueError, KeyError, TypeError, EOFError, OSError, MemoryError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Expected stored Gram matrices, got something else or a damaged file ({error})."
            ) from error
        count = len(batch.names)
        expected = (count, batch.m * (batch.m - 1) // 2)
        sizes = {len(batch.exponents), len(batch.squares), len(batch.reasons), len(batch.outliers)}
        if batch.triangles.shape != expected or batch.triangles.dtype != np.float32 or sizes != {count}:
            raise ValueError(f"Expected stored Gram matrices of {expected}, got {batch.triangles.shape}.")
        if batch.norms is not None and (batch.norms.shape != (count, batch.m) or batch.norms.dtype != np.float64):
            raise ValueError(f"Expected the norms of {count} layers and {batch.m} images, got {batch.norms.shape}.")
        return batch


def grams(arrays: Sequence[Any], names: Sequence[str] | None = None, *, first: int = 0) -> GramBatch:
    """The Gram matrices of several layers' activations, each (m, ...), of the same m images.

    ``names`` default to "0", "1", …; ``first`` is the position of the first image, for messages. See `GramBatch.fill`.
    """
    if not len(arrays):
        raise ValueError("Expected the activations of at least one layer, got none.")
    batch = GramBatch.empty(names if names is not None else [str(i) for i in range(len(arrays))], len(arrays[0]), first)
    batch.fill(arrays)
    return batch


def of_rows(
    arrays: Mapping[str, Any], rows: slice, take: Callable[[Any, slice], Any] = lambda array, rows: array[rows]
) -> GramBatch:
    """The Gram matrices of some rows of arrays (n, ...), which may lie in files: some at a time come into memory.

    ``take`` gives the rows of an array.
    """
    batch = GramBatch.empty(tuple(arrays), rows.stop - rows.start, rows.start)
    held: dict[int, Any] = {}
    size = 0
    for position, array in enumerate(arrays.values()):
        held[position] = take(array, rows)
        size += 0 if isinstance(held[position], np.memmap) else np.asanyarray(held[position]).nbytes
        if size > AT_ONCE or position == len(arrays) - 1:
            batch.fill(list(held.values()), list(held))
            held, size = {}, 0
    return batch


def in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """``function`` of each item, spread over the processor's cores, with one BLAS thread each.

    BLAS' own threads are not used: between two products they wait by spinning, and take time from TensorFlow's.
    """
    return list(each_in_threads(function, items))


def each_in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`in_threads`, one result after the other: those that were taken are not held."""
    with one_blas_thread():
        yield from _threads(_cores()).map(function, items)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="gram")


def one_blas_thread() -> Any:
    """A context in which BLAS has one thread, for code that runs between two layers of another framework."""
    return _blas("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas")


@lru_cache(maxsize=2)
def _blas(scipy: bool) -> ThreadpoolController:
    """All BLAS libraries loaded so far: SciPy brings one of its own."""
    return ThreadpoolController()
