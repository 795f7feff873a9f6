"""What enters a PyTorch model: arrays, tensors and batches as the model takes them, on its device."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def place(model: torch.nn.Module) -> tuple[Any, Any]:
    """The device of a model's first parameter or buffer (the CPU without one), and its floating type or None."""
    import itertools

    import torch

    tensors = list(itertools.chain(model.parameters(), model.buffers()))
    device = tensors[0].device if tensors else torch.device("cpu")
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
    return device, dtype


def as_tensor(x: Any) -> torch.Tensor:
    """A tensor of an array's numbers, sharing its memory where that may be written to."""
    import torch

    if isinstance(x, torch.Tensor):
        return x.detach()
    x = np.ascontiguousarray(x)
    return torch.from_numpy(x if x.flags.writeable else x.copy())


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
    if isinstance(batch, (tuple, list)) and not hasattr(batch, "_fields"):
        values = [cut(value, images, some) for value in batch]
        whole = all(new is not None or old is None for new, old in zip(values, batch, strict=True))
        return type(batch)(values) if whole else None
    if hasattr(batch, "shape") and hasattr(batch, "__getitem__"):
        return batch[:some] if len(batch.shape) and batch.shape[0] == images else batch
    return batch if isinstance(batch, (bool, int, float, str)) else None


def joined(batch: Any, other: Any) -> Any:
    """Two batches as one; ValueError where they do not fit together."""
    import torch

    if isinstance(batch, Mapping) and isinstance(other, Mapping) and set(batch) == set(other):
        return {key: joined(value, other[key]) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)) and isinstance(other, (tuple, list)) and len(batch) == len(other):
        return [joined(value, more) for value, more in zip(batch, other, strict=True)]
    if hasattr(batch, "shape") and hasattr(other, "shape") and tuple(batch.shape[1:]) == tuple(other.shape[1:]):
        return torch.cat([as_tensor(batch), as_tensor(other)])
    if batch is None and other is None:
        return None
    raise ValueError(
        f"The last batch has {count(other)} images, fewer than the 4 that HSIC needs, and does not fit to the batch "
        "before it. Leave it out (drop_last=True of a DataLoader)."
    )


def moved(value: Any, device: Any, dtype: Any) -> Any:
    """A copy of everything in a batch on a device, floating tensors as ``dtype`` (None: as they are).

    A model may write into what enters it; the batch itself is for the other model too, and the caller's.
    """
    if isinstance(value, Mapping):
        return {key: moved(item, device, dtype) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(item, device, dtype) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(moved(item, device, dtype) for item in value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        tensor = as_tensor(value)
        cast = tensor.is_floating_point() and dtype is not None
        return tensor.to(device, dtype if cast else tensor.dtype, copy=True)
    return copy.deepcopy(value).to(device) if hasattr(value, "to") else value
