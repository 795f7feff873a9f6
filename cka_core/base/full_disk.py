"""A store that takes nothing more, because its disk is full or it is read-only: how that is recognised and said."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from cka_core.base.store import Store

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
ELSEWHERE = "set CKA_STORE to a folder on another disk"


def is_disk_full(error: BaseException) -> bool:
    """Whether an error came of a full disk. HDF5 and TensorFlow only say so in words."""
    return getattr(error, "errno", None) in FULL or "No space left on device" in str(error)


def in_words(error: BaseException, store: Store) -> str | None:
    """Why the store could not keep something and what to do; None for an error that is another."""
    if is_disk_full(error):
        return disk_full(error, store)
    of_the_store = hasattr(error, "needed") or str(getattr(error, "filename", "")).startswith(store.path(""))
    if getattr(error, "errno", None) not in READ_ONLY or not of_the_store:
        return None  # a file that may not be read, say
    return (
        f"Nothing can be written to {_place(error, store)}: it is read-only, or belongs to somebody else. Let this "
        "user write there, or set CKA_STORE to a folder of its own."
    )


def disk_full(error: BaseException, store: Store) -> str:
    """What is full, how much is missing or free there, and what to do."""
    place = _place(error, store)
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return f"The disk with {place} is full. Make room on it, or {ELSEWHERE}."
    space = f"{usage.free / 1e6:,.0f} MB of {usage.total / 1e9:,.1f} GB are free"
    needed = getattr(error, "needed", None)
    if needed is not None:
        space = f"{needed / 1e6:,.1f} MB are to be written, and {space}"
    return f"The disk with {place} is full ({space}). Make room on it, in the Library or elsewhere, or {ELSEWHERE}."


def _place(error: BaseException, store: Store) -> Path:
    """The folder that an error speaks of, or the one above it that is there."""
    place = Path(str(getattr(error, "filename", None) or store.path("")))
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return place
