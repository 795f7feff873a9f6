"""What enters a Keras network: one array, or several by the names of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Entering = np.ndarray | dict[str, np.ndarray]
"""Images as one array (n, ...), or an array of each input's (n, ...) by the input's name."""


def arrays_of(images: Any, several: bool) -> Any:
    """Images as arrays: one array, a dict of them, or, where a network takes ``several``, a tuple of them."""
    if isinstance(images, Mapping):
        return {str(name): np.asanyarray(array) for name, array in images.items()}
    if several and isinstance(images, (list, tuple)):
        return tuple(np.asanyarray(array) for array in images)
    try:
        array = np.asanyarray(images)
    except ValueError as error:
        raise ValueError(
            "Expected images of one size, as an array (n, ...), got some of unlike shapes. Bring all to one size first."
        ) from error
    if array.ndim == 0:
        raise ValueError(
            f"Expected images as an array (n, ...) or a dict of arrays by the names of the inputs, got "
            f"{type(images).__name__}. Of batches make one array first, as numpy.concatenate(list(batches)) does."
        )
    return array


MASK = "attention_mask"
"""What the mask of the tokens is called, as tokenizers call it."""


def of_network(given: Any, names: Sequence[str], network: str) -> Entering:
    """What of ``given`` enters a network whose inputs are called ``names``, in its order.

    ``given`` is an array, arrays by name, or a tuple of arrays in the order of the inputs. Raises ValueError where one
    is missing, or where it cannot be told which is which.
    """
    if isinstance(given, Mapping):
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(f"{network} takes {_listed(names)}, got {_listed(given)}: {_listed(missing)} is missing.")
        taken = {name: given[name] for name in names}
        return taken if len(names) > 1 else taken[names[0]]
    if isinstance(given, tuple):
        if len(given) != len(names) or len(names) == 1:
            raise ValueError(
                f"{network} takes {_count(names)} ({_listed(names)}), got {len(given)} arrays. Give a dict of arrays "
                "by the names of the inputs."
            )
        return dict(zip(names, given, strict=True))
    if len(names) > 1:
        raise ValueError(
            f"{network} takes {_count(names)} ({_listed(names)}), got one array. Give a dict of arrays by these names, "
            "or the arrays in this order as a tuple."
        )
    return np.asanyarray(given)


def attention_mask(given: Any) -> Any:
    """The array `MASK` (n, tokens) of arrays by name, numbers that are 0 for padding; None where there is none."""
    mask = given.get(MASK) if isinstance(given, Mapping) else None
    return mask if len(getattr(mask, "shape", ())) == 2 else None


def with_mask(taken: Entering, names: Sequence[str], given: Any) -> Entering:
    """What enters a network, and beside it the mask of what was given, whether or not the network takes it."""
    mask = attention_mask(given)
    return taken if mask is None else by_name(taken, names) | {MASK: np.asanyarray(mask)}


def check_known(given: Any, networks: Mapping[str, Sequence[str]]) -> None:
    """Refuse arrays by a name that no network takes; ``networks`` has the names of the inputs of each."""
    known = {name for names in networks.values() for name in names}
    extra = [name for name in given if name not in known and name != MASK] if isinstance(given, Mapping) else []
    if extra:
        takes = "; ".join(f"{network} takes {_listed(names)}" for network, names in networks.items())
        raise ValueError(f"Expected arrays by the names of the inputs, got {_listed(extra)} too: {takes}.")


def count(given: Any) -> int:
    """The number of images, the same in all arrays; ValueError where it is not."""
    arrays = given if isinstance(given, Mapping) else dict(enumerate(given)) if isinstance(given, tuple) else {}
    if not arrays:
        if isinstance(given, (Mapping, tuple)) or given.ndim == 0:
            raise ValueError("Expected images as an array (n, ...) or arrays by the names of the inputs, got none.")
        return len(given)
    sizes = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{size:,} in {name!r}" for name, size in sizes.items())
        raise ValueError(f"Expected the same images in every array, got {said}.")
    return next(iter(sizes.values()))


def rows(x: Any, where: slice) -> Any:
    """Some of the images."""
    return {name: array[where] for name, array in x.items()} if isinstance(x, Mapping) else x[where]


def by_name(x: Entering, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The array of each input, by its name."""
    if isinstance(x, dict):
        return {name: x[name] for name in names}
    return {names[0]: x}


def _count(names: Sequence[str]) -> str:
    return "one input" if len(names) == 1 else f"{len(names)} inputs"


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names)
