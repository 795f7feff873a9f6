"""What a layer of a network is called, and what it puts out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a network. ``shape`` is that of its output for one image; ``stage`` groups layers ("" for none)."""

    name: str
    kind: str
    shape: tuple[int, ...]
    stage: str = ""


Choice = Sequence[str] | Callable[[Layer], bool] | None
"""Which layers: names, patterns (``*_add``) or kinds (``Conv2D``); a function of the layer; None for every layer."""


def hidden(layers: Sequence[Layer]) -> int:
    """How many of a network's layers are hidden: those before its head.

    The head is everything from the last pooling layer on, if no convolution follows it; in a network that ends without
    one, its last layer, if that is dense.
    """
    kinds = [layer.kind for layer in layers]
    for position in reversed(range(len(kinds))):
        if "Conv" in kinds[position]:
            break
        if "Pool" in kinds[position]:
            return position
    return len(kinds) - bool(kinds and kinds[-1] in ("Dense", "Linear"))
