"""The measures by name: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cka_core.measures import (
    cka_biased,
    cka_linear,
    cka_rbf,
    mutual_knn,
    procrustes,
    ridge,
    rsa_pearson,
    rsa_spearman,
    svcca,
)
from cka_core.measures.measure import Measure, own_measure

MEASURES: dict[str, Measure] = {
    "cka": cka_linear.MEASURE,
    "cka-biased": cka_biased.MEASURE,
    "cka-rbf": cka_rbf.MEASURE,
    "rsa-pearson": rsa_pearson.MEASURE,
    "rsa-spearman": rsa_spearman.MEASURE,
    "mutual-knn": mutual_knn.MEASURE,
    "svcca": svcca.MEASURE,
    "ridge": ridge.MEASURE,
    "procrustes": procrustes.MEASURE,
}

STORED = {"cka": "cka-linear-unbiased"}
"""What a measure is called in specs, keys and results, where that is not its name: older ones must be found."""


def measure(which: str | Callable[..., Any]) -> Measure:
    """A measure by its name, or made of a function of two Gram stacks (`measure.own_measure`).

    ValueError for an unknown name, with the valid ones.
    """
    if isinstance(which, str):
        name = next((name for name, stored in STORED.items() if stored == which), which)
        if name not in MEASURES:
            raise ValueError(f"Unknown measure {which!r}. Valid: {', '.join(MEASURES)}.")
        return MEASURES[name]
    if not callable(which):
        raise ValueError(
            f"Expected a measure's name or a function of two Gram stacks, got {type(which).__name__}. Valid names: "
            f"{', '.join(MEASURES)}."
        )
    return own_measure(which)
