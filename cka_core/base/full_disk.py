"""A folder that takes nothing more, because its disk is full or it is read-only: how that is seen, and said."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from cka_core.base import deployment
from cka_core.base.store import Store, nearest_folder
from cka_core.base.words import size_text

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
MAY_NOT = "it is read-only, or belongs to somebody else"
OF_ITS_OWN = "Let this user write there, or set CKA_STORE to a folder of its own."
OF_A_CLASS = "Nothing more can be kept here: {}. Tell whoever runs this."
WRITABLE = "Set CKA_STORE, or --store, to a folder that this user may write to."
ELSEWHERE = "set CKA_STORE to a folder on another disk"


def is_disk_full(error: BaseException) -> bool:
    """Whether an error came of a full disk. HDF5 and TensorFlow only say so in words."""
    return getattr(error, "errno", None) in FULL or "No space left on device" in str(error)


def in_words(error: BaseException, store: Store) -> str | None:
    """Why the store could not keep something and what to do; None for an error that is another.

    The visitors of a class are not told this machine's folders.
    """
    in_class = deployment.mode() == deployment.CLASS
    if is_disk_full(error):
        return OF_A_CLASS.format("its disk is full") if in_class else disk_full(error, store)
    if getattr(error, "errno", None) not in READ_ONLY:
        return None
    name = str(getattr(error, "filename", ""))
    if hasattr(error, "needed") or name.startswith(store.path("")):
        if in_class:
            return OF_A_CLASS.format(MAY_NOT)
        return f"Nothing can be written to {_place(error, store)}: {MAY_NOT}. {OF_ITS_OWN}"
    if ".tmp-" in Path(name).name:  # on its way to a file that the user named
        return f"Nothing can be written to {_place(error, store)}: {MAY_NOT}. Name another folder."
    return None  # a file that may not be read, say


def check_store(store: Store, *, writes: bool = True) -> None:
    """A ValueError, before any work, where a store is no folder or, if it is to be written to, where it cannot be."""
    if not store.is_local:
        return
    root = Path(store.path(""))
    place = _nearest(root)
    if not place.is_dir():
        which = ", which" if place == root else f": {place}"
        raise ValueError(f"Expected a folder for the store, got {root}{which} is {_no_folder(place)}. {WRITABLE}")
    if writes:
        check_folder(root, WRITABLE)


def check_folder(folder: str | os.PathLike[str], todo: str) -> None:
    """A ValueError, before any work, where no file can be made in a folder, or in the first above it that is there.

    ``todo`` is a sentence that says what to do instead. Nothing is left in the folder.
    """
    place = _nearest(Path(folder))
    if not place.is_dir():
        raise ValueError(f"Nothing can be written to {folder}: {place} is {_no_folder(place)}. {todo}")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        why = "its disk is full" if is_disk_full(error) else MAY_NOT
        raise ValueError(f"Nothing can be written to {place}: {why}. {todo}") from error


def _nearest(folder: Path) -> Path:
    """What stands where a folder is to be, or else the folder above it that is there. It may be no folder."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _no_folder(place: Path) -> str:
    return "a file" if place.exists() else "a link that leads nowhere"


def disk_full(error: BaseException, store: Store) -> str:
    """What is full, how much is missing or free there, and what to do."""
    place, own = _place(error, store), _is_of(store, error)
    elsewhere = ELSEWHERE if own else "name another folder"  # for a file that the user named
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return f"The disk with {place} is full. Make room on it, or {elsewhere}."
    space = f"{size_text(usage.free)} of {size_text(usage.total)} are free"
    needed = getattr(error, "needed", None)
    if needed is not None:
        space = f"{size_text(needed)} are to be written, and {space}"
    room = "Make room on it, in the Library or elsewhere" if own else "Make room on it"
    return f"The disk with {place} is full ({space}). {room}, or {elsewhere}."


def _is_of(store: Store, error: BaseException) -> bool:
    """Whether what could not be written is the store's, which is so where an error names no file, too."""
    name = getattr(error, "filename", None)
    return name is None or hasattr(error, "needed") or str(name).startswith(store.path(""))


def _place(error: BaseException, store: Store) -> Path:
    """The folder that an error speaks of, or the one above it that is there."""
    return nearest_folder(str(getattr(error, "filename", None) or store.path("")))
