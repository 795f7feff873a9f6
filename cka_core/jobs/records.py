"""What is known of a job, in files of the store that every process may read at any time.

    jobs/<key>/status.json   one record; the time of its last change is the heartbeat of the worker at work on it
    jobs/<key>/stop          the wish to stop an attempt
    jobs/<key>/error.txt     the traceback of the last failure
    jobs/active/<key>        there while it is queued or running

Each time a job is submitted again is a new attempt, and an older one that is still at work gives up. Records of ended
jobs are small and go by themselves; those of trainings stay until they are removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import traceback
from typing import Any

from cka_core.base import deployment, failures, full_disk, records
from cka_core.base.progress import Progress, Stopped
from cka_core.base.store import Store
from cka_core.jobs import cluster_files
from cka_core.jobs.schemas import JobRecord, StopRecord

QUEUED, RUNNING, DONE, FAILED, STOPPED = "queued", "running", "done", "failed", "stopped"
ROLES = {
    "compare": "compare", "several": "compare", "best match": "compare", "estimators": "compare",
    "check": "compare", "atlas": "compare",
    "train": "train", "measure": "train", "atlas-train": "train",
}  # fmt: skip
"""Kind of job -> role of the worker that does it."""
LESS_MEMORY = {
    "compare": "Choose fewer images or smaller minibatches.",
    "train": "Resume goes on from the last finished epoch; if it ends this way again, choose smaller minibatches or a "
    "smaller network.",
}
"""What to do about a job that needs too much, for each role."""
PRUNED = ("compare", "several", "best match", "estimators", "check", "measure")
KEPT_JOBS, KEPT_DAYS = 200, 30
"""Ended jobs of these kinds are forgotten beyond so many, or when this old. What they made stays."""
TRACEBACK_LENGTH = 20_000
MOST_READ = 2000
_read: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}
"""Records as this process last read them, with the stamps of their files: pages ask for hundreds every second."""


def record(key: str, store: Store) -> dict[str, Any] | None:
    """The record of a job; None if there never was one."""
    if not re.fullmatch(r"[0-9a-f]{8,64}", key):
        raise ValueError(f"Expected the key of a job (hexadecimal digits), got {key!r}.")
    path = store.path(_status_file(key))
    stamp = _stamp(path) if store.is_local else None
    known = _read.get(path)
    if stamp is not None and known is not None and known[0] == stamp:
        return dict(known[1])
    found = records.kept(_status_file(key), JobRecord, store)
    if found is None:
        return None
    if stamp is not None:
        while len(_read) >= MOST_READ:
            _read.pop(next(iter(_read)), None)
        _read[path] = stamp, found
    return dict(found)


def _stamp(path: str) -> tuple[int, int, int] | None:
    """What changes when a file here is written, replaced or touched; None if there is none."""
    try:
        told = os.stat(path)
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino


def write_new(key: str, kind: str, spec: dict[str, Any], title: str, store: Store, cluster: str, turn: int = 0) -> int:
    """Begin a job's record, or its next attempt. ``turn`` is its place in the queue. Returns the attempt's number."""
    before = record(key, store)
    attempt = int(before["attempt"]) + 1 if before else 1
    values = {
        "kind": kind,
        "title": title,
        "spec": spec,
        "state": QUEUED,
        "progress": None,
        "error": None,
        "submitted": time.time(),
        "started": None,
        "finished": None,
        "cluster": cluster,
        "attempt": attempt,
        "restarts": 0,
        "turn": turn,
    }
    store.write_record(_status_file(key), values)
    place = {"submitted": values["submitted"], "role": ROLES[kind], "cluster": cluster, "turn": turn}
    store.write_record(_active_file(key), place)
    return attempt


def ask_to_stop(key: str, attempt: int, store: Store) -> None:
    store.write_record(f"jobs/{key}/stop", {"attempt": attempt, "asked": time.time()})


def stop_asked(key: str, attempt: int, store: Store) -> bool:
    wish = records.kept(f"jobs/{key}/stop", StopRecord, store)
    return wish is not None and wish["attempt"] == attempt


def silence(key: str, store: Store) -> float:
    """Seconds since the last sign of life."""
    store.fs.invalidate_cache(store.path(f"jobs/{key}"))
    return store.record_age(_status_file(key)) or 0.0


def active_keys(store: Store) -> list[str]:
    """Keys of the jobs that were queued or running when their records were last written, the first submitted first."""
    folder = store.path("jobs/active")
    store.fs.invalidate_cache(folder)
    try:
        found = store.fs.ls(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = sorted(found, key=lambda info: info.get("mtime") or 0.0)
    return [name for info in found if ".tmp-" not in (name := info["name"].rsplit("/", 1)[-1])]


def place(key: str, store: Store) -> dict[str, Any]:
    """Where a job that is queued or running stands: "submitted", "role", "cluster", "turn". Empty if it does not."""
    found = store.read_record(_active_file(key))
    return found if isinstance(found, dict) else {}


def no_longer_active(key: str, store: Store) -> None:
    store.remove(store.path(_active_file(key)))


def all_keys(store: Store) -> list[str]:
    """Keys of every job there ever was, but those removed."""
    return [name for name in store.listed("jobs") if re.fullmatch(r"[0-9a-f]{8,64}", name)]


def forget(key: str, store: Store) -> None:
    """Remove a job's record and what lies beside it. A worker still at work on it gives up."""
    store.remove_folder(f"jobs/{key}")
    no_longer_active(key, store)


def prune(store: Store) -> None:
    """Forget old jobs that ended (see `PRUNED`)."""
    found = [(key, record(key, store)) for key in all_keys(store)]
    ended = [
        (known["finished"] or known["submitted"], key)
        for key, known in found
        if known and known["kind"] in PRUNED and known["state"] not in (QUEUED, RUNNING)
    ]
    oldest = time.time() - KEPT_DAYS * 86400
    for rank, (finished, key) in enumerate(sorted(ended, reverse=True)):
        if rank >= KEPT_JOBS or finished < oldest:
            forget(key, store)


# What a worker tells of its attempt.


def begin(key: str, attempt: int, store: Store) -> dict[str, Any] | None:
    """Mark an attempt as running. Returns its spec; None if it is not wanted any more or was killed twice already."""
    found = record(key, store)
    if found is None or found["attempt"] != attempt or found["state"] not in (QUEUED, RUNNING):
        return None
    restarts = found["restarts"] + (found["state"] == RUNNING)
    if stop_asked(key, attempt, store):
        finish(key, attempt, STOPPED, None, store)
    elif restarts > 1:
        finish(key, attempt, FAILED, killed_twice(found["kind"], store), store)
    else:
        started = found["started"] or time.time()
        values = {"state": RUNNING, "started": started, "restarts": restarts, "progress": None}
        update(key, attempt, store, **values, process=os.getpid())
        return dict(found["spec"])
    return None


def update(key: str, attempt: int, store: Store, **changes: Any) -> None:
    """Change the record of an attempt, which is a sign of life, too. Raises `Stopped` if it is not the latest one."""
    store.write_record(_status_file(key), _wanted(key, attempt, store) | changes)


def tell(key: str, attempt: int, progress: Progress, store: Store) -> None:
    """Write how far an attempt is. Raises `Stopped` if that was asked for, or if it is not the latest one."""
    if stop_asked(key, attempt, store):
        raise Stopped("The user asked to stop.")
    values = {"phase": progress.phase, "done": float(progress.done), "total": float(progress.total)}
    update(key, attempt, store, progress=values | {"detail": progress.detail})


def beat(key: str, attempt: int, store: Store) -> None:
    """A sign of life. Raises `Stopped` if the attempt is not the latest one."""
    if store.is_local:
        _wanted(key, attempt, store)
        store.touch(store.path(_status_file(key)))
    else:
        update(key, attempt, store)


def finish(key: str, attempt: int, state: str, error: str | None, store: Store) -> None:
    """Write how an attempt ended. Nothing happens if it is not the latest one."""
    with contextlib.suppress(Stopped):
        update(key, attempt, store, state=state, error=error, finished=time.time())
        no_longer_active(key, store)


def sentence(error: Exception, key: str, store: Store) -> str:
    """What a person reads about a failure. Anything but a refused request leaves its traceback in ``error.txt``.

    Refusals are sentences, in one line; a ValueError of more lines is a library's own.
    """
    if isinstance(error, ValueError) and str(error) and "\n" not in str(error):
        return str(error)
    why = full_disk.in_words(error, store)
    if why is not None:
        return f"{why} Resume goes on from what is kept."
    path = store.path(_error_file(key))
    with contextlib.suppress(OSError):
        store.fs.pipe_file(path, "".join(traceback.format_exception(error))[-TRACEBACK_LENGTH:].encode())
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"There was not enough memory. {LESS_MEMORY[_role(key, store)]} {_details(key, store)}"
    return f"{failures.in_short(error)}. {_details(key, store)}"


def _details(key: str, store: Store) -> str:
    """Where the traceback of a failure is; the visitors of a class are not told this machine's folders."""
    if deployment.mode() == deployment.OPEN:
        return f"Details: {store.path(_error_file(key))}"
    return f"Whoever runs this finds the details in the store, in {_error_file(key)}."


def killed_twice(kind: str, store: Store) -> str:
    """Why a job failed whose worker process did not live to tell."""
    role = ROLES.get(kind, "compare")
    return (
        "Its worker process was killed, started again and killed again, most likely because it needed too much memory. "
        f"{LESS_MEMORY[role]} {cluster_files.about_workers(store, role)}"
    )


def _role(key: str, store: Store) -> str:
    found = record(key, store)
    return ROLES.get(found["kind"], "compare") if found else "compare"


def _wanted(key: str, attempt: int, store: Store) -> dict[str, Any]:
    found = record(key, store)
    if found is None or found["attempt"] != attempt:
        raise Stopped(f"Attempt {attempt} of job {key} is not wanted any more.")
    return found


def _status_file(key: str) -> str:
    return f"jobs/{key}/status.json"


def _error_file(key: str) -> str:
    return f"jobs/{key}/error.txt"


def _active_file(key: str) -> str:
    return f"jobs/active/{key}"
