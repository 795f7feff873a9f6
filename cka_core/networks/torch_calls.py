"""The layers of a PyTorch model: the tensors that the calls of its modules return, found by running a few images."""

from __future__ import annotations

import dataclasses
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from cka_core.base import failures
from cka_core.networks.layers import Layer, fits
from cka_core.networks.torch_watching import as_it_was, watched

if TYPE_CHECKING:
    import torch

ROOT = "output"
"""What the output of the model itself is called."""

BatchAxis = Mapping[str, int] | int | None
"""The axis of the images where it is not the first: one for all such tensors, or by name or pattern of the layer."""


def check_batch_axis(given: BatchAxis) -> None:
    """A ValueError for what is no `BatchAxis`."""
    axes = list(given.values()) if isinstance(given, Mapping) else [0 if given is None else given]
    names = list(given) if isinstance(given, Mapping) else []
    if not (all(isinstance(axis, Integral) for axis in axes) and all(isinstance(name, str) for name in names)):
        raise ValueError(
            f"Expected batch_axis as the number of an axis, or a dict of them by layer, got {given!r:.60}. Of one "
            "layer write batch_axis={'lstm[1]': 1}."
        )


Place = tuple[str, int, int]
"""Where a tensor comes from: the module, which call of it, and which of the tensors that it returned."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """One tensor that one call of one module returned in a trial.

    ``module`` and ``call`` (from 0) say which, ``leaf`` the position among the tensors that the call returns and
    ``path`` the way to it; ``passed_on``: whose tensor it is where modules inside had returned it, ``problem``: why no
    images can be told apart in it, or "", in which case ``shape`` is not known.
    """

    module: str
    call: int
    leaf: int
    path: str
    kind: str
    passed_on: tuple[Place, ...]
    shape: tuple[int, ...]
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Output:
    """A tensor as in `Seen`: ``axis`` is that of the images; ``reason``: why it cannot be compared, or ""."""

    layer: Layer
    module: str
    call: int
    leaf: int
    axis: int = 0
    passed_on: tuple[Place, ...] = ()
    reason: str = ""

    @property
    def called(self) -> str:
        """The name of the call, the same for all its tensors."""
        return call_name(self.module, self.call)


def origin(one: Seen | Output) -> Place:
    return one.module, one.call, one.leaf


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


class DidNotRun(ValueError):
    """A model ended in an error of its own; the message says in which layer, what that was given, and the error."""


def find_outputs(model: torch.nn.Module, run: Callable[[], Any]) -> list[Seen]:
    """Run a model once and list what its modules returned, in the order of their calls. Raises `DidNotRun`."""
    import torch

    watch = _Watch()
    with as_it_was(model) as handles:
        for name, module in watched(model):
            handles.append(module.register_forward_pre_hook(watch.before))
            handles.append(module.register_forward_hook(watch.after(name, bool(list(module.children())))))
        try:
            run()
        except Exception as error:
            if isinstance(error, MemoryError | torch.OutOfMemoryError):
                raise
            names = {id(module): name for name, module in watched(model)}
            raise DidNotRun(f"{watch.where(names)}{failures.in_short(error)}") from error
    return watch.outputs


class _Watch:
    """What is seen while a model runs. A container's tensor that one of its modules returned is told apart by identity,
    and by its sums, since an operation in place may have changed it meanwhile."""

    def __init__(self) -> None:
        self.outputs: list[Seen] = []
        self.calls: dict[str, int] = {}
        self.open: list[tuple[Any, Any, int]] = []
        self.seen: list[tuple[weakref.ref[Any], Any]] = []

    def before(self, module: Any, args: Any) -> None:
        self.open.append((module, args, len(self.seen)))

    def where(self, names: Mapping[int, str]) -> str:
        """In which layer the model is, and what that was given: "in layer '3' (Linear), given (16, 5408): "."""
        if not self.open or not names.get(id(self.open[-1][0])):
            return ""
        module, args, _ = self.open[-1]
        shapes = ", ".join(str(tuple(tensor.shape)) for _, tensor in leaves(args))
        given = f", given {shapes}" if shapes else ""
        return f"in layer {names[id(module)]!r} ({type(module).__name__}){given}: "

    def after(self, name: str, is_container: bool) -> Callable[[Any, Any, Any], None]:
        def hook(module: Any, args: Any, value: Any) -> None:
            start = len(self.seen)
            while self.open:
                opened, _, start = self.open.pop()
                if opened is module:
                    break
            call = self.calls.get(name, 0)
            self.calls[name] = call + 1
            inside = list(zip(self.seen[start:], self.outputs[start:], strict=True))
            kind = type(module).__name__
            for leaf, (path, tensor) in enumerate(leaves(value)):
                problem = _problem(tensor)
                shape = () if problem else tuple(int(side) for side in tensor.shape)
                sums = _sums(tensor, problem)
                passed_on = tuple(
                    origin(one)
                    for (ref, before), one in inside
                    if is_container and ref() is tensor and _are_equal(sums, before)
                )
                self.outputs.append(Seen(name, call, leaf, path, kind, passed_on, shape, problem))
                self.seen.append((weakref.ref(tensor), sums))

        return hook


def _problem(tensor: Any) -> str:
    import torch

    if tensor.is_nested or tensor.layout is not torch.strided:
        return "it is no dense tensor"
    if tensor.is_quantized:
        return "its numbers are quantized"
    if tensor.is_complex():
        return "its numbers are complex"
    counts = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    if not tensor.is_floating_point() and tensor.dtype not in counts:
        return f"PyTorch does not add up its type, {str(tensor.dtype).removeprefix('torch.')}"
    return ""


def _sums(tensor: Any, problem: str) -> tuple[Any, ...]:
    """Enough to see that a tensor was changed: two numbers, or none, where it is, so that nobody waits for them."""
    import torch

    if problem:
        return ()
    tensor = tensor.detach()
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    total = tensor.sum(dtype=wide)
    if tensor.is_floating_point():
        return total, torch.linalg.vector_norm(tensor, 1, dtype=wide)
    return (total,) if tensor.dtype == torch.bool else (total, tensor.abs().sum(dtype=wide))


def _are_equal(sums: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    return len(sums) == len(before) and all(bool(one == other) for one, other in zip(sums, before, strict=True))


def named(trials: list[tuple[int, list[Seen]]], batch_axis: BatchAxis = None) -> list[Output]:
    """What the first of one or two trials saw, each with its name and the axis of its images.

    A trial is a number of images and what was seen with them. An axis that is as long as the images in both trials is
    theirs. Raises ValueError where ``batch_axis`` names a layer that has no such axis.
    """
    images, seen = trials[0]
    again = {(one.module, one.call, one.leaf): (more, one.shape) for more, found in trials[1:] for one in found}
    outputs = []
    stages = _stages(one.module for one in seen)
    for one, name, stage in zip(seen, _names(seen), stages, strict=True):
        sides = [(images, one.shape)]
        if (one.module, one.call, one.leaf) in again:
            sides.append(again[one.module, one.call, one.leaf])
        ranks = {len(shape) for _, shape in sides}
        at = [i for i in range(len(one.shape)) if len(ranks) == 1 and all(shape[i] == count for count, shape in sides)]
        axis, doubt = _axis(name, one, at, len(sides) > 1, batch_axis)
        layer = Layer(name, one.kind, one.shape[:axis] + one.shape[axis + 1 :], stage)
        reason = one.problem or _reason(name, one.shape, axis, at) or doubt
        outputs.append(Output(layer, one.module, one.call, one.leaf, axis, one.passed_on, reason))
    return outputs


def _names(seen: list[Seen]) -> list[str]:
    """Each a name of its own: that of its call and the path in it. One that another call has comes in brackets."""
    own = [
        one.path[1:]
        if not one.module and not one.call and one.path.startswith(".")
        else call_name(one.module, one.call) + one.path
        for one in seen
    ]
    taken = {name for one, name in zip(seen, own, strict=True) if one.module and not one.path}
    names = []
    for one, name in zip(seen, own, strict=True):
        if not one.module or one.path:
            while name in taken:
                name = f"({name})"
            taken.add(name)
        names.append(name)
    return names


def _stages(modules: Iterable[str]) -> list[str]:
    """The stage of each call, by the path of its module: the first name there that tells such paths apart.

    Of ``model.layer1.0.conv`` and ``model.layer2.0.conv`` these are layer1 and layer2. A number is told with the name
    before it: blocks.0 of ``vit.blocks.0.norm``. "" is what lies in nothing that is a stage, as ``head`` does.
    """
    paths = [module.split(".") for module in modules]
    at = 0
    while len({path[at] for path in paths if len(path) > at + 1}) == 1:
        is_alone = len({path[at] for path in paths if len(path) > at} - {""}) == 1
        if not is_alone and max(map(len, paths)) == at + 2:
            break  # within it nothing is told apart: it is a stage beside the others
        at += 1
    names = [path[at] if len(path) > at + 1 else "" for path in paths]
    pairs = zip(paths, names, strict=True)
    return [f"{path[at - 1]}.{name}" if at and name.isdigit() else name for path, name in pairs]


def _axis(name: str, one: Seen, at: list[int], sure: bool, given: BatchAxis) -> tuple[int, str]:
    """The axis of the images, and why it is not known, or "".

    ``at`` are the axes that are as long as the images; ``sure``: in two trials with different numbers of them.
    """
    rank = len(one.shape)
    if isinstance(given, Mapping):
        exact = [value for key, value in given.items() if key in (name, call_name(one.module, one.call))]
        for axis in [*exact, *(value for key, value in given.items() if fits(name, key))][:1]:
            if -rank <= axis < rank:
                return axis % rank, ""
            if exact and rank:
                raise ValueError(
                    f"batch_axis of layer {name!r}: expected one of its {rank} axes, from {-rank} to {rank - 1}, got "
                    f"{axis}."
                )
            return 0, ""
    if 0 in at and len(at) > 1 and not sure:
        axes = " or ".join(map(str, at))
        why = (
            f"its images may be on axis {axes}, which the model does not tell, as it cannot be tried with fewer of them"
        )
        return 0, f"{why}; batch_axis={{{name!r}: 0}} takes axis 0"
    if isinstance(given, int) and -rank <= given < rank and 0 not in at:
        return given % rank, ""
    return 0, ""


def _reason(name: str, shape: tuple[int, ...], axis: int, at: list[int]) -> str:
    if not shape:
        return "it is one number, not one an image"
    if axis not in at:
        where = "first axis" if axis == 0 else f"axis {axis}"
        sides = ", ".join("images" if i in at else str(side) for i, side in enumerate(shape))
        advice = f"; batch_axis={{{name!r}: {at[0]}}} takes axis {at[0]}" if at else ""
        return f"its {where} is not the images: its shape is ({sides}){advice}"
    if 0 in shape:
        return "it is empty"
    return ""
