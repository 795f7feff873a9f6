"""Long work asked for by a page or a person: submit it, see how it is doing, stop it.

A job is named by the key of its spec, so that two who ask for the same share one run.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any, Protocol

from cka_core.base import records
from cka_core.base.keys import key_of
from cka_core.base.progress import Progress
from cka_core.base.store import Store
from cka_core.jobs import cluster, worker
from cka_core.jobs import records as files
from cka_core.jobs.cluster_files import SILENT_AFTER, root
from cka_core.jobs.records import DONE, FAILED, QUEUED, ROLES, RUNNING, STOPPED
from cka_core.jobs.schemas import ComparisonAsked

INTERRUPTED = "interrupted"
FORGET_AFTER = 3600.0  # seconds after which a job that went silent is not looked for among the active ones


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


def submit(kind: str, spec: Spec, title: str, store: Store) -> str:
    """Have a job done by a worker; returns its key, at once if it is at work already.

    Starts the local cluster if there is none, which takes 1 to 3 seconds. If no cluster can be had, the job reads
    "failed" and says why.
    """
    if kind not in ROLES:
        raise ValueError(f"Unknown kind of job {kind!r}. Valid: {', '.join(ROLES)}.")
    key = spec.key
    if _state(key, store) == RUNNING:
        return key
    values: Any = spec
    request = (key, kind, dataclasses.asdict(values), title, store)
    try:
        with cluster.connection(store, ROLES[kind]) as (name, client):
            state = _state(key, store)
            if state == RUNNING:
                return key
            # A queued job is sent once more: if the scheduler has it, it knows the key and does nothing.
            known = files.record(key, store)
            attempt = known["attempt"] if known and state == QUEUED else files.write_new(*request, cluster=name)
            arguments = (kind, key, attempt, root(store))
            cluster.send(client, worker.run_job, *arguments, key=f"{key}-{attempt}", role=ROLES[kind])
            files.prune(store)
    except cluster.ClusterUnavailable as error:
        attempt = files.write_new(*request, cluster="")
        files.finish(key, attempt, FAILED, str(error), store)
    return key


def status(key: str, store: Store) -> JobStatus | None:
    """How a job is doing; None if there never was one. Reads files only, so that pages may ask every second."""
    record = files.record(key, store)
    if record is None:
        return None
    state, error, stopping = record["state"], record["error"], False
    if state in (QUEUED, RUNNING):
        stopping = files.stop_asked(key, record["attempt"], store)
        state, error = _at_work(key, record, stopping, store)
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


def stop(key: str, store: Store) -> None:
    """Ask a job to stop: one that waits does so at once, one at work after its present step."""
    record = files.record(key, store)
    if record is not None and record["state"] in (QUEUED, RUNNING):
        files.ask_to_stop(key, record["attempt"], store)


def active(store: Store) -> list[JobStatus]:
    """The jobs that are queued or running, the first submitted first."""
    found = []
    for key in files.active_keys(store):
        job = status(key, store)
        if job is not None and job.state in (QUEUED, RUNNING):
            # A page offers to show a comparison that is at work, and reads its spec for that.
            if job.kind != "compare" or records.wrong(job.spec, ComparisonAsked) is None:
                found.append(job)
        elif job is None or job.state != INTERRUPTED or files.silence(key, store) > FORGET_AFTER:
            files.no_longer_active(key, store)
    return sorted(found, key=lambda job: job.submitted)


def listed(kind: str, store: Store) -> list[JobStatus]:
    """Every known job of a kind, ended ones too, the last submitted first."""
    found = (status(key, store) for key in files.all_keys(store))
    return sorted((job for job in found if job and job.kind == kind), key=lambda job: -job.submitted)


def remove(key: str, store: Store) -> None:
    """Forget a job; one that waits leaves the queue. Raises ValueError for one at work: stop it first."""
    job = status(key, store)
    if job is not None and job.state == RUNNING:
        raise ValueError(f"{job.title} is at work. Stop it before removing it.")
    files.forget(key, store)


def _state(key: str, store: Store) -> str | None:
    known = status(key, store)
    return known.state if known else None


def _at_work(key: str, record: dict[str, Any], stopping: bool, store: Store) -> tuple[str, str | None]:
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
