"""What killed processes left behind: half-written files and working folders, removed by the next one that writes."""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

OLD = 3600.0
"""Seconds since a temporary file was last written to after which it is nobody's, if its process is gone."""
_TEMPORARY = re.compile(r".*\.tmp-(?:(\d+)-)?[0-9a-f]{8}")
_FOLDER = re.compile(r"(?:incoming|training-[0-9a-f]+)-(\d+)(?:-\w+)?")


def temporary(path: str) -> str:
    """A name beside a file under which it is written; it tells whose it is."""
    return f"{path}.tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def writing(temporary: str, remove: Callable[[str], None], needed: int | None = None) -> Iterator[None]:
    """Leave nothing half-written; note in an error of the disk the file and its size, which `full_disk` tells."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:
            error.filename, error.needed = error.filename or temporary, needed  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            remove(temporary)
        raise


@lru_cache(maxsize=100)
def sweep_once(root: str) -> None:
    """`sweep`, once a process."""
    removed = sweep(Path(root))
    if removed:
        log.info("Removed %d files that killed processes left half-written in %s.", len(removed), root)


def sweep(root: Path, older_than: float = OLD) -> list[Path]:
    """Remove from a store's folder what is old and whose process is gone; returns what that was."""
    found = []
    for folder, folders, files in os.walk(root):
        for name in files:
            match = _TEMPORARY.fullmatch(name)
            if match and _is_left(Path(folder, name), match[1], older_than):
                with contextlib.suppress(OSError):
                    os.unlink(Path(folder, name))
                    found.append(Path(folder, name))
        if Path(folder) == root / "scratch":
            for name in list(folders):
                match = _FOLDER.fullmatch(name)
                if match and _is_left(Path(folder, name), match[1], older_than):
                    folders.remove(name)
                    shutil.rmtree(Path(folder, name), ignore_errors=True)
                    found.append(Path(folder, name))
    return found


def sweep_beside(target: Path, older_than: float = OLD) -> None:
    """Remove what was written to become this file, and is old, and whose process is gone."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.tmp-*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and _is_left(path, match[1], older_than):
            with contextlib.suppress(OSError):
                path.unlink()


def _is_left(path: Path, process: str | None, older_than: float) -> bool:
    """Whether something is old, and of no process that is alive and was there when it was written."""
    import psutil

    try:
        changed = max(place.stat().st_mtime for place in (path, *(path.iterdir() if path.is_dir() else ())))
    except OSError:
        return False
    if time.time() - changed < older_than:
        return False
    if process is None:
        return True
    try:
        return bool(psutil.Process(int(process)).create_time() > changed)
    except (psutil.Error, OverflowError):
        return True
