"""How far the cells of a result are to be trusted: intervals, chance, and both in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.measures import jackknife as closed_form
from cka_core.measures import partial, registry
from cka_core.measures.chance import chance as chance_of_sizes
from cka_core.measures.hsic import minibatches
from cka_core.measures.jackknife import Jackknife
from cka_core.measures.measure import Measure

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

MEMBERS = ("errors", "n_eff_a", "n_eff_b")

NOT_KEPT = (
    "This result was kept without standard errors: an earlier version made it, or its Gram matrices were too many to "
    "be read twice. Compare again: in Python, or by name with --again; of very many images by name, where the store "
    "keeps the Gram matrices (CKA_GRAM_BUDGET)."
)


def interval(result: Comparison, level: float) -> tuple[np.ndarray, np.ndarray]:
    """`Comparison.interval`."""
    return closed_form.interval(result.matrix, kept(result).errors, level)


def kept(result: Comparison) -> Jackknife:
    """A result's standard errors; a ValueError that says why there are none and what to do."""
    measure = measure_of(result)
    if measure is None or measure.no_interval:
        title = measure.title if measure else str(result.provenance["measure"])
        why = measure.no_interval if measure else "nothing is known of a function of your own"
        raise ValueError(f"There is no interval of {title}: {why}. Unbiased CKA has one.")
    if result.jackknife is None:
        raise ValueError(NOT_KEPT)
    return result.jackknife


def chance(result: Comparison) -> float:
    """`Comparison.chance`."""
    measure = measure_of(result)
    if measure is None or measure.no_interval:
        title, level = (measure.title, measure.chance) if measure else (result.provenance["measure"], "not known")
        raise ValueError(f"The deviation by chance is known of unbiased CKA, not of {title}. Its level: {level}.")
    found = sizes(result)
    if not found:
        raise ValueError("This result does not say how many images it was made of, so that chance is not known.")
    return chance_of_sizes(found)


def sizes(result: Comparison) -> list[int]:
    """How many images each minibatch had, as ``batch_sizes`` tells of unequal ones; empty where it is not known."""
    unequal = result.provenance.get("batch_sizes")
    if isinstance(unequal, list) and all(isinstance(size, int) for size in unequal):
        return unequal
    n, size = (result.provenance.get("images") or {}).get("n"), result.provenance.get("batch_size")
    if not isinstance(n, int) or not isinstance(size, int):
        return []
    return [part.stop - part.start for part in minibatches(n, size)]


def where_enough_decide(result: Comparison, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """`interval` as it is shown: NaN in cells that fewer than 30 images decide."""
    low, high = interval(result, level)
    few = result.n_eff < closed_form.FEW_IMAGES
    return np.where(few, np.nan, low), np.where(few, np.nan, high)


def cells_csv(result: Comparison, level: float) -> str:
    """`Comparison.to_cells_csv`."""
    from cka_core.results.comparison import cell_text

    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    columns = [result.matrix]
    header = ["layer_a", "layer_b", "value"]
    if result.jackknife is not None:
        columns += [*where_enough_decide(result, level), result.n_eff]
        header += ["low", "high", "n_eff"]
    writer.writerow(header)
    for row, layer_a in enumerate(result.layers_a):
        for column, layer_b in enumerate(result.layers_b):
            values = [float(values[row, column]) for values in columns]
            numbers = [None if value != value else value for value in values]
            writer.writerow([cell_text(layer_a.name), cell_text(layer_b.name), *numbers])
    return text.getvalue()


def check(jackknife: Jackknife, shape: tuple[int, int]) -> None:
    """ValueError unless the standard errors are those of so many layers."""
    got = (jackknife.errors.shape, jackknife.n_eff_a.shape, jackknife.n_eff_b.shape)
    if got != (shape, shape[:1], shape[1:]):
        raise ValueError(f"Expected standard errors of {shape}, layers of A by layers of B, got {got}.")


def to_arrays(jackknife: Jackknife | None) -> dict[str, Any]:
    """What is stored of them: they have the digits of float32."""
    if jackknife is None:
        return {}
    return {name: np.asarray(getattr(jackknife, name), np.float32) for name in MEMBERS}


def from_arrays(arrays: Mapping[str, Any]) -> Jackknife | None:
    """What `to_arrays` stored; None where nothing was. ValueError for anything else."""
    if not any(name in arrays for name in MEMBERS):
        return None
    found = [np.asarray(arrays[name]) for name in MEMBERS]
    if any(values.dtype != np.float32 or (values < 0).any() or np.isinf(values).any() for values in found):
        raise ValueError("its standard errors are not numbers of at least 0")
    return Jackknife(*(values.astype(np.float64) for values in found))


def measure_of(result: Comparison) -> Measure | None:
    """The measure of a result, unbiased CKA where none is named; None of a function of one's own."""
    if result.provenance.get("measure") == partial.MEASURE.name:
        return partial.MEASURE
    try:
        return registry.measure(result.provenance.get("measure") or "cka")
    except ValueError:
        return None
