"""A Keras model as a flat list of calls, nested models opened, so that it can be run piece by piece.

Keras runs a functional model's graph node by node; so does this module, but it stops where asked and keeps every
layer's output instead of the last one only. The model itself is not changed: calling its layers on symbolic inputs
again would leave traces in it (``layer.output`` becomes ambiguous).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cka_core.networks.architectures import stage_of
from cka_core.networks.layers import Layer

if TYPE_CHECKING:
    import keras

Key = tuple[str, int]
"""A tensor of the graph: the path of the model it belongs to, and Keras' symbolic tensor."""

SAME_GRAM = (
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Flatten", "Reshape", "Permute", "Dropout", "Identity",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout",
)  # fmt: skip
"""Layers that, at inference, only rearrange their input or add zeros to it, so that its Gram matrix is theirs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer or operation: what it reads, what it makes."""

    operation: Any
    node: Any
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]

    def run(self, values: Mapping[Key, Any]) -> dict[Key, Any]:
        """Call it on computed tensors, at inference."""
        symbolic = {id(tensor): values[key] for tensor, key in zip(self.node.input_tensors, self.inputs, strict=True)}
        args, kwargs = self.node.arguments.fill_in(symbolic)
        if getattr(self.operation, "_call_has_training_arg", False) and kwargs.get("training") is None:
            kwargs["training"] = False
        return dict(zip(self.outputs, _flat(self.operation(*args, **kwargs)), strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class LayerGraph:
    """All calls in an order in which they can run, and the layers whose outputs can be compared.

    ``tensors[i]`` is the output of ``layers[i]``. ``same_gram`` maps a layer's position to that of an earlier one with
    the same Gram matrix.
    """

    input: Key
    input_shape: tuple[int | None, ...]
    input_dtype: str
    calls: tuple[Call, ...]
    layers: tuple[Layer, ...]
    tensors: tuple[Key, ...]
    specs: dict[Key, tuple[tuple[int | None, ...], str]]
    same_gram: dict[int, int]


def layer_graph(model: keras.Model) -> LayerGraph:
    """Read a model's graph.

    "Every layer" is ``model.layers`` without the input, in Keras' order, nested models opened in place; a layer called
    several times counts once a call, a layer with several outputs once an output.

    Raises
    ------
    ValueError
        For a model without a graph (subclassed, or not yet built), or with several inputs.
    """
    functional = _functional(model)
    if functional is None:
        raise ValueError(
            "Expected a functional or sequential Keras model that is built, "
            f"got {type(model).__name__} {model.name!r}. "
            "Its layers have no graph to read; collect their outputs yourself and use compare_activations."
        )
    if len(functional.inputs) != 1:
        raise ValueError(f"Expected a model with one input, got {len(functional.inputs)} in {model.name!r}.")
    reader = _Reader()
    source = functional.inputs[0]
    root = ("", id(source))
    reader.read(functional, "", {id(source): root})
    layers, tensors = reader.ordered(functional, "")
    positions = {tensor: position for position, tensor in reversed(list(enumerate(tensors)))}
    by_output = {output: call for call in reader.calls for output in call.outputs}
    same_gram = {
        position: positions[call.inputs[0]]
        for position, (layer, tensor) in enumerate(zip(layers, tensors, strict=True))
        for call in (by_output[tensor],)
        if layer.kind in SAME_GRAM and call.inputs[0] in positions
    }
    return LayerGraph(
        root,
        tuple(source.shape),
        str(source.dtype),
        tuple(reader.calls),
        tuple(layers),
        tuple(tensors),
        reader.specs,
        same_gram,
    )


class _Reader:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.specs: dict[Key, tuple[tuple[int | None, ...], str]] = {}
        self.made: dict[tuple[str, int], list[tuple[Key, ...]]] = {}
        self.opened: dict[tuple[str, int], list[str]] = {}

    def read(self, model: Any, scope: str, known: dict[int, Key]) -> dict[int, Key]:
        """Append a model's calls; ``known`` maps its symbolic inputs (by id) to keys and grows by all it makes."""
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input or not node.operation:
                    continue
                operation = node.operation
                inputs = tuple(known[id(tensor)] for tensor in node.input_tensors)
                inner = _functional(operation)
                if inner is not None and len(inner.inputs) == len(inputs):
                    uses = self.opened.setdefault((scope, id(operation)), [])
                    path = f"{scope}{operation.name}{f':{len(uses)}' if uses else ''}/"
                    uses.append(path)
                    inside = self.read(inner, path, {id(t): key for t, key in zip(inner.inputs, inputs, strict=True)})
                    for outer, tensor in zip(node.outputs, inner.outputs, strict=True):
                        known[id(outer)] = inside[id(tensor)]
                    continue
                outputs = tuple((scope, id(tensor)) for tensor in node.outputs)
                for key, tensor in zip(outputs, node.outputs, strict=True):
                    known[id(tensor)] = key
                    self.specs[key] = (tuple(tensor.shape), str(tensor.dtype))
                self.calls.append(Call(operation, node, inputs, outputs))
                self.made.setdefault((scope, id(operation)), []).append(outputs)
        return known

    def ordered(self, model: Any, scope: str) -> tuple[list[Layer], list[Key]]:
        """The layers of a model in Keras' order, with the tensors they make."""
        layers: list[Layer] = []
        tensors: list[Key] = []
        for layer in model.layers:
            for path in self.opened.get((scope, id(layer)), []):
                inner_layers, inner_tensors = self.ordered(_functional(layer), path)
                layers += inner_layers
                tensors += inner_tensors
            for use, outputs in enumerate(self.made.get((scope, id(layer)), [])):
                for index, key in enumerate(outputs):
                    name = f"{scope}{layer.name}" + (f":{use}" if use else "") + (f"[{index}]" if index else "")
                    shape = tuple(-1 if side is None else int(side) for side in self.specs[key][0][1:])
                    layers.append(Layer(name, type(layer).__name__, shape, stage_of(name, shape)))
                    tensors.append(key)
        return layers, tensors


def _functional(model: Any) -> Any:
    """The functional form of a model or nested model; None for anything that has none."""
    if hasattr(model, "_nodes_by_depth") and hasattr(model, "inputs"):
        return model
    return getattr(model, "_functional", None)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for key in sorted(value) for item in _flat(value[key])]
    if isinstance(value, (list, tuple)):
        return [item for element in value for item in _flat(element)]
    return [value]
