"""The layers of a PyTorch model: the tensors that the calls of its modules return, found by running a few images."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cka_core.networks.layers import Layer

if TYPE_CHECKING:
    import torch

ROOT = "output"
"""What the output of the model itself is called."""

BatchAxis = Mapping[str, int] | int | None
"""The axis of the images where it is not the first: one for all such tensors, or by name or pattern of the layer."""


@dataclasses.dataclass(frozen=True)
class Output:
    """One tensor of one call of one module.

    ``module`` and ``call`` (from 0) say which, ``leaf`` the position among the tensors that the call returns; ``axis``
    is that of the images; ``passed_on``: a tensor that a module inside had returned; ``reason``: why it cannot
    be compared, or "".
    """

    layer: Layer
    module: str
    call: int
    leaf: int
    axis: int = 0
    passed_on: bool = False
    reason: str = ""

    @property
    def called(self) -> str:
        """The name of the call, the same for all its tensors."""
        return call_name(self.module, self.call)


def call_name(module: str, call: int) -> str:
    return (module or ROOT) + (f":{call}" if call else "")


def leaves(value: Any) -> list[tuple[str, Any]]:
    """The tensors in what a module returned, each with its path: ``""`` alone, ``[1]`` in a sequence, ``.key`` by name.

    Sequences inside sequences are counted through: of an LSTM [0] is the output, [1] and [2] are its states.
    """
    found = list(_leaves(value))
    if len(found) == 1 and found[0][0] == "[0]":
        found = [("", found[0][1])]
    return [(path, leaf) for path, leaf in found if _is_tensor(leaf)]


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        named: Mapping[Any, Any] = value
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        named = value._asdict()  # type: ignore[attr-defined]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    elif isinstance(value, (tuple, list)):
        within = (pair for item in value for pair in _leaves(item))
        yield from ((f"[{index}]{_COUNTED.sub('', path)}", leaf) for index, (path, leaf) in enumerate(within))
        return
    else:
        yield "", value
        return
    for key, item in named.items():
        yield from ((f".{key}{path}", leaf) for path, leaf in _leaves(item))


_COUNTED = re.compile(r"^\[\d+\]")


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


@contextmanager
def as_it_was(model: torch.nn.Module) -> Iterator[list[Any]]:
    """Evaluation mode without gradients; afterwards every module's mode is as before, and the hooks listed are gone."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    handles: list[Any] = []
    try:
        model.eval()
        with torch.inference_mode():
            yield handles
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode


def find_outputs(
    model: torch.nn.Module, run: Callable[[], Any], images: int, batch_axis: BatchAxis = None
) -> list[Output]:
    """Run a model once on ``images`` images and list what its modules returned, in the order of their calls."""
    watch = _Watch(images, batch_axis)
    with as_it_was(model) as handles:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(watch.before))
            handles.append(module.register_forward_hook(watch.after(name, bool(list(module.children())))))
        run()
    taken = {output.layer.name for output in watch.outputs if output.module}
    return [
        output
        if output.module or output.layer.name not in taken
        else dataclasses.replace(output, layer=dataclasses.replace(output.layer, name=f"({output.layer.name})"))
        for output in watch.outputs
    ]


class _Watch:
    """What is seen while a model runs. A container's tensor that one of its modules returned is told apart by identity,
    and by its sums, since an operation in place may have changed it meanwhile."""

    def __init__(self, images: int, batch_axis: BatchAxis):
        self.images, self.batch_axis = images, batch_axis
        self.outputs: list[Output] = []
        self.calls: dict[str, int] = {}
        self.open: list[tuple[Any, int]] = []
        self.seen: list[tuple[weakref.ref[Any], Any]] = []

    def before(self, module: Any, args: Any) -> None:
        self.open.append((module, len(self.seen)))

    def after(self, name: str, is_container: bool) -> Callable[[Any, Any, Any], None]:
        def hook(module: Any, args: Any, value: Any) -> None:
            start = len(self.seen)
            while self.open:
                opened, start = self.open.pop()
                if opened is module:
                    break
            call = self.calls.get(name, 0)
            self.calls[name] = call + 1
            inside = self.seen[start:]
            for leaf, (path, tensor) in enumerate(leaves(value)):
                sums = _sums(tensor)
                passed_on = is_container and any(ref() is tensor and sums.equal(before) for ref, before in inside)
                self.outputs.append(self._output(name, call, leaf, path, tensor, type(module).__name__, passed_on))
                self.seen.append((weakref.ref(tensor), sums))

        return hook

    def _output(self, module: str, call: int, leaf: int, path: str, tensor: Any, kind: str, passed_on: bool) -> Output:
        name = path[1:] if not module and not call and path.startswith(".") else call_name(module, call) + path
        shape = tuple(int(side) for side in tensor.shape)
        axis = _axis(name, call_name(module, call), shape, self.images, self.batch_axis)
        rest = shape[:axis] + shape[axis + 1 :]
        stage = name.split(".")[0] if "." in module else ""
        reason = _reason(name, tensor, shape, axis, self.images)
        return Output(Layer(name, kind, rest, stage), module, call, leaf, axis, passed_on, reason)


def _sums(tensor: Any) -> Any:
    """Enough to see that a tensor was changed: two numbers, or none, where it is, so that nobody waits for them."""
    import torch

    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_complex():
        return torch.empty(0)
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    total = tensor.sum(dtype=wide)
    return torch.stack([total, total if tensor.dtype == torch.bool else tensor.abs().sum(dtype=wide)])


def _axis(name: str, called: str, shape: tuple[int, ...], images: int, given: BatchAxis) -> int:
    if given is None or (shape and shape[0] == images and isinstance(given, int)):
        return 0
    if isinstance(given, int):
        axis = given
    else:
        matches = [value for key, value in given.items() if key in (name, called) or fnmatch.fnmatchcase(name, key)]
        if not matches:
            return 0
        axis = matches[0]
    return axis + len(shape) if axis < 0 else axis if axis < len(shape) else 0


def _reason(name: str, tensor: Any, shape: tuple[int, ...], axis: int, images: int) -> str:
    import torch

    if tensor.layout is not torch.strided or tensor.is_nested:
        return "it is no dense tensor"
    if tensor.is_complex():
        return "its numbers are complex"
    if not shape:
        return "it is one number, not one an image"
    if shape[axis] != images:
        where = "first axis" if axis == 0 else f"axis {axis}"
        sides = ", ".join("images" if side == images else str(side) for side in shape)
        at = [i for i, side in enumerate(shape) if side == images]
        advice = f"; batch_axis={{{name!r}: {at[0]}}} takes axis {at[0]}" if at else ""
        return f"its {where} is not the images: its shape is ({sides}){advice}"
    if 0 in shape:
        return "it is empty"
    return ""
