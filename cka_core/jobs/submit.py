"""Long work asked for by a page or a person: submit it, see how it is doing, stop it.

A job is named by the key of its spec, so that two who ask for the same share one run. ``by`` is who asks: None in open
mode, where every job is everybody's.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from cka_core.base import deployment, records, visitors
from cka_core.base.keys import key_of
from cka_core.base.progress import Progress
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.jobs import admission, cluster, worker
from cka_core.jobs import records as files
from cka_core.jobs.cluster_files import SILENT_AFTER, root
from cka_core.jobs.records import DONE, FAILED, QUEUED, ROLES, RUNNING, STOPPED
from cka_core.jobs.schemas import ComparisonAsked, SeveralAsked

INTERRUPTED = "interrupted"
FORGET_AFTER = 3600.0  # seconds after which a job that went silent is not looked for among the active ones
SHOWN = 5  # jobs of a queue that a page names; of the others it has the number
LOOKED_AT = 20  # records that are read for them at most
_accepting = threading.Lock()  # so that two requests of one moment do not both find room for one


class Spec(Protocol):
    """A frozen dataclass of plain values."""

    @property
    def key(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """How a job is doing.

    ``state`` is "queued", "running", "done", "failed", "stopped" or "interrupted"; the last means that its worker or
    its cluster went away, and that submitting it again goes on. ``stopping``: it still runs but was asked to stop.
    ``error`` says why it failed or was interrupted, and what to do. ``restarts``: how often its worker process was
    killed and begun again. Times are in seconds since 1970.
    """

    key: str
    kind: str
    title: str
    spec: dict[str, Any]
    state: str
    progress: Progress | None
    error: str | None
    submitted: float
    started: float | None
    finished: float | None
    stopping: bool = False
    restarts: int = 0


def submit(kind: str, spec: Spec, title: str, store: Store, by: Visitor | None = None) -> str:
    """Have a job done by a worker; returns its key, at once if it is at work already. It is then this visitor's, too.

    Starts the local cluster if there is none, which takes 1 to 3 seconds. If no cluster can be had, the job reads
    "failed" and says why. Raises `NotAllowed`, or `LimitReached` where it asks for more than may be had here.
    """
    if kind not in ROLES:
        raise ValueError(f"Unknown kind of job {kind!r}. Valid: {', '.join(ROLES)}.")
    visitors.may_act(by)
    key, role, values = spec.key, ROLES[kind], dataclasses.asdict(spec)  # type: ignore[call-overload]
    admission.check_size(kind, values, store)
    request = (key, kind, values, title, store)
    with _accepting:
        admission.check_room(by, key, store)
        visitors.give(by, key, store)
        if _state(key, store) == RUNNING:
            return key
        try:
            with cluster.connection(store, role) as (name, client):
                state = _state(key, store)
                if state == RUNNING:
                    return key
                # A queued job is sent once more: if the scheduler has it, it knows the key and does nothing.
                known = files.record(key, store)
                if known is None or state != QUEUED:
                    turn = admission.turn(by, role, name, store)
                    attempt = files.write_new(*request, cluster=name, turn=turn)
                else:
                    attempt, turn = known["attempt"], known.get("turn", 0)
                arguments = (kind, key, attempt, root(store))
                cluster.send(client, worker.run_job, *arguments, key=f"{key}-{attempt}", role=role, turn=turn)
                files.prune(store)
        except cluster.ClusterUnavailable as error:
            attempt = files.write_new(*request, cluster="")
            files.finish(key, attempt, FAILED, str(error), store)
    return key


def refusal(kind: str, specs: Sequence[Spec], store: Store, by: Visitor | None = None) -> str:
    """Why `submit` would refuse these, of a limit, before anybody asks for them; "" where it would not."""
    if deployment.mode() == deployment.OPEN and not deployment.rules():
        return ""
    try:
        for spec in specs:
            admission.check_size(kind, dataclasses.asdict(spec), store)  # type: ignore[call-overload]
        admission.check_number(by, [spec.key for spec in specs], store)
    except deployment.LimitReached as error:
        return str(error)
    return ""


def status(key: str, store: Store) -> JobStatus | None:
    """How a job is doing; None if there never was one. Reads files only, so that pages may ask every second."""
    record = files.record(key, store)
    if record is None:
        return None
    state, error, stopping = record["state"], record["error"], False
    if state in (QUEUED, RUNNING):
        stopping = files.stop_asked(key, record["attempt"], store)
        state, error = _state_at_work(key, record, stopping, store)
    return JobStatus(
        key=key,
        kind=record["kind"],
        title=record["title"],
        spec=record["spec"],
        state=state,
        progress=Progress(**record["progress"]) if record["progress"] else None,
        error=error,
        submitted=record["submitted"],
        started=record["started"],
        finished=record["finished"],
        stopping=stopping and state == RUNNING,
        restarts=record["restarts"],
    )


def stop(key: str, store: Store, by: Visitor | None = None) -> bool:
    """Ask a job to stop: one that waits does so at once, one at work after its present step.

    Where others asked for it, too, it goes on for them and only stops being this visitor's; False is returned then.
    """
    visitors.may_change(by, key, store)
    if visitors.take_off(by, key, store):
        return False
    record = files.record(key, store)
    if record is not None and record["state"] in (QUEUED, RUNNING):
        files.ask_to_stop(key, record["attempt"], store)
    return True


def active(store: Store) -> list[JobStatus]:
    """The jobs that are queued or running, the first submitted first."""
    found = []
    for key in files.active_keys(store):
        job = status(key, store)
        if job is not None and job.state in (QUEUED, RUNNING):
            if _is_readable(job):
                found.append(job)
        elif job is None or job.state != INTERRUPTED or files.silence(key, store) > FORGET_AFTER:
            files.no_longer_active(key, store)
    return sorted(found, key=lambda job: job.submitted)


@dataclasses.dataclass(frozen=True)
class Queue:
    """The jobs of a kind that are queued or running as a page shows them: the first few of one's own, and how many more
    there are of one's own and of others, each of any kind."""

    shown: list[JobStatus]
    more: int
    others: int


def queue(kind: str, store: Store, by: Visitor | None = None) -> Queue:
    """The queue as a visitor sees it. However long it is, few records are read: the rest are counted by their names."""
    keys = files.active_keys(store)
    own = set(keys) if by is None or by.teacher else visitors.belongings(by.owner, store)
    mine, others = [key for key in keys if key in own], [key for key in keys if key not in own]
    found = _at_work_of(mine, store)
    shown = [job for job in found if job.kind == kind and _is_readable(job)][:SHOWN]
    unread = len(mine[LOOKED_AT:]) if found else 0  # none of the first ones: the cluster they waited for is gone
    return Queue(shown, len(found) + unread - len(shown), len(others) if _at_work_of(others, store, 3) else 0)


def _at_work_of(keys: list[str], store: Store, most: int = LOOKED_AT) -> list[JobStatus]:
    jobs = (status(key, store) for key in keys[:most])
    return [job for job in jobs if job is not None and job.state in (QUEUED, RUNNING)]


def listed(kind: str, store: Store, only: Collection[str] | None = None) -> list[JobStatus]:
    """Every known job of a kind, ended ones too, the last submitted first; ``only`` those with certain keys."""
    found = (status(key, store) for key in files.all_keys(store) if only is None or key in only)
    return sorted((job for job in found if job and job.kind == kind), key=lambda job: -job.submitted)


def _is_readable(job: JobStatus) -> bool:
    """A page offers to show a comparison that is at work, and reads its spec for that."""
    schema = {"compare": ComparisonAsked, "several": SeveralAsked}.get(job.kind)
    return schema is None or records.wrong(job.spec, schema) is None


def remove(key: str, store: Store, by: Visitor | None = None) -> None:
    """Forget a job; one that waits leaves the queue. Raises ValueError for one at work: stop it first.

    Where others asked for it, too, it only stops being this visitor's.
    """
    visitors.may_change(by, key, store)
    if visitors.take_off(by, key, store):
        return
    job = status(key, store)
    if job is not None and job.state == RUNNING:
        raise ValueError(f"{job.title} is at work. Stop it before removing it.")
    files.forget(key, store)


def _state(key: str, store: Store) -> str | None:
    known = status(key, store)
    return known.state if known else None


def _state_at_work(key: str, record: dict[str, Any], stopping: bool, store: Store) -> tuple[str, str | None]:
    """The state of a job whose record says that it is queued or running, and the reason where it is neither."""
    there = cluster.is_alive(record["cluster"], store)
    if record["state"] == QUEUED:
        if stopping:
            return STOPPED, None
        return (QUEUED, None) if there else (INTERRUPTED, "The cluster ended before this began. Resume begins it.")
    silence = files.silence(key, store)
    if there and silence <= SILENT_AFTER:
        return RUNNING, None
    if stopping:
        return STOPPED, None
    if not there:
        return INTERRUPTED, "The cluster ended while this was at work. Resume goes on."
    if record["restarts"]:
        return FAILED, files.killed_twice(record["kind"], store)
    return INTERRUPTED, f"Nothing was heard of its worker process for {silence:.0f} s. Resume goes on."


# What `python -m cka_core cluster check` runs.


@dataclasses.dataclass(frozen=True)
class CheckSpec:
    """A job that counts to ``steps``, resting ``pause`` seconds after each: it shows that the cluster works."""

    steps: int = 20
    pause: float = 0.05

    @property
    def key(self) -> str:
        return key_of(self)


def command_check(store: Store) -> None:
    """Prove that jobs reach a worker and that their progress comes back; exits with 1 if they do not."""
    begun = time.monotonic()
    key = submit("check", CheckSpec(), "check of the cluster", store)
    print(f"Submitted after {time.monotonic() - begun:.1f} s.", flush=True)
    told = ""
    while (job := status(key, store)) is not None and job.state in (QUEUED, RUNNING):
        words = f"{job.state}: {job.progress.detail}" if job.progress else job.state
        if words != told:
            print(words, flush=True)
        told = words
        time.sleep(0.1)
    if job is None or job.state != DONE:
        sys.exit(f"The cluster does not work. {job.error if job and job.error else 'The job has no record.'}")
    print(f"The cluster works; done after {time.monotonic() - begun:.1f} s.")
