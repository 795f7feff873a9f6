"""What enters a PyTorch model: arrays, tensors and batches as the model takes them, on its device."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def device_of(model: torch.nn.Module) -> torch.device:
    """The device of a model's first parameter or buffer; the CPU without one."""
    import torch

    first = next(itertools.chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def place(model: torch.nn.Module) -> tuple[torch.device, tuple[Any, ...]]:
    """The device of a model, and the floating types of its parameters and buffers in order."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return device_of(model), tuple(dict.fromkeys(tensor.dtype for tensor in tensors if tensor.is_floating_point()))


def as_tensor(x: Any) -> torch.Tensor:
    """A tensor of an array's numbers, sharing its memory where that may be written to.

    ValueError for a mask, and for what is no number.
    """
    import torch

    if isinstance(x, torch.Tensor):
        return x.detach()
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError("Expected images without a mask, got a numpy.ma array. Fill it or leave images out first.")
    x = np.asarray(x, order="C")
    if x.dtype.kind not in "fiubc" or (x.dtype.kind == "f" and x.dtype.itemsize > 8):
        raise ValueError(f"Expected images as numbers, got an array of {x.dtype}. Convert it with astype.")
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(x if x.flags.writeable else x.copy())


def are_words(x: Any) -> bool:
    """Whether it is an array of texts, of which no tensor can be made: labels, file names."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "SU"


def input_of(batch: Any) -> Any:
    """The images of a batch: the first of a tuple or list, the first tensor of a dict, or the batch itself."""
    if isinstance(batch, Mapping):
        return next((value for value in batch.values() if hasattr(value, "shape") and len(value.shape)), None)
    return batch[0] if isinstance(batch, (tuple, list)) and len(batch) else batch


def count(batch: Any) -> int:
    """The number of images in a batch."""
    x = input_of(batch)
    if not hasattr(x, "shape") or len(x.shape) == 0:
        raise ValueError(
            "Expected batches as tensors or arrays (images, ...), tuples whose first is one, or dicts of them, got "
            f"{type(batch).__name__}" + (f" of {type(x).__name__}." if x is not batch else ".")
        )
    return int(x.shape[0])


def cut(batch: Any, images: int, some: int) -> Any:
    """The first ``some`` of a batch's ``images``, for a trial; None where it holds what cannot be cut."""
    if isinstance(batch, Mapping):
        parts = {key: cut(value, images, some) for key, value in batch.items()}
        return None if any(parts[key] is None and value is not None for key, value in batch.items()) else parts
    if isinstance(batch, (tuple, list)):
        if len(batch) == images and not any(hasattr(value, "shape") for value in batch):
            return _like(batch, list(batch[:some]))
        values = [cut(value, images, some) for value in batch]
        whole = all(new is not None or old is None for new, old in zip(values, batch, strict=True))
        return _like(batch, values) if whole else None
    if hasattr(batch, "shape") and hasattr(batch, "__getitem__"):
        return batch[:some] if len(batch.shape) and batch.shape[0] == images else batch
    return batch if isinstance(batch, (bool, int, float, str)) else None


def _like(batch: Any, values: list[Any]) -> Any:
    """A tuple, named or not, or a list such as ``batch``, of these values."""
    return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)


def joined(batch: Any, other: Any, images: int, more: int) -> Any:
    """A batch of ``images`` and the last one, of ``more``, as one.

    What has an entry for each image, arrays and lists, is put together; what is the same in both stays. ValueError for
    anything else.
    """
    import torch

    if isinstance(batch, Mapping) and isinstance(other, Mapping) and set(batch) == set(other):
        return {key: joined(value, other[key], images, more) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)) and isinstance(other, (tuple, list)):
        if (len(batch), len(other)) == (images, more) and not hasattr(batch, "_fields"):
            return _like(batch, [*batch, *other])
        if len(batch) == len(other):
            pairs = zip(batch, other, strict=True)
            return _like(batch, [joined(value, last, images, more) for value, last in pairs])
    if hasattr(batch, "shape") and hasattr(other, "shape"):
        sides = tuple(batch.shape), tuple(other.shape)
        if sides[0][:1] == (images,) and sides[1] == (more, *sides[0][1:]):
            if are_words(batch):
                return np.concatenate([batch, other])
            whole = torch.cat([as_tensor(batch), as_tensor(other)])
            return whole.numpy() if isinstance(batch, np.ndarray) else whole
        if sides[0] == sides[1] and torch.equal(as_tensor(batch), as_tensor(other)):
            return batch
    if (batch is None or isinstance(batch, (bool, int, float, str, bytes))) and batch == other:
        return batch
    raise ValueError(
        f"The last batch has {more} images, fewer than the 4 that HSIC needs, and does not fit to the batch before it. "
        "Leave it out (drop_last=True of a DataLoader)."
    )


def moved(value: Any, device: Any, types: tuple[Any, ...] = ()) -> Any:
    """A copy of everything in a batch on a device, as one of the floating types of a model where it has any.

    An array has no type that a model asked for, float64 is seldom meant, and a type that the model has nowhere is not:
    these take its first. A model may write into what enters it; the batch itself is for the other model too, and the
    caller's.
    """
    if isinstance(value, Mapping):
        return {key: moved(item, device, types) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return _like(value, [moved(item, device, types) for item in value])
    if are_words(value):
        return value.copy()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        tensor = as_tensor(value)
        return tensor.to(device, _type(value, tensor, types), copy=True)
    return copy.deepcopy(value).to(device) if hasattr(value, "to") else value


def described(batch: Any, types: tuple[Any, ...] = (), *, whole: bool = False) -> str:
    """What enters a model of a batch, in words: "images (16, 3, 28, 28) of float32"; ``types`` as in `moved`.

    ``whole``: all of a batch does, as it is, and not only the first of a tuple.
    """
    if isinstance(batch, Mapping):
        return ", ".join(f"{key} {_form(value, types)}" for key, value in batch.items())
    if whole and isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of {', '.join(_form(value, types) for value in batch[:3])}"
    return f"images {_form(batch[0] if isinstance(batch, (tuple, list)) else batch, types)}"


def _form(value: Any, types: tuple[Any, ...]) -> str:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return f"of type {type(value).__name__}"
    kind = value.dtype if are_words(value) else _type(value, as_tensor(value), types)
    return f"{tuple(value.shape)} of {str(kind).removeprefix('torch.')}"


def _type(value: Any, tensor: torch.Tensor, types: tuple[Any, ...]) -> Any:
    import torch

    if not types or not tensor.is_floating_point():
        return tensor.dtype
    is_right = isinstance(value, torch.Tensor) and tensor.dtype in types and tensor.dtype != torch.float64
    return tensor.dtype if is_right else types[0]
