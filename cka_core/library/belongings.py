"""Whose each thing of the library is, how much of the store a visitor takes, and what may still be brought in.

What belongs to someone is known by a key that renaming does not change: a comparison's own, the key of the training
that made a network, the digest of an activation set.
"""

from __future__ import annotations

from cka_core.base import deployment, visitors
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.images import own
from cka_core.library import catalogue
from cka_core.results import comparison

MB = 1_000_000


def key_of(kind: str, key: str, store: Store) -> str:
    """By what key something kept belongs to someone; "" where it belongs to nobody but the teacher."""
    name = key.partition("@")[0]
    if kind == "comparisons":
        return key
    if kind == "networks":
        record = store.read_record(f"networks/{name}.json")
        found = (record.get("training_key") or record.get("weights")) if isinstance(record, dict) else None
        return found if isinstance(found, str) else ""
    if kind == "activations":
        known = catalogue.sets(store).get(name)
        return known.digest if known is not None else ""
    if kind == "images":
        found_set = own.registered(store).get(name)
        return found_set.held if found_set is not None else ""
    return ""  # Gram matrices that comparisons kept serve everybody


def is_ones_own(by: Visitor | None, kind: str, key: str, store: Store) -> bool:
    """Whether someone may change something kept."""
    return visitors.owns(by, key_of(kind, key, store), store)


def size(by: Visitor, store: Store) -> int:
    """Bytes of all that belongs to a visitor: results, networks, sets, and trainings to go on with."""
    keys = visitors.belongings(by.owner, store)
    total = sum(store.size(f"trainings/{key}") for key in keys)
    for kind in ("networks", "activations", "images", "comparisons"):
        entries = store.entries(kind)
        whose = {name: key_of(kind, name, store) for name in {entry.key.partition("@")[0] for entry in entries}}
        total += sum(entry.size for entry in entries if whose[entry.key.partition("@")[0]] in keys)
    return total


def check_disk(by: Visitor | None, store: Store) -> None:
    """Raise `LimitReached` where someone, or all together, have taken all the room they may take."""
    if by is not None and not by.teacher and deployment.most("disk") is not None:
        deployment.check("disk", size(by, store) / MB)
    if deployment.most("all disk") is not None:
        deployment.check("all disk", store.size() / MB)


def check_upload(by: Visitor | None, size: int, store: Store) -> None:
    """Raise `NotAllowed` or `LimitReached` unless someone may bring in a file of ``size`` bytes."""
    visitors.may_act(by)
    deployment.check("upload", size / MB)
    if by is not None and not by.teacher and deployment.most("uploads") is not None:
        deployment.check("uploads", uploads(by, store) + 1)
    check_disk(by, store)


def uploads(by: Visitor, store: Store) -> int:
    """How many files that a visitor brought in are kept."""
    own_keys = visitors.belongings(by.owner, store)
    sets = [found for found in catalogue.sets(store).values() if found.digest in own_keys]
    weights = [entry for entry in store.entries("weights") if entry.key in own_keys]
    saved = [entry for entry in store.entries("comparisons") if entry.key in own_keys]
    files = [info for info in catalogue.networks(store).values() if info.spec.weights in own_keys]
    files += [found for found in own.registered(store).values() if found.held in own_keys]  # type: ignore[misc]
    return len(sets) + len(files) + len(weights) + sum(entry.key.startswith(comparison.UPLOADED) for entry in saved)
