"""One pair of layers under several measures: their scales differ, so that ranks are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cka_core.measures import registry
from cka_core.results import views, words

if TYPE_CHECKING:
    import pandas

    from cka_core.results.comparison import Comparison


def rank(values: np.ndarray, value: float) -> tuple[int, int] | None:
    """The place of one of the values, from 1 for the largest, and of how many; ties share the better place. None where
    it is NaN."""
    known = values[np.isfinite(values)]
    return None if np.isnan(value) else (int((known > value).sum()) + 1, len(known))


def rank_text(place: tuple[int, int] | None) -> str:
    """(3, 6700) -> "3 of 6,700"; "" for None."""
    return "" if place is None else f"{place[0]:,} of {place[1]:,}"


def under_each(results: Mapping[str, Comparison], layer_a: str, layer_b: str) -> pandas.DataFrame:
    """A row a measure: its value of the pair, the pair's place among all pairs, the place of B's layer among all layers
    of B for A's layer, and which of these comes first; why it has no value instead of the place. Layers go by
    `views.unique_names`.

    ``results`` has the same comparison by each measure's name. Empty where a measure has not these layers.
    """
    import pandas

    rows = []
    for name, result in results.items():
        row: dict[str, object] = {"measure": registry.MEASURES[name].title, "value": np.nan}
        row |= {"among all pairs": "", "among B’s layers": "", "best match of A’s layer": ""}
        names_a, names_b = views.unique_names(result.layers_a), views.unique_names(result.layers_b)
        if registry.MEASURES[name].residual_only:
            row["among all pairs"] = "of residual outputs only"
        if layer_a in names_a and layer_b in names_b:
            at = names_a.index(layer_a), names_b.index(layer_b)
            own, why = result.matrix[at[0]], words.why_none(result, *at)
            value = float(own[at[1]])
            row |= {"value": value, "among all pairs": f"none, {why}" if why else rank_text(rank(result.matrix, value))}
            row["among B’s layers"] = rank_text(rank(own, value))
            if np.isfinite(own).any():
                row["best match of A’s layer"] = names_b[int(np.nanargmax(own))]
        rows.append(row)
    return pandas.DataFrame(rows, columns=["measure", "value", *COLUMNS])


COLUMNS = ("among all pairs", "among B’s layers", "best match of A’s layer")


def facts() -> pandas.DataFrame:
    """What each measure of the registry is, a row each: unchanged by, range, chance, minibatches, source."""
    import pandas

    return pandas.DataFrame(
        {
            "measure": measure.title,
            "unchanged by": measure.invariant,
            "range": measure.range,
            "where nothing is shared": measure.chance,
            "minibatches change": measure.minibatches,
            "source": measure.source,
        }
        for measure in registry.MEASURES.values()
    )
