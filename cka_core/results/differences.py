"""One map less another of the same layers."""

from __future__ import annotations

import dataclasses
from typing import Any

from cka_core.results import words
from cka_core.results.comparison import Comparison


def same_axes(one: Comparison, other: Comparison) -> bool:
    """Whether both have layers of the same names, in the same order, on both axes."""
    return all(
        [layer.name for layer in own] == [layer.name for layer in theirs]
        for own, theirs in ((one.layers_a, other.layers_a), (one.layers_b, other.layers_b))
    )


def difference(one: Comparison, other: Comparison, what: str) -> Comparison:
    """``one`` less ``other``, NaN where either is; ``what`` is what is taken away, in a word.

    ValueError unless both have the same axes and the same measure.
    """
    if not same_axes(one, other):
        raise ValueError(
            f"Expected two maps of the same layers, got {one.matrix.shape} of {one.name_a} × {one.name_b} and "
            f"{other.matrix.shape} of {other.name_a} × {other.name_b}."
        )
    names = [words.value_text(result.provenance) for result in (one, other)]
    if names[0] != names[1]:
        raise ValueError(f"Expected two maps of one measure, got {names[0]} and {names[1]}.")
    reasons = [
        tuple(own or theirs for own, theirs in zip(mine, yours, strict=True))
        for mine, yours in ((one.reasons_a, other.reasons_a), (one.reasons_b, other.reasons_b))
    ]
    return dataclasses.replace(
        one,
        matrix=one.matrix - other.matrix,
        reasons_a=reasons[0],
        reasons_b=reasons[1],
        provenance=one.provenance
        | {
            "measure": f"{names[0]} less {what}",
            "less": what,
            "less_of": _how_it_ran(other),
            "command": None,
            "commands": [result.provenance.get("command") for result in (one, other)],
        },
        jackknife=None,
    )


def _how_it_ran(result: Comparison) -> dict[str, Any]:
    """What a difference keeps of the map that was taken away: what is to be known of its networks' batch norm."""
    told: dict[str, Any] = {
        side: {name: (result.provenance.get(side) or {}).get(name) for name in ("architecture", "source")}
        for side in ("network_a", "network_b")
    }
    return told | {"batch_norm": result.provenance.get("batch_norm")}


def is_difference(result: Comparison) -> bool:
    """Whether a map is one less another, whose colours go from -1 to 1."""
    return bool(result.provenance.get("less"))
