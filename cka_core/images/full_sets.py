"""Full sets: those that are not bundled, fetched by Keras or brought in from a file, checked, and kept in the store."""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import tempfile
from pathlib import Path

import numpy as np

from cka_core.base import extras, shipped
from cka_core.base.failures import in_short
from cka_core.base.store import Store
from cka_core.images import cifar10_files, downloads
from cka_core.images.cifar10_files import Arrays
from cka_core.images.image_set import ImageSet, ImagesUnavailable, digest

log = logging.getLogger(__name__)


def read(found: ImageSet, split: str, store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Images and int64 classes of a split of a full set, fetched if it is not in the store yet.

    `ImagesUnavailable` where it cannot be had.
    """
    data = store.get("images", found.name)
    if data is None:
        _download(found, store)
        data = store.get("images", found.name)
    if data is None:
        raise ImagesUnavailable(f"{found.title} was downloaded, but cannot be read back from {store.root}.")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return arrays[f"x_{split}"], arrays[f"y_{split}"].astype(np.int64)


def import_cifar10(cifar10: ImageSet, source: Path, store: Store) -> dict[str, int]:
    """See `sets.import_cifar10`."""
    check_file(source)
    arrays = _checked(cifar10_files.read(source), source.name, cifar10)
    x_train, _, x_test, _ = arrays
    sizes = {"train": len(x_train), "test": len(x_test)}
    if sizes == cifar10.sizes and not _has_the_bundled_images(arrays):
        log.warning("%s has as many images as CIFAR-10, but not its images in their order.", source.name)
    _keep(cifar10, store, arrays)
    return sizes


def from_a_file(name: str) -> str:
    """How a set that is not bundled is brought in without a download."""
    if name == "cifar10":
        return "python -m cka_core data import cifar10 cifar10.npz, a file with x_train, y_train, x_test, y_test"
    return "bring in an npz with x_train, y_train, x_test, y_test as images of your own, on the Library page"


def check_file(path: Path) -> None:
    """A ValueError unless images can be read at ``path``, which says what to do with a folder."""
    if path.is_dir():
        name = shlex.quote(path.name or "images")
        raise ValueError(
            f"Expected a file, got {path}, which is a folder. Of pictures, with a folder a class, make a zip first: "
            f"python -m zipfile -c {name}.zip {name}"
        )
    if not path.is_file():
        raise ValueError(f"Expected a file, got {path}, which does not exist.")


def _download(found: ImageSet, store: Store) -> None:
    """Keras' own download, kept as npz in the store."""
    name = found.name
    title = "The full CIFAR-10" if name == "cifar10" else found.title
    try:
        arrays = downloads.fetched(name)
    except Exception as error:
        ways = "Three ways to get it" if name == "cifar10" else "Two ways to get it"
        files = (
            f"(2) {from_a_file(name)}; "
            "(3) python -m cka_core data import cifar10 cifar-10-binary.tar.gz, the official binary archive."
            if name == "cifar10"
            else f"(2) {from_a_file(name)}."
        )
        missing = isinstance(error, extras.NotInstalled)
        why = "Keras, which downloads it, is not there" if missing else f"could not be downloaded ({in_short(error)})"
        first = str(error) if missing else "connect to the internet and try again, Keras downloads it"
        raise ImagesUnavailable(
            f"{title} is not here and {why}. {ways}: (1) {first}; {files} Meanwhile cifar10-mini is bundled and needs "
            "no download."
        ) from error
    _keep(found, store, _checked(arrays, "the download", found))


def _has_the_bundled_images(arrays: Arrays) -> bool:
    """Whether arrays of CIFAR-10's size hold the images of ``cifar10-mini`` where those stand in CIFAR-10."""
    facts = json.loads((shipped.IMAGES / "cifar10-mini.json").read_text())
    x_train, y_train, x_test, y_test = arrays
    for split, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        places = facts[split]["index_in_cifar10"]
        if digest(x[places], y[places]) != facts[split]["digest"]:
            return False
    return True


def _checked(arrays: Arrays, where: str, found: ImageSet) -> Arrays:
    x_train, y_train, x_test, y_test = arrays
    checked, shape, last = [], found.shape, len(found.classes) - 1
    for split, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        x, y = np.asarray(x), np.asarray(y).reshape(-1)
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != shape:
            sides = ", ".join(map(str, shape))
            raise ValueError(f"{where}: expected x_{split} as uint8 (n, {sides}), got {x.dtype} {x.shape}.")
        if len(x) != len(y) or y.dtype.kind not in "iu":
            raise ValueError(f"{where}: expected {len(x):,} whole numbers in y_{split}, got {y.dtype} {y.shape}.")
        if len(y) == 0 or y.min() < 0 or y.max() > last:
            raise ValueError(f"{where}: expected classes 0 to {last} in y_{split}, got {set(np.unique(y).tolist())}.")
        checked += [x, y.astype(np.uint8)]
    return tuple(checked)  # type: ignore[return-value]


def _keep(found: ImageSet, store: Store, arrays: Arrays) -> None:
    """Put a full set into the store, by way of a file: as bytes it would be in memory three times."""
    x_train, y_train, x_test, y_test = arrays
    old = [entry.path for entry in store.entries("images") if entry.key == found.name]
    with tempfile.TemporaryDirectory(dir=store.scratch("scratch"), prefix=f"incoming-{os.getpid()}-") as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        kept = store.put_file("images", found.name, path)
    for other in old:
        if other != kept:
            store.remove(other)
