"""Consecutive calls of a Keras model as traced functions, one after the other, that compute what the model does.

What Keras hangs on a tensor besides its numbers goes from one segment to the next, too: its mask, which a call may also
take away again (as attention does of what it attends to), and that several names may mean one tensor (a dropout at
inference returns what it was given), which a mask is taken from under all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cka_core.networks.layer_graph import Call, Input, Key

Spec = tuple[tuple[int | None, ...] | None, str]
"""Shape (None, ...) and dtype of a tensor; None where not even the number of axes is known."""


@dataclasses.dataclass(frozen=True, eq=False)
class Planned:
    """A segment before it is traced: ``outputs`` are computed here, ``keeps`` is what later ones need. ``recorded`` are
    positions among the layers compared."""

    calls: tuple[Call, ...]
    needs: tuple[Key, ...]
    keeps: tuple[Key, ...]
    recorded: tuple[int, ...]
    outputs: tuple[Key, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Segment(Planned):
    """Consecutive calls run as one traced ``function``.

    A mask that Keras hangs on a tensor goes from one segment to the next beside it, under `_mask_of` its key.
    """

    function: Callable[..., Any]


def traced(planned: Iterable[Planned], inputs: Iterable[Input], batch_norm: str) -> list[Segment]:
    """Trace segments from first to last: dtypes, shapes and masks of what one leaves to the next are known only then.

    ``inputs`` are the network's, ``batch_norm`` is as of `Call.run`.
    """
    specs: dict[Key, Spec] = {entry.key: ((None, *entry.shape[1:]), entry.dtype) for entry in inputs}
    twins: dict[Key, Key] = {}
    segments = []
    for part in planned:
        needs = (*part.needs, *(_mask_of(key) for key in part.needs if _mask_of(key) in specs))
        function, masked = _traced(part, needs, specs, twins, batch_norm)
        keeps = (*part.keeps, *(_mask_of(key) for key in part.keeps if _mask_of(key) in specs))
        outputs = (*part.outputs, *map(_mask_of, masked))
        segments.append(Segment(part.calls, needs, keeps, part.recorded, outputs, function))
    return segments


def _mask_of(key: Key) -> Key:
    return f"mask of {key[0]}", key[1]


def _traced(
    part: Planned, needs: Sequence[Key], specs: dict[Key, Spec], twins: dict[Key, Key], batch_norm: str
) -> tuple[Callable[..., Any], list[Key]]:
    """The calls as one function of the tensors ``needs``, and whose masks it returns after the ``outputs``.

    Both are brought up to date: ``specs`` of tensors and masks, and ``twins``, by which names that mean one tensor have
    one name in common.
    """
    import tensorflow as tf
    from keras.src.backend import get_keras_mask, set_keras_mask

    masked: list[Key] = []

    @tf.function(input_signature=[tf.TensorSpec(*specs[key]) for key in needs], autograph=False)
    def run(*tensors: Any) -> list[Any]:
        given = dict(zip(needs, tensors, strict=True))
        found: dict[Key, Any] = {}
        values = {key: found.setdefault(twins.get(key, key), given[key]) for key in part.needs}
        for key in part.needs:
            if _mask_of(key) in given:
                set_keras_mask(values[key], given[_mask_of(key)])
        with tf.name_scope("segment"):  # as under the model's own name: at the root no name begins with "_"
            for call in part.calls:
                values.update(call.run(values, batch_norm))
        names = {id(tensor): name for name, tensor in found.items()}
        for key in part.outputs:
            twins[key] = names.setdefault(id(values[key]), key)
            found[twins[key]] = values[key]
            specs[key] = _spec(values[key])
        alive = [key for key in dict.fromkeys((*part.outputs, *part.keeps)) if twins.get(key, key) in found]
        masks = {key: get_keras_mask(found[twins.get(key, key)]) for key in alive}
        masked[:] = [key for key, mask in masks.items() if mask is not None]
        for key in alive:
            specs.pop(_mask_of(key), None)
        specs.update((_mask_of(key), _spec(masks[key])) for key in masked)
        return [*(values[key] for key in part.outputs), *(masks[key] for key in masked)]

    return run.get_concrete_function(), masked


def _spec(tensor: Any) -> Spec:
    """As it is, not as a layer says it beforehand; the number of images stays open, so that a shorter last minibatch is
    not traced again."""
    sides = None if tensor.shape.rank is None else tuple(tensor.shape)
    return sides and (None, *sides[1:]), tensor.dtype.name
