"""A file is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cka_core.base import leftovers


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside a file the user named; moved there at the end, removed if anything went wrong.

    What a link leads to is written, and the link stays. What killed processes left half-written of the same file goes,
    too. An error of a disk names the file; a folder is refused before anything is made.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "It is a folder; name a file, which may be in it", os.fspath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    leftovers.sweep_beside(target)
    temporary = Path(leftovers.temporary(str(target.with_name(f".{target.name}"))))
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is not None:
            error.filename = error.filename or str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file the user named: to a temporary name beside it, then moved. Folders are made as needed."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return Path(path).expanduser()
