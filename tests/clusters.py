"""Clusters in tests: each store's processes are found by their environment, and none outlives its test."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from cka_core.base.store import Store
from cka_core.jobs import cluster


def wait_for(condition: Callable[[], object], seconds: float = 150.0) -> None:
    """Return as soon as a condition holds; fail when it does not within some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


def processes(store: Store) -> list[psutil.Process]:
    """The cluster's process of a store, its helpers and its workers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CKA_STORE") == store.root and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def workers(store: Store) -> list[psutil.Process]:
    found = []
    for process in processes(store):
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has ended since
            pass
    return found


def end(store: Store) -> None:
    """Stop the clusters of a store and see to it that they are gone; what stays is ended, and fails the test."""
    cluster.stop(store)
    try:
        wait_for(lambda: not processes(store))
    finally:
        for process in processes(store):
            process.kill()
