"""Who reads files from outside: of each a valid file, how it is changed, and how it is read and used as a page does."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.changes import cut, flip, noise, of_array, of_gzip, of_json, of_safetensors, of_toml, of_zip, repeat
from cka_core.base import shipped
from cka_core.base.store import Store


@dataclasses.dataclass(frozen=True)
class Reader:
    valid: Callable[[Path], bytes]
    changes: tuple[Callable[[bytes, random.Random], bytes], ...]
    read: Callable[[bytes, Path], object]


PLAIN = (flip, cut, repeat, noise)


def _comparison(folder: Path) -> bytes:
    return min(shipped.COMPARISONS.glob("*.npz"), key=os.path.getsize).read_bytes()


def _read_comparison(data: bytes, folder: Path) -> None:
    from cka_core.results import figures, words
    from cka_core.results.comparison import Comparison

    found = Comparison.from_bytes(data)
    figures.heatmap(found)
    words.facts(found), found.to_csv(), found.transpose(), found.best_match(), repr(found)


def _bring_in(data: bytes, folder: Path) -> None:
    from cka_core.library import arrivals, inventory

    store = Store(folder / "brought in")
    try:
        arrivals.bring_in(io.BytesIO(data), "file.npz", store)
    finally:
        inventory.table(inventory.comparisons(store)), inventory.activation_sets(store), inventory.damaged(store)
        store.remove_folder("comparisons")
        store.remove_folder("activations")


def _layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"first": rng.standard_normal((20, 6)), "second": rng.standard_normal((20, 3, 4)).astype("f4")}


def _arrays_npz(folder: Path) -> bytes:
    file = io.BytesIO()
    arrays: dict[str, Any] = _layers()
    np.savez_compressed(file, **arrays, sample_ids=np.arange(20))
    return file.getvalue()


def _arrays_npy(folder: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, _layers()["first"])
    return file.getvalue()


def _arrays_safetensors(folder: Path) -> bytes:
    header, data = {}, b""
    for name, x in _layers().items():
        place = [len(data), len(data) + x.nbytes]
        header[name] = {"dtype": f"F{8 * x.itemsize}", "shape": list(x.shape), "data_offsets": place}
        data += x.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _arrays_hdf5(folder: Path) -> bytes:
    import h5py

    with h5py.File(folder / "arrays.h5", "w") as file:
        for name, x in _layers().items():
            file.create_dataset(f"group/{name}", data=x, compression="gzip")
    return (folder / "arrays.h5").read_bytes()


def _bring_in_arrays(ending: str) -> Callable[[bytes, Path], None]:
    """As the drop zone reads them; what is refused leaves nothing in the store."""

    def read(data: bytes, folder: Path) -> None:
        from cka_core.library import arrivals, inventory

        store = Store(folder / "arrays")
        try:
            arrivals.bring_in(io.BytesIO(data), f"acts.{ending}", store)
        except ValueError:
            left = store.names("")
            if left:
                raise OSError(f"left in the store: {left}") from None
            raise
        inventory.table(inventory.activation_sets(store))
        store.remove_folder("activations")

    return read


def _own_images(folder: Path) -> bytes:
    x, y, *_ = _images()
    file = io.BytesIO()
    np.savez_compressed(file, images=x[:, :8, :8], labels=y, class_names=np.array([f"class {i}" for i in range(10)]))
    return file.getvalue()


def _own_pictures(folder: Path) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, x in enumerate(_images()[0][:6]):
            picture = io.BytesIO()
            Image.fromarray(x).save(picture, ("PNG", "JPEG", "WEBP")[number % 3])
            archive.writestr(f"{'ab'[number % 2]}/{number}.{('png', 'jpg', 'webp')[number % 3]}", picture.getvalue())
    return file.getvalue()


def _bring_in_images(ending: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from cka_core.images import own
        from cka_core.library import arrivals, inventory

        store = Store(folder / "own images")
        try:
            kind, name = arrivals.bring_in(io.BytesIO(data), f"mine.{ending}", store)
        except ValueError:
            left = store.names("")
            if left:
                raise OSError(f"left in the store: {left}") from None
            raise
        if kind == "images":
            found = own.registered(store)[name]
            own.load(found, found.parts[0], store), inventory.table(inventory.images(store))
        store.remove_folder(kind)

    return read


def _set(folder: Path) -> bytes:
    from cka_core.measures.grams import grams
    from cka_core.networks.layers import Layer
    from cka_core.results.activation_sets import ActivationSet, Sample, write

    x = np.random.default_rng(0).standard_normal((20, 6))
    about = {"name": "net", "architecture": "", "weights": "0", "source": "given", "seed": None}
    sample = Sample("cifar10-mini", "test", 20, 0, False, "d" * 32)
    header = ActivationSet("mine", about, (Layer("first", "array", (6,)),), sample, "as given", 8)
    write(folder / "set.npz", header, (grams([x[part]], ("first",), first=part.start) for part in header.slices))
    return (folder / "set.npz").read_bytes()


def _read_set(data: bytes, folder: Path) -> None:
    from cka_core.results import activation_sets

    activation_sets.check(activation_sets.read(data))


def _images() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (30, 32, 32, 3), np.uint8), rng.integers(0, 10, 30, np.uint8)
    return x[:20], y[:20], x[20:], y[20:]


def cifar_npz(folder: Path) -> bytes:
    file = io.BytesIO()
    arrays: dict[str, Any] = dict(zip(("x_train", "y_train", "x_test", "y_test"), _images(), strict=True))
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _cifar_tar(folder: Path) -> bytes:
    x_train, y_train, x_test, y_test = _images()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        parts = {f"data_batch_{i + 1}.bin": (x_train[i::5], y_train[i::5]) for i in range(5)}
        for name, (x, y) in (parts | {"test_batch.bin": (x_test, y_test)}).items():
            data = np.concatenate([y[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)], axis=1).tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def _import(data: bytes, folder: Path) -> None:
    from cka_core.images.sets import import_cifar10

    (folder / "cifar").write_bytes(data)
    import_cifar10(folder / "cifar", Store(folder / "images"))


def _study(data: bytes, folder: Path) -> None:
    from cka_core.atlas.study import read_study

    (folder / "study.toml").write_bytes(data)
    read_study(folder / "study.toml")


def _atlas_about(data: bytes, folder: Path) -> None:
    _atlas(data, (shipped.ATLAS / "maps.npz").read_bytes(), folder)


def _atlas_maps(data: bytes, folder: Path) -> None:
    _atlas((shipped.ATLAS / "atlas.json").read_bytes(), data, folder)


def _atlas(about: bytes, maps: bytes, folder: Path) -> None:
    from cka_core.atlas.result import Atlas

    (folder / "atlas.json").write_bytes(about)
    (folder / "maps.npz").write_bytes(maps)
    atlas = Atlas.load(folder)
    for member in atlas.members:
        atlas.map(member.name), atlas.comparison(member.name)


def _keras(folder: Path) -> bytes:
    return min(shipped.NETWORKS.glob("*.keras"), key=os.path.getsize).read_bytes()


def _keras_check(data: bytes, folder: Path) -> None:
    from cka_core.library import keras_files

    (folder / "net.keras").write_bytes(data)
    keras_files.check(folder / "net.keras")


def _network(folder: Path) -> bytes:
    return min(shipped.NETWORKS.glob("*.json")).read_bytes()


def _in_store(name: str, use: Callable[[Store], object]) -> Callable[[bytes, Path], None]:
    """A record of the store is passed over or used, and never in the way."""

    def read(data: bytes, folder: Path) -> None:
        store = Store(folder / "store")
        path = Path(store.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        use(store)
        store.remove_folder("damaged")

    return read


def _use_library(store: Store) -> None:
    from cka_core.library import inventory, keeping

    if not store.has("networks", "net"):
        store.put("networks", "net", b"weights", "keras")
        store.put("grams", "g/00000", b"grams")
    inventory.table(inventory.networks(store)), inventory.activation_sets(store), inventory.damaged(store)
    keeping.trash(store)


def _use_jobs(store: Store) -> None:
    from cka_core.jobs import submit, trainings

    submit.active(store), submit.status("0" * 24, store), trainings.trainings(store)


def _use_speed(store: Store) -> None:
    from cka_core.training import estimate
    from cka_core.training.recipe import TrainSpec

    estimate.whole_training_seconds(TrainSpec("cifar-resnet-8x1"), store)


def _job(folder: Path) -> bytes:
    from cka_core.jobs import records

    store = Store(folder / "job")
    records.write_new("0" * 24, "train", {"architecture": "cifar-resnet-8x1"}, "A title", store, "host/0a/0b")
    return Path(store.path("jobs/" + "0" * 24 + "/status.json")).read_bytes()


def _trash(folder: Path) -> bytes:
    about = {"kind": "comparisons", "key": "k", "title": "t", "when": 1.0, "files": ["comparisons/k.0.npz"]}
    return json.dumps(about).encode()


def _grams_about(folder: Path) -> bytes:
    network = {"name": "n", "architecture": "", "weights": "0", "source": "file", "seed": None}
    sample = {"images": "cifar10-mini", "split": "test", "n": 20, "seed": 0, "balanced": False, "digest": "d" * 32}
    layers = [{"name": "a", "kind": "Add", "shape": [1], "stage": ""}]
    about = {"layers": layers, "steps": 1, "weights": "0", "network": network, "sample": sample, "batch_size": 8}
    return json.dumps(about | {"preprocessing": "", "versions": {}, "created": "2026", "patterns": None}).encode()


READERS = {
    "saved comparison": Reader(_comparison, (*PLAIN, of_zip, of_zip, of_zip), _read_comparison),
    "drop zone, comparison": Reader(_comparison, (*PLAIN, of_zip, of_zip, of_zip), _bring_in),
    "drop zone, activation set": Reader(_set, (*PLAIN, of_zip, of_zip, of_zip), _bring_in),
    "activation set": Reader(_set, (*PLAIN, of_zip, of_zip, of_zip), _read_set),
    "activations, .npz": Reader(_arrays_npz, (*PLAIN, of_zip, of_zip), _bring_in_arrays("npz")),
    "activations, .npy": Reader(_arrays_npy, (*PLAIN, of_array), _bring_in_arrays("npy")),
    "activations, .safetensors": Reader(
        _arrays_safetensors, (*PLAIN, of_safetensors, of_safetensors, of_safetensors), _bring_in_arrays("safetensors")
    ),
    "activations, .h5": Reader(_arrays_hdf5, PLAIN, _bring_in_arrays("h5")),
    "own images, npz": Reader(_own_images, (*PLAIN, of_zip, of_zip), _bring_in_images("npz")),
    "own images, pictures": Reader(_own_pictures, (*PLAIN, of_zip, of_zip), _bring_in_images("zip")),
    "CIFAR-10, npz": Reader(cifar_npz, (*PLAIN, of_zip, of_zip), _import),
    "CIFAR-10, tar.gz": Reader(_cifar_tar, (*PLAIN, of_gzip, of_gzip), _import),
    "study": Reader(lambda folder: shipped.STUDY.read_bytes(), (*PLAIN, of_toml, of_toml, of_toml), _study),
    "atlas.json": Reader(
        lambda folder: (shipped.ATLAS / "atlas.json").read_bytes(), (*PLAIN, of_json, of_json), _atlas_about
    ),
    "maps.npz": Reader(lambda folder: (shipped.ATLAS / "maps.npz").read_bytes(), (*PLAIN, of_zip), _atlas_maps),
    ".keras file": Reader(_keras, (*PLAIN, of_zip, of_zip), _keras_check),
    "record of a network": Reader(
        _network, (*PLAIN, of_json, of_json, of_json), _in_store("networks/net.json", _use_library)
    ),
    "record of Gram matrices": Reader(
        _grams_about, (*PLAIN, of_json, of_json, of_json), _in_store("grams/g/about.json", _use_library)
    ),
    "record in the trash": Reader(
        _trash, (*PLAIN, of_json, of_json, of_json), _in_store("trash/t/about.json", _use_library)
    ),
    "record of a job": Reader(
        _job, (*PLAIN, of_json, of_json, of_json), _in_store(f"jobs/{'0' * 24}/status.json", _use_jobs)
    ),
    "speeds": Reader(
        lambda folder: b'{"cifar-resnet-8x1": {"128": 800.0}, "resnet50": {"64": 12.5}}',
        (*PLAIN, of_json, of_json), _in_store("training-speed.json", _use_speed),
    ),
}  # fmt: skip
