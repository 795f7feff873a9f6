"""A full disk: how it is recognised, and what is said of it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from cka_core.base.store import Store


def is_disk_full(error: BaseException) -> bool:
    """Whether an error came of a full disk. HDF5 and TensorFlow only say so in words."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in codes or "No space left on device" in str(error)


def disk_full(error: BaseException, store: Store) -> str:
    """What is full, how much is free there, and what to do."""
    place = Path(getattr(error, "filename", None) or store.path(""))
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
        space = f" ({usage.free / 1e6:,.0f} MB of {usage.total / 1e9:,.1f} GB are free)"
    except OSError:
        space = ""
    return f"The disk with {place} is full{space}. Make room on it."
