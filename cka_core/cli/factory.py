"""A network that a Python file of the user's builds, named ``mine.py:build_model``: its code runs in this process."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cka_core.base.progress import Report
from cka_core.base.store import Store
from cka_core.images.sets import SampleSpec
from cka_core.results.comparison import Comparison

_FORM = re.compile(r"(?P<path>.+\.py):(?P<function>[A-Za-z_]\w*)")


def is_one(network: str) -> bool:
    """Whether an argument names a function of a Python file."""
    return _FORM.fullmatch(network) is not None


def built(network: str, store: Store) -> Any:
    """The model: what the function returns when called without arguments, or the one of the library or file.

    Raises ValueError for a file or function that does not exist, and for what is no model.
    """
    from cka_core.comparing.torch_models import is_torch
    from cka_core.library import catalogue

    match = _FORM.fullmatch(network)
    if match is None:
        found = catalogue.find(network, store)
        if found.activations is not None:
            raise ValueError(
                f"{network} is an activation set: its network is not here, and one that code builds cannot be checked "
                "against its images. Compare two networks, or two activation sets."
            )
        return catalogue.load_model(found.spec, store)
    path, name = Path(match["path"]).expanduser(), match["function"]
    if not path.is_file():
        raise ValueError(f"{path} does not exist. Expected a Python file and a function of it: mine.py:build_model.")
    function = getattr(_run(path), name, None)
    if not callable(function):
        raise ValueError(f"{path} has no function {name!r}.")
    model = function()
    if not is_torch(model) and not hasattr(model, "input_shape"):
        raise ValueError(
            f"Expected {network} to return a PyTorch or Keras model, got {type(model).__name__}. The function is "
            "called without arguments."
        )
    return model


def _run(path: Path) -> Any:
    """The file as a module; what stands beside it can be imported by it, as when Python runs it."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def compare(
    networks: tuple[str, str], models: tuple[Any, Any], sample: SampleSpec, words: Sequence[str], **options: Any
) -> Comparison:
    """Compare models on a sample of an image set; ``words`` are the command's, for the provenance."""
    from cka_core.comparing import engine
    from cka_core.results.activation_sets import Sample

    report: Report = options.pop("report")
    images = sample.load(options.pop("store"))
    result = engine.compare(*models, images, progress=report, **options)
    described = Sample.of(sample, images).to_json()
    del described["label"]
    named = {
        side: result.provenance[side] | {"name": name}
        for side, name in zip(("network_a", "network_b"), networks, strict=True)
    }
    provenance = result.provenance | named | {"images": described, "command": shlex.join(words)}
    return dataclasses.replace(result, provenance=provenance)
