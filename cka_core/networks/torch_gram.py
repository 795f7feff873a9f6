"""One layer's Gram matrix by PyTorch, where the activations live: only its triangle comes to the CPU.

The same matrix as `cka_core.measures.centring.gram` makes in numpy. A numpy product between two layers of a running
PyTorch model is two to three times slower than PyTorch's own: the thread pools of the two disturb each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.measures.centring import (
    EASY,
    OUTLIER,
    LayerGram,
    NonFiniteActivation,
    finished,
    mean_is_small,
    outlier_of,
    removal,
    seems_small,
    step_of,
    upper,
)

if TYPE_CHECKING:
    import torch

COPIED, COPIED_ON_CPU = 1 << 24, 1 << 21
"""Numbers of a layer that are copied at a time to remove their mean: 64 MB of float32; on a CPU 8 MB, which its caches
hold while they are multiplied strip by strip."""

BLOCKS = 4
"""A CPU multiplies the upper triangle in so many strips of rows: five eighths of the work of the whole product. Eight
have less of it and take as long."""


def torch_gram(x: torch.Tensor, layer: str = "layer", *, first: int = 0, out: np.ndarray | None = None) -> LayerGram:
    """The Gram matrix of one layer's activations on one minibatch, U-centred.

    Parameters
    ----------
    x : (m, ...) tensor of numbers on any device, one row an image
        float64 and integers of more than 16 bits are multiplied in float64 (not on MPS, which has none), any other type
        in float32, without TF32 and outside of autocast.
    layer, first : the layer's name and the position of the minibatch's first image, for messages
    out : float32 (m(m-1)/2,) to write the triangle to

    Raises
    ------
    NonFiniteActivation
        For the first image with an activation that is NaN or infinite.
    """
    import torch

    m = len(x)
    x = flat(x)
    with full_precision(x.device), np.errstate(all="ignore"):
        exponent = 0
        plain = _may_be_plain(x)
        k, shift = _plain_product(x) if plain else _product(x, None)
        if not EASY[0] <= float(k.diagonal().sum()) / m <= EASY[1]:
            exponent = _exponent(x, layer, first)
            x = torch.ldexp(_wide(x), torch.tensor(-exponent, device=x.device))
            plain = False
            k, shift = _product(x, None)
        sums = _sums(k)
        outlier = _outlier(k, *sums[:2])
        if outlier is None:
            made = _finished(k, *sums, None, shift, 2 * exponent, out)
            if not plain or mean_is_small(made, sums[1]):
                return made
        k, shift = _product(x, None if outlier is None else outlier[0])
        sums = _sums(k)
        return _finished(k, *sums, _outlier(k, *sums[:2]), shift, 2 * exponent, out)


def _finished(
    k: torch.Tensor,
    diagonal: np.ndarray,
    rows: np.ndarray,
    square: float,
    outlier: tuple[int, float] | None,
    shift: torch.Tensor,
    exponent: int,
    out: np.ndarray | None,
) -> LayerGram:
    """U-centre K (overwritten) and keep its triangle."""
    import torch

    m = len(k)
    triangle = np.empty(m * (m - 1) // 2, np.float32) if out is None else out
    remove = torch.from_numpy(removal(diagonal, rows)).to(k.device, k.dtype)
    k -= remove
    k -= remove[:, None]
    taken = k.to(torch.float32).view(-1).take(positions(m, k.device))
    torch.from_numpy(triangle).copy_(taken)
    return finished(triangle, diagonal, rows, square, m * float(shift), exponent, outlier)


def flat(x: torch.Tensor) -> torch.Tensor:
    """(m, features), without a copy where the memory allows: a Gram matrix does not see the order of the features."""
    if x.dim() == 1:
        return x[:, None]
    if x.is_contiguous():
        return x.flatten(1)
    order = sorted(range(1, x.dim()), key=lambda axis: -x.stride(axis))
    return x.permute(0, *order).reshape(len(x), -1)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.to(dtype_of(x))


def _product(x: torch.Tensor, without: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The upper triangle of K = Z Z' of the activations less their mean, zeros below it, and |mean|².

    Image ``without`` has no part in the mean.
    """
    import torch

    k = torch.empty((len(x), len(x)), dtype=dtype_of(x), device=x.device)
    shift_square = multiply_into(k, x, without)
    return k.triu_(), shift_square


def _may_be_plain(x: torch.Tensor) -> bool:
    """Whether X X' needs neither another type nor, by the look of a few images, a shift; on a CPU, where what is saved
    is a third of the time."""
    if x.device.type != "cpu" or x.dtype != dtype_of(x) or not x.is_contiguous():
        return False
    some = x[:: step_of(len(x))]
    return seems_small((some @ some.T).numpy())


def _plain_product(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`_product` without a shift."""
    import torch

    k = torch.empty((len(x), len(x)), dtype=x.dtype)
    _multiply(k, x, add=False)
    return k.triu_(), torch.zeros((), dtype=x.dtype)


def dtype_of(x: torch.Tensor) -> torch.dtype:
    """float64 for what float32 does not hold exactly, as `cka_core.measures.centring` has it."""
    import torch

    exact = x.device.type != "mps" and x.dtype in (torch.float64, torch.int32, torch.int64)
    return torch.float64 if exact else torch.float32


def multiply_into(k: torch.Tensor, x: torch.Tensor, without: int | None) -> torch.Tensor:
    """The upper triangle of `_product` into K, in which what is below it is of no use; returns |mean|²."""
    import torch

    m, features = x.shape
    width = min(features, max(1, (COPIED_ON_CPU if x.device.type == "cpu" else COPIED) // m))
    if width == features:
        return _multiply_part(k, x, without, None, add=False)
    scratch = torch.empty((m, width), dtype=k.dtype, device=x.device)
    shift_square = torch.zeros((), dtype=k.dtype, device=x.device)
    for start in range(0, features, width):
        shift_square += _multiply_part(k, x[:, start : start + width], without, scratch, add=start > 0)
    return shift_square


def _multiply_part(
    k: torch.Tensor, x: torch.Tensor, without: int | None, scratch: torch.Tensor | None, add: bool
) -> torch.Tensor:
    """`multiply_into` of some features, or added to K; what is copied is copied to ``scratch``."""
    import torch

    x = _wide(x)
    mean = x.mean(0)
    if without is not None:
        mean = (x[:without].sum(0) + x[without + 1 :].sum(0)) / (len(x) - 1)
    _multiply(k, torch.sub(x, mean, out=None if scratch is None else scratch[:, : x.shape[1]]), add)
    return torch.dot(mean, mean)


def _multiply(k: torch.Tensor, z: torch.Tensor, add: bool) -> None:
    """The upper triangle of Z Z' into K, or added to it; what is written below it is of no use."""
    if z.device.type != "cpu":
        k.addmm_(z, z.T, beta=1.0 if add else 0.0)
        return
    m = len(z)
    strip = -(-m // BLOCKS)
    for row in range(0, m, strip):
        k[row : row + strip, row:].addmm_(z[row : row + strip], z[row:].T, beta=1.0 if add else 0.0)


def _sums(k: torch.Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """Diagonal and row sums of the symmetric matrix with this upper triangle, float64 (m,), and its sum of squares."""
    import torch

    wide = torch.float32 if k.device.type == "mps" else torch.float64
    square = torch.dot(k.view(-1), k.view(-1)).to(wide)
    found = torch.cat([k.diagonal().to(wide), k.sum(1, dtype=wide), k.sum(0, dtype=wide), square[None]])
    return read(found.cpu().numpy().astype(np.float64))


def read(found: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """What `_sums` returns, of diagonal, sums to the right and down, (m,) each, and the square of a triangle."""
    diagonal, right, down = found[:-1].reshape(3, -1)
    return diagonal, right + down - diagonal, 2 * float(found[-1]) - float(diagonal @ diagonal)


def _outlier(k: torch.Tensor, diagonal: np.ndarray, rows: np.ndarray) -> tuple[int, float] | None:
    if not may_have_outlier(diagonal):
        return None
    row = int(diagonal.argmax())
    of_row = k[row] + k[:, row]
    of_row[row] -= k[row, row]
    return outlier_of(diagonal, rows, row, of_row.cpu().numpy())


def may_have_outlier(diagonal: np.ndarray) -> bool:
    """Whether it is worth a row of K to look."""
    m = len(diagonal)  # however far an outlier draws the mean, its square is this many times the typical one
    return bool(diagonal.max() > 0.1 / (OUTLIER**-2 + m**-2) * np.partition(diagonal, m // 2)[m // 2])


def _exponent(x: torch.Tensor, layer: str, first: int) -> int:
    """The power of two of the largest activation."""
    import torch

    finite = torch.isfinite(x).all(dim=1)
    if not bool(finite.all()):
        raise NonFiniteActivation(layer, first + int(finite.to(torch.uint8).argmin()))
    return int(np.frexp(float(x.abs().max()))[1])


def positions(m: int, device: torch.device) -> torch.Tensor:
    """Of the strict upper triangle, on the device."""
    import torch

    key = (m, str(device))
    if key not in _known:
        if len(_known) >= 4:
            _known.clear()
        _known[key] = torch.from_numpy(upper(m)).to(device)
    return _known[key]


_known: dict[tuple[int, str], Any] = {}


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No TF32 or bfloat16 inside products of float32, no autocast; the settings are put back afterwards."""
    import torch

    name: str = "fp32_precision"
    exact: Any = "ieee"
    loose: tuple[Any, ...] = ("tf32", "bf16")
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]
    if not hasattr(torch.backends.cuda.matmul, name):  # before 2.9; there, reading the older setting may raise
        name, exact, loose, backends = "allow_tf32", False, (True,), [torch.backends.cuda.matmul]
    changed = [(backend, getattr(backend, name)) for backend in backends if getattr(backend, name) in loose]
    for backend, _ in changed:
        setattr(backend, name, exact)
    try:
        if not torch.is_autocast_enabled(device.type):  # to enter it costs as much as a product of a small layer
            yield
            return
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, before in changed:
            setattr(backend, name, before)
