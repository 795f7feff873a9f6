"""Kill -9 while something is written: what was there is there, what was begun is done or is not, and goes on.

Two ways. What writes files is done in a process forked from this one, which ends itself by SIGKILL at a call or a
return of a Python function drawn by a seed: any moment of a write, the same one each time. What needs TensorFlow, a
worker or a page's reader is the real command in a process group of its own, ended by SIGKILL from outside after a drawn
time. After each kill what is in the store is looked at, the same is asked for once more, and held to what is there
without a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks import faults  # noqa: E402
from cka_core.base import leftovers, shipped  # noqa: E402
from cka_core.base.store import Store  # noqa: E402

HANG = 180.0
NETWORK = "cifar-resnet-14x1-plain-s0"
JOB = "0123456789abcdef01234567"
ELSEWHERE = "tcp://elsewhere"  # the name of a remote cluster, of which it is believed that it is there
COUNTS = ("kills", "lost", "wrong", "orphans", "others", "hangs")


# What a store holds, as whoever opens the pages finds it.


def look(store: Store) -> dict[str, Any]:
    """Everything that the pages list, opened. Nothing of this raises anything, whatever happened to the store."""
    from cka_core.jobs import submit, trainings
    from cka_core.library import catalogue, inventory, keeping

    rows = [*inventory.networks(store), *inventory.activation_sets(store), *inventory.comparisons(store)]
    found: dict[str, Any] = {"damaged": sorted(one.file for one in inventory.damaged(store))}
    opens = set()
    for row in rows:
        if row.fixed or row.kind == "grams":
            continue
        if row.kind == "comparisons":
            assert inventory.opened(row.key, store) is not None, f"{row.key} is listed and does not open"
        elif row.kind == "networks":
            assert store.get("networks", row.key) is not None, f"{row.key} is listed and does not open"
        else:
            for _ in catalogue.sets(store)[row.key].minibatches():
                pass
        opens.add((row.kind, row.key))
    found["opens"] = sorted(opens)
    found["trash"] = sorted((one.kind, one.title) for one in keeping.trash(store))
    submit.queue("compare", store), submit.queue("train", store)
    found["active"] = sorted(job.key for job in submit.active(store))
    found["trainings"] = sorted(one.key for one in trainings.trainings(store))
    return found


def kept(store: Store) -> dict[str, str]:
    """Every file of the store but those half-written, by name, with its digest."""
    names = store.names("")
    return {name: hashlib.sha256(Path(store.path(name)).read_bytes()).hexdigest() for name in names}


def unexplained(store: Store) -> list[str]:
    """Files of the library that no page lists, neither as what they are nor as damaged."""
    seen = look(store)
    shown = {key for _, key in seen["opens"]} | {_stem(file) for file in seen["damaged"]}
    names = [name for kind in ("networks", "activations", "comparisons") for name in store.names(kind)]
    return [name for name in names if _stem(name) not in shown]


def _stem(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    key = last.removesuffix(".json") if last.endswith(".json") else last.rsplit(".", 2)[0]
    return key.partition("@")[0]


# What writes files: done in a forked process, killed at a drawn moment.


@dataclasses.dataclass(frozen=True)
class Write:
    """``before`` makes what is there, ``do`` is killed, ``left`` is what is there once it was done to its end."""

    before: Callable[[Store], object]
    do: Callable[[Store], object]
    left: Callable[[Store], object]


def comparison_bytes() -> bytes:
    return min(shipped.COMPARISONS.glob("*.npz"), key=os.path.getsize).read_bytes()


def set_bytes(seed: int = 0) -> bytes:
    """An activation set of two layers of random activations."""
    from cka_core.measures.grams import grams
    from cka_core.networks.layers import Layer
    from cka_core.results.activation_sets import ActivationSet, Sample, write

    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((20, width)) for width in (6, 5)]
    about = {"name": "net", "architecture": "", "weights": str(seed), "source": "given", "seed": None}
    layers = tuple(Layer(name, "array", (one.shape[1],)) for name, one in zip(("first", "second"), x, strict=True))
    sample = Sample("cifar10-mini", "test", 20, 0, False, "d" * 32)
    header = ActivationSet(f"set-{seed}", about, layers, sample, "as given", 8, created="2026-01-01T00:00:00Z")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.npz"
        write(path, header, (grams([one[part] for one in x], ("first", "second"), first=part.start)
                             for part in header.slices))  # fmt: skip
        return path.read_bytes()


def a_network(store: Store, name: str = "mine") -> None:
    """A network of the library with weights kept along its training."""
    record = json.loads((shipped.NETWORKS / f"{NETWORK}.json").read_text())
    data = (shipped.NETWORKS / f"{NETWORK}.keras").read_bytes()
    for key in (name, f"{name}@5", f"{name}@10"):
        store.put("networks", key, data, "keras")
    store.write_record(f"networks/{name}.json", record | {"name": name, "weights": "0" * 32})


def two_sets(store: Store) -> None:
    from cka_core.library import keeping

    for seed in (1, 2):
        keeping.import_set(set_bytes(seed), store)


def bystanders(store: Store) -> None:
    """What is there before everything, and never to be touched."""
    a_network(store, "other")
    store.put("comparisons", "uploaded-" + "b" * 24, comparison_bytes())


def _listed(store: Store) -> object:
    seen = look(store)
    return seen["opens"], seen["trash"], [name.partition(".")[0] for name in store.names("networks")]


def _remove(store: Store) -> None:
    from cka_core.library import keeping

    keeping.remove("networks", "mine", "mine", store)


def _restore(store: Store) -> None:
    from cka_core.library import keeping

    for one in keeping.trash(store):
        keeping.restore(one.id, store)


def _empty(store: Store) -> None:
    from cka_core.library import keeping

    keeping.empty_trash(store)


def _rename(store: Store) -> None:
    from cka_core.library import keeping

    if store.has("networks", "mine") or store.exists("networks/mine.json"):
        keeping.rename("mine", "renamed", store)


def _bring(data: Callable[[], bytes]) -> Callable[[Store], object]:
    def bring(store: Store) -> object:
        from cka_core.library import keeping

        return keeping.bring_in(io.BytesIO(data()), "file.npz", store)

    return bring


def _at_the_users(store: Store) -> Path:
    return Path(f"{store.root} of the user/result.npz")


def _user_file(store: Store) -> None:
    from cka_core.results.comparison import Comparison

    Comparison.from_bytes(comparison_bytes()).save(_at_the_users(store))


def _read_user_file(store: Store) -> object:
    from cka_core.results.comparison import Comparison

    return Comparison.load(_at_the_users(store)).matrix.tolist()


def _cifar(store: Store) -> None:
    from cka_core.images.sets import import_cifar10

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cifar10.npz"
        path.write_bytes(faults._cifar_npz(path))
        import_cifar10(path, store)


def _job(store: Store) -> None:
    from cka_core.jobs import records, submit, worker

    attempt = records.write_new(JOB, "check", {"steps": 3, "pause": 0}, "A job", store, ELSEWHERE)
    worker.run_job("check", JOB, attempt, store.root)
    submit.active(store)


def _job_state(store: Store) -> object:
    from cka_core.jobs import submit

    job = submit.status(JOB, store)
    return job and (job.state, job.error), submit.active(store)


def _compare_sets(store: Store) -> None:
    from cka_core.comparing import engine

    engine.run(_sets_compared(store), store)


def _sets_compared(store: Store) -> Any:
    from cka_core.images.sets import SampleSpec
    from cka_core.library import catalogue
    from cka_core.results.comparison import CompareSpec

    a, b = (catalogue.find(f"set-{seed}", store).spec for seed in (1, 2))
    return CompareSpec(a, b, SampleSpec("cifar10-mini", "test", 20), 8)


def _compared(store: Store) -> object:
    from cka_core.results import comparison

    found = comparison.find(_sets_compared(store), store)
    return found and found.matrix.tolist()


def _visitor(store: Store) -> None:
    owner = hashlib.sha256(b"somebody").hexdigest()
    store.write_record(f"owners/{owner}/{JOB}.json", {"since": 1.0})


def _epochs(store: Store) -> None:
    """What a training writes for two epochs, its files made of a few bytes."""
    from cka_core.training import state
    from cka_core.training.recipe import TrainSpec

    work = state.Work(TrainSpec("cifar-resnet-8x1", epochs=2, keep_every=1), "net", 100, "CPU", store)
    for epoch in range(work.record["epochs_done"] + 1, 3):
        for _ in work.saved_states():
            break

        def save(path: Path, epoch: int = epoch) -> None:
            path.write_bytes(bytes([epoch]) * 10_000)

        work.finish_epoch(epoch, {"loss": 1.0 / epoch, "accuracy": 0.1 * epoch}, 1.0, save, save)
    work.close()


def _epochs_kept(store: Store) -> object:
    from cka_core.training import state

    (found,) = state.all_states(store)
    files = {entry.key: store.get(f"trainings/{found.key}", entry.key) is not None
             for entry in store.entries(f"trainings/{found.key}")}  # fmt: skip
    return found.epochs_done, found.history, files


def _atlas(store: Store) -> None:
    from cka_core.atlas.result import Atlas

    Atlas.load(shipped.ATLAS).save(store.path("atlases/mine"))


def _atlas_kept(store: Store) -> object:
    from cka_core.atlas.result import Atlas

    return [member.name for member in Atlas.load(store.path("atlases/mine")).members]


def _nothing(store: Store) -> None:
    pass


def _removed(store: Store) -> None:
    a_network(store)
    _remove(store)


WRITES = {
    "object": Write(_nothing, lambda store: store.put("comparisons", JOB, comparison_bytes()), _listed),
    "record": Write(
        lambda store: store.write_record("speed.json", {"a": 1}),
        lambda store: store.write_record("speed.json", {"a": 2}),
        lambda store: store.read_record("speed.json"),
    ),
    "copied file": Write(
        _nothing, lambda store: store.put_file("images", "k", io.BytesIO(bytes(100_000))), lambda store: kept(store)
    ),
    "file of the user": Write(_nothing, _user_file, _read_user_file),
    "rename": Write(a_network, _rename, _listed),
    "delete": Write(a_network, lambda store: store.has("networks", "mine") and _remove(store), _listed),
    "put back": Write(_removed, _restore, _listed),
    "empty the trash": Write(_removed, _empty, _listed),
    "upload, comparison": Write(_nothing, _bring(comparison_bytes), _listed),
    "upload, activation set": Write(_nothing, _bring(set_bytes), _listed),
    "import of CIFAR-10": Write(_nothing, _cifar, lambda store: kept(store)),
    "record of a job": Write(_nothing, _job, _job_state),
    "comparing, activation sets": Write(two_sets, _compare_sets, _compared),
    "visitor": Write(_nothing, _visitor, lambda store: kept(store)),
    "epochs of a training": Write(_nothing, _epochs, _epochs_kept),
    "files of an atlas": Write(_nothing, _atlas, _atlas_kept),
}


def forked(do: Callable[[], object], at: int | None = None) -> int:
    """Do something in a forked process; ``at`` has it killed at that call or return of a Python function.

    Returns the number of calls and returns that there were without a kill, 0 for a kill. Anything raised that is not a
    ValueError ends in a RuntimeError here, a hang in a TimeoutError.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(do, at, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        deadline = time.monotonic() + HANG
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise TimeoutError
            time.sleep(0.0005)
        _, status = os.waitpid(child, 0)
        told = pipe.read().decode()
    if os.WIFSIGNALED(status):
        return 0
    if not told.isdigit():
        raise RuntimeError(told)
    return int(told)


def _in_child(do: Callable[[], object], at: int | None, answer: int) -> None:
    count = 0

    def step(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    told = ""
    try:
        sys.setprofile(step)
        with contextlib.suppress(ValueError):
            do()
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"[:1000]
    finally:
        sys.setprofile(None)
        os.write(answer, (told or str(count)).encode())
        os._exit(0)


@contextlib.contextmanager
def _stores(write: Write) -> Iterator[Callable[[], Store]]:
    """Stores that are all as they are before an operation."""
    with tempfile.TemporaryDirectory() as folder:
        template = Store(Path(folder) / "template")
        bystanders(template)
        forked(lambda: write.before(template))  # never here: threads of BLAS do not come along into a fork
        numbers = iter(range(1, 1_000_000))

        def another() -> Store:
            path = Path(folder) / f"store{next(numbers)}"
            shutil.copytree(template.root, path)
            return Store(path)

        yield another


def kill_write(name: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill an operation so many times, each at another moment of it; counts, and what went wrong, in words."""
    write, rng = WRITES[name], random.Random(f"{seed} {name}")
    result: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"what": []}
    with _stores(write) as another:
        whole = another()
        others = kept(whole)
        calls = forked(lambda: write.do(whole))
        expected = write.left(whole)
        others = {file: digest for file, digest in others.items() if kept(whole).get(file) == digest}
        while result["kills"] < kills:
            store, at = another(), rng.randrange(1, max(2, calls))
            try:
                if forked(lambda store=store: write.do(store), at):
                    calls = at  # it ended before: what it had to do is known by now
                    continue
                result["kills"] += 1
                _check_write(write, store, expected, others, result, f"{name}, at {at} of {calls}")
            except TimeoutError:
                result["hangs"] += 1
            except Exception as error:
                result["others"] += 1
                result["what"].append(f"{name}, at {at} of {calls}: {type(error).__name__}: {error}"[:500])
            for folder in (Path(store.root), _at_the_users(store).parent):
                shutil.rmtree(folder, ignore_errors=True)
    return result


def _check_write(
    write: Write, store: Store, expected: object, others: dict[str, str], result: dict[str, Any], where: str
) -> None:
    def note(kind: str, what: object) -> None:
        result[kind] += 1
        result["what"].append(f"{where}: {kind}: {what}"[:500])

    hidden = unexplained(store)
    if hidden:
        note("orphans", hidden)
    there = kept(store)
    if gone := [file for file, digest in others.items() if there.get(file) != digest]:
        note("lost", gone)
    forked(lambda: write.do(store))  # asked for once more
    leftovers.sweep(Path(store.root), older_than=0)
    leftovers.sweep_beside(_at_the_users(store), older_than=0)
    left = write.left(store)
    if left != expected:
        note("wrong", f"{left} instead of {expected}")
    if half := [str(path) for path in Path(store.root).parent.rglob("*.tmp-*")]:
        note("orphans", half)
    if hidden := unexplained(store):
        note("orphans", hidden)


# What needs TensorFlow, a worker or a page's reader: the real command, killed from outside.


@dataclasses.dataclass(frozen=True)
class Command:
    """``code`` is Python that prints "begin" where the work begins; ``left`` is what is there when it was done to its
    end. ``worker``: what is killed is the process that does the job, not the one that asked for it."""

    before: Callable[[Store], object]
    code: str
    left: Callable[[Store], object]
    worker: bool = False


_TRAINING = {"epochs": 4, "fraction": 0.0625, "batch_size": 64, "keep_every": 2, "deterministic": True}
_HEAD = """
import dataclasses, io, json, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from cka_core.base.store import Store
from benchmarks import kills
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

    path = _at_the_users(store).with_name("acts.npz")
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
        _nothing,
        """
from cka_core.training import fit
print("begin", flush=True)
fit.train(kills._training_spec(), store)
""",
        _trained,
    ),
    "comparing": Command(
        _nothing,
        """
from cka_core.comparing import engine
print("begin", flush=True)
engine.run(kills.comparison_spec(), store)
""",
        _networks_compared,
    ),
    "extracting": Command(
        _nothing,
        """
from cka_core.comparing import extraction
spec = kills.comparison_spec()
print("begin", flush=True)
path = kills._at_the_users(store).with_name("acts.npz")
extraction.extract(spec.a, spec.sample, 64, path, store, name="acts")
""",
        _extracted,
    ),
    "atlas": Command(
        _nothing,
        """
from cka_core.studies import build
study = kills.tiny_study()
print("begin", flush=True)
build.build(study, store, Path(store.path("atlases/tiny")))
""",
        _atlas_built,
    ),
    "job": Command(
        _nothing,
        """
from cka_core.jobs import submit
key = submit.submit("check", submit.CheckSpec(steps=40), "A job", store)
print("begin", flush=True)
while submit.status(key, store).state in ("queued", "running"):
    time.sleep(0.02)
""",
        _job_done,
        worker=True,
    ),
    "upload": Command(
        _nothing,
        """
from cka_core.library import incoming
data = io.BytesIO(kills.set_bytes())
print("begin", flush=True)
incoming.take(data, "set.npz", store)
""",
        _uploaded,
    ),
    "import": Command(
        _nothing,
        """
import numpy as np
from cka_core.images.sets import import_cifar10
x = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32, 3), np.uint8)
path = kills._at_the_users(store).with_name("cifar10.npz")
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
            [sys.executable, "-c", _HEAD.format(root=str(ROOT)) + command.code, store.root],
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
                elif run.wait(rng.random() * length) or not run.kill(command.worker):
                    length *= 0.9  # it is quicker than it was
                    _to_the_end(run, name)
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
    "training": 10, "comparing": 10, "extracting": 8, "atlas": 6, "job": 8, "upload": 8, "import": 8,
    **dict.fromkeys(WRITES, 3),
}  # fmt: skip
"""How 106 kills are shared out."""


def run(name: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill one of `SHARES` so many times."""
    found = kill_write(name, kills, seed) if name in WRITES else kill_command(name, kills, seed)
    return {"peak": faults.peak()} | found


def main(kills: int, seed: int) -> int:
    """Print the table of all kills; how many went wrong."""
    print(f"{'killed while':28}{'kills':>7}{'lost':>6}{'wrong':>7}{'orphans':>9}{'others':>8}{'hangs':>7}{'peak GB':>9}")
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


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 106, 0) else 0)
