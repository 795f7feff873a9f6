"""npz files from anywhere, read without trusting a word of them.

Nothing is unpickled, nothing decompressed, and no memory allocated because a header says so: what is read is at most as
large as the file.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np


class NotReadable(ValueError):
    """The file is not what was expected, or is damaged; the message says what is wrong with it."""


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Nothing in it may unpack to more than it is: neither compressed members nor several that share their bytes."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise ValueError("something in it is compressed or encrypted")
    if sum(member.file_size for member in members) > size:
        raise ValueError(f"it says that it unpacks to more than its {size:,} bytes")


def array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of a member, of this dtype and shape or a ValueError. Nothing is allocated on the member's word."""
    data = archive.read(f"{name}.npy")
    stream = io.BytesIO(data)
    got, fortran, kind = header(stream)
    expected = (len(data) - stream.tell(),) if shape is None else shape
    if kind != np.dtype(dtype) or tuple(got) != expected or (fortran and len(expected) > 1):
        raise ValueError(f"expected {name} as {np.dtype(dtype)} {expected}, got {kind} {tuple(got)}")
    return np.frombuffer(data, kind, offset=stream.tell()).reshape(expected)


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype of the array that begins here; the stream is at its bytes then."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)


def shapes(archive: zipfile.ZipFile) -> dict[str, tuple[int, ...]]:
    """The shape of every array, from their headers alone."""
    found = {}
    for entry in archive.namelist():
        with archive.open(entry) as file:
            found[entry.removesuffix(".npy")] = header(file)[0]
    return found


def add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


@contextlib.contextmanager
def reading(what: str, name: str) -> Iterator[None]:
    """Whatever goes wrong while a file is read says that it is not ``what`` was expected, and why."""
    try:
        yield
    except (FileNotFoundError, NotReadable):
        raise
    except Exception as error:  # whatever a crafted header makes the parsers raise, SyntaxError and the like included
        if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
            why = "it is no npz file, or not all of one; copy it again"
        elif isinstance(error, KeyError):
            why = "CKA Explorer did not write it"
        else:
            why = str(error).rstrip(".") or type(error).__name__
        raise NotReadable(f"Expected {what} (.npz) in {name}, got something else or a damaged file: {why}.") from error
