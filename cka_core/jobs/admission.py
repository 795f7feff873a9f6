"""Whether a job is accepted, and when it is its turn, where many people use one store.

What knows sizes (images, networks) is imported where it is asked: pages look at jobs every second and need none of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cka_core.base import deployment, visitors
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.jobs import records

MILLION = 1_000_000


def check_size(kind: str, spec: dict[str, Any], store: Store) -> None:
    """Raise `LimitReached` where a job is larger than one may be here. A worker asks, too, before it begins."""
    if all(deployment.most(limit) is None for limit in ("images", "layers", "parameters", "epochs")):
        return
    if kind == "several":
        for one in spec["specs"]:
            check_size("compare", one, store)
    elif kind in ("best match", "estimators"):
        check_size("compare", spec["of"], store)
    elif kind == "compare":
        deployment.check("images", _images(spec["sample"], store))
        for side in (spec["a"], spec["b"]):
            listed = side["source"] in ("activations", "own")
            _check_network(side["name"] if listed else "", side["architecture"], store)
    elif kind in ("train", "measure"):
        training = spec["training"] if kind == "measure" else spec
        deployment.check("epochs", training["epochs"])
        _check_network("", training["architecture"], store)


def check_number(by: Visitor | None, keys: Collection[str], store: Store) -> None:
    """Raise `LimitReached` where one visitor, or all, would have too many jobs with those of ``keys``."""
    active = set(records.active_keys(store))
    new = {key for key in keys if not _asked_again(by, key, active, store)}
    if not new:
        return
    if by is not None and not by.teacher:
        own = active & visitors.belongings(by.owner, store)
        deployment.check("jobs", len(own | new))
    deployment.check("all jobs", len(active | new))


def check_room(by: Visitor | None, key: str, store: Store) -> None:
    """`check_number` of one job, and `LimitReached` where one visitor, or all, fill as much of the disk as they may."""
    if _asked_again(by, key, records.active_keys(store), store):
        return
    check_number(by, {key}, store)
    from cka_core.library import belongings

    belongings.check_disk(by, store)


def _asked_again(by: Visitor | None, key: str, active: Collection[str], store: Store) -> bool:
    """Whether a job that is at work, or waits, is this visitor's already."""
    return key in active and visitors.owns(by, key, store)


def turn(by: Visitor | None, role: str, cluster: str, store: Store) -> int:
    """A new job's place in the queue of a role: visitors take turns, however many jobs each has there.

    The clock is the lowest turn among the jobs of the queue. A visitor's next job comes one turn after the visitor's
    last one there, and never before the clock (start-time fair queueing with jobs of equal length: Goyal, Vin & Cheng
    1996). Jobs of one turn are done in the order they were asked for. In open mode there is one turn for all.
    """
    if by is None:
        return 0
    places = {key: records.place(key, store) for key in records.active_keys(store)}
    turns = {
        key: int(place.get("turn", 0))
        for key, place in places.items()
        if place.get("role") == role and place.get("cluster") == cluster
    }
    own = visitors.belongings(by.owner, store)
    return max([min(turns.values(), default=0), *(turns[key] + 1 for key in turns.keys() & own)])


def _images(sample: dict[str, Any], store: Store) -> int:
    from cka_core.images.sets import image_set

    n = sample.get("n")
    if n is not None:
        return int(n)
    if not sample.get("images"):
        return 0
    return image_set(sample["images"], store, held=sample.get("held", "")).sizes[sample["split"]]


def _check_network(name: str, known_as: str, store: Store) -> None:
    if all(deployment.most(limit) is None for limit in ("layers", "parameters")):
        return
    from cka_core.library import catalogue
    from cka_core.networks.architectures import architecture

    found = catalogue.comparable(store).get(name) if name else architecture(known_as) if known_as else None
    if found is not None:
        deployment.check("layers", len(found.layers))
        deployment.check("parameters", found.parameters / MILLION)
