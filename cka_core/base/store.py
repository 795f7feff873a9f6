"""Finished work on disk: content-addressed, checksummed, written in one piece or not at all.

An object is one file, ``<kind>/<key>.<sha256>.<suffix>``. The key says what was asked for (the hash of a spec), the
checksum in the name says what the bytes must be, so that a file cut short or altered is noticed when it is read: it is
set aside under ``damaged/``, reported, and the caller computes it again. Small mutable records (the state of a job)
are JSON files, replaced in one step.

The root is a folder or any fsspec URL that all machines of a cluster share.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import platformdirs

from cka_core.base import deployment, leftovers
from cka_core.base.checksums import CHECKSUM_LENGTH, checksum_in, file_checksum

log = logging.getLogger(__name__)

GRAM_BUDGET = 4_000_000_000
"""Bytes of Gram matrices kept in a store; the environment variable CKA_GRAM_BUDGET changes it."""


def gram_budget() -> int:
    """Bytes, as `GRAM_BUDGET`; ValueError where the variable holds no whole number."""
    given = os.environ.get("CKA_GRAM_BUDGET", str(GRAM_BUDGET))
    if not given.strip().isdecimal():
        raise ValueError(
            f"Expected CKA_GRAM_BUDGET to be a whole number of bytes, such as {GRAM_BUDGET}, got {given!r}."
        )
    return int(given)


def default_root() -> str:
    """Where results live: ``CKA_STORE`` if set, else the user's cache folder."""
    return os.environ.get("CKA_STORE") or str(Path(platformdirs.user_cache_dir("cka-explorer")))


def nearest_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of this path, or the first above it that is there."""
    place = Path(path)
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return place


@dataclasses.dataclass(frozen=True)
class Entry:
    """One stored object. ``size`` in bytes, ``used`` in seconds since 1970."""

    kind: str
    key: str
    path: str
    size: int
    used: float


class Store:
    """Objects and records under one root.

    Parameters
    ----------
    root : str or None
        A folder or fsspec URL; None means `default_root()`. It is created when first written to. ValueError for a URL
        that nothing here reads, and for no word at all.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None):
        self.root = os.fspath(root) if root is not None else default_root()
        if not self.root.strip():  # which would be the folder that one happens to be in
            raise ValueError(f"Expected a folder or a URL for the store, got {self.root!r}. Name one, or leave it out.")
        try:
            self.fs, self._base = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError, OSError) as error:
            raise ValueError(f"The store {self.root} cannot be opened: {error}. Or name a folder.") from error
        self._base = self._base.rstrip("/")

    @property
    def is_local(self) -> bool:
        return "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))

    def path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def scratch(self, name: str) -> Path:
        """A local folder for work in progress (training checkpoints); made if missing."""
        base = Path(self._base) if self.is_local else Path(platformdirs.user_cache_dir("cka-explorer"))
        folder = base / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # Objects: content-addressed, never changed.

    def put(self, kind: str, key: str, data: bytes, suffix: str = "npz") -> str:
        """Write an object atomically; returns its path."""
        checksum = hashlib.sha256(data).hexdigest()[:CHECKSUM_LENGTH]
        target = self.path(f"{kind}/{key}.{checksum}.{suffix}")
        self._replace(target, data)
        return target

    def put_file(self, kind: str, key: str, source: str | os.PathLike[str] | BinaryIO, suffix: str = "npz") -> str:
        """The same from a file, which is copied piece by piece: it may be larger than memory."""
        folder = self.path(kind)
        self.fs.makedirs(self.path(f"{kind}/{key}").rsplit("/", 1)[0], exist_ok=True)
        temporary = leftovers.temporary(f"{folder}/{key}")
        sha = hashlib.sha256()
        with leftovers.writing(temporary, self.remove):
            with contextlib.ExitStack() as opened:
                file = source if hasattr(source, "read") else opened.enter_context(open(source, "rb"))
                target = opened.enter_context(self.fs.open(temporary, "wb"))
                while piece := file.read(1 << 22):
                    sha.update(piece)
                    target.write(piece)
            path = f"{folder}/{key}.{sha.hexdigest()[:CHECKSUM_LENGTH]}.{suffix}"
            self._move(temporary, path)
        return path

    def open(self, kind: str, key: str) -> BinaryIO | None:
        """An object as an open file, its checksum not looked at, for readers that check what they read; or None."""
        for entry in self._versions(kind, key):
            with contextlib.suppress(FileNotFoundError):
                file: BinaryIO = self.fs.open(entry.path, "rb")
                self.touch(entry.path)
                return file
        return None

    def get(self, kind: str, key: str) -> bytes | None:
        """The bytes of an object; None if there is none or only a damaged one, which is then set aside."""
        for entry in self._versions(kind, key):
            try:
                data = self.fs.cat_file(entry.path)
            except FileNotFoundError:
                continue
            if hashlib.sha256(data).hexdigest()[:CHECKSUM_LENGTH] == checksum_in(entry.path):
                self.touch(entry.path)
                return data
            self.set_aside(entry.path, "its bytes do not have the checksum in its name")
        return None

    def has(self, kind: str, key: str) -> bool:
        return bool(self._versions(kind, key))

    def is_whole(self, entry: Entry) -> bool:
        """Whether an object's bytes have the checksum in its name. A file here is read for it when it changed since it
        was last asked about; one of a store elsewhere counts as whole until it is read."""
        if not self.is_local:
            return True
        try:
            stat = os.stat(entry.path)
        except FileNotFoundError:
            return False
        return file_checksum(entry.path, stat.st_size, stat.st_mtime_ns) == checksum_in(entry.path)

    def rename(self, kind: str, key: str, new: str) -> None:
        """Give an object another key; its bytes stay."""
        for entry in self._versions(kind, key):
            ending = entry.path.rsplit("/", 1)[-1][len(key.rsplit("/", 1)[-1]) :]
            self._move(entry.path, self.path(f"{kind}/{new}{ending}"))

    def entries(self, kind: str) -> list[Entry]:
        """All objects of a kind, in subfolders too, most recently used first."""
        folder = self.path(kind)
        found = []
        try:
            listing = self.fs.find(folder, detail=True)
        except FileNotFoundError:
            return []
        for path, info in listing.items():
            name = path[len(folder) + 1 :]
            if ".tmp-" in name or checksum_in(path) is None:
                continue
            found.append(Entry(kind, name.rsplit(".", 2)[0], path, int(info["size"]), _modified(info)))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(path)

    def touch(self, path: str) -> None:
        """Mark an object as used now. Only a local file system keeps such a time apart from the contents."""
        if self.is_local and deployment.mode() != deployment.READ_ONLY:
            with contextlib.suppress(OSError):
                os.utime(path)

    def name_of(self, path: str) -> str:
        """A path of this store, from its root."""
        return path[len(self._base) + 1 :]

    def move(self, name: str, new: str) -> None:
        """Move a file; both names are from the root. One that is missing is passed over."""
        with contextlib.suppress(FileNotFoundError):
            self._move(self.path(name), self.path(new))

    def set_aside(self, path: str, why: str) -> None:
        """Report a damaged file and move it out of the way, under ``damaged/``; not where nothing is changed."""
        if deployment.mode() == deployment.READ_ONLY:
            log.warning("A stored file is damaged: %s (%s). It is passed over.", path, why)
            return
        kind, name = self.name_of(path).split("/", 1)[0], path.rsplit("/", 1)[-1]
        target = self.path(f"damaged/{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}-{kind}~{name}")
        try:
            self.fs.makedirs(self.path("damaged"), exist_ok=True)
            self.fs.mv(path, target)
        except FileNotFoundError:
            return
        except OSError as error:  # of a store that is read-only or full: it is passed over where it lies
            log.warning("A stored file is damaged: %s (%s). It could not be set aside: %s.", path, why, error)
            return
        log.warning("A stored file is damaged and was set aside: %s (%s). It will be computed again.", target, why)

    def set_aside_object(self, kind: str, key: str, why: str) -> None:
        for entry in self._versions(kind, key):
            self.set_aside(entry.path, why)

    def damaged(self) -> list[str]:
        """Paths of the files set aside so far."""
        return [self.path(f"damaged/{name}") for name in sorted(self.listed("damaged"))]

    def shrink(self, kind: str, budget: int) -> int:
        """Remove the least recently used folders of a kind until it fits ``budget`` bytes; returns the bytes freed."""
        groups: dict[str, list[Entry]] = {}
        for entry in self.entries(kind):
            groups.setdefault(entry.key.split("/")[0], []).append(entry)
        total = sum(entry.size for group in groups.values() for entry in group)
        freed = 0
        for group in sorted(groups.values(), key=lambda group: max(entry.used for entry in group)):
            if total - freed <= budget:
                break
            for entry in group:
                self.remove(entry.path)
                freed += entry.size
            if "/" in group[0].key:  # what describes the folder goes with it
                self.remove_folder(f"{kind}/{group[0].key.split('/')[0]}")
        return freed

    def remove_folder(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.path(name), recursive=True)

    def listed(self, folder: str) -> list[str]:
        """What things directly in a folder are called, as it is at this moment; nothing where there is no folder."""
        path = self.path(folder)
        self.fs.invalidate_cache(path)
        try:
            found = self.fs.ls(path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for one in found if ".tmp-" not in (name := one.rstrip("/").rsplit("/", 1)[-1])]

    def names(self, folder: str) -> list[str]:
        """Everything in a folder and the folders in it, named from the root."""
        try:
            found = self.fs.find(self.path(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(self.name_of(path) for path in found if ".tmp-" not in path.rsplit("/", 1)[-1])

    def size(self, folder: str = "") -> int:
        """Bytes of all files in a folder."""
        try:
            return int(sum(info["size"] for info in self.fs.find(self.path(folder), detail=True).values()))
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def free(self) -> int | None:
        """Bytes left where the store is; None where that cannot be known."""
        return shutil.disk_usage(nearest_folder(self._base)).free if self.is_local else None

    # Records: small JSON files that change.

    def write_record(self, name: str, value: Any) -> None:
        """Replace a JSON record in one step."""
        self._replace(self.path(name), json.dumps(value, indent=1).encode())

    def read_record(self, name: str) -> Any | None:
        """A JSON record; None if it is missing. A record that is no JSON is set aside and counts as missing."""
        path = self.path(name)
        try:
            data = self.fs.cat_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            self.set_aside(path, "it is not JSON")
            return None

    def record_age(self, name: str) -> float | None:
        """Seconds since a record was last written or touched; None if it is missing."""
        try:
            return max(0.0, time.time() - _modified(self.fs.info(self.path(name))))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, name: str) -> bool:
        return bool(self.fs.exists(self.path(name)))

    def _versions(self, kind: str, key: str) -> list[Entry]:
        folder, _, stem = self.path(f"{kind}/{key}").rpartition("/")
        try:
            listing = self.fs.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for info in listing:
            path = info["name"]
            name = path.rsplit("/", 1)[-1]
            if checksum_in(path) is not None and name.rsplit(".", 2)[0] == stem and ".tmp-" not in name:
                found.append(Entry(kind, key, path, int(info["size"]), _modified(info)))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def _replace(self, target: str, data: bytes) -> None:
        folder = target.rsplit("/", 1)[0]
        temporary = leftovers.temporary(target)
        if self.is_local:
            leftovers.sweep_once(self._base)
        with leftovers.writing(temporary, self.remove, len(data)):
            self.fs.makedirs(folder, exist_ok=True)
            self.fs.pipe_file(temporary, data)
            self._move(temporary, target)

    def _move(self, source: str, target: str) -> None:
        self.fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if self.is_local:
            os.replace(source, target)
        else:
            self.fs.mv(source, target)


def _modified(info: dict[str, Any]) -> float:
    for name in ("mtime", "LastModified", "updated", "last_modified", "created"):
        value = info.get(name)
        if value is not None:
            return float(value.timestamp() if hasattr(value, "timestamp") else value)
    return 0.0
