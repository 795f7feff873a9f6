"""Arrays of a foreign file, some rows at a time, and the ids of their rows."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

IDS = "sample_ids"
LARGEST_IDS = 64 << 20
LONGEST_ID = 1000
LARGEST_SIDE = 1 << 48
AT_ONCE = 1 << 30
"""Bytes of one layer and minibatch that are taken into memory where the file cannot be mapped."""
BFLOAT16 = np.dtype("V2")
"""How NumPy writes bfloat16, which it does not know: two bytes without a meaning."""


class Bytes(Protocol):
    """Something that gives bytes in order."""

    def read(self, first: int, count: int) -> bytes: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """A named array of a file: ``rows[a:b]`` is a numpy array of these rows, and the rest stays where it is.

    bfloat16 is given as float32, which holds each of its values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    take: Callable[[int, int], np.ndarray]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"Expected rows that follow each other, got a step of {step}.")
        return self.take(start, max(start, stop))

    def __len__(self) -> int:
        return self.shape[0]

    @classmethod
    def streamed(cls, stream: Bytes, dtype: np.dtype, shape: tuple[int, ...]) -> Rows:
        width = math.prod(shape[1:]) * dtype.itemsize

        def take(start: int, stop: int) -> np.ndarray:
            check_at_once((stop - start) * width)
            data = stream.read(start * width, (stop - start) * width)
            return numbers(np.frombuffer(data, dtype).reshape(stop - start, *shape[1:]))

        return cls(shape, np.dtype(np.float32) if dtype == BFLOAT16 else dtype, take)


@dataclasses.dataclass(frozen=True, eq=False)
class NamedArrays:
    """What a file holds: arrays by name, in its order, and the ids of their rows, None where it has none."""

    arrays: dict[str, Rows]
    ids: tuple[str, ...] | None


def mapped(
    source: str | os.PathLike[str], dtype: np.dtype, shape: tuple[int, ...], start: int, *, fortran: bool = False
) -> Rows:
    """An array that lies in a file as it is, mapped: the system reads what is touched, and lets go of it."""

    def take(first: int, last: int) -> np.ndarray:
        # Mapped anew each time: what a minibatch touched does not stay with this process.
        whole = np.memmap(source, dtype, "r", start, shape, "F" if fortran else "C")
        return numbers(whole[first:last])

    return Rows(shape, np.dtype(np.float32) if dtype == BFLOAT16 else dtype, take)


def check_form(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A ValueError unless it is an array of numbers with a row for each image."""
    if dtype != BFLOAT16 and (dtype.kind not in "fiub" or dtype.itemsize > 8):
        raise ValueError(
            f"{name} is {dtype}; expected float16, bfloat16, float32, float64 or whole numbers. "
            "Leave it out of the file if it is no layer"
        )
    if not shape or 0 in shape or max(shape) > LARGEST_SIDE or min(shape) < 0:
        raise ValueError(
            f"{name} has the shape {shape}; expected (images, features...). Leave it out of the file if it is no layer"
        )


def check_at_once(size: int) -> None:
    if size > AT_ONCE:
        raise ValueError(
            f"one layer of one minibatch has {size:,} bytes and is compressed, at most {AT_ONCE:,} are taken into "
            "memory. Save it with np.savez, which does not compress, or take smaller minibatches"
        )


def numbers(x: np.ndarray) -> np.ndarray:
    """An array as numpy counts it: bfloat16 becomes float32, truths and other byte orders what they mean."""
    if x.dtype == BFLOAT16:
        return (np.ascontiguousarray(x).view("<u2").astype("<u4") << 16).view(np.float32)
    if x.dtype.kind == "b":
        return (x.view(np.uint8) != 0).astype(np.uint8)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def as_ids(values: Any) -> tuple[str, ...]:
    """Ids of images as texts: each is a number or a text, and no two are the same."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuUSO":
        raise ValueError(f"{IDS} are {array.dtype} {array.shape}; expected one number or short text for each image")
    ids = []
    for value in array.tolist():
        text = value.decode("utf-8", "strict") if isinstance(value, bytes) else str(value)
        if len(text) > LONGEST_ID:
            raise ValueError(f"one of the {IDS} has {len(text):,} letters, at most {LONGEST_ID:,} are read")
        ids.append(text)
    seen: set[str] = set()
    for text in ids:
        if text in seen:
            raise ValueError(f"two rows have the id {text[:60]!r} in {IDS}; each image has its own")
        seen.add(text)
    return tuple(ids)


def text_ids(data: bytes) -> tuple[str, ...]:
    """Ids in a text file, one a line, in UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"its {IDS} are no text in UTF-8") from error
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or not all(lines):
        raise ValueError(f"its {IDS} have {'an empty line' if lines else 'no line'}; expected one id a line")
    return as_ids(np.array(lines))
