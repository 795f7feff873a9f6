"""Where jobs run: on a Dask cluster of this machine, in a process of its own, or on the one ``CKA_SCHEDULER`` names.

The local cluster (`cka_core.jobs.cluster_process`) is started by the first job, detached from whoever asked for it, and
leaves by itself. Connections to it need a certificate that stands in a folder of the store which only its owner reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_core.base import deployment, failures, locks
from cka_core.base.store import Store
from cka_core.jobs import cluster_files as files
from cka_core.jobs.cluster_files import Cluster, ClusterUnavailable, is_alive
from cka_core.jobs.cluster_process import CLOSE_SECONDS, RESOURCES, serve

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

__all__ = ["Cluster", "ClusterUnavailable", "connection", "is_alive", "send", "serve", "start", "status", "stop"]

START_SECONDS = 60.0  # a cluster that does not listen by then has failed to start
WAKE_SECONDS = 5.0  # one that is silent for longer than this (after `SILENT_AFTER`) is replaced
CONNECT_SECONDS = 10.0
TURN = 1e10  # seconds: more than there were since 1970


def start(store: Store, role: str = "compare") -> Cluster:
    """The local cluster of this store and version, started if there is none, which takes 1 to 3 seconds.

    A new one begins with a worker of ``role``; others come when they are needed. Raises `ClusterUnavailable` if the
    store is not a local folder or the cluster does not start, `NotAllowed` where nothing is computed.
    """
    _check_mode()
    home = files.folder(store)
    with _start_lock(home):
        return _ensure(home, store, role)


def status(store: Store) -> list[Cluster]:
    """The local clusters of this store on this machine, the current one first. Reads files only."""
    if not store.is_local:
        return []
    home = files.folder(store)
    found = [cluster for path in home.glob("*.json") if (cluster := files.read(home, path.stem)) is not None]
    return sorted(found, key=lambda cluster: (cluster.current, cluster.created), reverse=True)


def stop(store: Store) -> list[Cluster]:
    """End the local clusters of this store on this machine and wait until they are gone; returns those that were alive.

    Jobs at work then read "interrupted".
    """
    found = status(store)
    for cluster in found:
        files.address_file(files.folder(store), cluster.digest).unlink(missing_ok=True)
        if sys.platform != "win32" and files.is_running(cluster):
            os.kill(cluster.pid, signal.SIGTERM)  # or it would see a second later that its address is gone
    for cluster in found:
        _wait_gone(cluster, CLOSE_SECONDS + 5)
    return [cluster for cluster in found if cluster.alive]


@contextlib.contextmanager
def connection(store: Store, role: str) -> Iterator[tuple[str, Client]]:
    """The name of the cluster for this store and a client of it. It does not leave as long as the ``with`` block lasts.

    The local cluster is started if need be, with a worker of ``role``. Raises `ClusterUnavailable`, or `NotAllowed`
    where nothing is computed.
    """
    _check_mode()
    remote = os.environ.get("CKA_SCHEDULER")
    if remote:
        yield remote, _client(remote, None)
        return
    home = files.folder(store)
    with _start_lock(home):
        try:
            cluster = _ensure(home, store, role)
            certificate = files.security(home)
        except OSError as error:
            raise ClusterUnavailable(_no_access(error)) from error
        yield cluster.name, _client(cluster.address, certificate)


def _check_mode() -> None:
    if deployment.mode() == deployment.READ_ONLY:
        raise deployment.NotAllowed(deployment.ONLY_TO_LOOK_AT)


def send(client: Client, function: Callable[..., Any], *args: Any, key: str, role: str, turn: int = 0) -> None:
    """Have ``function(*args)`` run by a worker of a role, whatever becomes of this process. Equal keys run once.

    The lower ``turn`` is done first; of equal ones what is sent first. Returns when the scheduler has it.
    """
    from distributed import fire_and_forget

    deadline = time.monotonic() + CONNECT_SECONDS
    try:
        # Dask leaves the order of what comes within a minute open, unless it is told.
        order = {"priority": -(TURN * turn + time.time()), "pure": False}
        future = client.submit(function, *args, key=key, resources=RESOURCES[role], **order)
        fire_and_forget(future)
        # `future` is held meanwhile, so that even a task which has ended by now is known.
        while client.sync(client.scheduler.get_task_status, keys=[key])[key] is None:
            if time.monotonic() > deadline:
                raise ClusterUnavailable(f"The Dask scheduler did not take the job within {CONNECT_SECONDS:.0f} s.")
            time.sleep(0.005)
    except OSError as error:
        raise ClusterUnavailable(f"The Dask scheduler went away while it was given the job ({error}).") from error


@contextlib.contextmanager
def _start_lock(home: Path) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.file_lock(home / "start.lock", START_SECONDS))
        except TimeoutError as error:
            raise ClusterUnavailable(f"{error} A program that starts the cluster hangs: end it.") from error
        except OSError as error:
            raise ClusterUnavailable(_no_access(error)) from error
        yield


def _ensure(home: Path, store: Store, role: str) -> Cluster:
    digest = files.version_digest()
    cluster = files.read(home, digest)
    if cluster is not None and not cluster.alive:
        cluster = _woken(home, cluster)
    if cluster is None:
        return _spawn(home, digest, files.root(store), role)
    files.set_current(home, digest)
    return dataclasses.replace(cluster, current=True)


def _woken(home: Path, cluster: Cluster) -> Cluster | None:
    """A silent cluster, when it speaks again: its machine may just have woken up. One that does not is ended."""
    deadline = time.monotonic() + WAKE_SECONDS
    while files.is_running(cluster) and time.monotonic() < deadline:
        found = files.read(home, cluster.digest)
        if found is None or found.alive:
            return found
        time.sleep(0.05)
    _wait_gone(cluster, 0)
    return None


def _spawn(home: Path, digest: str, root: str, role: str) -> Cluster:
    import distributed  # noqa: F401 - where it is not installed the process would say so in its log only

    files.address_file(home, digest).unlink(missing_ok=True)
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    log = files.log_file(home)
    with open(log, "ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "cka_core.jobs.cluster_process", root, digest, role],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parent.parent.parent,
            env=os.environ | {"CKA_STORE": root},
            **detached,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        cluster = files.read(home, digest)
        if cluster is not None and cluster.alive and cluster.current:
            threading.Thread(target=process.wait, daemon=True).start()  # so that it is no zombie when it has left
            return cluster
        time.sleep(0.02)
    process.kill()
    said = log.read_bytes()[begin:].decode(errors="replace").strip().splitlines()
    why = failures.without_folders(said[-1]) if said else "it says nothing"
    raise ClusterUnavailable(f"The local cluster did not start: {why}. {files.where_log(home)}")


def _wait_gone(cluster: Cluster, seconds: float) -> None:
    """Return when a cluster's process has ended; after some seconds it is killed, and its workers with it."""
    import psutil

    deadline = time.monotonic() + seconds
    while files.is_running(cluster):
        if time.monotonic() > deadline:
            with contextlib.suppress(psutil.Error):
                psutil.Process(cluster.pid).kill()
        time.sleep(0.02)


_clients: dict[str, Client] = {}  # at most one, kept as long as its scheduler answers
_clients_lock = threading.Lock()


def _client(address: str, security: Security | None) -> Client:
    import dask
    from distributed import Client

    with _clients_lock:
        known = _clients.get(address)
        if known is not None and known.status == "running":
            return known
        for left in _clients.values():
            left.close(timeout=0.5)
        _clients.clear()
        # What it has to say about a scheduler that left helps nobody: the next job starts another one.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            with ThreadPoolExecutor(1) as thread:  # of its own: where a notebook asks, a loop runs already
                thread.submit(asyncio.run, _reach(address, security)).result()
            with dask.config.set({"distributed.client.scheduler-info-interval": "60s"}):
                _clients[address] = Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ClusterUnavailable(_unreachable(address, error)) from error
        return _clients[address]


async def _reach(address: str, security: Security | None) -> None:
    """Connect once, before there is a client: one that can make nothing of an address is left half made, and takes
    20 s to end."""
    from distributed import Security
    from distributed.comm import connect

    how = (security or Security()).get_connection_args("client")
    await (await connect(address, timeout=CONNECT_SECONDS, **how)).close()


def _no_access(error: OSError) -> str:
    return f"The store cannot be used for a cluster ({error}). Set CKA_STORE to a folder of your own."


def _unreachable(address: str, error: Exception) -> str:
    told = f"No Dask scheduler answers at {address} ({type(error).__name__}: {error})."
    if os.environ.get("CKA_SCHEDULER"):
        return f"{told} Start it, correct CKA_SCHEDULER, or unset CKA_SCHEDULER to use this machine's own cluster."
    return f"{told} `python -m cka_core cluster stop` ends it; the next job starts a new one."


# What `python -m cka_core cluster …` prints.


def command_start(store: Store) -> None:
    """Run the local cluster in the foreground until Ctrl-C, or until it leaves by itself."""
    import distributed  # noqa: F401 - its output goes to the log

    log = files.log_file(files.folder(store))
    print(f"The cluster of {store.root} runs until Ctrl-C or until it is idle. Its output goes to {log}", flush=True)
    terminal = os.dup(1)
    ran = serve(store)
    os.dup2(terminal, 1)
    print("The cluster has ended." if ran else "It runs already, in another process.")


def command_status(store: Store) -> None:
    """Say where jobs run and whether that is there."""
    remote = os.environ.get("CKA_SCHEDULER")
    if remote:
        workers = _client(remote, None).scheduler_info(n_workers=-1)["workers"]
        print(f"Jobs run on {remote} (CKA_SCHEDULER), which has {len(workers)} workers.")
        return
    clusters = status(store)
    if not clusters:
        print(f"No cluster runs for {store.root}. The first job starts one.")
    for cluster in clusters:
        state = "runs" if cluster.alive else "does not answer"
        version = "" if cluster.current else ", an older version that leaves when its work is done"
        print(f"The cluster {state}: {cluster.address}, process {cluster.pid}{version}. {files.about_workers(store)}")


def command_stop(store: Store) -> None:
    """End the local cluster and say so."""
    if os.environ.get("CKA_SCHEDULER"):
        print("Jobs run on the cluster that CKA_SCHEDULER names, which this command leaves alone.")
        return
    for cluster in stop(store):
        print(f"Ended the cluster in process {cluster.pid}.")
    print(f"No cluster runs for {store.root}.")
