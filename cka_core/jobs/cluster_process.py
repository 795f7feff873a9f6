"""The process of the local cluster (``python -m cka_core.jobs.cluster_process STORE``): scheduler and nannies.

It leaves when no work was there for `IDLE_MINUTES` (``CKA_IDLE_MINUTES`` says otherwise), when its address file is gone
(it was stopped, or its store vanished), when a newer version took its place and it is idle, or on SIGTERM and SIGINT.
Its workers cannot outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_core.base import locks
from cka_core.base.store import Store
from cka_core.jobs import cluster_files as files
from cka_core.jobs.cluster_files import Cluster

if TYPE_CHECKING:
    from distributed import Nanny, Scheduler
    from distributed.security import Security

# At most one local worker for each role, told apart by Dask resources. A remote cluster's workers offer the same:
# dask worker ADDRESS --nthreads 1 --resources "compare=1"
# dask worker ADDRESS --nthreads 1 --resources "train=1"
RESOURCES: dict[str, dict[str, float]] = {"compare": {"compare": 1}, "train": {"train": 1}}
MEMORY_SHARES = {"compare": 0.4, "train": 0.5}  # of this machine's memory
IDLE_MINUTES = 15.0
BEAT = 1.0  # seconds between two signs of life
WORKER_SECONDS = 60.0  # a worker that does not come up by then is missed
CLOSE_SECONDS = 15.0
LOG_LIMIT = 4_000_000  # bytes; as much again is kept in log.1.txt
HEARTBEAT = 5.0  # seconds between two reports of a worker to the scheduler, of which nobody here asks anything
HIRE_EVERY = 0.2  # seconds between two looks whether a job waits for a worker that is not there yet
AT_WORK = ("waiting", "no-worker", "queued", "processing")  # states of a Dask task

CONFIG: dict[str, Any] = {
    # A worker that is killed takes down, in Dask's count, all that waits for it. How often a job is begun again is
    # decided by its own record instead (`records.begin`).
    "distributed.scheduler.allowed-failures": 1_000_000,
    "distributed.scheduler.worker-ttl": None,  # a laptop that wakes up must not lose its workers; nannies watch them
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],  # the HTTP sockets stay, but know no page
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    # Dask looks at its event loop 50 times a second and at the system twice; an idle cluster should cost nothing.
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    # Results go to the store, not through Dask, so there is nothing to spill; and a worker that Dask pauses because a
    # warm TensorFlow is large would never take a job again. One that reaches its limit is ended and started anew.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.memory.monitor-interval": "250ms",  # Dask's own is 100
    # Dask's own values give numpy one thread, and a malloc that returns memory all the time.
    "distributed.nanny.pre-spawn-environ": {},
}


def serve(store: Store, digest: str | None = None, role: str = "compare") -> bool:
    """Run the local cluster in this process until it leaves. Its output goes to the log.

    ``digest`` is the version to be found under, by default this code's; ``role`` that of the worker to begin with.
    Returns False if one of this version runs already.
    """
    home = files.folder(store)
    digest = digest or files.version_digest()
    there = files.read(home, digest)
    if there is not None and there.alive:
        return False
    try:
        with locks.file_lock(home / f"{digest}.lock", CLOSE_SECONDS):  # the one before may still be on its way out
            with open(files.log_file(home), "ab") as output:
                for stream in (1, 2):
                    os.dup2(output.fileno(), stream)
            asyncio.run(_serve(home, digest, role))
            return True
    except TimeoutError:
        return False


async def _serve(home: Path, digest: str, role: str) -> None:
    import dask
    from distributed import Scheduler

    loop, leave = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(leave.set))
    security, limits = files.security(home), _memory_limits()
    work = home / f"work-{digest}"
    shutil.rmtree(work, ignore_errors=True)
    certificate = {"distributed.scheduler.dashboard.tls.cert": security.tls_worker_cert}  # for its HTTP sockets
    with dask.config.set(CONFIG | certificate):
        scheduler = await Scheduler(
            host="127.0.0.1", protocol="tls", security=security, dashboard=False, dashboard_address="127.0.0.1:0"
        )
        _quieten(scheduler)
        cluster = files.publish(home, digest, scheduler.address, limits)
        print(f"cluster {cluster.id}: {scheduler.address}, process {os.getpid()}, {limits} bytes a worker", flush=True)
        nannies: dict[str, Nanny] = {}

        def spawn(role: str) -> Nanny:
            return _nanny(role, scheduler, security, work, limits[role])

        hiring = asyncio.ensure_future(_hire(nannies, role, scheduler, spawn))
        try:
            reason = await _watch(home, cluster, scheduler, nannies, leave)
            print(f"cluster {cluster.id}: leaves, {reason}", flush=True)
        finally:
            overdue = threading.Timer(CLOSE_SECONDS, os._exit, args=(1,))  # which ends the workers, too
            overdue.daemon = True
            overdue.start()
            hiring.cancel()
            await asyncio.gather(*(nanny.close(timeout=1) for nanny in nannies.values()), return_exceptions=True)
            await scheduler.close()
            shutil.rmtree(work, ignore_errors=True)
            overdue.cancel()


def _quieten(scheduler: Scheduler) -> None:
    """Let workers report every `HEARTBEAT` seconds: Dask asks few workers twice a second, and has no setting for it."""
    report = scheduler.handlers["heartbeat_worker"]
    scheduler.handlers["heartbeat_worker"] = lambda **told: report(**told) | {"heartbeat-interval": HEARTBEAT}


async def _hire(nannies: dict[str, Nanny], first: str, scheduler: Scheduler, nanny: Callable[[str], Nanny]) -> None:
    """Begin with one worker, and add that of another role when a job waits for it: most sessions need one only."""
    starting, wanted = [], {first}
    while True:
        for role in (wanted & RESOURCES.keys()) - nannies.keys():
            nannies[role] = nanny(role)
            starting.append(asyncio.ensure_future(nannies[role]))
        await asyncio.sleep(HIRE_EVERY)
        waiting = [task for task in scheduler.tasks.values() if task.state == "no-worker"]
        wanted = {role for task in waiting for role in task.resource_restrictions or ()}


def _nanny(role: str, scheduler: Scheduler, security: Security, work: Path, limit: int) -> Nanny:
    """It spawns the worker process of a role, and another one when that ends."""
    from distributed import Nanny

    return Nanny(
        scheduler.address,
        name=role,
        nthreads=1,
        resources=RESOURCES[role],
        memory_limit=limit,
        local_directory=str(work),
        host="127.0.0.1",
        security=security,
        death_timeout=WORKER_SECONDS,
        env={"TF_CPP_MIN_LOG_LEVEL": "2"},
        dashboard=False,
    )


async def _watch(
    home: Path, cluster: Cluster, scheduler: Scheduler, nannies: dict[str, Nanny], leave: asyncio.Event
) -> str:
    """Give signs of life until it is time to leave; returns why, with the address file removed."""
    idle_seconds = 60 * float(os.environ.get("CKA_IDLE_MINUTES") or IDLE_MINUTES)
    address = files.address_file(home, cluster.digest)
    busy = complete = time.monotonic()
    had_work = False
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(leave.wait(), BEAT)
        with contextlib.suppress(OSError):
            os.utime(address)
        there = files.read(home, cluster.digest)
        if there is None or there.id != cluster.id:
            return "it was stopped or its store is gone"
        now = time.monotonic()
        if len(scheduler.workers) >= len(nannies):
            complete = now
        if leave.is_set() or now - complete > WORKER_SECONDS:
            address.unlink(missing_ok=True)
            return "it was asked to" if leave.is_set() else "a worker is missing and does not come back"
        has_work = _has_work(scheduler)
        if has_work or had_work:  # it ended after the last look
            busy = now
        had_work = has_work
        if (now - busy > idle_seconds or not there.current) and _leave_if_idle(home, address, scheduler):
            return "it is idle"
        _bound_log(files.log_file(home))


def _leave_if_idle(home: Path, address: Path, scheduler: Scheduler) -> bool:
    """Remove the address file, unless work is there or about to be given."""
    try:
        with locks.file_lock(home / "start.lock", 0):
            if _has_work(scheduler):
                return False
            address.unlink(missing_ok=True)
            return True
    except OSError:
        return False


def _has_work(scheduler: Scheduler) -> bool:
    return any(task.state in AT_WORK for task in scheduler.tasks.values())


def _memory_limits() -> dict[str, int]:
    """Bytes the worker of each role may use before it is ended: its share of what this machine or container has."""
    from distributed.system import MEMORY_LIMIT

    return {role: int(MEMORY_SHARES[role] * MEMORY_LIMIT) for role in RESOURCES}


def _bound_log(path: Path) -> None:
    """The cluster and its workers append to one file: put it aside when it is full, and go on with an empty one."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > LOG_LIMIT:
            shutil.copyfile(path, path.with_name("log.1.txt"))
            os.truncate(path, 0)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit("Expected: python -m cka_core.jobs.cluster_process STORE [VERSION [ROLE]]")
    # The workers look this module up by its name, not in this copy, which is called __main__.
    from cka_core.jobs import cluster_process

    cluster_process.serve(Store(sys.argv[1]), *sys.argv[2:])
