"""The images of a comparison with a PyTorch network: cut into minibatches, in the form each side takes.

An array, a tensor and a ``Dataset`` are cut here; any other iterable gives the minibatches itself and is run through
once, so that both networks see the same even where it shuffles.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from cka_core.images.sets import Images
from cka_core.measures.hsic import minibatches
from cka_core.measures.kernels import MIN_IMAGES
from cka_core.networks import inputs
from cka_core.networks.layouts import order_for_keras, order_for_torch
from cka_core.networks.preprocessing import AUTO, DIVIDE, NONE, Pixels, check_form, check_range, pixels
from cka_core.networks.torch_inputs import are_words, as_tensor, count, input_of, joined


@dataclasses.dataclass
class Minibatches:
    """What enters two networks, before it takes the form of either.

    Attributes
    ----------
    batches : iterator of pairs, what is for A and what for B; the same object where both get the same
    total : number of minibatches, None where it is not known beforehand
    batch_size : of what is cut here; None for batches that came as such
    given : how the images were given, in words
    arrays : whether they are arrays or tensors, not batches of more than images
    turns : whether the axes of an array may be put in the order that a model takes
    """

    batches: Iterator[tuple[Any, Any]]
    total: int | None
    batch_size: int | None
    given: str
    arrays: bool = False
    turns: bool = False


def open_images(images: Any, batch_size: int, whole: bool = False) -> Minibatches:
    """Images as minibatches.

    ``images`` is an array, a tensor or `Images` (n, ...); a dict of them by the names of the inputs; a tuple of two of
    these, one for each network; a ``Dataset``; or an iterable of batches. ``whole``: a network is called with whole
    batches, not with the first of a tuple. Raises ValueError for anything else, and for fewer than 4 images.
    """
    if isinstance(images, tuple) and len(images) == 2 and all(_is_array(side) or _is_named(side) for side in images):
        a, b = (side.x if isinstance(side, Images) else side for side in images)
        if inputs.count(a) != inputs.count(b):
            raise ValueError(
                f"Expected a pair of arrays of the same images, got {inputs.count(a):,} and {inputs.count(b):,}."
            )
        parts = minibatches(inputs.count(a), batch_size)
        pairs = ((inputs.rows(a, p), inputs.rows(b, p)) for p in parts)
        arrays = all(_is_array(side) for side in images)
        return Minibatches(pairs, len(parts), batch_size, "given as a pair of arrays", arrays)
    if _is_named(images):
        parts = minibatches(inputs.count(images), batch_size)
        batches = _twice(inputs.rows(images, part) for part in parts)
        return Minibatches(batches, len(parts), batch_size, "given as arrays by name")
    if _is_array(images):
        x = images.x if isinstance(images, Images) else images
        parts = minibatches(len(x), batch_size)
        turns = isinstance(x, np.ndarray)
        return Minibatches(_twice(x[p] for p in parts), len(parts), batch_size, "given as an array", True, turns)
    name = type(images).__name__
    if _is_dataset(images):
        batches, total = _of_dataset(images, batch_size, whole)
        return Minibatches(_twice(batches), total, batch_size, f"given as a dataset ({name})")
    if isinstance(images, (str, bytes, Mapping)) or not isinstance(images, Iterable):
        raise ValueError(
            "Expected images as an array or tensor (n, ...), a dict of them, a tuple of two, a Dataset, or an iterable "
            f"of batches, got {name}."
            + (" One batch goes into a list: images=[batch]." if isinstance(images, Mapping) else "")
        )
    total = len(images) if isinstance(images, Sized) else None
    return Minibatches(_twice(_large_enough(images, whole)), total, None, f"given as batches ({name})")


def _is_array(images: Any) -> bool:
    return isinstance(images, Images) or (
        hasattr(images, "shape") and hasattr(images, "dtype") and len(images.shape) > 0
    )


def _is_named(images: Any) -> bool:
    """Whether they are arrays by the names of the inputs."""
    return isinstance(images, Mapping) and len(images) > 0 and all(_is_array(array) for array in images.values())


def _is_dataset(images: Any) -> bool:
    import torch

    return isinstance(images, torch.utils.data.Dataset)


def _twice(batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    return ((batch, batch) for batch in batches)


def _of_dataset(dataset: Any, batch_size: int, whole: bool) -> tuple[Iterator[Any], int | None]:
    import torch

    if isinstance(dataset, torch.utils.data.IterableDataset):
        return _large_enough(torch.utils.data.DataLoader(dataset, batch_size=batch_size), whole), None
    parts = minibatches(len(dataset), batch_size)
    collate = torch.utils.data.default_collate
    return (collate([dataset[i] for i in range(part.start, part.stop)]) for part in parts), len(parts)


def _large_enough(batches: Iterable[Any], whole: bool) -> Iterator[Any]:
    """The batches as they come; a last one of fewer than 4 images, or what of it enters, joins the one before it."""
    held: Any = None
    stream = iter(batches)
    for batch in stream:
        if count(batch) < MIN_IMAGES:
            if held is None or next(stream, None) is not None:
                raise ValueError(
                    f"Expected batches of at least {MIN_IMAGES} images, for which HSIC is defined, got one of "
                    f"{count(batch)}. Make the batches larger; only the last may be smaller, it joins the one before."
                )
            sides = (held, batch) if whole or isinstance(batch, Mapping) else (input_of(held), input_of(batch))
            held = joined(*sides, count(held), count(batch))
            break
        if held is not None:
            yield held
        held = batch
    if held is None:
        raise ValueError("Expected at least one batch of images, got none.")
    yield held


class Entrance:
    """The form in which the minibatches enter one network; ``words`` says what was done to them.

    ``keras_shape`` is the input shape of a Keras model, which brings pixels to its form itself, None for a PyTorch
    model; ``names`` are those of a Keras model's inputs; ``whole``: the model is called with whole batches, as they
    are.
    """

    def __init__(
        self,
        stream: Minibatches,
        keras_shape: Any,
        beside_keras: bool,
        preprocessing: str,
        whole: bool = False,
        names: tuple[str, ...] = (),
    ):
        check_form(preprocessing)
        self.stream, self.keras_shape, self.beside_keras, self.whole = stream, keras_shape, beside_keras, whole
        self.preprocessing, self.names = preprocessing, names
        self.pixels = Pixels(NONE, "as the batches give them")
        self.done: list[str] = []

    def __call__(self, batch: Any) -> Any:
        if self.keras_shape is not None:
            return self._for_keras(batch)
        if self.stream.arrays:
            x = as_tensor(batch)
            order = order_for_torch(x.shape, self.beside_keras) if self.stream.turns else None
            if order is not None:
                x = x.permute(order).contiguous()
            x = self._formed(batch, x)
            self.done += ["(n, h, w, c) to (n, c, h, w)"] if order is not None else []
            return x
        if self.whole or isinstance(batch, Mapping):
            if self.preprocessing not in (AUTO, NONE):
                raise ValueError(
                    f"preprocessing={self.preprocessing!r} is for images as arrays, tensors or the first of a tuple, "
                    f"got batches that enter as they are ({type(batch).__name__}). Bring them to that form yourself."
                )
            return batch
        given = input_of(batch)
        return self._formed(given, as_tensor(given))

    @property
    def words(self) -> str:
        return ", ".join(dict.fromkeys(self.done)) or "as given"

    def _formed(self, given: Any, x: Any) -> Any:
        """Pixels (n, c, h, w) in the form asked for: by default uint8 is divided by 255.

        An array where they were given as one or are made here: a model's own floating type is then right.
        """
        import torch

        form, why = self.preprocessing, "asked for"
        if form == AUTO and x.dtype == torch.uint8:
            form, why = DIVIDE, "what a PyTorch model expects cannot be seen"
        elif form == AUTO:
            form, why = NONE, "numbers of other types than uint8 are taken as they are"
        self.pixels = Pixels(form, why)
        if form == NONE:
            x = x.to(torch.float32) if x.dtype == torch.uint8 else x
            return x.numpy() if isinstance(given, np.ndarray) else x
        array = (x.float() if x.is_floating_point() else x).cpu().numpy()
        check_range(array, form)
        self.done.append("uint8 / 255" if form == DIVIDE and x.dtype == torch.uint8 else form)
        last = np.moveaxis(array, 1, -1) if array.ndim == 4 else array
        made = pixels(last, form)
        return np.ascontiguousarray(np.moveaxis(made, -1, 1) if array.ndim == 4 else made)

    def _for_keras(self, batch: Any) -> inputs.Entering:
        if isinstance(batch, Mapping):
            taken = inputs.of_network(batch, self.names, "The Keras model")
            arrays = {name: _array(x) for name, x in taken.items()} if isinstance(taken, dict) else _array(taken)
            mask = inputs.attention_mask(batch)
            return arrays if mask is None else inputs.with_mask(arrays, self.names, {inputs.MASK: _array(mask)})
        if len(self.names) > 1:
            inputs.of_network(input_of(batch), self.names, "The Keras model")
        array = _array(input_of(batch))
        paired = self.stream.arrays and self.stream.given.startswith("given as a pair")
        order = None if paired else order_for_keras(array.shape, self.keras_shape)
        if order is not None:
            to = "(n, c, h, w) to (n, h, w, c)" if order == (0, 2, 3, 1) else "(n, h, w, c) to (n, c, h, w)"
            self.done.append(to)
            array = np.ascontiguousarray(array.transpose(order))
        return array


def _array(x: Any) -> np.ndarray:
    tensor = as_tensor(x).cpu()
    return np.asarray(tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor)


class Digest:
    """SHA-256 of all that entered the networks, added up minibatch by minibatch."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def add(self, value: Any) -> None:
        if isinstance(value, Mapping):
            for key in value:
                self._sha.update(repr(key).encode())
                self.add(value[key])
        elif isinstance(value, (tuple, list)):
            for item in value:
                self.add(item)
        elif are_words(value):
            self._sha.update(repr(value.tolist()).encode())
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            import torch

            x = as_tensor(value).cpu().contiguous()
            self._sha.update(f"{x.dtype} {tuple(x.shape)}".encode())
            self._sha.update(x.reshape(-1).view(torch.uint8).numpy().data)
        else:
            self._sha.update(repr(value).encode())

    def hexdigest(self) -> str:
        return self._sha.hexdigest()[:32]
