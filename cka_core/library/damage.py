"""What in the store cannot be used: each is one row that says so and what to do, and hides nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cka_core.base.npz import NotReadable
from cka_core.base.store import Entry, Store
from cka_core.images import own
from cka_core.images.sets import IMAGE_SETS
from cka_core.library import catalogue
from cka_core.results.files import read_about
from cka_core.results.schemas import ComparisonAbout


@dataclasses.dataclass(frozen=True)
class Damage:
    """Something that cannot be used: its file from the store's root, what is wrong with it, and what to do."""

    file: str
    what: str
    advice: str


def damaged(store: Store) -> list[Damage]:
    """Everything that cannot be used, and what to do about it."""
    found = [Damage(store.name_of(path), *_set_aside(path.rsplit("/", 1)[-1])) for path in store.damaged()]
    kept = {entry.key: store.name_of(entry.path) for entry in store.entries("networks") if "@" in entry.key}
    whole = set(catalogue.networks(store)) | set(kept)
    for kind, usable, again in (
        ("networks", whole, "Train it again, or bring its file in again"),
        ("activations", set(catalogue.sets(store)), "Bring the file in again"),
        ("images", set(own.registered(store)), "Bring the file in again"),
    ):
        entries = [entry for entry in store.entries(kind) if entry.key not in IMAGE_SETS]
        files = {entry.key: store.name_of(entry.path) for entry in entries}
        lost = broken(entries, store)
        for name in sorted(lost):
            found.append(Damage(files[name], f"{name}: its file is not what was written", f"{again}, or remove this."))
        records = {
            name.removeprefix(f"{kind}/").removesuffix(".json"): name
            for name in store.names(kind)
            if name.endswith(".json")
        }
        for name in sorted((set(files) | set(records)) - usable - lost):
            if name not in files:
                found.append(Damage(records[name], f"{name}: its file is missing", f"{again}, or remove this."))
            else:
                why = "its description is damaged" if name in records else "its description is missing"
                found.append(Damage(files[name], f"{name}: {why}", f"{again}, or remove this."))
    found += _of_networks_that_are_gone(kept, store)
    for entry in store.entries("comparisons"):
        about = about_in(entry, store)
        if isinstance(about, str):
            advice = f"{about} Remove this; compare again, or bring the file in again, where the result is wanted."
            found.append(Damage(store.name_of(entry.path), "A comparison that cannot be read", advice))
    return found


def _of_networks_that_are_gone(kept: Mapping[str, str], store: Store) -> list[Damage]:
    """Weights kept along a training, by name and file, whose network has neither a file nor a record any more."""
    first: dict[str, str] = {}
    for key in sorted(kept):
        first.setdefault(key.partition("@")[0], kept[key])
    return [
        Damage(file, f"{name}: only weights kept along its training are left", "Train it again, or remove this.")
        for name, file in first.items()
        if not store.has("networks", name) and not store.exists(f"networks/{name}.json")
    ]


def _set_aside(name: str) -> tuple[str, str]:
    """What a file under ``damaged/`` was, by its name, and what to do."""
    kind, _, original = name.split("-", 2)[-1].rpartition("~")
    key = original.rsplit(".", 2)[0]
    if original.endswith(".json"):
        return f"The record {original}", "Remove this; what it described may have to be made again."
    found = SET_ASIDE.get(kind)
    if found is None:
        return original, "It is made again when it is needed. Remove this."
    return found[0].format(key), found[1]


SET_ASIDE = {
    "networks": ("The weights of {}", "Train it again, then remove this."),
    "activations": ("The activation set {}", "Bring the file in again, then remove this."),
    "comparisons": ("A comparison", "It is computed again when asked for. Remove this."),
    "grams": ("Gram matrices kept by a comparison", "They are computed again when needed. Remove this."),
    "images": ("The images of {}", "They are fetched again when asked for, or import them. Remove this."),
    "trainings": ("What a training was to go on from", "It goes on from the epoch before. Remove this."),
}
"""By the store's kind: what it was, and what to do."""


def broken(entries: Iterable[Entry], store: Store) -> set[str]:
    """The names of things whose own file is not what was written."""
    return {entry.key for entry in entries if not store.is_whole(entry)}


def about_in(entry: Entry, store: Store) -> ComparisonAbout | str:
    """What a comparison of the store says of itself, or why it cannot be read."""
    if not store.is_whole(entry):
        return "It is not what was written."
    try:
        return _about(entry.path) if store.is_local else _about_far(entry.path, store)
    except OSError as error:
        return f"It could not be read: {error.strerror or error}."


@lru_cache(maxsize=2000)
def _about(path: str) -> ComparisonAbout | str:
    """A file's path holds its checksum, so it is read once."""
    try:
        return read_about(path)
    except NotReadable as error:
        return str(error)


def _about_far(path: str, store: Store) -> ComparisonAbout | str:
    with store.fs.open(path, "rb") as file:
        try:
            return read_about(file)
        except NotReadable as error:
            return str(error)
