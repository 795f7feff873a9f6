"""Kill -9 while work is done: training, comparing, extracting, an atlas, a job, an upload, an import, every write.

What writes files is killed as `benchmarks/writes.py` does it. What needs TensorFlow, a worker or a page's reader is the
real command in a process group of its own, ended by SIGKILL from outside after a time drawn by a seed. After each kill
what is in the store is looked at, the same is asked for once more, and held to what is there without a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import faults, writes
from benchmarks.held import bystanders, kept, look, unexplained
from benchmarks.killed import HANG
from benchmarks.writes import COUNTS, ROOT, WRITES, nothing
from cka_core.base import leftovers
from cka_core.base.store import Store


@dataclasses.dataclass(frozen=True)
class Command:
    """``code`` is Python that prints "begin" where the work begins; ``left`` is what is there when it was done to its
    end. ``worker``: what is killed is the process that does the job, not the one that asked for it."""

    before: Callable[[Store], object]
    code: str
    left: Callable[[Store], object]
    worker: bool = False


_TRAINING = {"epochs": 4, "fraction": 0.0625, "batch_size": 64, "keep_every": 2, "deterministic": True}
HEAD = """
import dataclasses, io, json, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from cka_core.base.store import Store
from benchmarks import held, kills, writes
store = Store(sys.argv[1])
"""


def _training_spec() -> Any:
    from cka_core.training.recipe import TrainSpec

    return TrainSpec("cifar-resnet-8x1", **_TRAINING)  # type: ignore[arg-type]


def _trained(store: Store) -> object:
    record = store.read_record(f"networks/{_training_spec().default_name}.json")
    return record and (record["weights"], record["history"], sorted(record["checkpoints"]))


def comparison_spec() -> Any:
    from cka_core.images.sets import SampleSpec
    from cka_core.networks.architectures import NetworkSpec
    from cka_core.results.comparison import CompareSpec

    a, b = (NetworkSpec(f"cifar-resnet-8x1:{seed}", "untrained", "cifar-resnet-8x1", seed) for seed in (3, 4))
    return CompareSpec(a, b, SampleSpec("cifar10-mini", "test", 192, 0), 64)


def _networks_compared(store: Store) -> object:
    from cka_core.results import comparison

    found = comparison.find(comparison_spec(), store)
    return found and np.round(found.matrix, 6).tolist()


def _extracted(store: Store) -> object:
    from cka_core.results import activation_sets

    path = writes.at_the_users(store).with_name("acts.npz")
    found = activation_sets.read(path) if path.exists() else None
    return found and [np.round(batch.squares, 4).tolist() for batch in found.minibatches()]


def tiny_study() -> Any:
    from cka_core.atlas.study import study_of

    recipe = {"epochs": 1, "fraction": 0.0625, "batch_size": 64, "augment": False, "held_out": 0.0,
              "deterministic": True}  # fmt: skip
    networks = [{"depths": [8], "widths": [1], "seeds": [0, 1]}]
    return study_of({"name": "tiny", "samples": 64, "batch_size": 32, "probes": 40, "influential": 2,
                     "recipe": recipe, "networks": networks})  # fmt: skip


def _atlas_built(store: Store) -> object:
    from cka_core.atlas.result import Atlas

    folder = Path(store.path("atlases/tiny"))
    return (folder / "atlas.json").exists() and [member.name for member in Atlas.load(folder).members]


def _job_done(store: Store) -> object:
    from cka_core.jobs import submit

    return [(job.state, job.error) for job in submit.listed("check", store)], submit.active(store)


def _uploaded(store: Store) -> object:
    seen = look(store)
    return seen["opens"], seen["trash"]


COMMANDS = {
    "training": Command(
        nothing,
        """
from cka_core.training import fit
print("begin", flush=True)
fit.train(kills._training_spec(), store)
""",
        _trained,
    ),
    "comparing": Command(
        nothing,
        """
from cka_core.comparing import engine
print("begin", flush=True)
engine.run(kills.comparison_spec(), store)
""",
        _networks_compared,
    ),
    "extracting": Command(
        nothing,
        """
from cka_core.comparing import extraction
spec = kills.comparison_spec()
print("begin", flush=True)
path = writes.at_the_users(store).with_name("acts.npz")
extraction.extract(spec.a, spec.sample, 64, path, store, name="acts")
""",
        _extracted,
    ),
    "atlas": Command(
        nothing,
        """
from cka_core.studies import build
study = kills.tiny_study()
print("begin", flush=True)
build.build(study, store, Path(store.path("atlases/tiny")))
""",
        _atlas_built,
    ),
    "job": Command(
        nothing,
        """
from cka_core.jobs import submit
key = submit.submit("check", submit.CheckSpec(steps=200), "A job", store)
print("begin", flush=True)
while submit.status(key, store).state in ("queued", "running"):
    time.sleep(0.02)
""",
        _job_done,
        worker=True,
    ),
    "upload": Command(
        nothing,
        """
from cka_core.library import incoming
data = io.BytesIO(held.set_bytes())
print("begin", flush=True)
incoming.take(data, "set.npz", store)
""",
        _uploaded,
    ),
    "import": Command(
        nothing,
        """
import numpy as np
from cka_core.images.sets import import_cifar10
x = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32, 3), np.uint8)
path = writes.at_the_users(store).with_name("cifar10.npz")
path.parent.mkdir(exist_ok=True, parents=True)
np.savez(path, x_train=x, y_train=x[:, 0, 0, 0] % 10, x_test=x[:5000], y_test=x[:5000, 0, 0, 0] % 10)
print("begin", flush=True)
import_cifar10(path, store)
""",
        lambda store: sorted(name for name in kept(store) if name.startswith("images/")),
    ),
}


class Run:
    """A command in a process group of its own."""

    def __init__(self, command: Command, store: Store):
        self.peak, self.store = 0.0, store
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD.format(root=str(ROOT)) + command.code, store.root],
            stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CKA_STORE": store.root},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.began = time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds; looks at its memory meanwhile."""
        import psutil

        until = self.began + seconds
        while self.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(psutil.Error):
                watched = psutil.Process(self.process.pid)
                own = [watched, *watched.children(recursive=True)]
                self.peak = max(self.peak, sum(one.memory_info().rss for one in own) / 1e9)
            time.sleep(min(0.02, max(0.0, until - time.monotonic())))
        return self.process.poll() is not None

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-500:]

    def kill(self, worker: bool) -> bool:
        """End it, or the worker at its job; whether there was something to end."""
        if worker:
            from cka_core.jobs import records

            found = [records.record(key, self.store) for key in records.all_keys(self.store)]
            processes = [one["process"] for one in found if one and one["state"] == "running" and "process" in one]
            for process in processes:
                os.kill(process, signal.SIGKILL)
            return bool(processes)
        if self.process.poll() is not None:
            return False
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return True


def kill_command(name: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill a real command so many times; counts, and what went wrong, in words."""
    from cka_core.jobs import cluster

    command, rng = COMMANDS[name], random.Random(f"{seed} {name}")
    result: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"what": [], "peak": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        number, length, expected = 0, HANG, None
        while result["kills"] < kills:
            store = Store(Path(folder) / f"store{number}" / "store")
            number += 1
            bystanders(store)
            others = kept(store)
            try:
                run = Run(command, store)
                if expected is None:
                    _to_the_end(run, name)
                    length, expected = time.monotonic() - run.began, command.left(store)
                elif run.wait(rng.random() * length):
                    length *= 0.9  # it is quicker than it was
                    _to_the_end(run, name)
                elif not run.kill(command.worker):
                    _to_the_end(run, name)  # no worker was at it yet
                else:
                    result["kills"] += 1
                    again = run if command.worker else Run(command, store)
                    seen = look(store)
                    _to_the_end(again, name)
                    run.peak = max(run.peak, again.peak)
                    _check_command(command, store, expected, others, seen, result)
                result["peak"] = max(result["peak"], run.peak)
            except TimeoutError:
                result["hangs"] += 1
            except Exception as error:
                result["others"] += 1
                result["what"].append(f"{name}: {type(error).__name__}: {error}"[:700])
            finally:
                cluster.stop(store)
            shutil.rmtree(Path(store.root).parent, ignore_errors=True)
    return result


def _to_the_end(run: Run, name: str) -> None:
    if not run.wait(HANG):
        os.killpg(run.process.pid, signal.SIGKILL)
        raise TimeoutError
    if run.process.returncode:
        raise RuntimeError(f"{name} ended with status {run.process.returncode}: {run.said()}")


def _check_command(
    command: Command, store: Store, expected: object, others: dict[str, str], seen: object, result: dict[str, Any]
) -> None:
    there = kept(store)
    if gone := [file for file, digest in others.items() if there.get(file) != digest]:
        result["lost"] += 1
        result["what"].append(f"lost: {gone}")
    left = command.left(store)
    if left != expected:
        result["wrong"] += 1
        result["what"].append(f"wrong: {left} instead of {expected}"[:700])
    leftovers.sweep(Path(store.root), older_than=0)
    half = [str(path) for path in Path(store.root).parent.rglob("*.tmp-*")] if not command.worker else []
    half += [str(path) for path in Path(store.path("scratch")).glob("*") if path.is_dir()]
    if half or (hidden := unexplained(store)):
        result["orphans"] += 1
        result["what"].append(f"orphans: {half or hidden}; before: {seen}"[:700])


SHARES = {
    "training": 9, "comparing": 8, "extracting": 6, "atlas": 5, "job": 8, "upload": 8, "import": 8,
    **dict.fromkeys(WRITES, 3),
}  # fmt: skip
"""How 100 kills are shared out."""


def run(name: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill one of `SHARES` so many times."""
    found = writes.kill_write(name, kills, seed) if name in WRITES else kill_command(name, kills, seed)
    return {"peak": faults.peak()} | found


def main(kills: int, seed: int) -> int:
    """Print the table of all kills; how many went wrong."""
    print(
        f"{'killed while':28}{'kills':>7}{'lost':>6}{'wrong':>7}{'orphans':>9}{'others':>8}{'hangs':>7}{'peak GB':>9}"
    )
    bad, total = 0, 0
    for name, share in SHARES.items():
        found = run(name, max(1, round(share * kills / sum(SHARES.values()))), seed)
        counts = [found[kind] for kind in COUNTS]
        print(f"{name:28}{counts[0]:7}{counts[1]:6}{counts[2]:7}{counts[3]:9}{counts[4]:8}{counts[5]:7}"
              f"{found['peak']:9.2f}", flush=True)  # fmt: skip
        for what in found["what"][:5]:
            print(f"    {what}")
        bad, total = bad + sum(counts[1:]), total + counts[0]
    print(f"{total} kills")
    return bad
