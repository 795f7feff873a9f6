"""CIFAR-10 in a file from elsewhere: an npz, or the official binary archive; bounded, read to its last checksum.

Nothing in it is unpickled or unpacked to disk, and all of it takes less than 1.5 GB of memory.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from cka_core.base import npz

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x_train, y_train, x_test, y_test."""

OFFICIAL_BYTES = 170_052_171
OFFICIAL_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
"""Of cifar-10-binary.tar.gz as its author gives it out, https://www.cs.toronto.edu/~kriz/cifar.html."""

MOST_IMAGES = 60_000
"""In a split; CIFAR-10 has 50,000 and 10,000."""
ROW = 1 + 32 * 32 * 3
BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
NAMES = ("x_train", "y_train", "x_test", "y_test")
BOUNDS = npz.Bounds(members=64, unpacked=2 * MOST_IMAGES * (ROW + 16), ratio=50)
WHAT = "an npz with x_train, y_train, x_test, y_test, or the official cifar-10-binary.tar.gz"
AGAIN = "Fetch it again."


def read(source: Path) -> Arrays:
    """Pixels and classes of both splits; `npz.NotReadable` for anything else."""
    if zipfile.is_zipfile(source):
        with npz.reading(WHAT, source.name):
            return _npz(source)
    with open(source, "rb") as file:
        begins = file.read(512)
    if begins[:2] != b"\x1f\x8b" and begins[257:262] != b"ustar":
        raise npz.NotReadable(f"Expected {WHAT}, got {source.name}, which is neither a zip nor a tar file.")
    if os.path.getsize(source) == OFFICIAL_BYTES and not is_official(source):
        raise npz.NotReadable(
            f"{source.name} has as many bytes as the official archive, and is not the same: its SHA-256 is another. "
            f"{AGAIN}"
        )
    with npz.reading(WHAT, source.name):
        return _binary_archive(source)


def is_official(source: Path) -> bool:
    """Whether a file is the official archive, byte for byte."""
    sha = hashlib.sha256()
    with open(source, "rb") as file:
        while piece := file.read(1 << 22):
            sha.update(piece)
    return sha.hexdigest() == OFFICIAL_SHA256


def _npz(source: Path) -> Arrays:
    with npz.opened(source, BOUNDS) as archive:
        missing = [name for name in NAMES if f"{name}.npy" not in archive.namelist()]
        if missing:
            raise ValueError(f"expected {', '.join(NAMES)}; {', '.join(missing)} missing")
        forms = {}
        for name in NAMES:
            with archive.open(f"{name}.npy") as member:
                forms[name] = npz.header(member)
        for split in ("train", "test"):
            (shape, _, kind), (classes, _, whole) = forms[f"x_{split}"], forms[f"y_{split}"]
            if kind != np.uint8 or len(shape) != 4 or shape[1:] != (32, 32, 3):
                raise ValueError(f"expected x_{split} as uint8 (n, 32, 32, 3), got {kind} {shape}")
            if not 1 <= shape[0] <= MOST_IMAGES:
                raise ValueError(f"expected 1 to {MOST_IMAGES:,} images in x_{split}, got {shape[0]:,}")
            if classes not in ((shape[0],), (shape[0], 1)) or whole.kind not in "iu":
                raise ValueError(f"expected {shape[0]:,} whole numbers in y_{split}, got {whole} {classes}")
        read = (npz.array(archive, name, forms[name][2].str, forms[name][0]) for name in NAMES)
        return tuple(read)  # type: ignore[return-value]


def _binary_archive(source: Path) -> Arrays:
    """Rows of 1 class byte and 3,072 pixel bytes (red, green, blue planes), 10,000 rows a file."""
    rows: dict[str, np.ndarray] = {}
    with open(source, "rb") as packed:
        unpacked = _Unpacked(packed) if packed.read(2) == b"\x1f\x8b" else packed
        packed.seek(0)
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:  # type: ignore[call-overload]
            for count, member in enumerate(archive):
                name = member.name.rsplit("/", 1)[-1]
                if count > 64:
                    raise ValueError("it has more than 64 members")
                if name in BATCHES and member.isfile():
                    if member.size == 0 or member.size % ROW or member.size > MOST_IMAGES * ROW:
                        raise ValueError(
                            f"{name} has {member.size:,} bytes, expected a multiple of {ROW:,} and at most "
                            f"{MOST_IMAGES * ROW:,}"
                        )
                    file = archive.extractfile(member)
                    data = file.read() if file is not None else b""
                    if len(data) != member.size:
                        raise EOFError
                    rows[name] = np.frombuffer(data, np.uint8).reshape(-1, ROW)
        if isinstance(unpacked, _Unpacked):
            unpacked.to_the_end()
    missing = [name for name in BATCHES if name not in rows]
    if missing:
        raise ValueError(f"expected the files of the binary version of CIFAR-10; {', '.join(missing)} missing")
    if sum(len(rows[name]) for name in BATCHES[:5]) > MOST_IMAGES:
        raise ValueError(f"it has more than {MOST_IMAGES:,} training images")
    train = [rows.pop(name) for name in BATCHES[:5]]
    test = rows.pop(BATCHES[5])
    x_train = np.concatenate([_pixels(block) for block in train])
    return x_train, np.concatenate([block[:, 0] for block in train]), _pixels(test), test[:, 0].copy()


def _pixels(block: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(block[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _Unpacked:
    """A gzip file as it is unpacked, at most so much of it, with the checksum at its end read and compared."""

    most = 4 * MOST_IMAGES * ROW

    def __init__(self, packed: IO[bytes]):
        self.packed, self.done, self.rest = packed, 0, b""
        self.unpacker = zlib.decompressobj(wbits=31)  # which compares the checksum

    def read(self, count: int) -> bytes:
        parts = []
        while count > 0 and not self.unpacker.eof:
            if not self.rest:
                self.rest = self.packed.read(1 << 20)
                if not self.rest:
                    raise EOFError
            part = self.unpacker.decompress(self.rest, count)
            self.rest = self.unpacker.unconsumed_tail
            parts.append(part)
            count -= len(part)
            self.done += len(part)
            if self.done > self.most:
                raise ValueError(f"it unpacks to more than {self.most:,} bytes")
        return b"".join(parts)

    def to_the_end(self) -> None:
        """Read what follows the last member, up to the checksum."""
        while self.read(1 << 20):
            pass
        if not self.unpacker.eof:
            raise EOFError
