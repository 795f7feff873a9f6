"""Bringing in what somebody gives: networks, images, activations of any framework, activation sets, comparisons."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cka_core.base import foreign_arrays, npz, visitors, words
from cka_core.base.foreign_arrays import RECIPES
from cka_core.base.progress import Report, silent
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.images import own, own_files
from cka_core.library import belongings, catalogue, files, own_networks, raw_activations
from cka_core.library.keeping import check_name, free_name
from cka_core.results import activation_sets, comparison, package
from cka_core.results.activation_sets import ActivationSet

WRONG_FILES = {
    (".pickle", ".pkl", ".joblib"):
        "A pickle can run code and is never read here. Turn it into an activation set on the machine you trust with "
        "it: python -m cka_core activations convert FILE.pickle --trust --out acts.npz.",
    (".pt", ".pth", ".ckpt", ".bin"):
        "A PyTorch checkpoint is a pickle, which can run code, and holds weights, not activations. Run the model where "
        f"it is, and write what its layers put out, as .npz or .safetensors. {RECIPES} Or compare two models on the "
        "command line: python -m cka_core compare mine.py:build_model other.py:build_model.",
    (".onnx", ".tflite", ".mlmodel", ".gguf", ".pb", ".msgpack"):
        "It holds a network that is not run here. Run it where it is, and write what its layers put out, as .npz or "
        f".safetensors. {RECIPES}",
    (".csv", ".tsv", ".parquet", ".mat", ".xlsx"):
        "Write its numbers as arrays: numpy.savez('mine.npz', images=…, labels=…) for images, an array for each layer "
        "for activations (docs/activations.md).",
    own_files.PICTURES:
        "One picture is no set of images: bring in a zip of pictures, with a folder a class where they have classes, "
        "or an npz with images.",
    (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar"):
        "Pack what is in it as a .zip, and bring in that.",
}  # fmt: skip


def check_ending(file_name: str) -> None:
    """Refuse what is not read here, by its name, saying what to do with it."""
    for endings, advice in WRONG_FILES.items():
        if file_name.lower().endswith(endings):
            raise ValueError(f"{file_name} was not taken. {advice}")


def bring_in(
    source: BinaryIO,
    file_name: str,
    store: Store,
    report: Report = silent,
    by: Visitor | None = None,
    ids: tuple[str, ...] | None = None,
) -> tuple[str, str]:
    """Put a file that someone gives into the store: activations, an activation set, a network, images, a comparison.

    Returns the store's kind and the key: ("activations", name), ("networks", name), ("images", name) or
    ("comparisons", key). ``ids`` are those of the rows
    of activations, from a text file that came with it. Raises ValueError for anything else, saying what to do with it.
    A page has `incoming.take` do it in a process of its own.
    """
    belongings.check_upload(by, source.seek(0, os.SEEK_END), store)
    source.seek(0)
    check_ending(file_name)
    kind, key = _brought_in(source, file_name, store, report, ids)
    visitors.give(by, belongings.key_of(kind, key, store), store)
    return kind, key


def _brought_in(
    source: BinaryIO, file_name: str, store: Store, report: Report, ids: tuple[str, ...] | None
) -> tuple[str, str]:
    members: set[str] = set()
    begins = source.read(4)
    source.seek(0)
    is_network = file_name.lower().endswith(".keras")
    if begins[:2] == b"PK" and not is_network:
        ending = Path(file_name).suffix.lower() or ".zip"
        with npz.reading(f"an archive of arrays or of pictures ({ending})", file_name), files.whole(ending):
            with npz.opened(source, foreign_arrays.BOUNDS) as archive:
                members = set(archive.namelist())
        source.seek(0)
    if is_network or {"config.json", "metadata.json"} <= members:
        with _as_file(source, store) as path:
            return "networks", own_networks.bring_in(path, file_name, store, report=report)
    if package.is_one(members):
        return "comparisons", _kept(package.result_in(source, file_name), store)
    if own_files.is_one(members):
        return "images", import_images(source, file_name, store)
    if "about.npy" not in members:
        with _as_file(source, store) as path:
            return "activations", import_raw(path, store, file_name=file_name, report=report, ids=ids).name
    if "matrix.npy" not in members:
        return "activations", import_set(source, store, file_name=file_name, report=report).name
    return "comparisons", _kept(source.read(), store)


def _kept(data: bytes, store: Store) -> str:
    """Keep a saved comparison; returns its key."""
    comparison.Comparison.from_bytes(data)
    key = comparison.UPLOADED + hashlib.sha256(data).hexdigest()[:24]
    if not store.has("comparisons", key):
        store.put("comparisons", key, data)
    return key


@contextlib.contextmanager
def _as_file(source: BinaryIO, store: Store) -> Iterator[Path]:
    """An open file by its path, for readers that map it: a copy where it has none."""
    name = getattr(source, "name", "")
    if isinstance(name, str) and name and Path(name).is_file():
        yield Path(name)
        return
    with _scratch(store) as folder:
        with open(folder / "file", "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        yield folder / "file"


@contextlib.contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=store.scratch("scratch"), prefix=f"incoming-{os.getpid()}-") as folder:
        yield Path(folder)


def import_set(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    store: Store,
    name: str | None = None,
    *,
    file_name: str = "the file",
    report: Report = silent,
) -> ActivationSet:
    """Put an activation set into the library, under ``name`` or its own, once it was read and checked to its end.

    One that is here already is not kept twice: the one that is here is returned.
    """
    found = activation_sets.read(source, file_name)
    if name is not None:
        check_name(name, store)
    same = next((one for one in catalogue.sets(store).values() if one.digest == found.digest), None)
    if same is not None:
        return same
    activation_sets.check(found, report)
    name = name or free_name(found.name, store)
    assert found.open is not None
    added = words.now()
    # The record first: without its file the name is free, and whoever is killed here brings the file in again under it.
    store.write_record(f"activations/{name}.json", found.about() | {"name": name, "added": added})
    try:
        with found.open() as file:
            file.seek(0)
            store.put_file("activations", name, file)
    except OSError:
        store.remove(store.path(f"activations/{name}.json"))
        raise
    return dataclasses.replace(found, name=name, open=catalogue.stored_file(name, store))


def import_images(
    source: str | os.PathLike[str] | BinaryIO, file_name: str, store: Store, name: str | None = None
) -> str:
    """Register images of one's own (`cka_core.images.own_files`); returns their name."""
    if name is not None:
        check_name(name, store)
    found = own_files.read(Path(source) if isinstance(source, str | os.PathLike) else source, file_name)
    return own.put(name or free_name(Path(file_name).stem, store), found, file_name, store).name


def import_raw(
    source: str | os.PathLike[str],
    store: Store,
    name: str | None = None,
    *,
    file_name: str = "",
    report: Report = silent,
    **options: Any,
) -> ActivationSet:
    """Put the activation set of a file of named arrays into the library; ``options`` of `raw_activations.convert`.

    The arrays themselves are not kept. What is here already is not kept twice.
    """
    called = file_name or Path(source).name
    if name is not None:
        check_name(name, store)
    with _scratch(store) as folder:
        stem = Path(called).stem
        raw_activations.convert(
            source, folder / "set.npz", file_name=called, name=name or stem, report=report, **options
        )
        return import_set(folder / "set.npz", store, name, file_name=called)


def import_file(path: Path, store: Store, name: str | None = None, **options: Any) -> ActivationSet:
    """An activation set, or activations of any framework, from a file or folder that is named on the command line."""
    if not path.exists():
        raise ValueError(f"Expected a file or a folder, got {path}, which does not exist.")
    check_ending(path.name)
    if path.is_file() and foreign_arrays.kind_of(path) == "zip":
        with npz.reading("an archive of arrays (.npz)", path.name), npz.opened(path, foreign_arrays.BOUNDS) as archive:
            members = set(archive.namelist())
        if package.is_one(members):
            raise ValueError(f"{path.name} was not taken: {activation_sets.OF_COMPARISON}.")
        if "about.npy" in members:
            return import_set(path, store, name)
    return import_raw(path, store, name, **options)
