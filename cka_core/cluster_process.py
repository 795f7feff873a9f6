"""The process of the local cluster (``python -m cka_core.cluster_process STORE``): scheduler and nannies.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_core import cluster_files as files
from cka_core.cluster_files import Cluster
from cka_core.store import Store

if TYPE_CHECKING:
    from distributed import Nanny, Scheduler
    from distributed.security import Security

# One local worker for each role, told apart by Dask resources. A remote cluster's workers offer the same:
# dask worker ADDRESS --nthreads 1 --resources "compare=1"
ROLES: dict[str, dict[str, float]] = {"compare": {"compare": 1}}
MEMORY_SHARE = 0.8  # of this machine's memory, for all workers together
IDLE_MINUTES = 15.0
BEAT = 1.0  # seconds between two signs of life
WORKER_SECONDS = 60.0  # a worker that does not come up by then is missed
CLOSE_SECONDS = 15.0
LOG_LIMIT = 4_000_000  # bytes; as much again is kept in log.1.txt
AT_WORK = ("waiting", "no-worker", "queued", "processing")  # states of a Dask task

CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-ttl": None,  # a laptop that wakes up must not lose its workers; nannies watch them
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],  # the HTTP sockets stay, but know no page
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    # Results go to the store, not through Dask, so there is nothing to spill; and a worker that Dask pauses because a
    # warm TensorFlow is large would never take a job again. One that reaches its limit is ended and started anew.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # Dask's own values give numpy one thread, and a malloc that returns memory all the time.
    "distributed.nanny.pre-spawn-environ": {},
}


def serve(store: Store, digest: str | None = None) -> bool:
    """Run the local cluster in this process until it leaves. Its output goes to the log.

    ``digest`` is the version to be found under, by default this code's. Returns False if one of it runs already.
    """
    home = files.folder(store)
    digest = digest or files.version_digest()
    there = files.read(home, digest)
    if there is not None and there.alive:
        return False
    try:
        with files.file_lock(home / f"{digest}.lock", CLOSE_SECONDS):  # the one before may still be on its way out
            with open(files.log_file(home), "ab") as output:
                for stream in (1, 2):
                    os.dup2(output.fileno(), stream)
            asyncio.run(_serve(home, digest))
            return True
    except TimeoutError:
        return False


async def _serve(home: Path, digest: str) -> None:
    import dask
    from distributed import Scheduler

    loop, leave = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(leave.set))
    security, limit = files.security(home), _memory_limit()
    work = home / f"work-{digest}"
    shutil.rmtree(work, ignore_errors=True)
    certificate = {"distributed.scheduler.dashboard.tls.cert": security.tls_worker_cert}  # for its HTTP sockets
    with dask.config.set(CONFIG | certificate):
        scheduler = await Scheduler(
            host="127.0.0.1", protocol="tls", security=security, dashboard=False, dashboard_address="127.0.0.1:0"
        )
        cluster = files.publish(home, digest, scheduler.address, limit)
        print(f"cluster {cluster.id}: {scheduler.address}, process {os.getpid()}, {limit:,} bytes a worker", flush=True)
        nannies = _nannies(scheduler, security, work, limit)
        hiring = asyncio.gather(*nannies, return_exceptions=True)
        try:
            reason = await _watch(home, cluster, scheduler, leave)
            print(f"cluster {cluster.id}: leaves, {reason}", flush=True)
        finally:
            overdue = threading.Timer(CLOSE_SECONDS, os._exit, args=(1,))  # which ends the workers, too
            overdue.daemon = True
            overdue.start()
            await asyncio.gather(*(nanny.close(timeout=1) for nanny in nannies), return_exceptions=True)
            hiring.cancel()
            await scheduler.close()
            shutil.rmtree(work, ignore_errors=True)
            overdue.cancel()


def _nannies(scheduler: Scheduler, security: Security, work: Path, limit: int) -> list[Nanny]:
    """One for each role: it spawns the worker process, and another one when that ends."""
    from distributed import Nanny

    return [
        Nanny(
            scheduler.address,
            name=role,
            nthreads=1,
            resources=resources,
            memory_limit=limit,
            local_directory=str(work),
            host="127.0.0.1",
            security=security,
            death_timeout=WORKER_SECONDS,
            env={"TF_CPP_MIN_LOG_LEVEL": "2"},
            dashboard=False,
        )
        for role, resources in ROLES.items()
    ]


async def _watch(home: Path, cluster: Cluster, scheduler: Scheduler, leave: asyncio.Event) -> str:
    """Give signs of life until it is time to leave; returns why, with the address file removed."""
    idle_seconds = 60 * float(os.environ.get("CKA_IDLE_MINUTES") or IDLE_MINUTES)
    address = files.address_file(home, cluster.digest)
    busy = complete = time.monotonic()
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(leave.wait(), BEAT)
        with contextlib.suppress(OSError):
            os.utime(address)
        there = files.read(home, cluster.digest)
        if there is None or there.id != cluster.id:
            return "it was stopped or its store is gone"
        now = time.monotonic()
        if len(scheduler.workers) >= len(ROLES):
            complete = now
        if leave.is_set() or now - complete > WORKER_SECONDS:
            address.unlink(missing_ok=True)
            return "it was asked to" if leave.is_set() else "a worker is missing and does not come back"
        if _has_work(scheduler):
            busy = now
        if (now - busy > idle_seconds or not there.current) and _leave_if_idle(home, address, scheduler):
            return "it is idle"
        _bound_log(files.log_file(home))


def _leave_if_idle(home: Path, address: Path, scheduler: Scheduler) -> bool:
    """Remove the address file, unless work is there or about to be given."""
    try:
        with files.file_lock(home / "start.lock", 0):
            if _has_work(scheduler):
                return False
            address.unlink(missing_ok=True)
            return True
    except OSError:
        return False


def _has_work(scheduler: Scheduler) -> bool:
    return any(task.state in AT_WORK for task in scheduler.tasks.values())


def _memory_limit() -> int:
    """Bytes a worker may use before it is ended: its share of what this machine or container has."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_SHARE * MEMORY_LIMIT / len(ROLES))


def _bound_log(path: Path) -> None:
    """The cluster and its workers append to one file: put it aside when it is full, and go on with an empty one."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > LOG_LIMIT:
            shutil.copyfile(path, path.with_name("log.1.txt"))
            os.truncate(path, 0)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("Expected: python -m cka_core.cluster_process STORE [VERSION]")
    # The workers look this module up by its name, not in this copy, which is called __main__.
    from cka_core import cluster_process

    cluster_process.serve(Store(sys.argv[1]), *sys.argv[2:])
