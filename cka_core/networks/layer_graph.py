"""A Keras model as a flat list of calls, nested models opened, so that it can be run piece by piece.

Keras runs a functional model's graph node by node; so does this module, but it stops where asked and keeps every
layer's output instead of the last one only. What it computes is what ``predict`` computes, whatever a layer was called
with when the graph was made. The model itself is not changed: calling its layers on symbolic inputs again would leave
traces in it (``layer.output`` becomes ambiguous).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cka_core.networks.architectures import stage_of
from cka_core.networks.layers import Layer

if TYPE_CHECKING:
    import keras

Key = tuple[str, int]
"""A tensor of the graph: the path of the model it belongs to, and Keras' symbolic tensor."""

INFERENCE, TRAIN = "inference", "train"
BATCH_NORMS = (INFERENCE, TRAIN)
"""Which statistics batch norm takes: those it gathered in training, or those of the minibatch, as training does."""

NAME_IN_A_GRAPH = re.compile(r"[A-Za-z0-9_.\\/>-]*")
"""What TensorFlow takes as the name of a scope inside another."""

SAME_GRAM = (
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Flatten", "Reshape", "Permute", "Dropout", "Identity",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout",
)  # fmt: skip
"""Layers that, at inference, only rearrange their input or add zeros to it, so that its Gram matrix is theirs. Layers
of Keras itself only: another class may have the same name."""


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer or operation: what it reads, what it makes."""

    operation: Any
    node: Any
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]

    def run(self, values: Mapping[Key, Any], batch_norm: str = INFERENCE) -> dict[Key, Any]:
        """Call it on computed tensors, at inference; batch norm may take the statistics of these images instead."""
        import keras

        args, kwargs = self.arguments(values)
        if batch_norm == TRAIN and _is_batch_norm(self.operation):
            return dict(zip(self.outputs, [_on_these_images(self.operation, args, kwargs)], strict=True))
        # As `predict` does: over what the call was recorded with, which may be the layer's own default, and also where
        # the layer has no such argument, for the layers inside it.
        if "training" in getattr(self.operation, "_call_context_args", ()):
            kwargs["training"] = False
        made = keras.tree.flatten(self.operation(*args, **kwargs))  # in the order of the symbolic outputs
        return dict(zip(self.outputs, made, strict=True))

    def arguments(self, values: Mapping[Key, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the operation was called with, computed tensors in the place of symbolic ones."""
        symbolic = {id(tensor): values[key] for tensor, key in zip(self.node.input_tensors, self.inputs, strict=True)}
        return self.node.arguments.fill_in(symbolic)


@dataclasses.dataclass(frozen=True, eq=False)
class Entrance(Call):
    """The way into a nested model: its inputs in the order, the dtype and with the masks it gives them itself."""

    def run(self, values: Mapping[Key, Any], batch_norm: str = INFERENCE) -> dict[Key, Any]:
        from keras import tree
        from keras.src.backend import get_keras_mask, set_keras_mask

        args, kwargs = self.arguments(values)
        given = args[0] if args else kwargs["inputs"]
        masks = kwargs.get("mask")
        masks = tree.flatten(tree.map_structure(get_keras_mask, given) if masks is None else masks)
        model = self.operation
        if model._convert_input_args:
            given = tree.map_structure(
                lambda x: model.dtype_policy.convert_input(x, model.autocast, model.input_dtype), given
            )
        entered = _functional(model)._standardize_inputs(given)
        for tensor, mask in zip(entered, masks, strict=True):
            if mask is not None:
                set_keras_mask(tensor, mask)
        return dict(zip(self.outputs, entered, strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class Input:
    """One input of a network, as ``predict`` calls it: shape (None, ...) and dtype of what enters there."""

    name: str
    key: Key
    shape: tuple[int | None, ...]
    dtype: str


@dataclasses.dataclass(frozen=True, eq=False)
class LayerGraph:
    """All calls in an order in which they can run, and the layers whose outputs can be compared.

    ``inputs`` are in the order of ``model.inputs``. ``tensors[i]`` is the output of ``layers[i]``. ``same_gram`` maps a
    layer's position to that of an earlier one with the same Gram matrix.
    """

    inputs: tuple[Input, ...]
    calls: tuple[Call, ...]
    layers: tuple[Layer, ...]
    tensors: tuple[Key, ...]
    specs: dict[Key, tuple[tuple[int | None, ...], str]]
    same_gram: dict[int, int]

    @property
    def input(self) -> Input:
        """The only input; ValueError where there are several."""
        if len(self.inputs) != 1:
            names = ", ".join(repr(entry.name) for entry in self.inputs)
            raise ValueError(
                f"Expected a model with one input, got {len(self.inputs)}: {names}. In Python, `compare` takes a dict "
                "of arrays by these names; elsewhere compare its activations."
            )
        return self.inputs[0]


def layer_graph(model: keras.Model) -> LayerGraph:
    """Read a model's graph.

    "Every layer" is ``model.layers`` without the input, in Keras' order, nested models opened in place; a layer called
    several times counts once a call, a layer with several outputs once an output.

    Raises
    ------
    ValueError
        For a model without a graph (subclassed, or not yet built), and a layer that TensorFlow runs in none.
    """
    functional = _graph_of(model)
    stateful = [layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    if stateful:
        raise ValueError(
            f"Layer {stateful[0]!r} of {model.name!r} is stateful: it answers differently each time it is asked. "
            "Build the network with stateful=False."
        )
    reader = _Reader()
    inputs = _inputs(functional)
    reader.read(functional, "", {entry.key[1]: entry.key for entry in inputs})
    _check_names(reader.calls, model.name)
    layers, tensors = reader.ordered(functional, "")
    positions = {tensor: position for position, tensor in reversed(list(enumerate(tensors)))}
    by_output = {output: call for call in reader.calls for output in call.outputs}
    same_gram = {
        position: positions[call.inputs[0]]
        for position, tensor in enumerate(tensors)
        for call in (by_output[tensor],)
        if call.inputs[0] in positions
        and _only_rearranges(call.operation)
        and reader.specs[call.inputs[0]][1] == reader.specs[tensor][1]
    }
    return LayerGraph(
        inputs,
        tuple(reader.calls),
        tuple(layers),
        tuple(tensors),
        reader.specs,
        same_gram,
    )


def _check_names(calls: Sequence[Call], model_name: str) -> None:
    """Refuse a layer that TensorFlow cannot trace, which it does under the layer's name; ``predict`` cannot either."""
    from keras.layers import InputLayer, Layer

    called = [call.operation for call in calls if not isinstance(call, Entrance) and isinstance(call.operation, Layer)]
    for layer in (inner for outer in called for inner in outer._flatten_layers()):
        if not isinstance(layer, InputLayer) and not NAME_IN_A_GRAPH.fullmatch(layer.name):
            better = re.sub(r"[^A-Za-z0-9_.-]+", "_", layer.name)
            raise ValueError(
                f"Layer {layer.name!r} of {model_name!r} has a name under which TensorFlow runs no layer, in predict() "
                "either: expected letters from A to Z, digits, '_', '.' and '-'. Rename it where you build the network "
                f"(name={better!r}), or afterwards (layer.name = {better!r}), and save it again."
            )


def embedding_rows(graph: LayerGraph, entry: Input) -> int | None:
    """How many ids an input takes: the rows of the smallest `Embedding` that looks up what enters there.

    What enters may have been rearranged before. None where nothing is looked up.
    """
    from keras.layers import Embedding

    reached, found = {entry.key}, []
    for call in graph.calls:
        if not call.inputs or not set(call.inputs) <= reached:
            continue
        layer = call.operation
        if isinstance(layer, Embedding) and type(layer).call is Embedding.call:
            found.append(int(layer.input_dim))
        elif isinstance(call, Entrance) or _only_rearranges(layer):
            reached.update(call.outputs)
    return min(found, default=None)


def input_names(model: Any) -> tuple[str, ...]:
    """What the inputs of a Keras model are called, as ``predict`` takes them. ValueError for one without a graph."""
    return tuple(entry.name for entry in _inputs(_graph_of(model)))


def _graph_of(model: Any) -> Any:
    functional = _functional(model)
    if functional is None:
        import keras

        if not isinstance(model, keras.Layer):
            given = f"{type(model).__name__} {' '.join(repr(model).split()):.40}"
            raise ValueError(
                f"Expected a Keras or PyTorch model, got {given}. Make one of it first: of a network's name by "
                "build_network, of a file by keras.models.load_model, of a class or function by calling it. Arrays of "
                "activations are compared by compare_activations."
            )
        called = f" {model.name!r}"
        if isinstance(model, keras.Sequential) and not model.built:
            raise ValueError(
                f"Expected a functional or sequential Keras model that is built, got {type(model).__name__}{called}, "
                "which does not know yet what enters it. Call it on some images first, or begin it with keras.Input."
            )
        raise ValueError(
            f"Expected a functional or sequential Keras model that is built, got {type(model).__name__}{called}. "
            "Its layers have no graph to read; collect their outputs yourself and use compare_activations."
        )
    return functional


def _inputs(functional: Any) -> tuple[Input, ...]:
    """The inputs by the keys of the dict that the model was made with, otherwise by the names of their tensors."""
    given = functional._inputs_struct
    named = isinstance(given, dict) and all(hasattr(tensor, "shape") for tensor in given.values())
    called = {id(tensor): str(name) for name, tensor in given.items()} if named else {}
    return tuple(
        Input(called.get(id(source), source.name), ("", id(source)), tuple(source.shape), str(source.dtype))
        for source in functional.inputs
    )


class _Reader:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.specs: dict[Key, tuple[tuple[int | None, ...], str]] = {}
        self.made: dict[tuple[str, int], dict[int, tuple[Key, ...]]] = {}
        self.opened: dict[tuple[str, int], dict[int, str]] = {}

    def read(self, model: Any, scope: str, known: dict[int, Key]) -> dict[int, Key]:
        """Append a model's calls; ``known`` maps its symbolic inputs (by id) to keys and grows by all it makes."""
        uses = _uses(model)
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input or not node.operation:
                    continue
                operation = node.operation
                inputs = tuple(known[id(tensor)] for tensor in node.input_tensors)
                inner = _functional(operation)
                if inner is not None and not any(_is_optional(tensor) for tensor in inner.inputs):
                    use = uses[id(node)]
                    path = f"{scope}{operation.name}{f':{use}' if use else ''}/"
                    self.opened.setdefault((scope, id(operation)), {})[use] = path
                    entered = self._keys(inner.inputs, path)
                    self.calls.append(Entrance(operation, node, inputs, entered))
                    inside = self.read(inner, path, {id(t): key for t, key in zip(inner.inputs, entered, strict=True)})
                    for outer, tensor in zip(node.outputs, inner.outputs, strict=True):
                        known[id(outer)] = inside[id(tensor)]
                    continue
                outputs = self._keys(node.outputs, scope)
                known.update((id(tensor), key) for tensor, key in zip(node.outputs, outputs, strict=True))
                self.calls.append(Call(operation, node, inputs, outputs))
                self.made.setdefault((scope, id(operation)), {})[uses[id(node)]] = outputs
        return known

    def _keys(self, tensors: Sequence[Any], scope: str) -> tuple[Key, ...]:
        """Keys for symbolic tensors, whose shapes and dtypes are noted."""
        keys = tuple((scope, id(tensor)) for tensor in tensors)
        self.specs.update(
            (key, (tuple(tensor.shape), str(tensor.dtype))) for key, tensor in zip(keys, tensors, strict=True)
        )
        return keys

    def ordered(self, model: Any, scope: str) -> tuple[list[Layer], list[Key]]:
        """The layers of a model in Keras' order, with the tensors they make."""
        layers: list[Layer] = []
        tensors: list[Key] = []
        for layer in model.layers:
            for _, path in sorted(self.opened.get((scope, id(layer)), {}).items()):
                inner_layers, inner_tensors = self.ordered(_functional(layer), path)
                layers += inner_layers
                tensors += inner_tensors
            for use, outputs in sorted(self.made.get((scope, id(layer)), {}).items()):
                for index, key in enumerate(outputs):
                    name = f"{scope}{layer.name}" + (f":{use}" if use else "") + (f"[{index}]" if index else "")
                    shape = tuple(-1 if side is None else int(side) for side in self.specs[key][0][1:])
                    layers.append(Layer(name, type(layer).__name__, shape, stage_of(name, shape)))
                    tensors.append(key)
        return layers, tensors


def _uses(model: Any) -> dict[int, int]:
    """Which call of its layer each node of a model is, from 0, in the order in which the layer was called."""
    found: dict[int, int] = {}
    here = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    for operation in model._operations:
        mine = [node for node in operation._inbound_nodes if id(node) in here]
        found.update((id(node), use) for use, node in enumerate(mine))
    return found


def _functional(model: Any) -> Any:
    """The functional form of a model or nested model; None for anything that has none, or a call of its own."""
    import keras
    from keras.src.models.functional import Functional

    for kind, graph in ((Functional, model), (keras.Sequential, getattr(model, "_functional", None))):
        if isinstance(model, kind) and type(model).call is kind.call:
            return graph
    return None


def _is_batch_norm(operation: Any) -> bool:
    import keras

    return isinstance(operation, keras.layers.BatchNormalization)


def _on_these_images(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A batch norm as in training. What it gathers goes nowhere: its moving statistics stay."""
    import keras

    with keras.StatelessScope():
        return layer(*args, **kwargs | {"training": True})


def _is_optional(tensor: Any) -> bool:
    return bool(getattr(tensor._keras_history.operation, "optional", False))


def _only_rearranges(layer: Any) -> bool:
    import keras

    kind = type(layer).__name__
    return kind in SAME_GRAM and type(layer) is getattr(keras.layers, kind)
