"""Make store-0.2.0.zip: a small store as version 0.2.0 writes it, and what must be found in it.

    PYTHONPATH=CHECKOUT_OF_0.2.0 python tests/data/make_store.py tests/data/store-0.2.0.zip

It runs with that version's code only, whose modules lay side by side in ``cka_core``, and takes half a minute on two
cores. The zip is not made again: what it holds is what that version wrote, and newer ones are tested on it.
"""

# ruff: noqa: I001
# Modules of that version are no modules of this one, so that ruff takes them for those of another package.

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from cka_core import (
    atlas,
    atlas_build,
    atlas_steps,
    engine,
    estimate,
    extraction,
    images,
    job_files,
    jobs,
    keeping,
    library,
    sources,
    training_state,
    worker,
)
from cka_core.comparison import CompareSpec, Comparison
from cka_core.images import SampleSpec
from cka_core.networks import build_network
from cka_core.recipe import TrainSpec
from cka_core.store import Store
from cka_core.study import Study, study_of

VERSION = "0.2.0"
README = f"""A store written by CKA Explorer {VERSION}, kept to prove that newer versions still read it.

store/          the store: comparisons, Gram matrices, networks, an activation set, an atlas and its steps, trainings,
                jobs done, stopped, failed and waiting, the sums of a comparison that was stopped, a trash, speeds
expected.json   what must be found in it

Made by make_store.py beside this file, which runs with version {VERSION} only.
"""

SAMPLE = SampleSpec(n=32, seed=0)
BATCH_SIZE = 16
CLUSTER = "gone/0123456789abcdef/0123456789ab"
"""The name of a cluster that is no more, as job records have it: machine, version, process."""

RECIPE = {
    "fraction": 0.02, "epochs": 3, "batch_size": 16, "held_out": 0.2, "keep_every": 2, "deterministic": True,
    "force_cpu": True,
}  # fmt: skip
KEPT = 2
"""The epoch whose weights are kept along the training; those of the last one are the network's."""
TRAINED = TrainSpec("cifar-resnet-8x1", **RECIPE)
STUDY = study_of(
    {
        "name": "tiny", "samples": SAMPLE.n, "batch_size": BATCH_SIZE, "probes": 20, "influential": 2, "recipe": RECIPE,
        "networks": [
            {"depths": [8], "widths": [1]},
            {"depths": [8], "widths": [1], "seeds": [1], "names": ["second"], "recipe": {"keep_every": 0}},
        ],
    }
)  # fmt: skip


def spec_of(a: str, b: str, store: Store, **changes: Any) -> CompareSpec:
    specs = (library.find(name, store).spec for name in (a, b))
    return dataclasses.replace(CompareSpec(*specs, SAMPLE, BATCH_SIZE), **changes)


def queue(kind: str, spec: Any, title: str, store: Store) -> tuple[str, int]:
    """The record of a job that waits, as `jobs.submit` writes it; returns its key and the number of the attempt."""
    return spec.key, job_files.write_new(spec.key, kind, dataclasses.asdict(spec), title, store, CLUSTER)


def carry_out(kind: str, spec: Any, title: str, store: Store) -> None:
    worker.run_job(kind, *queue(kind, spec, title, store), store.root)


def matrix(values: np.ndarray, digits: int | None = None) -> list[list[float | None]]:
    """As JSON, NaN as null: to the last digit, or rounded where it is computed again."""
    rounded = np.asarray(values, np.float64) if digits is None else np.round(values.astype(np.float64), digits)
    return [[None if value != value else value for value in row] for row in rounded.tolist()]


def compared(spec: CompareSpec, result: Comparison, digits: int | None = None) -> dict[str, Any]:
    return {"a": spec.a.name, "b": spec.b.name, "key": spec.key, "matrix": matrix(result.matrix, digits)}


def networks(store: Store) -> dict[str, Any]:
    """A training done by a worker, with weights kept along it, and one that waits."""
    carry_out("train", TRAINED, "ResNet 8x1, seed 0", store)
    waiting = dataclasses.replace(TRAINED, seed=2)
    queue("train", waiting, "ResNet 8x1, seed 2", store)
    state = training_state.read(TRAINED.key, store)
    assert state is not None and state.result is not None and state.result["kept_epoch"] == TRAINED.epochs
    return {"trained": {"key": TRAINED.key, "name": state.name}, "waiting": {"key": waiting.key}}


def described(store: Store) -> dict[str, Any]:
    """The trained networks, as the library lists them."""
    kept = ("architecture", "weights", "test_accuracy", "train_accuracy", "history", "kept_epoch", "checkpoints")
    found = {name: info for name, info in library.networks(store).items() if info.spec.source == "trained"}
    return {name: {field: info.record[field] for field in kept} for name, info in found.items()}


def finished_comparison(store: Store) -> dict[str, Any]:
    """A comparison done by a worker, which keeps the Gram matrices of both networks."""
    spec = spec_of("cifar-resnet-8x1", "cifar-resnet-8x1:1", store)
    carry_out("compare", spec, "ResNet 8x1, untrained, twice", store)
    result = Comparison.from_bytes(store.get("comparisons", spec.key) or b"")
    return compared(spec, result) | {"layers": [layer.name for layer in result.layers_a], "text": repr(result)}


def refused_comparison(store: Store) -> dict[str, Any]:
    spec = spec_of("cifar-resnet-8x1", "cifar-resnet-8x1:1", store, layers=("no_such_layer",))
    carry_out("compare", spec, "of a layer that is not there", store)
    return {"key": spec.key}


def stopped_comparison(a: str, b: str, store: Store, elsewhere: Store) -> dict[str, Any]:
    """One whose Gram matrices do not fit the budget, stopped in its second minibatch: its sums are kept."""
    spec, tell = spec_of(a, b, store), job_files.tell

    def stop_in_the_second(key: str, attempt: int, progress: Any, where: Store) -> None:
        if progress.detail.startswith("minibatch 2"):
            job_files.ask_to_stop(key, attempt, where)
        tell(key, attempt, progress, where)

    os.environ["CKA_GRAM_BUDGET"], worker.WRITE_EVERY, engine.SAVE_SUMS_EVERY = "0", 0.0, 0.0
    job_files.tell = stop_in_the_second
    carry_out("compare", spec, "stopped in its second minibatch", store)
    del os.environ["CKA_GRAM_BUDGET"]
    job_files.tell = tell
    assert store.has("partial", spec.key)
    return compared(spec, engine.run(spec, elsewhere), 8)


def waiting_comparison(a: str, b: str, store: Store, elsewhere: Store) -> dict[str, Any]:
    spec = spec_of(a, b, store)
    queue("compare", spec, "waiting for its turn", store)
    return compared(spec, engine.run(spec, elsewhere), 8)


def activation_set(name: str, store: Store, folder: Path) -> dict[str, Any]:
    """Extracted from the trained network, which keeps its Gram matrices too, and brought in from the file."""
    extraction.extract(library.find(name, store).spec, SAMPLE, BATCH_SIZE, folder / "set.npz", store, name="of 8x1, s0")
    with open(folder / "set.npz", "rb") as file:
        kind, key = keeping.bring_in(file, "set.npz", store)
    found = library.sets(store)[key]
    assert kind == "activations"
    return {"name": key, "network": name, "digest": found.digest, "layers": [layer.name for layer in found.layers]}


def uploaded_comparisons(store: Store, folder: Path) -> dict[str, Any]:
    """Two saved comparisons, brought in from their files; the second is thrown away."""
    sample, keys, results = SAMPLE.load(store), [], []
    for seed in (2, 3):
        models = (build_network("cifar-resnet-8x1", seed=seed), build_network("cifar-resnet-8x1", seed=seed + 2))
        results.append(engine.compare(*models, sample, batch_size=BATCH_SIZE, layers=["*_add"]))
        with open(results[-1].save(folder / f"{seed}.npz"), "rb") as file:
            keys.append(keeping.bring_in(file, f"{seed}.npz", store)[1])
    removed = keeping.remove("comparisons", keys[1], "an uploaded comparison", store)
    uploaded, trashed = ({"key": key, "matrix": matrix(one.matrix)} for key, one in zip(keys, results, strict=True))
    return {"uploaded": uploaded, "trashed": trashed | {"id": removed, "title": "an uploaded comparison"}}


def all_of_cifar10(store: Store, folder: Path) -> dict[str, Any]:
    """The full image set as it is kept once it was imported, here of 20 plain images a split."""
    shades = np.arange(20, dtype=np.uint8)
    x = np.broadcast_to(shades[:, None, None, None], (20, 32, 32, 3))
    np.savez(folder / "cifar10.npz", x_train=x, y_train=shades % 10, x_test=x[::-1], y_test=shades[::-1] % 10)
    images.import_cifar10(folder / "cifar10.npz", store)
    return {split: images.load_images("cifar10", split, store=store).digest for split in ("train", "test")}


def tiny_atlas(store: Store) -> dict[str, Any]:
    """A study of the trained network and a second one, with its steps, so that it could go on."""
    study: Study = atlas_steps.named(STUDY, store)
    built = atlas_build.build(study, store, atlas.folder_of(study, store))
    for kind, part in (("atlas-train", "train"), ("atlas", "minibatch")):
        step = atlas_steps.AtlasPart(study, part, 1)
        queue(kind, step, step.title, store)
    first, second = (member.name for member in built.members)
    return {
        "name": study.name, "members": [first, second], "study": study.key, "map": matrix(built.map(first)),
        "pair": matrix(built.pair(first, second)), "accuracies": [one.final.test_accuracy for one in built.members],
        "epochs": [list(one.epochs) for one in built.members],
    }  # fmt: skip


def jobs_of(store: Store) -> dict[str, Any]:
    """The records of all jobs, but for their times and processes."""
    kept = ("kind", "title", "state", "error", "attempt", "cluster")
    records = {key: job_files.record(key, store) or {} for key in job_files.all_keys(store)}
    return {key: {field: record[field] for field in kept} for key, record in sorted(records.items())}


def pack(store: Store, expected: dict[str, Any], target: Path) -> None:
    """One zip, the same bytes for the same files."""
    root = Path(store.root)
    paths = [path for path in root.rglob("*") if path.is_file()]
    files = {f"store/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}
    files |= {"README.txt": README.encode(), "expected.json": (json.dumps(expected, sort_keys=True) + "\n").encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            archive.writestr(member, files[name], zipfile.ZIP_DEFLATED, 9)
    target.write_bytes(buffer.getvalue())
    print(f"Wrote {target}: {len(files)} files, {len(buffer.getvalue()):,} bytes")


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["CKA_STORE"] = str(folder / "store")
        store, elsewhere = Store(folder / "store"), Store(folder / "elsewhere")
        expected: dict[str, Any] = {"version": VERSION, "versions": sources.versions()}
        expected["sample"] = dataclasses.asdict(SAMPLE) | {"batch_size": BATCH_SIZE}
        expected["comparison"] = finished_comparison(store)
        expected["refused"] = refused_comparison(store)
        expected["trainings"] = networks(store)
        name = expected["trainings"]["trained"]["name"]
        expected["activations"] = activation_set(name, store, folder)
        expected["atlas"] = tiny_atlas(store)
        expected["networks"] = described(store)
        for entry in store.entries("networks"):
            elsewhere.put("networks", entry.key, store.get("networks", entry.key) or b"", "keras")
        for network in expected["networks"]:
            elsewhere.write_record(f"networks/{network}.json", store.read_record(f"networks/{network}.json"))
        third = spec_of("cifar-resnet-8x1", name, store)
        expected["third"] = compared(third, engine.run(third, elsewhere), 8)
        expected["stopped"] = stopped_comparison(f"{name}@{KEPT}", "second", store, elsewhere)
        expected["waiting"] = waiting_comparison(name, "second", store, elsewhere)
        expected |= uploaded_comparisons(store, folder)
        expected["cifar10"] = all_of_cifar10(store, folder)
        carry_out("check", jobs.CheckSpec(steps=2, pause=0.0), "check of the cluster", store)
        carry_out("measure", estimate.MeasureSpec(TRAINED), "measuring the speed of ResNet 8x1", store)
        expected["speeds"] = {file: store.read_record(f"{file}.json") for file in ("speed", "training-speed")}
        expected["jobs"] = jobs_of(store)
        pack(store, expected, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
