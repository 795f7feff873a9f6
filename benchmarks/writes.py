"""Kill -9 while files are written: what was there is there, what was begun is done or is not, and goes on.

    python benchmarks/writes.py KILLS SEED      so many kills of each, as JSON

Each write is done in a process forked from this one, which ends itself by SIGKILL at a call or a return of a Python
function drawn by a seed: any moment of a write, the same one each time. Then what is in the store is looked at, the
same is asked for once more, and held to what is there without a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


from benchmarks.held import (  # noqa: E402
    a_network,
    bystanders,
    comparison_bytes,
    images_bytes,
    kept,
    look,
    set_bytes,
    two_sets,
    unexplained,
)
from benchmarks.killed import forked  # noqa: E402
from benchmarks.readers import cifar_npz  # noqa: E402
from cka_core.base import leftovers, shipped  # noqa: E402
from cka_core.base.store import Store  # noqa: E402

JOB = "0123456789abcdef01234567"
ELSEWHERE = "tcp://elsewhere"  # the name of a remote cluster, of which it is believed that it is there
COUNTS = ("kills", "lost", "wrong", "orphans", "others", "hangs")


# What writes files: done in a forked process, killed at a drawn moment.


@dataclasses.dataclass(frozen=True)
class Write:
    """``before`` makes what is there, ``do`` is killed, ``left`` is what is there once it was done to its end."""

    before: Callable[[Store], object]
    do: Callable[[Store], object]
    left: Callable[[Store], object]


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
        from cka_core.library import arrivals

        return arrivals.bring_in(io.BytesIO(data()), "file.npz", store)

    return bring


def at_the_users(store: Store) -> Path:
    return Path(f"{store.root} of the user/result.npz")


def _user_file(store: Store) -> None:
    from cka_core.results.comparison import Comparison

    Comparison.from_bytes(comparison_bytes()).save(at_the_users(store))


def _read_user_file(store: Store) -> object:
    from cka_core.results.comparison import Comparison

    return Comparison.load(at_the_users(store)).matrix.tolist()


def _cifar(store: Store) -> None:
    from cka_core.images.sets import import_cifar10

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cifar10.npz"
        path.write_bytes(cifar_npz(path))
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
    from cka_core.training.recipe import TrainSpec
    from cka_core.training.work import Work

    work = Work(TrainSpec("cifar-resnet-8x1", epochs=2, keep_every=1), "net", 100, "CPU", store)
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


def nothing(store: Store) -> None:
    pass


def _remove_what_is_there(store: Store) -> None:
    if store.has("networks", "mine"):
        _remove(store)


def _removed(store: Store) -> None:
    a_network(store)
    _remove(store)


def _copy(store: Store) -> object:
    return store.put_file("images", "cifar10", io.BytesIO(bytes(100_000)))


def _images_there(store: Store) -> object:
    """Whether they are there, under whatever name: that of what a killed upload left is taken."""
    from cka_core.library import inventory

    return sorted(row.what for row in inventory.images(store))


WRITES = {
    "object": Write(nothing, lambda store: store.put("comparisons", JOB, comparison_bytes()), _listed),
    "record": Write(
        lambda store: store.write_record("speed.json", {"a": 1}),
        lambda store: store.write_record("speed.json", {"a": 2}),
        lambda store: store.read_record("speed.json"),
    ),
    "copied file": Write(nothing, _copy, lambda store: kept(store)),
    "file of the user": Write(nothing, _user_file, _read_user_file),
    "rename": Write(a_network, _rename, _listed),
    "delete": Write(a_network, _remove_what_is_there, _listed),
    "put back": Write(_removed, _restore, _listed),
    "empty the trash": Write(_removed, _empty, _listed),
    "upload, comparison": Write(nothing, _bring(comparison_bytes), _listed),
    "upload, activation set": Write(nothing, _bring(set_bytes), _listed),
    "upload, images": Write(nothing, _bring(images_bytes), _images_there),
    "import of CIFAR-10": Write(nothing, _cifar, lambda store: kept(store)),
    "record of a job": Write(nothing, _job, _job_state),
    "comparing, activation sets": Write(two_sets, _compare_sets, _compared),
    "visitor": Write(nothing, _visitor, lambda store: kept(store)),
    "epochs of a training": Write(nothing, _epochs, _epochs_kept),
    "files of an atlas": Write(nothing, _atlas, _atlas_kept),
}


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
                if forked(partial(write.do, store), at):
                    calls = at  # it ended before: what it had to do is known by now
                    continue
                result["kills"] += 1
                _check_write(write, store, expected, others, result, f"{name}, at {at} of {calls}")
            except TimeoutError:
                result["hangs"] += 1
            except Exception as error:
                result["others"] += 1
                result["what"].append(f"{name}, at {at} of {calls}: {type(error).__name__}: {error}"[:500])
            for folder in (Path(store.root), at_the_users(store).parent):
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
    leftovers.sweep_beside(at_the_users(store), older_than=0)
    left = write.left(store)
    if left != expected:
        note("wrong", f"{left} instead of {expected}")
    if half := [str(path) for path in Path(store.root).parent.rglob("*.tmp-*")]:
        note("orphans", half)
    if hidden := unexplained(store):
        note("orphans", hidden)


if __name__ == "__main__":
    kills, seed = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({name: kill_write(name, kills, seed) for name in WRITES}))
