"""Files of named arrays from anywhere, read some rows at a time: .npz, .npy, zip or folder of .npy, .safetensors, .h5.

What a file is, its first bytes say, and its name has to agree. What it says of its arrays is held against bounds and
against its own size before any is read (`cka_core.base.npz`), nothing is unpickled, nothing is unpacked to disk, and no
array is ever whole in memory: what is not compressed is mapped, what is compressed is a stream that is read once.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from cka_core.base import foreign_hdf5, foreign_safetensors, npz
from cka_core.base.foreign_rows import IDS, LARGEST_IDS, NamedArrays, Rows, as_ids, check_form, mapped, text_ids
from cka_core.base.keys import leads_out

WHAT = "activations, an array (images, ...) for each layer,"
BOUNDS = npz.Bounds(members=20_100, unpacked=1 << 46, ratio=200)
ENDINGS = {
    ".npz": "zip", ".zip": "zip", ".npy": "npy", ".safetensors": "safetensors", ".h5": "HDF5", ".hdf5": "HDF5",
}  # fmt: skip
PACKED = (".keras", *(ending for ending in ENDINGS if ending != ".npy"))
"""Files that are brought in as they are, not in a zip."""
RECIPES = "docs/activations.md has ten lines for each framework that write such a file."
CHECKPOINT = (
    "it is a PyTorch checkpoint: a pickle, which can run code, of weights, which are not activations. Run the model "
    f"where it is and write what its layers put out as .npz or .safetensors. {RECIPES}"
)
PICKLE = (
    f"it is a pickle, which can run code and is never read here. Write the arrays as .npz or .safetensors. {RECIPES}"
)
PIECE = 1 << 22


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], file_name: str = "") -> Iterator[NamedArrays]:
    """The arrays in a file, or in a folder of ``.npy`` files, open while the context is.

    ``file_name`` is what the file is called in messages, and whose ending has to agree with what is in it.

    Raises
    ------
    npz.NotReadable
        For anything else, saying what it is where that can be told: a pickle, a checkpoint, a file of weights.
    FileNotFoundError
    """
    source = Path(path).expanduser()
    name = file_name or source.name
    with contextlib.ExitStack() as stack:
        with npz.reading(WHAT, name):
            found = _folder(source, name) if source.is_dir() else _file(source, name, stack)
            _check_rows(found)
        yield found


def kind_of(source: Path) -> str:
    """ "zip", "npy", "safetensors", "HDF5", "checkpoint" or "pickle", by the first bytes of a file; "" for others."""
    with open(source, "rb") as file:
        begins = file.read(16)
    if begins[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    if begins[:6] == b"\x93NUMPY":
        return "npy"
    if begins[:8] == b"\x89HDF\r\n\x1a\n":
        return "HDF5"
    if begins[8:9] == b"{" and int.from_bytes(begins[:8], "little") <= source.stat().st_size:
        return "safetensors"
    if begins[:2] in (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"):
        return "pickle"
    return ""


def _file(source: Path, name: str, stack: contextlib.ExitStack) -> NamedArrays:
    if source.is_symlink():
        raise ValueError("it is a symbolic link; give the file itself")
    kind, ending = kind_of(source), Path(name).suffix.lower()
    expected = ENDINGS.get(ending)
    if kind == "pickle":
        raise ValueError(PICKLE)
    if not source.stat().st_size:
        raise ValueError("there is nothing in it; copy it again")
    if not kind:
        forms = ", ".join(ENDINGS)
        raise ValueError(f"its first bytes are those of none of {forms}; copy it again, or write it as one of these")
    if expected is not None and expected != kind:
        raise ValueError(f"its name ends in {ending}, its first bytes are those of {_a(kind)}; call it what it is")
    if kind == "safetensors":
        return foreign_safetensors.read(source)
    if kind == "HDF5":
        return foreign_hdf5.read(source, stack)
    if kind == "npy":
        return NamedArrays({Path(name).stem: _npy(source, name)}, None)
    return _zip(source, stack)


def _a(kind: str) -> str:
    return f"{'an' if kind in ('npy', 'HDF5') else 'a'} {kind} file"


def _npy(source: Path, name: str) -> Rows:
    with open(source, "rb") as file:
        shape, fortran, dtype = npz.header(file)
        start = file.tell()
    check_form(name, shape, dtype)
    held, needed = source.stat().st_size - start, math.prod(shape) * dtype.itemsize
    if held != needed:
        raise ValueError(f"{name} says that it is {dtype} {shape}, which is {needed:,} bytes; it has {held:,}")
    return mapped(source, dtype, shape, start, fortran=fortran)


def _folder(source: Path, name: str) -> NamedArrays:
    arrays: dict[str, Rows] = {}
    ids = None
    for entry in sorted(source.rglob("*")):
        inside = entry.relative_to(source)
        if entry.is_symlink():
            raise ValueError(f"{inside} is a symbolic link; put the file itself there")
        if entry.is_dir() or _is_litter(inside.as_posix()):
            continue
        if inside.as_posix() == f"{IDS}.txt":
            ids = text_ids(entry.read_bytes() if entry.stat().st_size <= LARGEST_IDS else b"")
        elif entry.suffix != ".npy":
            raise ValueError(f"{inside} is no .npy file; a folder of arrays holds these, and {IDS}.txt")
        elif inside.as_posix() == f"{IDS}.npy":
            with open(entry, "rb") as file:
                ids = _ids_member(file, entry.stat().st_size)
        else:
            arrays[inside.with_suffix("").as_posix()] = _npy(entry, inside.as_posix())
        if len(arrays) > BOUNDS.members:
            raise ValueError(f"it has more than {BOUNDS.members:,} files")
    return NamedArrays(arrays, ids)


def _zip(source: Path, stack: contextlib.ExitStack) -> NamedArrays:
    archive = stack.enter_context(npz.opened(source, BOUNDS))
    arrays: dict[str, Rows] = {}
    ids = None
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_litter(member.filename)]
    if any(member.filename.endswith("data.pkl") for member in members):
        raise ValueError(CHECKPOINT)
    names = {member.filename for member in members}
    if {"config.json", "metadata.json"} <= names:
        raise ValueError("it is a network (.keras), not activations; call it by that ending")
    if {"config.json", "model.weights.h5"} <= {name.rpartition("/")[2] for name in names}:
        raise ValueError(
            "it is a network (.keras) that was unpacked. Zip its files themselves, not their folder, as .keras"
        )
    packed = next((name for name in sorted(names) if name.lower().endswith(PACKED)), None)
    if packed is not None:
        raise ValueError(f"it has {packed[:100]} in it. Unpack it, and bring in that file itself")
    for member in members:
        _check_member(member)
    root = _root([member.filename for member in members])
    for member in members:
        inside = member.filename[len(root) :]
        if inside in (f"{IDS}.txt", f"{IDS}.npy"):
            if member.file_size > LARGEST_IDS:
                raise ValueError(f"{inside} has {member.file_size:,} bytes, at most {LARGEST_IDS:,} are read")
            with archive.open(member) as file:
                ids = text_ids(file.read()) if inside.endswith(".txt") else _ids_member(file, member.file_size)
        elif inside.endswith(".npy"):
            arrays[inside.removesuffix(".npy")] = _member(source, archive, member, stack)
        else:
            raise ValueError(
                f"{inside[:100]} in it is no .npy file; activations are these, and {IDS}.txt, and nothing else. "
                "Pictures are brought in as .png or .jpg"
            )
    return NamedArrays(arrays, ids)


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if leads_out(name) or "\0" in member.orig_filename:
        raise ValueError(f"a member is called {name[:100]!r}, which leads out of the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{name[:100]} in it is a symbolic link; put the file itself there")


def _root(names: list[str]) -> str:
    """ "acts/" where everything lies in one folder of that name: a folder that was zipped."""
    first = {name.split("/")[0] for name in names}
    return f"{first.pop()}/" if len(first) == 1 and all("/" in name for name in names) else ""


def _is_litter(name: str) -> bool:
    """What file managers put beside one's own files."""
    last = name.rsplit("/", 1)[-1]
    return name.startswith("__MACOSX/") or last.startswith("._") or last in (".DS_Store", "Thumbs.db", "desktop.ini")


def _member(source: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, stack: contextlib.ExitStack) -> Rows:
    with archive.open(member) as file:
        shape, fortran, dtype = npz.header(file)
        start = file.tell()
    check_form(member.filename, shape, dtype)
    needed = math.prod(shape) * dtype.itemsize
    if member.file_size - start != needed:
        raise ValueError(
            f"{member.filename} says that it is {dtype} {shape}, which is {needed:,} bytes; it has "
            f"{member.file_size - start:,}"
        )
    if member.compress_type == zipfile.ZIP_STORED:
        at = _data_of(source, member)
        _check_sum(source, at, member)
        return mapped(source, dtype, shape, at + start, fortran=fortran)
    if fortran and len(shape) > 1:
        raise ValueError(
            f"{member.filename} is compressed, and its rows do not lie together (Fortran order): it would have to be "
            "whole in memory. Save np.ascontiguousarray(x), or with np.savez"
        )
    return Rows.streamed(_Stream(archive, member, start, stack), dtype, shape)


def _data_of(source: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of a member that is not compressed begin."""
    with open(source, "rb") as file:
        file.seek(member.header_offset)
        head = file.read(30)
    at = member.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    if len(head) < 30 or head[:4] != b"PK\3\4" or at + member.file_size > source.stat().st_size:
        raise ValueError(f"{member.filename} is not where the table of contents says; copy the file again")
    return at


def _check_sum(source: Path, at: int, member: zipfile.ZipInfo) -> None:
    """A mapped array is not checked as it is read: do it first, so that a damaged one never becomes a result."""
    found, left = 0, member.file_size
    with open(source, "rb") as file:
        file.seek(at)
        while left > 0 and (piece := file.read(min(PIECE, left))):
            found = zlib.crc32(piece, found)
            left -= len(piece)
    if found != member.CRC:
        raise ValueError(f"{member.filename} is damaged: its checksum is another; copy the file again")


class _Stream:
    """The bytes of a compressed member in their order; asked for what was read already, it begins again."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, start: int, stack: contextlib.ExitStack):
        self.archive, self.member, self.start = archive, member, start
        self.name = Path(str(archive.filename or "the file")).name
        self.file: IO[bytes] | None = None
        self.at = 0
        stack.callback(self.close)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def read(self, first: int, count: int) -> bytes:
        with npz.reading(WHAT, self.name):
            return self._read(first, count)

    def _read(self, first: int, count: int) -> bytes:
        if self.file is None or first < self.at:
            self.close()
            self.file, self.at = self.archive.open(self.member), -self.start
        while self.at < first:
            passed = len(self.file.read(min(PIECE, first - self.at)))
            if not passed:
                break
            self.at += passed
        data = self.file.read(count)
        self.at += len(data)
        if len(data) != count:
            raise ValueError(f"{self.member.filename} ends early; copy the file again")
        return data


def _ids_member(file: IO[bytes], size: int) -> tuple[str, ...]:
    shape, _, dtype = npz.header(file)
    length = math.prod(shape) * dtype.itemsize
    if len(shape) != 1 or dtype.kind not in "iuUS" or not 0 < length <= min(size, LARGEST_IDS):
        raise ValueError(f"{IDS} are {dtype} {shape}; expected one number or short text for each image")
    return as_ids(np.frombuffer(file.read(length), dtype))


def _check_rows(found: NamedArrays) -> None:
    """A ValueError unless there are arrays, all of one number of images, and as many ids for all of them if any."""
    if not found.arrays:
        raise ValueError(f"there is no array in it. {RECIPES}")
    inside = next((name for name in found.arrays if name.rpartition("/")[2] == IDS), None)
    if inside is not None:
        raise ValueError(f"{inside} lies in a folder or group; expected {IDS} at the top, one list for all layers")
    (first, rows), *others = found.arrays.items()
    for name, other in others:
        if other.shape[0] != rows.shape[0]:
            raise ValueError(
                f"its arrays are not of the same images: {first} has {rows.shape[0]:,}, {name} {other.shape[0]:,}. If "
                f"these are the weights of a network: activations are needed. {RECIPES}"
            )
    if found.ids is not None and len(found.ids) != rows.shape[0]:
        raise ValueError(f"it has {len(found.ids):,} {IDS} for {rows.shape[0]:,} images")


def ids_beside(source: Path) -> tuple[str, ...] | None:
    """The ids in ``acts.sample_ids.txt`` beside ``acts.npz``, one a line; None where there is no such file."""
    beside = source.with_name(f"{source.name.partition('.')[0]}.{IDS}.txt")
    return ids_in(beside) if not source.is_dir() and beside.is_file() else None


def ids_in(file: Path) -> tuple[str, ...]:
    """The ids in a text file, one a line; `npz.NotReadable` for anything else."""
    with npz.reading("a text file with the id of an image a line", file.name):
        if file.stat().st_size > LARGEST_IDS:
            raise ValueError(f"it has {file.stat().st_size:,} bytes, at most {LARGEST_IDS:,} are read")
        return text_ids(file.read_bytes())
