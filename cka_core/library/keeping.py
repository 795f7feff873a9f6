"""Keeping what was made: names, renaming, removing, and putting back.

What is removed moves to ``trash/<id>/`` in the store, with a record of where it was, and is gone for good after a week.
``by`` is who asks, None in open mode; elsewhere `NotAllowed` is raised for what is not one's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
import time
import unicodedata
import uuid
from collections.abc import Iterable
from pathlib import Path

from cka_core.base import deployment, visitors
from cka_core.base.keys import check_file_name
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.images import own, sets
from cka_core.library import belongings, catalogue, pieces
from cka_core.measures.grams import GramBatch
from cka_core.networks.architectures import UnknownNetwork, is_architecture
from cka_core.results import activation_sets
from cka_core.results.activation_sets import ActivationSet

TRASH_SECONDS = 7 * 24 * 3600.0
NAMED = ("networks", "activations", "images")
"""What of the store has a name that somebody may change."""

WITHOUT_ACCENT = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
)
"""Latin letters that Unicode does not take apart."""


@dataclasses.dataclass(frozen=True)
class Removed:
    """Something in the trash. ``kind`` is the store's; ``size`` in bytes, ``when`` in seconds since 1970.

    ``owned`` is the key by which it belongs to someone, "" where it belongs to nobody.
    """

    id: str
    kind: str
    title: str
    when: float
    size: int
    owned: str = ""


def check_name(name: str, store: Store) -> None:
    """Refuse a name that is not safe as a file's name, or that something else has."""
    check_file_name(name)
    if is_architecture(name):
        raise ValueError(f"{name} is what the untrained network is called. Choose another name.")
    taken = {entry.key.partition("@")[0] for kind in NAMED for entry in store.entries(kind)}
    if name in taken or name in catalogue.comparable(store) or name in sets.IMAGE_SETS:
        raise ValueError(f"{name} is the name of something in the library already. Choose another name.")


def free_name(wanted: str, store: Store) -> str:
    """``wanted``, made safe as a name, letters without their accents, with a number after it where it is taken."""
    plain = unicodedata.normalize("NFKD", wanted).translate(WITHOUT_ACCENT)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:90] or "unnamed"
    for number in range(1, 10_000):
        name = base if number == 1 else f"{base}-{number}"
        try:
            check_name(name, store)
        except ValueError:
            continue
        return name
    raise ValueError(f"Every name like {base} is taken. Give another one.")


def rename(name: str, new: str, store: Store, by: Visitor | None = None) -> None:
    """Give a network, with the weights kept along its training, an activation set or images another name.

    One that a killed process was at is gone on with.
    """
    kind = kind_of(name, store)
    visitors.may_rename(by, belongings.key_of(kind, name, store), store)
    record = store.read_record(f"{kind}/{name}.json")
    renamed = {**record, "name": new} if record else record
    check_file_name(new)
    if not pieces.is_half_renamed(kind, name, new, renamed, store):
        check_name(new, store)
    store.write_record(f"{kind}/{new}.json", renamed)
    # What is listed by its name goes last: until then it has its old one, with all that belongs to it.
    for key in sorted((e.key for e in store.entries(kind) if e.key.partition("@")[0] == name), reverse=True):
        store.rename(kind, key, new + key[len(name) :])
    store.remove(store.path(f"{kind}/{name}.json"))


def kind_of(name: str, store: Store) -> str:
    """Where the store keeps what has this name, one of `NAMED`. A ValueError for what it does not keep."""
    for kind in NAMED:
        if kind == "images" and name in sets.IMAGE_SETS:
            break
        if store.has(kind, name) or store.exists(f"{kind}/{name}.json"):
            return kind
    info = catalogue.networks(store).get(name)
    if info is not None:
        raise ValueError(f"{name} is {info.spec.source}: it stays as it is. Only what you trained or brought changes.")
    raise UnknownNetwork(f"There is no {name!r} in the library.")


def stack_as_set(key: str, store: Store) -> ActivationSet:
    """The Gram matrices that comparisons kept of a network on one sample, as an activation set without its file.

    Raises ValueError where it is not known whose they are.
    """
    about = store.read_record(f"grams/{key}/about.json")
    try:
        if about is None:
            raise ValueError("there is no record of it")
        return activation_sets.from_about(
            {
                "format": activation_sets.FORMAT,
                "name": free_name(about["network"]["name"], store),
                "minibatches": [],
            }
            | {
                field: about[field]
                for field in ("network", "layers", "sample", "preprocessing", "batch_size", "versions", "created")
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("It is not known whose Gram matrices these are: an earlier version kept them.") from error


def download(kind: str, key: str, store: Store) -> bytes:
    """The file of something kept. Of a network's Gram matrices (kind "grams") an activation set is made."""
    if kind in ("networks", "comparisons"):
        data = store.get(kind, key)
        if data is None:
            raise ValueError(f"{key} is missing or damaged in the store.")
        return data
    if kind == "images":
        return own.as_npz(own.registered(store)[key], store)
    if kind == "grams":
        found = stack_as_set(key, store)
        numbers = range(len(found.slices))
        whole = all(_kept(key, index, store).lacks is None for index in numbers)  # some may be of an earlier version
        found = dataclasses.replace(found, has_norms=whole)
        batches: Iterable[GramBatch] = (_kept(key, index, store) for index in numbers)
    else:
        there = catalogue.sets(store).get(key)
        if there is None:
            raise ValueError(f"{key} is not in the library any more.")
        found = there
        batches = found.minibatches()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.npz"
        activation_sets.write(path, found, batches)
        return path.read_bytes()


def _kept(key: str, index: int, store: Store) -> GramBatch:
    data = store.get("grams", f"{key}/{index:05d}")
    if data is None:
        raise ValueError("Some of these Gram matrices are missing. Compare the network again, then download them.")
    return GramBatch.from_bytes(data)


def remove(kind: str, key: str, title: str, store: Store, by: Visitor | None = None) -> str:
    """Move what the store keeps under a key to the trash; returns an id for `restore`.

    Where it belongs to others, too, it only stops being this visitor's, and "" is returned.

    ``kind`` is "networks" (the weights kept along a training go too), "activations", "comparisons" or "grams" (a
    network's Gram matrices on one sample). ``title`` is what a person calls it.
    """
    files = pieces.of(kind, key, store)
    if not files:
        raise ValueError(f"{title} is not there any more.")
    owned = belongings.key_of(kind, key, store)
    visitors.may_change(by, owned, store)
    if visitors.take_off(by, owned, store):
        return ""
    for one in trash(store):  # a process that was at this was killed
        about = pieces.removed(one.id, store) if (one.kind, one.owned) == (kind, owned) else None
        if about is not None and about["key"] == key and pieces.is_half_moved(one.id, about["files"], files, store):
            pieces.into_trash(one.id, files, store)
            return one.id
    identifier = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}"
    about = {"kind": kind, "key": key, "title": title, "when": time.time(), "files": files, "owned": owned}
    store.write_record(f"trash/{identifier}/about.json", about)
    pieces.into_trash(identifier, files, store)
    return identifier


def discard(file: str, store: Store, by: Visitor | None = None) -> str | None:
    """Remove what `inventory.damaged` lists, by its file: what was set aside for good, the rest, with all that belongs
    to it, to the trash. Returns the id to `restore` it by, if any. What is damaged is the teacher's to see to."""
    visitors.may_change(by, "", store)
    kind, _, name = file.partition("/")
    if (
        kind not in ("damaged", "networks", "activations", "images", "comparisons")
        or name in ("", ".", "..")
        or "/" in name
    ):
        raise ValueError(f"Expected a damaged file of the store, got {file!r}.")
    if kind == "damaged":
        store.remove(store.path(file))
        return None
    key = name.removesuffix(".json") if name.endswith(".json") else name.rsplit(".", 2)[0]
    key = key.partition("@")[0]  # weights kept along a training are listed where only they are left: all of them go
    return remove(kind, key, f"what was left of {key}", store, by)


def restore(identifier: str, store: Store, by: Visitor | None = None) -> str:
    """Put back what `remove` took away; returns its title. A ValueError where something else has its place by now."""
    about = pieces.removed(identifier, store) if pieces.is_safe(identifier) else None
    if about is None:
        raise ValueError("It is not in the trash any more, or what it was is not known. Empty the trash.")
    visitors.may_change(by, about.get("owned", ""), store)
    kind, key, title = about["kind"], about["key"], about["title"]
    present = pieces.of(kind, key, store)
    if present and not pieces.is_half_moved(identifier, about["files"], present, store):
        if kind in NAMED:
            raise ValueError(f"Something else is called {key} by now. Rename that, then put {title} back.")
        store.remove_folder(f"trash/{identifier}")  # computed again since
        return title
    if kind in NAMED and not present:
        check_name(key, store)
    for name in about["files"]:
        store.move(f"trash/{identifier}/{name}", name)
    store.remove_folder(f"trash/{identifier}")
    return title


def trash(store: Store) -> list[Removed]:
    """What is in the trash, the last removed first."""
    found: dict[str, list[str]] = {}
    for name in store.names("trash"):
        found.setdefault(name.split("/")[1], []).append(name)
    removed = []
    for identifier in found:
        about = pieces.removed(identifier, store)
        size = store.size(f"trash/{identifier}")
        if about is None:  # its record is damaged: it can only be let go, and goes with the next emptying
            removed.append(Removed(identifier, "", identifier, 0.0, size))
        else:
            owned = about.get("owned", "")
            removed.append(Removed(identifier, about["kind"], about["title"], about["when"], size, owned))
    return sorted(removed, key=lambda one: one.when, reverse=True)


def empty_trash(store: Store, older_than: float = 0.0, by: Visitor | None = None) -> None:
    """Remove for good what was put into the trash more than ``older_than`` seconds ago; of others nothing."""
    visitors.may_act(by)
    for one in trash(store):
        if visitors.owns(by, one.owned, store):
            _let_go(one, store, older_than)


def expire_trash(store: Store) -> None:
    """Remove for good what has been in the trash for a week. Nothing happens where nothing is, or can be, changed."""
    if deployment.mode() != deployment.READ_ONLY:
        with contextlib.suppress(OSError):  # a store that may not be written to can still be looked at
            for one in trash(store):
                _let_go(one, store, TRASH_SECONDS)


def _let_go(one: Removed, store: Store, older_than: float) -> None:
    if time.time() - one.when < older_than:
        return
    store.remove_folder(f"trash/{one.id}")
    if one.kind == "comparisons" and not store.has(one.kind, one.owned):
        visitors.forget(one.owned, store)
