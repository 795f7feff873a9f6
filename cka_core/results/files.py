"""The file of a comparison: an npz of ``matrix`` and of ``about``, everything else as UTF-8 JSON; ``errors`` (float32),
``n_eff_a`` and ``n_eff_b`` where there are standard errors.

It is read from anywhere: bounded before it is unpacked, its types checked, nothing unpickled.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from cka_core.base import npz, records
from cka_core.results.schemas import ComparisonAbout

FORMAT = "cka-explorer comparison 1"
WHAT = "a saved comparison (.npz)"
LARGEST = 400 << 20
"""Bytes unpacked: 5,700 x 5,700 layers."""


def check_ending(path: str | os.PathLike[str]) -> None:
    """A ValueError for a path whose ending says another kind of file than `write` makes."""
    ending = Path(path).suffix.lower()
    if ending not in ("", ".npz") and not ending[1:].isdigit():  # "run-0.5" is a name
        raise ValueError(
            f"Expected a file ending in .npz, got {os.fspath(path)!r}: it holds a result for Comparison.load. "
            "The matrix as text is to_csv(), a figure is drawn by savefig, everything in one .zip by compare --bundle."
        )


def write(matrix: np.ndarray, about: Mapping[str, Any], errors: Mapping[str, np.ndarray]) -> bytes:
    """The file. The same result is the same bytes. ``about`` has the fields of `ComparisonAbout` but its format.

    ValueError for what `read` would refuse: whoever keeps a result has to have it again.
    """
    kept: dict[str, Any] = dict(errors)
    try:
        text = json.dumps({"format": FORMAT, **about}, allow_nan=False, separators=(",", ":")).encode()
        _checked(records.parse(text))
        _check_finite(matrix)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected a comparison that can be read again, got one that could be saved but not read: {error}. Names "
            f"are texts of at most {records.LONGEST_TEXT:,} letters, and provenance has plain Python values."
        ) from error
    buffer = io.BytesIO()
    np.savez_compressed(buffer, matrix=matrix, about=np.frombuffer(text, np.uint8), **kept)
    return buffer.getvalue()


def read(data: bytes) -> tuple[np.ndarray, ComparisonAbout, dict[str, np.ndarray]]:
    """Matrix, float64 (layers of A, layers of B), description, and the arrays of standard errors, if any.

    `npz.NotReadable` if it is anything else.
    """
    with npz.reading(WHAT), npz.opened(io.BytesIO(data), npz.Bounds(unpacked=LARGEST)) as archive:
        about = _checked(npz.description(archive))
        shape = len(about["layers_a"]), len(about["layers_b"])
        matrix = npz.array(archive, "matrix", "<f8", shape)
        _check_finite(matrix)
        forms = {"errors": shape, "n_eff_a": shape[:1], "n_eff_b": shape[1:]}
        there = [name for name in forms if f"{name}.npy" in archive.namelist()]
        errors = {name: npz.array(archive, name, "<f4", forms[name]) for name in there}
    return matrix, about, errors


def read_about(file: str | os.PathLike[str] | IO[bytes]) -> ComparisonAbout:
    """What a saved comparison says about itself, its matrix unread; `npz.NotReadable` if it is anything else."""
    with npz.reading(WHAT), npz.opened(file, npz.Bounds(unpacked=LARGEST)) as archive:
        return _checked(npz.description(archive))


def _checked(about: Any) -> ComparisonAbout:
    """What a comparison says of itself; ValueError, saying what is wrong, if it is anything else."""
    told = about.get("format") if isinstance(about, dict) else type(about).__name__
    if told != FORMAT:
        raise ValueError(f"its format is {told!r:.60}, expected {FORMAT!r}")
    mistake = records.wrong(about, ComparisonAbout)
    if mistake:
        raise ValueError(f"what it says of itself is wrong: {mistake}")
    for side in ("a", "b"):
        if len(about[f"reasons_{side}"]) != len(about[f"layers_{side}"]):
            raise ValueError(f"it has not as many reasons_{side} as layers_{side}")
    found: ComparisonAbout = about
    return found


def _check_finite(matrix: np.ndarray) -> None:
    if np.isinf(matrix).any():
        raise ValueError("its matrix has infinite values")
