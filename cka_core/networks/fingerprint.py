"""What a model is at this moment, as far as its results depend on it, so that a traced model can be used again.

A traced function holds what Python said when it was traced: which layers there were, their activations, rates, axes and
constants. Weights it reads each time. So a fingerprint holds everything that hangs on the operations of the graph but
the numbers in the weights.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.networks.layer_graph import layer_graph

if TYPE_CHECKING:
    import keras

USE = {
    "_called", "_inbound_nodes", "_outbound_nodes", "_losses", "_loss_ids", "_losses_override", "_metrics", "_tracker",
    "_lock", "_parent_path", "_auto_config", "_obj_reference_counts_dict", "_obj_reference_counts", "_path", "_tracked",
    "_trainable_variables", "_non_trainable_variables", "_build_shapes_dict", "call_signature_parameters",
}  # fmt: skip
"""Attributes of a layer that its use alone changes, or that only repeat others."""

NO_EFFECT = ("_self_", "_saved_model_", "_call_"), ("_initializer", "_regularizer", "_constraint")
"""How attributes begin and end that say nothing about what a layer computes."""

PLAIN = {type(None), bool, int, float, str}


class _Unknown(Exception):
    """Something that Keras did not write: it may read whatever it likes when it is called."""


def fingerprint(model: keras.Model) -> tuple[Any, ...] | None:
    """Equal as long as a traced model computes the same; None where that cannot be told, as with a layer of one's own.

    What it names by `id` must be kept alive by whoever keeps it: the model, or an extractor of it, does.
    """
    graph = layer_graph(model)
    seen: set[int] = set()
    try:
        calls = tuple((id(call.node), id(call.operation), _of(call.operation, seen)) for call in graph.calls)
    except _Unknown:
        return None
    return tuple((entry.name, entry.key, entry.dtype) for entry in graph.inputs), calls


def _of(value: Any, seen: set[int]) -> Any:
    if type(value) in PLAIN:
        return type(value), value
    if isinstance(value, (list, tuple, set, frozenset)):
        return id(value), tuple([_of(item, seen) for item in value])
    if id(value) in seen:
        return id(value)
    import keras

    if isinstance(value, (complex, bytes, np.generic, np.dtype, range, slice)):
        return type(value), repr(value)
    if isinstance(value, np.ndarray):
        return id(value), str(value.dtype), value.shape, zlib.crc32(np.ascontiguousarray(value).tobytes())
    if isinstance(value, keras.Variable):
        return id(value), id(value._value)
    if isinstance(value, keras.KerasTensor):
        return id(value)
    seen.add(id(value))
    if isinstance(value, dict):
        return id(value), tuple([(str(key), _of(item, seen)) for key, item in value.items()])
    return id(value), _of_object(value, seen)


def _of_object(value: Any, seen: set[int]) -> Any:
    """Of what is neither a number nor a container: a layer and what hangs on it, a function, a class."""
    home = str(getattr(value, "__module__", None) or type(value).__module__).partition(".")[0]
    if home not in ("keras", "tensorflow", "builtins", "inspect") or type(value).__name__ == "Lambda":
        raise _Unknown(repr(value))
    if home != "keras" or isinstance(value, type) or not hasattr(value, "__dict__"):
        return None
    return tuple([(name, _of(item, seen)) for name, item in vars(value).items() if _matters(name)])


@lru_cache(maxsize=4096)
def _matters(name: str) -> bool:
    return not (name in USE or name.startswith(NO_EFFECT[0]) or name.endswith(NO_EFFECT[1]))
