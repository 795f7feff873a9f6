"""A network that a Python file of the user's builds, named ``mine.py:build_model``: its code runs in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import inspect
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cka_core.base.extras import how_to_install
from cka_core.base.progress import Report
from cka_core.base.store import Store
from cka_core.images.sets import SampleSpec
from cka_core.results.comparison import Comparison
from cka_core.results.passed_on import FUNCTION


def is_one(network: str) -> bool:
    """Whether an argument names a function of a Python file."""
    return FUNCTION.fullmatch(network) is not None


def check_named(*networks: str) -> None:
    """A ValueError where a Python file is named that is not there, or without a function of it."""
    for network in networks:
        if network.endswith(".py"):
            raise ValueError(f"Expected a function of {network} that returns a model: {network}:FUNCTION.")
        match = FUNCTION.fullmatch(network)
        if match and not Path(match["path"]).expanduser().is_file():
            raise ValueError(
                f"{match['path']} does not exist. Expected a Python file and a function of it: mine.py:build_model."
            )


def built(network: str, store: Store) -> Any:
    """The model: what the function returns when called without arguments, or the one of the file or library.

    Raises ValueError for a file or function that does not exist, for one that fails, and for what is no model.
    """
    from cka_core.library import catalogue

    match = FUNCTION.fullmatch(network)
    if match is None:
        found = catalogue.find(network, store)
        if found.activations is not None:
            raise ValueError(
                f"{network} is an activation set: its network is not here, and one that code builds cannot be checked "
                "against its images. Compare two networks, or two activation sets."
            )
        return catalogue.load_model(found.spec, store)
    check_named(network)
    path, name = Path(match["path"]).expanduser(), match["function"]
    with _code_of(path):
        module = _run(path)
    function = getattr(module, name, None)
    if _is_model(function):
        return function
    if not callable(function):
        raise ValueError(f"{path} has no function {name!r}.")
    _check_takes_nothing(network, function)
    with _code_of(path):
        model = function()
    if not _is_model(model):
        raise ValueError(
            f"Expected {network} to return a PyTorch or Keras model, got {type(model).__name__}. The function is "
            "called without arguments."
        )
    return model


def _is_model(value: Any) -> bool:
    """Whether it is a model, and no class of models."""
    from cka_core.comparing.torch_models import is_torch

    return is_torch(value) or (hasattr(value, "input_shape") and not isinstance(value, type))


def _check_takes_nothing(network: str, function: Callable[..., Any]) -> None:
    """A ValueError, naming them, where a function cannot be called without arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of one that is not written in Python nothing is known
        return
    needs = [one.name for one in parameters
             if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]  # fmt: skip
    if needs:
        raise ValueError(
            f"{network} is called without arguments, and it needs {', '.join(needs)}. Give them defaults, or name a "
            "function beside it that calls it with them."
        )


@contextlib.contextmanager
def _code_of(path: Path) -> Iterator[None]:
    """What goes wrong in somebody's file becomes a ValueError that says what and in which line of it."""
    try:
        yield
    except (Exception, SystemExit) as error:
        file = str(path.absolute())
        lines = [at for frame, at in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
        if isinstance(error, SyntaxError) and error.filename == file and error.lineno:
            lines.append(error.lineno)
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0]
            raise ValueError(
                f"{where} imports {error.name}, which is not here. Install it: {how_to_install(package)}."
            ) from error
        raise ValueError(f"{where}: {type(error).__name__}: {_text(error)}") from error


def _text(error: BaseException) -> str:
    return (error.msg if isinstance(error, SyntaxError) else str(error)) or "it says no more"


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
        side: result.provenance[side] | {"name": Path(name).name}  # the folders on the way are the user's own
        for side, name in zip(("network_a", "network_b"), networks, strict=True)
    }
    provenance = result.provenance | named | {"images": described, "command": shlex.join(words)}
    return dataclasses.replace(result, provenance=provenance)
