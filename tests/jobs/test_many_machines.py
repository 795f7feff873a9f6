"""A comparison on three workers of a scheduler started by hand, two of which are killed while it is at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from cka_core.base.store import Store
from cka_core.comparing import engine
from cka_core.jobs import cluster, submit
from cka_core.library import arrivals, catalogue
from cka_core.results.activation_sets import shared_sample
from cka_core.results.comparison import CompareSpec, find
from scripts.running import free_port
from tests.clusters import wait_for

ROOT = Path(__file__).resolve().parents[2]
N, LAYERS = 2048, 40


def compared(folder: Path, store: Store) -> CompareSpec:
    """Two activation sets in a store, enough of them for a comparison to take a while."""
    specs = []
    for name, seed in (("left", 1), ("right", 2)):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((N, 6))
        layers = {f"layer_{i:02}": np.tanh(x @ rng.standard_normal((6, 6))) for i in range(LAYERS)}
        np.savez(folder / f"{name}.npz", **layers, sample_ids=np.arange(N))
        specs.append(catalogue.find(arrivals.import_file(folder / f"{name}.npz", store).name, store))
    sample, batch_size = shared_sample([info.activations for info in specs])
    return CompareSpec(specs[0].spec, specs[1].spec, sample.spec, batch_size)


def start(command: str, *words: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{command}", *words], env=environment, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_two_of_three_workers_are_killed_and_the_result_is_that_of_one_process(tmp_path, monkeypatch):
    store, alone = Store(f"file://{tmp_path / 'shared'}"), Store(tmp_path / "alone")
    spec = compared(tmp_path, store)
    assert compared(tmp_path, alone).key == spec.key
    expected = engine.run(spec, alone)
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    processes = [start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
    processes += [
        start("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--resources", "compare=1",
              "--name", str(number), "--local-directory", str(tmp_path / "work"))
        for number in range(3)
    ]  # fmt: skip
    monkeypatch.setenv("CKA_SCHEDULER", address)

    def ready() -> bool:
        try:
            with cluster.connection(store, "compare") as (_, client):
                return len(client.scheduler_info()["workers"]) == 3
        except cluster.ClusterUnavailable:
            return False

    try:
        wait_for(ready)
        with cluster.connection(store, "compare") as (_, client):
            pids = client.run(os.getpid)
            key = submit.submit("compare", spec, "left × right", store)
            wait_for(lambda: (status := submit.status(key, store)) is not None and status.progress is not None)
            busy = [worker for worker, keys in client.processing().items() if keys]
            assert len(busy) == 1 and find(spec, store) is None, "it is at work, on one of them"
            other = next(worker for worker in pids if worker not in busy)
            for worker in (*busy, other):
                os.kill(pids[worker], signal.SIGKILL)
        wait_for(lambda: find(spec, store) is not None, 60)
    finally:
        for process in processes[::-1]:  # a worker without its scheduler would wait for it
            process.kill()
            process.wait(20)
    result = find(spec, store)
    assert result is not None and np.allclose(result.matrix, expected.matrix, rtol=0, atol=1e-10)
