"""Networks that somebody brings as a ``.keras`` file: read once where they arrive, described, and kept as they are.

Code in the file is never run (Keras' safe mode). Only the process that a file is given to, and a worker that compares
it, load it; everybody else reads the description.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from cka_core.base import npz, words
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.library import catalogue, files, keras_files
from cka_core.library.keeping import check_name, free_name

OTHER_INPUTS = (
    "{file} takes {count} inputs. One image set enters one input: write its activations instead "
    "(docs/activations.md) and compare those, or give `compare` a dict of arrays in Python."
)
OF_TEXT = (
    "{file} takes text, and image sets hold numbers: write its activations instead (docs/activations.md) and compare "
    "those, or give `compare` an array of texts in Python."
)


def bring_in(path: Path, file_name: str, store: Store, name: str | None = None, report: Report = silent) -> str:
    """Keep a network under ``name``, or that of its file; returns the name. What is here already is not kept twice.

    Raises ValueError: `npz.NotReadable` for what is no network, or holds code; for several inputs, text, or no graph.
    """
    if name is not None:
        check_name(name, store)
    with tempfile.TemporaryDirectory(dir=store.scratch("scratch"), prefix="incoming-") as folder:
        copy = Path(folder) / f"{Path(file_name).stem[:80] or 'network'}.keras"
        shutil.copyfile(path, copy)
        weights = files.keras_digest(copy)
        known = [info.spec.name for info in catalogue.networks(store).values() if info.spec.weights == weights]
        if known:
            return known[0]
        report(Progress("reading", 0, 1, "loading the network"))
        record = described(copy, file_name)
        called = name or free_name(Path(file_name).stem, store)
        with open(copy, "rb") as file:
            store.put_file("networks", called, file, "keras")
    store.write_record(f"networks/{called}.json", record | {"weights": weights})
    return called


def described(path: Path, file_name: str) -> dict[str, Any]:
    """What the library says of a network, once it was loaded and its graph found."""
    import keras

    from cka_core.networks.layer_graph import embedding_rows, layer_graph

    model = keras_files.load(path, keras)
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        raise ValueError(OTHER_INPUTS.format(file=file_name, count=len(inputs)))
    with npz.reading("a functional or sequential Keras model", file_name):
        graph = layer_graph(model)
    if graph.input.dtype == "string":
        raise ValueError(OF_TEXT.format(file=file_name))
    return {
        "source": "own",
        "file": file_name[-200:],
        "layers": [dataclasses.asdict(layer) | {"shape": list(layer.shape)} for layer in graph.layers],
        "parameters": int(model.count_params()),
        "input_shape": list(graph.input.shape[1:]),
        "input_dtype": graph.input.dtype,
        "takes_ids": embedding_rows(graph, graph.input) is not None,
        "created": words.now(),
    }
