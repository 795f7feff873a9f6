"""Keras' files: bounded before Keras reads them, and refused where a weight in them is no number."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import failures, npz, records
from cka_core.library import files
from cka_core.networks.building import build_network

if TYPE_CHECKING:
    import h5py
    import keras

WHAT = "a network as model.save('name.keras') writes it"
BOUNDS = npz.Bounds(members=1000, unpacked=1 << 34, ratio=4, free=64 << 20)
"""Weights hardly compress. What is compressed inside the HDF5 file of the weights is held to the same ratio."""
LARGEST_DESCRIPTION, DEEPEST_DESCRIPTION = 64 << 20, 200
SIZES = ("units", "filters", "output_dim", "input_dim", "key_dim", "value_dim", "num_heads")
"""What a layer's description calls the sizes of its weights."""
CODE = {
    "Lambda": "a Lambda layer", "__lambda__": "a function without a name", "TorchModuleWrapper": "a PyTorch module",
    "TFSMLayer": "a SavedModel as a layer",
}  # fmt: skip
"""What of Keras itself holds code, by its class."""
BUILD = "build it in a Python file, whose code you run yourself (python -m cka_core compare mine.py:build OTHER)"
INSTEAD = "write its activations to a file where it runs, and bring in that (docs/activations.md)."


def load(path: Path, keras: Any) -> keras.Model:
    """The network in a ``.keras`` file; ValueError, in words, for anything else. Code inside a file is never run."""
    described = check(path)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise npz.NotReadable(_refusal(path.name, described, error, keras.__version__)) from error
    check_finite(model, path.name)
    return model


def _refusal(name: str, described: Any, error: Exception, version: str) -> str:
    """Why Keras did not load a file, by the description in it: what Keras says itself is for those who wrote it."""
    found = list(_objects(described))
    code = next((kind for kind, _ in found if kind in CODE), None)
    if code is not None:
        return f"{name} has {CODE[code]}. It holds code, and code inside a file is never run: {BUILD}, or {INSTEAD}"
    foreign = next((kind for kind, module in found if module.partition(".")[0] != "keras"), None)
    if foreign is not None:
        return (
            f"{name} is made with {foreign[:100]!r}, which is none of Keras' own layers and functions. Its code is not "
            f"in the file, and code inside a file is never run: {INSTEAD}"
        )
    return (
        f"Keras {version} could not load {name} ({failures.in_short(error)}). Save it again with "
        f"model.save('name.keras') in that version, or {INSTEAD}"
    )


def _objects(value: Any) -> Iterator[tuple[str, str]]:
    """The class and the module of every object that a description names; of a function its name."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    if isinstance(value, dict):
        kind, inner = value.get("class_name"), value.get("config")
        if isinstance(kind, str) and ("module" in value or kind in CODE):
            yield str(inner) if kind == "function" else kind, str(value.get("module"))
        for item in value.values():
            yield from _objects(item)


def load_weights(architecture: str, path: Path, name: str) -> keras.Model:
    """A network of the library: built here, its weights from the file, which another Keras version may have written."""
    try:
        check(path)
        model = build_network(architecture)
        model.load_weights(path)
    except Exception as error:
        raise npz.NotReadable(
            f"The weights of {name} in {path.name} could not be read ({failures.in_short(error)}). "
            "Train it again, or install the package again if it is a bundled network."
        ) from error
    check_finite(model, name)
    return model


def check(path: Path) -> Any:
    """The description in a file; `npz.NotReadable` for a file that would take far more memory than it has bytes.

    The archive is bounded by what it says of itself, the weights by the sizes of the arrays in them, the description by
    the weights: it asks for no layer larger than any array there.
    """
    with npz.reading(WHAT, path.name), files.whole(".keras"), npz.opened(path, BOUNDS) as archive:
        size = path.stat().st_size
        names = archive.namelist()
        weights = [name for name in names if name.endswith(".weights.h5")]
        if "config.json" not in names or not weights:
            raise ValueError("it has no config.json, or no weights")
        if archive.getinfo("config.json").file_size > LARGEST_DESCRIPTION:
            raise ValueError(f"it describes itself in more than {LARGEST_DESCRIPTION:,} bytes")
        largest = _largest_side(archive, weights, size)
        described = records.parse_python(archive.read("config.json"), LARGEST_DESCRIPTION, DEEPEST_DESCRIPTION)
        asked = max(_sizes(described), default=0)
        if asked > largest:
            raise ValueError(
                f"it describes a layer of size {asked:,}, and its weights have none larger than {largest:,}"
            )
        return described


def _largest_side(archive: zipfile.ZipFile, names: Iterable[str], size: int) -> int:
    """The largest side of any array of the weights; ValueError where the arrays are far larger than the file."""
    import h5py

    largest, total = 0, 0

    def look(_: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal largest, total
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError("its weights are in other files")
            total += math.prod(item.shape or ()) * item.dtype.itemsize
            largest = max(largest, *(item.shape or (0,)), 0)

    for name in names:
        try:
            with h5py.File(io.BytesIO(archive.read(name)), "r") as weights:
                weights.visititems(look)
        except OSError as error:
            raise ValueError(f"{name[:100]} in it is damaged; save the network again") from error
    if total > max(BOUNDS.free, BOUNDS.ratio * size):
        raise ValueError(f"its weights are {total:,} bytes, far more than the file's own {size:,}")
    return largest


def _sizes(value: Any) -> list[float]:
    """Every size of weights that a description names, infinite ones too."""
    if isinstance(value, list):
        return [size for item in value for size in _sizes(item)]
    if not isinstance(value, dict):
        return []
    own = [found for name in SIZES if isinstance(found := value.get(name), int | float)]
    return [size for size in own if size == size] + [size for item in value.values() for size in _sizes(item)]


def check_finite(model: keras.Model, name: str) -> None:
    """`npz.NotReadable`, naming the layer, where a weight is NaN or infinite: every similarity would be NaN, too."""
    for weight in model.weights:
        values = np.asarray(weight)
        if values.dtype.kind == "f" or values.dtype.name == "bfloat16":
            wrong = int(np.size(values) - np.count_nonzero(np.isfinite(values.astype(np.float32))))
            if wrong:
                layer, _, array = str(weight.path).rpartition("/")
                raise npz.NotReadable(
                    f"{name} has weights that are NaN or infinite: {wrong:,} of the {np.size(values):,} in {array} of "
                    f"layer {layer}. Its training did not stay finite; train it again with a lower learning rate."
                )
