"""A PyTorch model is run to be watched, every module as its own Python says, and is left as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

COMPILED = "_orig_mod"
"""What ``torch.compile`` calls the module inside of the one that it makes."""


@contextmanager
def as_it_was(model: torch.nn.Module) -> Iterator[list[Any]]:
    """Evaluation mode without gradients, every module as its Python says; afterwards all is as before.

    Not under ``torch.inference_mode``: what a model keeps of a run, such as a table of positions, could not be trained
    with, and a model that takes a gradient of its own inside could not. Neither compiled nor by the one fused step of a
    transformer's layer, which would pass over the modules inside. The hooks listed are removed.
    """
    import torch

    modes = [(module, module.training) for module in model.modules()]
    fused = torch.backends.mha.get_fastpath_enabled()
    handles: list[Any] = []
    try:
        _evaluate(model)
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), _uncompiled():
            yield handles
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for handle in handles:
            handle.remove()
        _put_back(modes)


def _evaluate(model: torch.nn.Module) -> None:
    try:
        model.eval()
    except NotImplementedError as error:
        raise ValueError(
            f"Expected a PyTorch model with an evaluation mode, got {type(model).__name__}, or a module in it, without "
            "one, as torch.export makes them. Pass the model it was made of."
        ) from error


def _uncompiled() -> AbstractContextManager[Any]:
    """What was compiled runs as Python. Without the compiler, which takes seconds to import, nothing was."""
    import torch

    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _put_back(modes: list[tuple[torch.nn.Module, bool]]) -> None:
    """Every module's mode; by its own ``train`` where its class has one, since that may do more: merge weights, say."""
    import torch

    for module, mode in modes:
        if type(module).train is not torch.nn.Module.train:
            module.train(mode)
    for module, mode in modes:
        module.training = mode


def watched(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules whose calls can be seen, by name: not TorchScript, and of a compiled one the module within."""
    import torch

    for name, module in model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule) and COMPILED not in module._modules:
            yield _uncompiled_name(name), module


def scripted(model: torch.nn.Module) -> list[str]:
    """Names of the modules that are TorchScript, but for those inside of others."""
    import torch

    found = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    return [_uncompiled_name(name) for name in found if name.rpartition(".")[0] not in found]


def _uncompiled_name(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != COMPILED)
