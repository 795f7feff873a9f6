"""Files that are named on the command line: what a ``.keras`` file is known by, and how others become one.

Reads no more than JSON from the file and needs no Keras.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cka_core.networks.layers import Layer

LARGEST_CONFIG = 1 << 26

PLAIN = {
    "Activation", "Add", "AlphaDropout", "Average", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "BatchNormalization", "Concatenate", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D",
    "Conv3DTranspose", "Cropping1D", "Cropping2D", "Cropping3D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D",
    "Dropout", "ELU", "Flatten", "Functional", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D", "GroupNormalization", "Identity", "InputLayer", "LayerNormalization", "LeakyReLU",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "ReLU",
    "RepeatVector", "Reshape", "SeparableConv1D", "SeparableConv2D", "Sequential", "Softmax", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D", "Subtract", "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
}  # fmt: skip
"""Layers that version 0.2 computed as inference does, whatever they stood in."""

WEIGHTS = ".weights.h5"
FROM_H5 = "import keras; keras.models.load_model({path!r}, compile=False).save({new!r})"
FROM_SAVED_MODEL = (
    "import tf_keras, keras; tf_keras.models.load_model({path!r}, compile=False).save({h5!r}); "
    "keras.models.load_model({h5!r}, compile=False).save({new!r})"
)
"""Keras 3 reads no SavedModel, and no .keras file of Keras 2, but its .h5 files."""


def keras_digest(path: Path) -> str:
    """What a ``.keras`` file is known by in keys, 32 hex digits: of its bytes, and of how its layers are computed.

    Version 0.2 computed some layers in another way, so that a file with any of these is known by another digest than
    before: what was kept of it is not found, and computed again. What was kept of other files stays.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    if not _is_plain(path):
        digest.update(b"inference 2")
    return digest.hexdigest()[:32]


def doubt(network: Mapping[str, Any], layers: Sequence[Layer]) -> str:
    """What to warn of where version 0.2 took Gram matrices of a model that it may have computed in another way; or "".

    ``network`` is its provenance, ``layers`` are those kept.
    """
    if network.get("source") not in ("file", "given as a model") or "preprocessing" in network:
        return ""
    kinds = sorted({layer.kind for layer in layers} - PLAIN)
    if not kinds:
        return ""
    return (
        f"{network.get('name') or 'A network'} was computed by version 0.2, which may not have computed "
        f"{', '.join(kinds)} as inference does. Compute it again from the network to be sure."
    )


def _is_plain(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > LARGEST_CONFIG:
                return False
            config = json.loads(archive.read("config.json"))
        return all(_was_right(entry) for entry in _layers(config))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile):
        return False


def _layers(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The entry of each layer in a model's configuration, those of models inside it too."""
    yield config
    for entry in config["config"].get("layers", ()):
        yield from _layers(entry)


def _was_right(entry: dict[str, Any]) -> bool:
    """Whether version 0.2 computed, and named, this layer's calls as this version does."""
    policy = entry["config"].get("dtype", "float32")
    name = policy["config"]["name"] if isinstance(policy, dict) else policy
    calls = json.dumps(entry.get("inbound_nodes", []))
    return (
        entry["class_name"] in PLAIN
        and str(entry.get("module", "")).startswith("keras")
        and entry.get("registered_name") in (None, "", entry["class_name"])
        and name == "float32"
        and len(entry.get("inbound_nodes", [])) <= 1
        and '"training": true' not in calls
    )


@contextlib.contextmanager
def whole(ending: str) -> Iterator[None]:
    """A ValueError, in words, where an archive with this ending of its name turns out not to be one, or not whole."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"it is no {ending} file, or a damaged one; copy it again, or write it again") from error


def how_to_convert(path: Path) -> str | None:
    """In one line how another file of a Keras model becomes a ``.keras`` file; None for what is no such file."""
    ending = path.suffix.lower()
    if path.name.lower().endswith(WEIGHTS):
        new = path.name[: -len(WEIGHTS)] + ".keras"
        return (
            f"A {WEIGHTS} file holds numbers without their network. Build the network in Python, then: "
            f"model.load_weights({str(path)!r}); model.save({str(path.with_name(new))!r})"
        )
    if ending in (".h5", ".hdf5"):
        kind, code, needs = f"An {ending} file", FROM_H5, ""
    elif ending == ".pb" or (path / "saved_model.pb").is_file():
        kind, code, needs = "A SavedModel", FROM_SAVED_MODEL, " (pip install tf_keras)"
        path = path.parent if ending == ".pb" else path
    else:
        return None
    code = code.format(path=str(path), h5=str(path.with_suffix(".h5")), new=str(path.with_suffix(".keras")))
    return f'{kind} has to be a .keras file first{needs}: python -c "{code}"'
