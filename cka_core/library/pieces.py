"""The files of one thing kept, and how it is known that a killed process was at moving them, so that one goes on.

A move of several files is not one step. Each keeps to an order in which what is there is found in one place whole, or
in both places together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cka_core.base import records
from cka_core.base.store import Store
from cka_core.library.schemas import TrashRecord

KINDS = ("networks", "activations", "images", "comparisons", "grams")
"""What the store keeps that can be removed and put back."""


def of(kind: str, key: str, store: Store) -> list[str]:
    """All that belongs to one thing kept, named from the store's root."""
    if kind not in KINDS:
        raise ValueError(f"Expected one of {', '.join(KINDS)}, got {kind!r}.")
    if kind == "grams":
        return store.names(f"grams/{key}") if is_safe(key) else []
    paths = [entry.path for entry in store.entries(kind) if entry.key == key or entry.key.startswith(f"{key}@")]
    names = [store.name_of(path) for path in paths]
    return names + ([f"{kind}/{key}.json"] if store.exists(f"{kind}/{key}.json") else [])


def is_safe(identifier: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9-]+", identifier) is not None


def is_half_renamed(kind: str, name: str, new: str, renamed: dict[str, Any] | None, store: Store) -> bool:
    """Whether ``new`` is what a renaming of ``name`` left that did not come to its end. ``renamed`` is its record."""
    if renamed is None or store.read_record(f"{kind}/{new}.json") != renamed:
        return False
    return not (store.has(kind, name) and store.has(kind, new))


def is_half_moved(identifier: str, files: Iterable[str], present: Iterable[str], store: Store) -> bool:
    """Whether what is ``present`` in its place is the part of ``files`` that is not in this folder of the trash."""
    there = set(store.names(f"trash/{identifier}"))
    return set(present) <= {name for name in files if f"trash/{identifier}/{name}" not in there}


def into_trash(identifier: str, files: Iterable[str], store: Store) -> None:
    """Move files, named from the store's root, to a folder of the trash."""
    for name in files:
        store.move(name, f"trash/{identifier}/{name}")


def removed(identifier: str, store: Store) -> TrashRecord | None:
    """What the trash says that something was; None where it does not say, or not what was written there.

    Only what belongs to it is ever put back: a record names files, and somebody may have written it.
    """
    about: Any = store.read_record(f"trash/{identifier}/about.json")
    if records.wrong(about, TrashRecord) is not None:
        return None
    kind, key = about["kind"], about["key"]
    own = re.compile(rf"{re.escape(kind)}/{re.escape(key)}([./@][A-Za-z0-9._@-]*)?")
    if kind not in KINDS or not all(own.fullmatch(name) and ".." not in name for name in about["files"]):
        return None
    found: TrashRecord = about
    return found
