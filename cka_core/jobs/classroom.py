"""What a teacher sees of a class and can do for it: who is at work on what, stop, and begin anew."""

from __future__ import annotations

import dataclasses

from cka_core.base import visitors
from cka_core.base.store import Store
from cka_core.base.visitors import NotAllowed, Visitor
from cka_core.jobs import records, submit
from cka_core.jobs.submit import QUEUED, RUNNING, JobStatus
from cka_core.library import belongings, keeping
from cka_core.training import state as training_state

MOST_SHOWN = 50
KINDS = ("comparisons", "activations", "networks", "images")


@dataclasses.dataclass(frozen=True)
class Work:
    """A job at work or waiting, and whose it is, by the names of `short`."""

    job: JobStatus
    whose: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Overview:
    """The first jobs of the queue, how many more there are, and how many visitors have made something."""

    work: list[Work]
    more: int
    makers: int


def short(owner: str) -> str:
    """What a visitor is called: the first letters of what the store knows of them."""
    return owner[:6]


def overview(store: Store, by: Visitor | None) -> Overview:
    """Who is at work on what, the first submitted first. Raises `NotAllowed` for all but the teacher."""
    _check(by)
    keys, everybody = records.active_keys(store), visitors.everybody(store)
    owned = {owner: visitors.belongings(owner, store) for owner in everybody}
    work = []
    for key in keys[:MOST_SHOWN]:
        job = submit.status(key, store)
        if job is not None and job.state in (QUEUED, RUNNING):
            work.append(Work(job, tuple(short(owner) for owner in everybody if key in owned[owner])))
    return Overview(work, max(0, len(keys) - MOST_SHOWN) if work else 0, len(everybody))


def stop_all(store: Store, by: Visitor | None) -> int:
    """Stop everything that is at work or waits; returns how many jobs that were."""
    _check(by)
    keys = records.active_keys(store)
    for key in keys:
        submit.stop(key, store, by)
    return len(keys)


def reset(store: Store, by: Visitor | None) -> int:
    """Begin anew: stop all work, forget what is half done, and put what visitors made into the trash for a week.

    Returns how many things went there. What belongs to nobody, or to the teacher, too, stays.
    """
    stop_all(store, by)
    own = visitors.belongings(by.owner, store) if by else set()
    keys = {key for owner in visitors.everybody(store) for key in visitors.belongings(owner, store)} - own
    moved = 0
    for kind in KINDS:
        for name in sorted({entry.key.partition("@")[0] for entry in store.entries(kind)}):
            if belongings.key_of(kind, name, store) in keys:
                keeping.remove(kind, name, name, store, by)
                moved += 1
    for key in keys:
        if len(key) <= 64 and key.isalnum():
            training_state.forget(key, store)
            records.forget(key, store)  # a worker that is still at it gives up
        visitors.forget(key, store)
    return moved


def _check(by: Visitor | None) -> None:
    visitors.may_act(by)
    if by is None or not by.teacher:
        raise NotAllowed("This is the teacher's to see and do: enter the teacher's key on the Teacher page.")
