"""Gram matrices of many layers on one minibatch, fast: what a network is to everything that compares it.

Of each layer only U(K~) is kept (`kernels.u_centre`), as its strict upper triangle in float32 and a power of two. Three
things make it quick and right:

- A shift close to each feature's mean is subtracted first, a few columns at a time. HSIC1 does not see any shift, since
  U-centring removes what is constant in a row or a column; float32 does, when the mean is large. So the shift need not
  be the mean itself, and a few dozen images are enough to find it.
- ``z @ z.T`` of one buffer is half the work of a general product: numpy calls BLAS' symmetric product.
- Layers are spread over the processor's cores, one BLAS thread each, which wastes less than one product on all cores.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import threading
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from cka_core.kernels import MIN_IMAGES, degenerate_reason

COLUMNS = 4096
"""Features at a time: few enough for the shifted copy to stay in the cache, enough to keep the product at full speed."""

SHIFT_IMAGES = 32
"""At least this many images, evenly spread over the minibatch, make the shift."""

EASY = (1e-15, 1e15)
"""Range of a mean squared norm in which float32 sums of squares of K neither overflow nor vanish."""

OUTLIER = 1e3
"""An image this many times larger than the typical one: float32 products of the others lose digits to it."""


class NonFiniteActivation(ValueError):
    """An activation is NaN or infinite. ``layer`` names the layer, ``image`` is the image's position in the sample."""

    def __init__(self, layer: str, image: int):
        super().__init__(
            f"Layer {layer!r} is not finite (NaN or infinity) for image {image}. Leave this layer out, or look for the "
            "cause: weights that diverged in training, or images that are not finite themselves."
        )
        self.layer = layer
        self.image = image


@dataclasses.dataclass(frozen=True, eq=False)
class LayerGram:
    """U(K~) of one layer and minibatch: 2**exponent times the symmetric matrix with this strict upper triangle.

    Attributes
    ----------
    triangle : float32 (m(m-1)/2,), row by row; all zeros where ``reason`` is given
    exponent : int
    square : sum of the squares of ``triangle``
    reason : why this minibatch of the layer says nothing (`kernels.degenerate_reason`), or None
    outlier : (row, times) of an image far larger than the typical one, or None
    """

    triangle: np.ndarray
    exponent: int
    square: float
    reason: str | None
    outlier: tuple[int, float] | None


def gram(x: Any, layer: str = "layer", *, first: int = 0, out: np.ndarray | None = None) -> LayerGram:
    """The Gram matrix of one layer's activations on one minibatch, U-centred.

    Parameters
    ----------
    x : (m, ...) array, one row an image
        float64 is multiplied in float64, any other type of number in float32.
    layer, first : the layer's name and the position of the minibatch's first image, for messages
    out : float32 (m(m-1)/2,) to write the triangle to

    Raises
    ------
    NonFiniteActivation
    ValueError
        For fewer than 4 images, or what is not an array of numbers.
    """
    x = _as_matrix(x, layer)
    with np.errstate(all="ignore"):
        k, shift_square = _product(x, _precision(x))
        exponent = 0
        if not EASY[0] <= float(np.trace(k)) / len(x) <= EASY[1]:
            x, exponent = _scaled(x, layer, first)
            k, shift_square = _product(x, x.dtype)
        rows = k.sum(axis=1, dtype=np.float64)
        outlier = _outlier(k, rows)
        if outlier is not None and k.dtype == np.float32:
            k, shift_square = _product(x, np.dtype(np.float64))
            rows = k.sum(axis=1)
            outlier = _outlier(k, rows)
        return _centred(k, rows, shift_square, exponent, outlier, out)


def _product(x: np.ndarray, dtype: np.dtype[Any]) -> tuple[np.ndarray, float]:
    """K = Z Z' of the shifted activations Z = X - 1s', and m|s|²."""
    m, features = x.shape
    some = x[:: max(1, m // SHIFT_IMAGES)]
    average = np.full((1, len(some)), 1 / len(some), dtype)
    steps = -(-features // COLUMNS)
    width = -(-features // steps)
    k = np.empty((m, m), dtype)
    part = np.empty((m, m), dtype) if steps > 1 else k
    scratch = _scratch(m * width, dtype)
    shift_square = 0.0
    for start in range(0, features, width):
        columns = slice(start, min(start + width, features))
        z = scratch[: m * (columns.stop - start)].reshape(m, -1)
        if x.dtype == dtype:
            shift = average @ some[:, columns]
            np.subtract(x[:, columns], shift, out=z)
        else:
            np.copyto(z, x[:, columns], casting="unsafe")
            shift = average @ z[:: max(1, m // SHIFT_IMAGES)]
            np.subtract(z, shift, out=z)
        shift_square += float(np.vdot(shift, shift))
        if start == 0:
            np.matmul(z, z.T, out=k)
        else:
            np.matmul(z, z.T, out=part)
            np.add(k, part, out=k)
    return k, m * shift_square


def _scaled(x: np.ndarray, layer: str, first: int) -> tuple[np.ndarray, int]:
    """Activations brought to about 1 by a power of two, and the exponent of its square."""
    x = x.astype(_precision(x), copy=False)
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise NonFiniteActivation(layer, first + int(finite.argmin()))
    exponent = int(np.frexp(np.abs(x).max())[1])
    return np.ldexp(x, -exponent), 2 * exponent


def _outlier(k: np.ndarray, rows: np.ndarray) -> tuple[int, float] | None:
    """The image furthest from the mean, if it is `OUTLIER` times further than the typical one."""
    m = len(k)
    squares = k.diagonal() - 2 / m * rows + rows.sum() / m**2
    row = int(squares.argmax())
    furthest, typical = float(squares[row]), float(np.partition(squares, m // 2)[m // 2])
    if furthest <= OUTLIER**2 * max(typical, 0.0):
        return None
    return row, math.sqrt(furthest / typical) if typical > 0 else math.inf


def _centred(
    k: np.ndarray,
    rows: np.ndarray,
    shift_square: float,
    exponent: int,
    outlier: tuple[int, float] | None,
    out: np.ndarray | None,
) -> LayerGram:
    """U-centre K (overwritten; ``rows`` are its sums), keep its triangle, and see whether there is anything in it."""
    m = len(k)
    diagonal = k.diagonal().astype(np.float64)
    trace, everything = float(diagonal.sum()), float(rows.sum())
    deviation_square = trace - everything / m
    total_square = float(np.vdot(k, k)) - 2 / m * float(rows @ rows) + (everything / m) ** 2

    off = rows - diagonal
    remove = (off / (m - 2) - off.sum() / (2 * (m - 1) * (m - 2))).astype(k.dtype)
    k -= remove
    k -= remove[:, None]
    triangle = np.empty(m * (m - 1) // 2, np.float32) if out is None else out
    if m <= LISTED:
        np.take(k.astype(np.float32, copy=False), _upper(m), out=triangle, mode="clip")
    else:
        start = 0
        for row in range(m - 1):
            triangle[start : start + m - 1 - row] = k[row, row + 1 :]
            start += m - 1 - row
    square = _square(triangle)
    reason = degenerate_reason(
        math.sqrt(max(deviation_square, 0.0)),
        math.sqrt(trace + shift_square),
        math.sqrt(2 * square),
        math.sqrt(max(total_square, 0.0)),
    )
    if reason is not None:
        triangle[:] = 0
        return LayerGram(triangle, 0, 0.0, reason, None)
    halved = math.frexp(square)[1] // 2
    if abs(halved) > 20:
        np.ldexp(triangle, -halved, out=triangle)
        exponent, square = exponent + halved, _square(triangle)
    return LayerGram(triangle, exponent, square, None, outlier)


LISTED = 1024
"""Up to this many images the positions of the triangle are kept in a list (4 MB), above rows are copied one by one."""


@lru_cache(maxsize=4)
def _upper(m: int) -> np.ndarray:
    """Positions of the strict upper triangle in the flattened (m, m) matrix."""
    return np.flatnonzero(np.triu(np.ones((m, m), bool), 1))


def _square(v: np.ndarray) -> float:
    """Sum of squares in float64."""
    total = 0.0
    for start in range(0, len(v), 1 << 16):
        part = v[start : start + (1 << 16)].astype(np.float64)
        total += float(np.dot(part, part))
    return total


_local = threading.local()


def _scratch(size: int, dtype: np.dtype[Any]) -> np.ndarray:
    """A buffer of this thread, used again for the next layer."""
    buffers = _local.__dict__.setdefault("buffers", {})
    if dtype not in buffers or buffers[dtype].size < size:
        buffers[dtype] = np.empty(size, dtype)
    return buffers[dtype]


def _precision(x: np.ndarray) -> np.dtype[Any]:
    return np.dtype(np.float64 if x.dtype.kind == "f" and x.dtype.itemsize >= 8 else np.float32)


def _as_matrix(x: Any, layer: str) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" and not x.dtype.name.startswith(("bfloat16", "float8")):
        raise ValueError(f"Layer {layer!r}: expected an array of numbers, got dtype {x.dtype}.")
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"Layer {layer!r}: expected (images, features...), got shape {x.shape}.")
    if len(x) < MIN_IMAGES:
        raise ValueError(f"Layer {layer!r}: expected at least {MIN_IMAGES} images in a minibatch, got {len(x)}.")
    return x.reshape(len(x), -1)


@dataclasses.dataclass(eq=False)
class GramBatch:
    """The Gram matrices of a network's layers on one minibatch of ``m`` images, the first of them image ``first``.

    ``triangles`` float32 (layers, m(m-1)/2), ``exponents`` int64, ``squares`` float64, ``reasons``, and ``outliers``
    hold the fields of `LayerGram`, one a layer.
    """

    names: tuple[str, ...]
    m: int
    first: int
    triangles: np.ndarray
    exponents: np.ndarray
    squares: np.ndarray
    reasons: list[str | None]
    outliers: list[tuple[int, float] | None]

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
        )

    def fill(self, arrays: Sequence[Any], start: int = 0) -> None:
        """Compute the Gram matrices of the layers from position ``start`` on, from their (m, ...) activations.

        Raises `NonFiniteActivation` for the first layer, in their order, that is not finite.
        """
        positions = range(start, start + len(arrays))
        arrays = [np.asarray(x) for x in arrays]
        for position, x in zip(positions, arrays, strict=True):
            if x.ndim and len(x) != self.m:
                raise ValueError(f"Layer {self.names[position]!r}: expected {self.m} images, got {len(x)}.")

        def one(position: int) -> ValueError | None:
            try:
                name, row = self.names[position], self.triangles[position]
                made = gram(arrays[position - start], name, first=self.first, out=row)
            except ValueError as error:
                return error
            self.exponents[position], self.squares[position] = made.exponent, made.square
            self.reasons[position], self.outliers[position] = made.reason, made.outlier
            return None

        # The largest first, so that the threads end together.
        order = sorted(positions, key=lambda position: -arrays[position - start].size)
        if _cores() == 1 or len(order) == 1:
            failures = dict(zip(order, map(one, order), strict=True))
        else:
            with _blas().limit(limits=1, user_api="blas"):
                failures = dict(zip(order, _threads(_cores()).map(one, order), strict=True))
        for position in positions:
            error = failures[position]
            if error is not None:
                raise error

    def repeat(self, position: int, source: int) -> None:
        """Give the layer at ``position`` the Gram matrix of the one at ``source``: their activations are the same."""
        self.triangles[position] = self.triangles[source]
        for field in (self.exponents, self.squares, self.reasons, self.outliers):
            field[position] = field[source]  # type: ignore[index]

    def warnings(self) -> list[str]:
        """One sentence for each image that is far larger than the others in some layer."""
        by_image: dict[int, list[tuple[float, str]]] = {}
        for name, outlier in zip(self.names, self.outliers, strict=True):
            if outlier is not None:
                by_image.setdefault(outlier[0], []).append((outlier[1], name))
        sentences = []
        for row, layers in sorted(by_image.items()):
            times, name = max(layers)
            others = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
            sentences.append(
                f"Image {self.first + row} is up to {times:,.0f} times larger than the typical one "
                f"(layer {name}{others}): it alone decides much of the similarity there."
            )
        return sentences

    def to_bytes(self) -> bytes:
        """An npz file, not compressed; `from_bytes` reads it."""
        about = json.dumps({"names": self.names, "m": self.m, "first": self.first, "reasons": self.reasons})
        buffer = io.BytesIO()
        np.savez(
            buffer,
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
                )
        except (ValueError, KeyError, TypeError, EOFError, OSError, MemoryError, zipfile.BadZipFile) as error:
            raise ValueError(f"Expected stored Gram matrices, got something else or a damaged file ({error}).") from error
        count = len(batch.names)
        expected = (count, batch.m * (batch.m - 1) // 2)
        sizes = {len(batch.exponents), len(batch.squares), len(batch.reasons), len(batch.outliers)}
        if batch.triangles.shape != expected or batch.triangles.dtype != np.float32 or sizes != {count}:
            raise ValueError(f"Expected stored Gram matrices of {expected}, got {batch.triangles.shape}.")
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


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="gram")


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
