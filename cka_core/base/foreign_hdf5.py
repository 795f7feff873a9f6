"""The arrays of an HDF5 file (``.h5``), named by their path in it, read some rows at a time by h5py."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.base import npz
from cka_core.base.foreign_rows import AT_ONCE, IDS, LARGEST_IDS, NamedArrays, Rows, as_ids, check_form, numbers

DEEPEST = 32
MOST = 20_000
RATIO, FREE = 200, 32 << 20
LARGEST_CHUNK = 256 << 20
"""Bytes of a chunk, which is unpacked whole whenever a row of it is read."""
FILTERS = {"gzip", "lzf", "szip", None}
KERAS = ("model_config", "keras_version", "layer_names", "backend")
"""Attributes of the files in which Keras saves weights."""
WEIGHTS = "it holds a Keras model's weights, not activations. To compare the network: {}, and bring in that file"
FROM_WHOLE = "keras.models.load_model('net.h5', compile=False).save('net.keras')"
FROM_WEIGHTS = "build it in Python, then model.load_weights('net.weights.h5'); model.save('net.keras')"


def read(source: Path, stack: contextlib.ExitStack) -> NamedArrays:
    """The arrays by their path in the file, which stays open as long as ``stack``."""
    try:
        import h5py
    except ImportError as error:
        raise ValueError("h5py is needed to read it: pip install h5py") from error
    size = source.stat().st_size
    with _whole():
        file = stack.enter_context(h5py.File(source, "r", locking=False))
    if any(name in file.attrs for name in KERAS) or {"_layer_checkpoint_dependencies", "layers", "vars"} & set(file):
        raise ValueError(WEIGHTS.format(FROM_WHOLE if "model_config" in file.attrs else FROM_WEIGHTS))
    arrays: dict[str, Rows] = {}
    ids = None
    total = 0
    for name, data in _datasets(file, "", 0):
        if data.is_virtual or data.external:
            raise ValueError(f"{name} lies in other files")
        total += math.prod(data.shape or ()) * data.dtype.itemsize
        if total > max(FREE, RATIO * size):
            raise ValueError(f"its arrays are {total:,} bytes or more, far more than the file's own {size:,}")
        if name == IDS:
            ids = _ids(data)
            continue
        check_form(name, tuple(data.shape or ()), data.dtype)
        if data.compression not in FILTERS or math.prod(data.chunks or (0,)) * data.dtype.itemsize > LARGEST_CHUNK:
            raise ValueError(f"{name} is compressed in a way that is not read, or in chunks of more than 256 MB")
        arrays[name] = Rows(tuple(data.shape), data.dtype, _reader(data, source.name))
        if len(arrays) > MOST:
            raise ValueError(f"it has more than {MOST:,} arrays")
    return NamedArrays(arrays, ids)


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """The HDF5 library speaks of its own blocks where a file is damaged; say what to do instead."""
    try:
        yield
    except OSError as error:
        raise ValueError("it is no whole HDF5 file, or damaged; copy it again, or write it again") from error


def _reader(data: Any, name: str) -> Any:
    width = math.prod(data.shape[1:]) * data.dtype.itemsize

    def take(start: int, stop: int) -> np.ndarray:
        with npz.reading("activations", name):
            if (stop - start) * width > AT_ONCE:
                raise ValueError(
                    f"one layer of one minibatch has {(stop - start) * width:,} bytes, at most {AT_ONCE:,} are taken "
                    "into memory; write .npy or .safetensors, which are mapped, or take smaller minibatches"
                )
            with _whole():
                return numbers(np.asarray(data[start:stop]))

    return take


def _datasets(group: Any, above: str, depth: int) -> Iterator[tuple[str, Any]]:
    import h5py

    if depth > DEEPEST:
        raise ValueError(f"its groups are more than {DEEPEST} deep")
    for key in group:
        name = f"{above}/{key}" if above else str(key)
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{name[:100]} is a link to another place or file; put the array itself there")
        item = group[key]
        if isinstance(item, h5py.Group):
            yield from _datasets(item, name, depth + 1)
        elif isinstance(item, h5py.Dataset):
            yield name, item


def _ids(data: Any) -> tuple[str, ...]:
    import h5py

    text = h5py.check_string_dtype(data.dtype)
    count = math.prod(data.shape or ())
    if len(data.shape or ()) != 1 or count > LARGEST_IDS // 8 or (text is None and data.dtype.kind not in "iuS"):
        raise ValueError(f"{IDS} are {data.dtype} {data.shape}; expected one number or short text for each image")
    return as_ids(np.array(list(data.asstr()[:])) if text is not None else data[:])
