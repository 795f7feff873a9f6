"""Archives from anywhere: the one door for foreign files, which trusts no word of them.

What an archive says of itself (members, sizes, how much it unpacks to) is held against bounds before anything in it is
unpacked; nothing is unpickled, and no memory is allocated because a header says so. Whatever goes wrong while a foreign
file is read becomes one error, `NotReadable`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from cka_core.base import records
from cka_core.base.records import NotReadable as NotReadable  # the one error of all readers

LARGEST_DIRECTORY = 4 << 20
"""Bytes of an archive's table of contents: some 50,000 members. All of it is in memory once the archive is open."""
LONGEST_HEADER = 10_000
_REFUSED = "but it cannot be used: "
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z]\d{1,4})', 'fortran_order': (True|False), 'shape': \(([0-9L, ]*)\),? ?\}\s*"
)


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What an archive may be: members, bytes unpacked in all, and bytes unpacked for each of its own.

    ``ratio`` counts only beyond ``free`` bytes: a few equal numbers compress a thousandfold and harm nobody. A ratio of
    1 refuses compression altogether.
    """

    members: int = 16
    unpacked: int = 1 << 30
    ratio: float = 200
    free: int = 32 << 20


STORED = Bounds(members=50_000, unpacked=1 << 50, ratio=1, free=0)
"""Nothing compressed: it unpacks to no more than it is, however large that may be."""


@contextlib.contextmanager
def opened(file: str | os.PathLike[str] | IO[bytes], bounds: Bounds) -> Iterator[zipfile.ZipFile]:
    """An archive within its bounds, open for reading. Use it inside `reading`."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open(file, "rb")) if isinstance(file, str | os.PathLike) else file
        size = stream.seek(0, os.SEEK_END)
        _check_directory(stream, size)
        archive = stack.enter_context(zipfile.ZipFile(stream))
        _name_as_everywhere(archive)
        check_archive(archive, size, bounds)
        yield archive


def _name_as_everywhere(archive: zipfile.ZipFile) -> None:
    """Name the members as the format has it, with slashes: some programs on Windows write backslashes.

    A name that leads out of the archive does so with slashes too, and two that differ in nothing else become one name.
    """
    for member in archive.infolist():
        member.filename = member.filename.replace("\\", "/")
    archive.NameToInfo = {member.filename: member for member in archive.infolist()}


def check_archive(archive: zipfile.ZipFile, size: int, bounds: Bounds = STORED) -> None:
    """A ValueError unless an archive of ``size`` bytes is within its bounds, by what it says of itself.

    What a member says is all that is ever unpacked of it. Several that share their bytes are refused, too.
    """
    members = archive.infolist()
    if len(members) > bounds.members:
        raise ValueError(f"it has {len(members):,} members, at most {bounds.members:,} are read")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("two of its members have one name")
    allowed = (zipfile.ZIP_STORED,) if bounds.ratio <= 1 else (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if any(member.compress_type not in allowed or member.flag_bits & 1 for member in members):
        raise ValueError(
            "something in it is compressed or encrypted" if bounds.ratio <= 1 else
            "something in it is encrypted, or compressed in a way that is not read"
        )  # fmt: skip
    packed, unpacked = (sum(getattr(one, kind) for one in members) for kind in ("compress_size", "file_size"))
    if packed > size:
        raise ValueError(f"its members overlap: they say that they fill {packed:,} of its {size:,} bytes")
    if unpacked > bounds.unpacked:
        raise ValueError(f"it unpacks to {unpacked:,} bytes, at most {bounds.unpacked:,} are read")
    if unpacked > max(bounds.free, bounds.ratio * size):
        raise ValueError(f"it says that it unpacks to {unpacked:,} bytes, far more than its own {size:,}")


def _check_directory(stream: IO[bytes], size: int) -> None:
    """A ValueError for a table of contents too large to be read, whichever of the places it could stand in."""
    stream.seek(max(0, size - (1 << 16) - 200))
    tail = stream.read()
    found = [len(tail) - 22, tail.rfind(b"PK\5\6")]
    sizes = [struct.unpack_from("<I", tail, at + 12)[0] for at in found if 0 <= at <= len(tail) - 22
             and tail[at : at + 4] == b"PK\5\6"]  # fmt: skip
    sizes = [told for told in sizes if told != 0xFFFFFFFF]
    for at in found:
        locator = tail[at - 20 : at] if at >= 20 else b""
        if locator[:4] == b"PK\6\7":
            here = size - len(tail) + at - 76
            for place in (here, struct.unpack_from("<Q", locator, 8)[0]):
                if 0 <= place <= size - 56:
                    stream.seek(place)
                    sizes.append(struct.unpack_from("<Q", stream.read(56), 40)[0])
    if max(sizes, default=0) > LARGEST_DIRECTORY:
        raise ValueError(f"its table of contents has {max(sizes):,} bytes, at most {LARGEST_DIRECTORY:,} are read")
    stream.seek(0)


def array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of a member, of this dtype and shape or a ValueError, before any of it is unpacked but its header.

    ``shape`` None is one row of as many as there are. The array is read-only.
    """
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as content:
        got, fortran, kind = header(content)
        if shape is None and len(got) == 1:
            shape = got
        if kind != np.dtype(dtype) or got != shape:
            raise ValueError(f"expected {name} as {np.dtype(dtype)} {shape or '(n,)'}, got {kind} {got}")
        size = math.prod(got) * kind.itemsize
        if not 0 <= member.file_size - size <= LONGEST_HEADER + 12:
            raise ValueError(f"{name} says that it is {kind} {got}, but has {member.file_size:,} bytes")
        data = content.read()
    if len(data) != size:
        raise ValueError(f"expected {size:,} bytes of {name}, got {len(data):,}")
    values = np.frombuffer(data, kind)
    return values.reshape(got[::-1]).T if fortran else values.reshape(got)


def description(archive: zipfile.ZipFile) -> Any:
    """What an archive says of itself in JSON, its member ``about``; ValueError, unread, where that is too long."""
    size = archive.getinfo("about.npy").file_size
    if size > records.LARGEST:
        raise ValueError(f"it describes itself in {size:,} bytes, at most {records.LARGEST:,} are read")
    return records.parse(array(archive, "about", "|u1").tobytes())


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype of the array that begins here; the stream is at its bytes then.

    NumPy's own reader hands the header to Python's parser; this one knows the one form that NumPy writes.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError("something in it is no NumPy array")
    width = 2 if start[6:7] == b"\1" else 4
    length = int.from_bytes(stream.read(width), "little")
    text = stream.read(length) if length <= LONGEST_HEADER else b""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError(
            "an array in it holds Python objects: it is a pickle, and no pickle is read" if b"'|O'" in text else
            "an array in it does not say what it is"
        )  # fmt: skip
    sides = [side.strip(b" L") for side in found[3].split(b",")]
    if any(len(side) > 18 for side in sides):
        raise ValueError("an array in it says that it is larger than any file")
    return tuple(int(side) for side in sides if side), found[2] == b"True", np.dtype(found[1].decode())


def shapes(archive: zipfile.ZipFile) -> dict[str, tuple[int, ...]]:
    """The shape of every array, from their headers alone; ValueError where one does not say what it is."""
    found = {}
    for member in archive.infolist():
        with archive.open(member) as file:
            shape, _, kind = header(file)
        if kind.kind not in "fiu" or not 0 <= member.file_size - math.prod(shape) * kind.itemsize <= LONGEST_HEADER:
            raise ValueError(f"{member.filename} says that it is {kind} {shape}, in {member.file_size:,} bytes")
        found[member.filename.removesuffix(".npy")] = shape
    return found


def add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


@contextlib.contextmanager
def reading(what: str, name: str | Path = "") -> Iterator[None]:
    """Whatever goes wrong while a foreign file is read says that it is not ``what`` was expected, and why.

    Parsers raise what they like for what they were not made for: zlib.error, LZMAError, RuntimeError for an encrypted
    archive, RecursionError, TokenError, OverflowError, MemoryError. All of it becomes `NotReadable`; only that a file
    is missing, or may not be read, is no fault of what is in it.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, NotReadable):
        raise
    except Exception as error:
        where = f" in {name}" if str(name) else ""
        raise NotReadable(f"Expected {what}{where}, {_REFUSED}{_reason(error, name)}.") from error


def why(error: Exception) -> str:
    """What `reading` found wrong, without the sentence it says it in; any other error's own words."""
    return str(error).rpartition(_REFUSED)[2].rstrip(".")


def _reason(error: Exception, name: str | Path) -> str:
    if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
        ending = Path(name).suffix.lower()
        kind = ending if ending in (".keras", ".zip") else "npz"
        return f"it is no {kind} file, or a damaged one; copy it again"
    if isinstance(error, KeyError):
        return "CKA Explorer did not write it"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return str(error).rstrip(".") or type(error).__name__
