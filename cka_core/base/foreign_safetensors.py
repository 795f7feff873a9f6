"""The arrays of a ``.safetensors`` file: eight bytes of length, a JSON header, then the numbers.

The format is read here rather than by its package, which knows no bfloat16 for NumPy, gives no bounds, and would be one
more thing to install for forty lines. Source: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.base import records
from cka_core.base.foreign_rows import BFLOAT16, IDS, NamedArrays, Rows, as_ids, check_form, mapped, text_ids

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "V2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read(source: Path) -> NamedArrays:
    """The arrays by name, mapped; ValueError for a header that does not describe exactly the bytes after it."""
    size = source.stat().st_size
    with open(source, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, records.LARGEST):
            raise ValueError(f"it says that its header has {length:,} bytes, of {size:,} in all")
        text = file.read(length)
    records.parse(text)  # its size, its depth, no NaN
    header = json.loads(text, object_pairs_hook=_once)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    about = header.pop("__metadata__", {})
    arrays: dict[str, Rows] = {}
    places: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(name, entry)
        check_form(name, shape, dtype)
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} says that it is {entry['dtype']} {shape}, in {end - begin:,} bytes")
        places.append((begin, end, name))
        arrays[name] = mapped(source, dtype, shape, 8 + length + begin)
    at = 0
    for begin, end, name in sorted(places):
        if begin != at:
            raise ValueError(f"{name} does not begin where the array before it ends")
        at = end
    if at != size - 8 - length:
        raise ValueError(f"its header describes {at:,} bytes, and {size - 8 - length:,} follow; copy it again")
    return NamedArrays(*_ids(arrays, about))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("two of its arrays have one name")
    return found


def _entry(name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    fields = entry if isinstance(entry, dict) else {}
    kind, shape, offsets = (fields.get(field) for field in ("dtype", "shape", "data_offsets"))
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2) or any(
        type(number) is not int or not 0 <= number < 1 << 62 for number in [*shape, *offsets]
    ):
        raise ValueError(f"{name[:100]} has no dtype, shape and data_offsets, whole numbers that are not negative")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ValueError(f"{name[:100]} is {str(kind)[:40]}; expected one of {', '.join(DTYPES)}")
    return BFLOAT16 if kind == "BF16" else np.dtype(DTYPES[kind]), tuple(shape), offsets[0], offsets[1]


def _ids(arrays: dict[str, Rows], about: Any) -> tuple[dict[str, Rows], tuple[str, ...] | None]:
    """Ids are an array of whole numbers, or text in the metadata: a JSON list, or one a line."""
    told = about.get(IDS) if isinstance(about, dict) else None
    if IDS in arrays:
        own = arrays.pop(IDS)
        if own.dtype.kind not in "iu" or len(own.shape) != 1:
            raise ValueError(f"{IDS} are {own.dtype} {own.shape}; expected one whole number for each image")
        return arrays, as_ids(own[:])
    if not isinstance(told, str):
        return arrays, None
    if not told.lstrip().startswith("["):
        return arrays, text_ids(told.encode())
    listed = records.parse(told.encode())
    if not all(isinstance(one, str | int) for one in listed):
        raise ValueError(f"{IDS} in its metadata are no list of numbers or texts")
    return arrays, as_ids(np.array([str(one) for one in listed]))
