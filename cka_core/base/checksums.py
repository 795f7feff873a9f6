"""The checksum in the name of a stored file."""

from __future__ import annotations

import hashlib
from functools import lru_cache

CHECKSUM_LENGTH = 16
HEX = frozenset("0123456789abcdef")


@lru_cache(maxsize=4000)
def file_checksum(path: str, size: int, changed: int) -> str:
    """Of a local file; read once for a size and a time of change."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 22):
            sha.update(piece)
    return sha.hexdigest()[:CHECKSUM_LENGTH]


def checksum_in(path: str) -> str | None:
    """The checksum in a file name ``key.checksum.suffix``; None if the name has no such form, as that of a record."""
    parts = path.rsplit("/", 1)[-1].rsplit(".", 2)
    if len(parts) == 3 and len(parts[1]) == CHECKSUM_LENGTH and parts[2] != "json" and set(parts[1]) <= HEX:
        return parts[1]
    return None
