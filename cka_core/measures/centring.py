"""One layer's activations on one minibatch, turned into their U-centred Gram matrix: the fast path of `kernels`.

U(K~) is kept as its strict upper triangle in float32 and a power of two. Two things make it quick and right:

- A shift close to each mean is subtracted first, a few columns at a time, unless the mean is small. HSIC1 sees
  no shift, since U-centring removes what is constant in a row or a column; float32 does, when the mean is large. So the
  shift need not be the mean itself, and a few dozen images are enough to find it; and a layer whose mean is small is
  multiplied as it is, which saves a copy.
- ``z @ z.T`` of one buffer is half the work of a general product: numpy calls BLAS' symmetric product.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from functools import lru_cache
from typing import Any

import numpy as np

from cka_core.measures.kernels import MIN_IMAGES, as_numbers, degenerate_reason

COLUMNS = 4096
"""Features at a time: few enough for the shifted copy to stay in the cache, enough for a product at full speed."""

SHIFT_IMAGES = 32
"""At least this many images, evenly spread over the minibatch, make the shift."""

SMALL_MEAN = 32.0
"""A mean is small if its square is at most this many times the typical entry of U(K~), off the diagonal. Of float32's
24 bits a product without a shift then keeps 19 in such an entry, less what its sums lose, which differs with BLAS."""

SEEMS_SMALL = 20.0
"""It is looked for by few images first, whose answer is rough: so many times, that the product is seldom made twice."""

LISTED = 1024
"""Up to this many images the positions of the triangle are kept in a list (4 MB), above rows are copied one by one."""

EASY = (1e-15, 1e15)
"""Range of a mean squared norm in which float32 sums of squares of K neither overflow nor vanish."""

UNSCALED = 20
"""A triangle whose norm lies within 2**-20 and 2**20 is kept as it is: its squares can be summed in float32's range."""

OUTLIER = 1e3
"""An image this many times further from the mean than the typical one is told."""


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
    norms : float64 (m,), squared norms of the images' mean-removed activations, in units of 2**exponent
        The diagonal of HKH, which U-centring leaves out; zeros where ``reason`` is given.
    """

    triangle: np.ndarray
    exponent: int
    square: float
    reason: str | None
    outlier: tuple[int, float] | None
    norms: np.ndarray


def gram(x: Any, layer: str = "layer", *, first: int = 0, out: np.ndarray | None = None) -> LayerGram:
    """The Gram matrix of one layer's activations on one minibatch, U-centred.

    Parameters
    ----------
    x : (m, ...) array, one row an image
        float64 and integers of more than 16 bits are multiplied in float64, any other type of number in float32.
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
        plain = _may_be_plain(x)
        k, shift_square = (x @ x.T, 0.0) if plain else _product(x, precision(x))
        exponent = 0
        if not EASY[0] <= float(np.trace(k)) / len(x) <= EASY[1]:
            x, exponent = _scaled(x, layer, first)
            plain = False
            k, shift_square = _product(x, x.dtype)
        rows = k.sum(axis=1, dtype=np.float64)
        outlier = _outlier(k, rows)
        in_shift = outlier is not None and outlier[0] % step_of(len(x)) == 0
        if not in_shift and not (plain and outlier is not None):
            made = _centred(k, rows, shift_square, exponent, outlier, out)
            if not plain or mean_is_small(made, rows):
                return made
        k, shift_square = _product(x, k.dtype, without=outlier[0] if outlier is not None and in_shift else None)
        rows = k.sum(axis=1, dtype=np.float64)
        return _centred(k, rows, shift_square, exponent, _outlier(k, rows), out)


def _may_be_plain(x: np.ndarray) -> bool:
    """Whether X X' needs neither another type nor, by the look of a few dozen images, a shift; K tells afterwards."""
    if x.dtype != precision(x) or not (x.flags.c_contiguous and x.flags.aligned):
        return False
    some = x[:: step_of(len(x))]
    return seems_small(some @ some.T)


def seems_small(k: np.ndarray) -> bool:
    """Whether a mean may be small, by the K = X X' of a few images, (images, images)."""
    k = k.astype(np.float64)
    mean, n = k.mean(), len(k)
    k += mean - k.mean(axis=0) - k.mean(axis=1)[:, None]
    off = float(np.vdot(k, k)) - float(np.square(k.diagonal()).sum())
    return bool(mean <= SEEMS_SMALL * math.sqrt(max(off, 0.0) / (n * (n - 1))))


def mean_is_small(made: LayerGram, rows: np.ndarray) -> bool:
    """Whether a Gram matrix made without a shift is as good as one made with it, by `SMALL_MEAN`.

    ``rows`` (m,) are the sums of K before it was U-centred.
    """
    entry = math.ldexp(math.sqrt(made.square / len(made.triangle)), made.exponent)
    return float(rows.sum()) / len(rows) ** 2 <= SMALL_MEAN * entry


def step_of(m: int) -> int:
    """Every how many images one makes the shift."""
    return max(1, m // SHIFT_IMAGES)


def _product(x: np.ndarray, dtype: np.dtype[Any], without: int | None = None) -> tuple[np.ndarray, float]:
    """K = Z Z' of the shifted activations Z = X - 1s', and m|s|². Image ``without`` has no part in the shift s."""
    m, features = x.shape
    step = step_of(m)
    some = x[::step]
    average = np.ones((1, len(some)), dtype)
    if without is not None:
        average[0, without // step] = 0
    average /= average.sum()
    width = -(-features // -(-features // COLUMNS))
    k = np.empty((m, m), dtype)
    part = np.empty((m, m), dtype) if width < features else k
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
            shift = average @ z[::step]
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
    x = x.astype(precision(x), copy=False)
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise NonFiniteActivation(layer, first + int(finite.argmin()))
    exponent = int(np.frexp(np.abs(x).max())[1])
    return np.ldexp(x, -exponent), 2 * exponent


def _outlier(k: np.ndarray, rows: np.ndarray) -> tuple[int, float] | None:
    squares = k.diagonal()
    row = int(squares.argmax())
    return outlier_of(squares, rows, row, k[row])


def outlier_of(squares: np.ndarray, rows: np.ndarray, row: int, of_row: np.ndarray) -> tuple[int, float] | None:
    """The image furthest from the mean of the others, if it is `OUTLIER` times further than the typical one.

    An outlier in the shift makes every other image lose digits, and one image is all it takes: with two of them, what
    they share decides the CKA and the others no longer count.

    ``squares`` (m,) is the diagonal of K and ``rows`` (m,) its row sums; ``row`` is where ``squares`` is largest, and
    ``of_row`` (m,) that row of K.
    """
    m = len(squares)
    others = rows - of_row
    distances = squares - 2 / (m - 1) * others + (rows.sum() - 2 * rows[row] + squares[row]) / (m - 1) ** 2
    furthest, typical = float(distances[row]), float(np.partition(distances, m // 2)[m // 2])
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
    square = float(np.vdot(k, k))
    remove = removal(diagonal, rows).astype(k.dtype)
    k -= remove
    k -= remove[:, None]
    triangle = np.empty(m * (m - 1) // 2, np.float32) if out is None else out
    if m <= LISTED:
        np.take(k.astype(np.float32, copy=False), upper(m), out=triangle, mode="clip")
    else:
        start = 0
        for row in range(m - 1):
            triangle[start : start + m - 1 - row] = k[row, row + 1 :]
            start += m - 1 - row
    return finished(triangle, diagonal, rows, square, shift_square, exponent, outlier)


def removal(diagonal: Any, rows: Any) -> Any:
    """What U-centring takes from each row of K and from each column; ``diagonal`` and row sums of K, float64 (..., m),
    arrays or tensors."""
    m = rows.shape[-1]
    off = rows - diagonal
    return off / (m - 2) - off.sum(axis=-1, keepdims=True) / (2 * (m - 1) * (m - 2))


def finished(
    triangle: np.ndarray,
    diagonal: np.ndarray,
    rows: np.ndarray,
    k_square: float,
    shift_square: float,
    exponent: int,
    outlier: tuple[int, float] | None,
    square: float | None = None,
) -> LayerGram:
    """See whether there is anything in a U-centred triangle (changed in place), and split off its power of two.

    ``diagonal`` and ``rows`` are those of K, ``k_square`` the sum of its squares, ``shift_square`` m times that of the
    shift that was removed from the activations, ``square`` the sum of the triangle's squares where it is known.
    """
    m = len(rows)
    trace, everything = float(diagonal.sum()), float(rows.sum())
    deviation_square = trace - everything / m
    total_square = k_square - 2 / m * float(rows @ rows) + (everything / m) ** 2
    square = _square(triangle) if square is None else square
    reason = degenerate_reason(
        math.sqrt(max(deviation_square, 0.0)),
        math.sqrt(trace + shift_square),
        math.sqrt(2 * square),
        math.sqrt(max(total_square, 0.0)),
    )
    if reason is not None:
        triangle[:] = 0
        return LayerGram(triangle, 0, 0.0, reason, None, np.zeros(m))
    norms = np.maximum(diagonal - 2 / m * rows + everything / m**2, 0.0)
    halved = math.frexp(square)[1] // 2
    if abs(halved) > UNSCALED:
        np.ldexp(triangle, -halved, out=triangle)
        exponent, square, norms = exponent + halved, _square(triangle), np.ldexp(norms, -halved)
    return LayerGram(triangle, exponent, square, None, outlier, norms)


@lru_cache(maxsize=4)
def upper(m: int) -> np.ndarray:
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


def precision(x: np.ndarray) -> np.dtype[Any]:
    """float64 for what float32 does not hold exactly: wider floats, and integers of more than 16 bits."""
    exact = {"f": 4, "i": 2, "u": 2}.get(x.dtype.kind, x.dtype.itemsize)
    return np.dtype(np.float64 if x.dtype.itemsize > exact else np.float32)


def _as_matrix(x: Any, layer: str) -> np.ndarray:
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(
            f"Layer {layer!r}: expected an array without a mask, got a numpy.ma array. What is under the mask is no "
            "activation: leave those images out of every layer, or fill it with x.filled(value)."
        )
    x = as_numbers(x, f"Layer {layer!r}: expected an array of numbers")
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"Layer {layer!r}: expected (images, features...), got shape {x.shape}. Leave this layer out.")
    if len(x) < MIN_IMAGES:
        raise ValueError(f"Layer {layer!r}: expected at least {MIN_IMAGES} images in a minibatch, got {len(x)}.")
    return x.reshape(len(x), -1)
