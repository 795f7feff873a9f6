"""In what form pixels enter a network: the one it expects, as far as its own layers tell, or the one asked for.

A network that rescales or normalises its input itself gets pixels as they are; any other gets them divided by 255, as
networks trained here do. What a network was trained with outside its layers nobody can see: then say it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.networks.layer_graph import embedding_rows
from cka_core.networks.layouts import enters

if TYPE_CHECKING:
    from cka_core.networks.layer_graph import Call, Input, LayerGraph

AUTO, DIVIDE, NONE = "auto", "divide-by-255", "none"

IMAGENET = {
    "imagenet-caffe": (1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "imagenet-tf": (127.5, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "imagenet-torch": (255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""The forms of ``keras.applications.imagenet_utils.preprocess_input``: what pixels are divided by, the means subtracted
from the channels, and what these are divided by then. "caffe" has the channels in the order blue, green, red."""

FORMS = (AUTO, DIVIDE, NONE, *IMAGENET)

LARGEST_MEAN = 2.0
"""A `Normalization` that subtracts more than this was adapted to pixels from 0 to 255, otherwise to smaller ones."""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How pixels enter a network: ``form``, one of `FORMS` but "auto", and ``why``, in words."""

    form: str
    why: str


def check_form(form: str) -> None:
    """Refuse a form of preprocessing that there is not."""
    if form not in FORMS:
        raise ValueError(f"Unknown preprocessing {form!r}. Valid: {', '.join(FORMS)}.")


def expected(graph: LayerGraph, entry: Input) -> Pixels:
    """The form in which a network expects uint8 images at an input, by the layers before the first that has weights.

    `Normalization` is no such layer, it tells by its mean; batch norm is one. A division or a shift written as
    arithmetic (``inputs / 255``) counts as a layer that does it.
    """
    from keras.layers import Normalization, Rescaling

    if not entry.dtype.startswith(("float", "bfloat")):
        return Pixels(NONE, f"its input is {entry.dtype}")
    if embedding_rows(graph, entry) is not None:  # whose input is of floats, too, where nobody says otherwise
        return Pixels(NONE, "they are ids that an Embedding looks up")
    reached = {entry.key}
    for call in graph.calls:
        if not set(call.inputs) <= reached:
            continue
        layer = call.operation
        if isinstance(layer, Rescaling):
            return Pixels(NONE, f"a Rescaling of its own, {layer.name}")
        if isinstance(layer, Normalization) and getattr(layer, "mean", None) is not None:
            mean = float(np.abs(np.asarray(layer.mean, np.float64)).max())
            told = f"its Normalization, {layer.name}, subtracts {mean:.3g}"
            return Pixels(NONE, told) if mean > LARGEST_MEAN else Pixels(DIVIDE, told)
        if _rescales(call):
            return Pixels(NONE, "arithmetic of its own rescales them")
        if not getattr(layer, "weights", ()) or len(getattr(layer, "layers", ())):
            reached.update(call.outputs)
    return Pixels(DIVIDE, "no Rescaling or Normalization of its own")


def _rescales(call: Call) -> bool:
    """Whether a call is arithmetic with a constant that is meant for pixels from 0 to 255."""
    import keras

    kind = type(call.operation)
    constants = [value for value in call.node.arguments.args if not isinstance(value, keras.KerasTensor)]
    if not kind.__module__.startswith("keras.") or len(constants) != 1 or len(call.inputs) != 1:
        return False
    if kind.__name__ not in ("TrueDivide", "Divide", "Multiply", "Subtract", "Add"):
        return False
    constant = float(np.abs(np.asarray(constants[0], np.float64)).max())
    return constant < 1 / LARGEST_MEAN if kind.__name__ == "Multiply" else constant > LARGEST_MEAN


def chosen(asked: str, graph: LayerGraph, entry: Input, x: Any) -> Pixels:
    """The form in which images ``x`` enter a network's input; "auto" takes floats as they are.

    Of several inputs a form asked for is that of those that take pictures, of four axes.
    """
    if asked != AUTO and len(graph.inputs) > 1 and x.ndim != 4:
        return Pixels(NONE, "one of several inputs, and no pictures")
    if asked != AUTO:
        return Pixels(asked, "asked for")
    if x.dtype.kind == "f":
        return Pixels(NONE, f"floats are taken as they are{_surprising(x, graph, entry)}")
    return expected(graph, entry)


def _surprising(x: Any, graph: LayerGraph, entry: Input) -> str:
    """What is said of float images that lie as if brought to another form than the network expects, "" of others: from
    0 to 255 where nothing rescales them, or within -1 and 1 where the network does so itself."""
    are_pixels = entry.dtype.startswith(("float", "bfloat")) and embedding_rows(graph, entry) is None
    if x.ndim != 4 or x.size == 0 or not are_pixels:
        return ""
    low, high, usual = float(x.min()), float(x.max()), expected(graph, entry)
    is_other = -1 <= low <= high <= 1 if usual.form == NONE else 0 <= low and LARGEST_MEAN < high <= 255
    return f", from {low:.3g} to {high:.3g}, which it may not expect: {usual.why}" if is_other else ""


def takes(dtype: np.typing.DTypeLike, entering: str, ids: bool) -> bool:
    """Whether images of a type have a meaning as pixels at an input of type ``entering``; ``ids``: it looks them up."""
    are_pixels, images = entering.startswith(("float", "bfloat")) and not ids, np.dtype(dtype)
    return images == np.uint8 or images.kind == "f" or (images.kind in "biu" and not are_pixels)


def check(x: Any, asked: str, graph: LayerGraph, entry: Input) -> None:
    """Refuse images of a type that has no meaning as pixels at an input of a network."""
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError("Expected images without a mask, got a numpy.ma array. Fill it or leave images out first.")
    if entry.dtype == "string" and x.dtype.kind in "SU":
        return
    as_they_are = asked != AUTO or embedding_rows(graph, entry) is not None
    if not takes(x.dtype, entry.dtype, as_they_are):
        raise ValueError(
            "Expected images as uint8 (pixels from 0 to 255) or floats (taken as they are), got "
            f"{x.dtype}. Give pixels as uint8; other integers enter as they are with preprocessing='none'."
        )


def check_range(x: Any, form: str) -> None:
    """Refuse floats that were brought to another range already than the one the form is for."""
    if form != NONE and x.dtype.kind == "f" and 0 < np.abs(x).max() <= 1:
        raise ValueError(
            f"Preprocessing {form!r} is for pixels from 0 to 255, got floats up to {np.abs(x).max():.3g}. Give the "
            "images as uint8 or times 255, or preprocessing='none' to take them as they are."
        )


def check_fits(x: Any, graph: LayerGraph, entry: Input, form: str, network: str) -> None:
    """Refuse images of another shape than an input takes, and ids that no row of its `Embedding` is for."""
    where = f" as {entry.name!r}" if len(graph.inputs) > 1 else ""
    if not enters(x.shape[1:], entry.shape[1:]):
        wanted = ", ".join("n" if i == 0 else str(side or "any") for i, side in enumerate(entry.shape))
        raise ValueError(f"{network} expects images of shape ({wanted}){where}, got {tuple(x.shape)}.")
    rows = embedding_rows(graph, entry)
    if rows is None or form != NONE or x.size == 0:
        return
    for found in (x.min(), x.max()):
        if not -1 < found < rows:  # nor NaN; on a graphics processor such an id is all zeros, without a word
            raise ValueError(
                f"{network} takes ids from 0 to {rows - 1:,}{where}, got {found:,}. Give it the ids of the tokenizer "
                "that it was trained with."
            )


def pixels(x: np.ndarray, form: str = DIVIDE, dtype: str = "float32") -> np.ndarray:
    """Images in the form in which they enter a network: pixels from 0 to 255 in, ``dtype`` out.

    Arithmetic is in float32, in float64 for a network that takes float64.
    """
    precise = np.dtype(np.float64 if dtype == "float64" else np.float32)
    if form == NONE:
        return x.astype(precise, copy=False) if dtype.startswith(("float", "bfloat")) else x
    x = x.astype(precise)
    if form == DIVIDE:
        return x / precise.type(255)
    scale, mean, deviation = IMAGENET[form]
    axis = 3 if x.ndim == 4 and x.shape[3] == 3 else 1
    if x.ndim != 4 or x.shape[axis] != 3:
        raise ValueError(f"Preprocessing {form!r} is for colour images, three channels, got shape {x.shape}.")
    if form == "imagenet-caffe":
        x = np.flip(x, axis)
    channels = (1, 3, 1, 1) if axis == 1 else (1, 1, 1, 3)
    x = x / precise.type(scale) - np.array(mean, precise).reshape(channels)
    return x / np.array(deviation, precise).reshape(channels)
