"""What a layer of a network is called, what it puts out, and which layers are meant."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a network. ``shape`` is that of its output for one image; ``stage`` groups layers ("" for none)."""

    name: str
    kind: str
    shape: tuple[int, ...]
    stage: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layer:
        """A layer as `dataclasses.asdict` left it in a file; KeyError for one without a name, a kind or a shape."""
        return cls(values["name"], values["kind"], tuple(values["shape"]), values.get("stage", ""))


Choice = Sequence[str] | Callable[[Layer], bool] | None
"""Which layers: names, patterns (``*_add``) or kinds (``Conv2D``); a function of the layer; None for every layer."""


def check_choice(layers: Choice) -> Choice:
    """The choice, with names that can be gone through more than once; ValueError for what is none."""
    if layers is None or callable(layers):
        return layers
    names = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else None
    if names is not None and all(isinstance(name, str) for name in names):
        return names
    raise ValueError(
        f"Expected layers as a list of names, patterns or kinds, or a function of a layer, got {layers!r}. For one "
        "write layers=['Conv2D']."
    )


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


def fits(name: str, pattern: str) -> bool:
    """Whether a name is of a pattern (``*_add``), in which a number in brackets may stand for itself too: ``*[0]`` are
    the first tensors that layers return."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, _NUMBER.sub("[[]", pattern))


_NUMBER = re.compile(r"\[(?=\d+\])")


def matching(layers: Sequence[Layer], patterns: Choice) -> list[int]:
    """Positions of the layers that are meant, see `Choice`."""
    if patterns is None:
        return list(range(len(layers)))
    if callable(patterns):
        return [position for position, layer in enumerate(layers) if patterns(layer)]
    return [
        position
        for position, layer in enumerate(layers)
        if any(layer.name == p or layer.kind == p or fits(layer.name, p) for p in patterns)
    ]


def check_patterns(patterns: Choice, networks: dict[str, Sequence[Layer]]) -> None:
    """Refuse a pattern that matches no layer of any network, and a choice that leaves a network without layers."""
    for pattern in () if patterns is None or callable(patterns) else patterns:
        if not any(matching(layers, [pattern]) for layers in networks.values()):
            names = sorted({layer.name for layers in networks.values() for layer in layers})
            near = difflib.get_close_matches(pattern, names, 3, 0.4)
            told = (
                f"Near it: {', '.join(near)}." if near else "None is near it: a comparison as .csv lists all of them."
            )
            raise ValueError(
                f"No layer is called {pattern!r} in {' or '.join(networks)}. {told} "
                "A pattern such as '*_add' or a kind such as 'Conv2D' is understood too."
            )
    for network, layers in networks.items():
        if not layers:
            raise ValueError(
                f"{network} has no layer that can be compared: what is computed between layers, such as x + y, is "
                "none. Collect what it computes yourself and use compare_activations."
            )
        if not matching(layers, patterns):
            asked = "by a function" if callable(patterns) else f"({', '.join(patterns or ())})"
            raise ValueError(f"None of the layers asked for {asked} is in {network}.")
