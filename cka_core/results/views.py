"""What a reader sees of a comparison: layers in words, stages, filters, pairs, a cell worth looking at.

Light: numpy only; pandas is imported by the functions that return a frame.
"""

from __future__ import annotations

import dataclasses
import html
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cka_core.results import trust, words
from cka_core.results.differences import is_difference
from cka_core.results.fitting import cut

if TYPE_CHECKING:
    import pandas

    from cka_core.networks.layers import Layer
    from cka_core.results.comparison import Comparison

KINDS: dict[str, tuple[str, ...]] = {
    "every layer": (),
    "block outputs": ("Add",),
    "convolutions": ("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"),
    "activations": ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "GELU"),
    "batch norms": ("BatchNormalization",),
}
"""Groups of layers one can look at, by the kinds of layer in them; none means every kind."""

FEWEST_IMAGES = 16
MOST_STAGES = 14


@dataclasses.dataclass(frozen=True)
class Stage:
    """A run of layers of one stage: positions ``start`` up to, not including, ``stop``."""

    name: str
    start: int
    stop: int

    @property
    def centre(self) -> float:
        return (self.start + self.stop - 1) / 2


def shape_text(shape: Sequence[int]) -> str:
    """(16, 16, 32) -> "16×16×32"; (-1, -1, 8), of a network that takes images of any size, -> "any×any×8"."""
    return "×".join(str(side) if side >= 0 else "any" for side in shape)


def features(layer: Layer) -> int:
    """How many numbers a layer puts out for one image."""
    return math.prod(layer.shape)


def labels(layers: Sequence[Layer], reasons: Sequence[str | None] | None = None, value: str = "CKA") -> list[str]:
    """One line a layer, "name · Kind · 16×16×32", with the reason where it has no ``value``.

    Unique, and safe where a little HTML is understood (names come from users' files).
    """
    lines = []
    seen: dict[str, int] = {}
    for position, layer in enumerate(layers):
        parts = [layer.name, layer.kind, shape_text(layer.shape)]
        reason = reasons[position] if reasons else None
        if reason:
            parts.append(f"no {value}: {reason}")
        line = html.escape(" · ".join(part for part in parts if part), quote=False)
        seen[line] = seen.get(line, 0) + 1
        lines.append(line if seen[line] == 1 else f"{line} ({seen[line]})")
    return lines


def unique_names(layers: Sequence[Layer]) -> list[str]:
    """The layers' names, told apart by their position where two are the same."""
    names = [layer.name for layer in layers]
    repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return [f"{name} ({position + 1})" if name in repeated else name for position, name in enumerate(names)]


def stages(layers: Sequence[Layer]) -> list[Stage]:
    """Runs of layers of the same stage; empty where the layers name no stages, or too many to be told apart."""
    runs: list[Stage] = []
    for position, layer in enumerate(layers):
        name = "×".join(side for side in layer.stage.split("×") if side != "-1")  # sizes that nobody knows
        if runs and runs[-1].name == name:
            runs[-1] = dataclasses.replace(runs[-1], stop=position + 1)
        else:
            runs.append(Stage(name, position, position + 1))
    if len(runs) > MOST_STAGES or not any(run.name for run in runs):
        return []
    return runs


def ticks(layers: Sequence[Layer], most: int = 8) -> tuple[list[float], list[str]]:
    """Where to write on an axis, and what: each stage at its middle, or a few layers where there are no stages."""
    runs = stages(layers)
    if runs:
        return [run.centre for run in runs], [run.name for run in runs]
    step = max(1, math.ceil(len(layers) / most))
    positions = range(0, len(layers), step)
    return [float(i) for i in positions], [_short(layers[i].name) for i in positions]


def _short(name: str, most: int = 16) -> str:
    """A layer's name as a label: "encoder.layer.11.self.query" is "e.l.11.s.query", "ResNetBlock_3/Conv_1" "R3/Conv_1".

    What tells layers apart are numbers within their paths, and the ends.
    """
    if len(name) <= most:
        return name
    *path, last = re.split(r"([./])", name)
    numbers = (re.search(r"\d*$", part)[0] for part in path)  # type: ignore[index]
    letters = (part if part.isdigit() else part[:1] + number for part, number in zip(path, numbers, strict=True))
    return cut("".join(letters) + last, most)


def layer_mask(layers: Sequence[Layer], kinds: str = "every layer", search: str = "") -> np.ndarray:
    """Which layers belong to a group of `KINDS` and have ``search`` in their name or kind; bool (layers,)."""
    if kinds not in KINDS:
        raise ValueError(f"Unknown group of layers {kinds!r}. Valid: {', '.join(KINDS)}.")
    wanted, words = KINDS[kinds], search.lower().split()
    return np.array(
        [
            (not wanted or layer.kind in wanted) and all(w in f"{layer.name} {layer.kind}".lower() for w in words)
            for layer in layers
        ],
        bool,
    )


def filtered(comparison: Comparison, kinds: str = "every layer", search: str = "") -> Comparison:
    """Only the layers asked for, on both sides.

    Raises ValueError where a network has none of them.
    """
    masks = [layer_mask(layers, kinds, search) for layers in (comparison.layers_a, comparison.layers_b)]
    without = [n for n, mask in zip((comparison.name_a, comparison.name_b), masks, strict=True) if not mask.any()]
    if without:
        asked = "layer" if kinds == "every layer" else kinds
        if search.strip():
            asked += f" with “{search.strip()}” in {'its' if kinds == 'every layer' else 'their'} name or kind"
        raise ValueError(f"No {asked} in {' or in '.join(dict.fromkeys(without))}.")
    return comparison.select(*masks)


def pairs(comparison: Comparison) -> pandas.DataFrame:
    """Every pair of layers, one a row; the most similar first, those without a CKA last."""
    import pandas

    rows, columns = comparison.matrix.shape
    names_a, names_b = unique_names(comparison.layers_a), unique_names(comparison.layers_b)
    value = words.value_text(comparison.provenance)
    row, column = np.repeat(np.arange(rows), columns), np.tile(np.arange(columns), rows)
    frame = pandas.DataFrame(
        {
            "layer of A": pandas.Categorical.from_codes(row, pandas.Index(names_a)),
            "layer of B": pandas.Categorical.from_codes(column, pandas.Index(names_b)),
            value: comparison.matrix.ravel(),
            **trust.columns(comparison, row, column),
        }
    )
    return frame.sort_values(value, ascending=False, kind="stable", ignore_index=True)


def best_matches(comparison: Comparison, side: str) -> pandas.DataFrame:
    """For each layer of one side ("a" or "b"): its kind, output, best match in the other network and their CKA."""
    import pandas

    if side not in ("a", "b"):
        raise ValueError(f"Expected side 'a' or 'b', got {side!r}.")
    own, other = (comparison.layers_a, comparison.layers_b)[:: 1 if side == "a" else -1]
    names = [*unique_names(other), ""]
    position, value = comparison.best_match(1 if side == "a" else 0)
    return pandas.DataFrame(
        {
            "layer": unique_names(own),
            "kind": [layer.kind for layer in own],
            "output": [shape_text(layer.shape) for layer in own],
            "best match": [names[i] for i in position],
            words.value_text(comparison.provenance): value,
            **_of_matches(comparison, side, position),
        }
    )


def for_a_spreadsheet(frame: pandas.DataFrame, names: Sequence[str]) -> pandas.DataFrame:
    """A table whose columns ``names`` hold what somebody called something, as `Comparison.to_csv` writes such names: a
    table of a page can be taken along as a CSV file."""
    from cka_core.results.comparison import cell_text

    return frame.assign(**{name: frame[name].map(cell_text) for name in names if name in frame})


def _of_matches(comparison: Comparison, side: str, position: np.ndarray) -> dict[str, np.ndarray]:
    """Bounds and deciding images of each layer's best match; NaN where there is none."""
    own, found = np.arange(len(position)), np.maximum(position, 0)
    told = trust.columns(comparison, *((own, found) if side == "a" else (found, own)))
    return {name: np.where(position < 0, np.nan, values) for name, values in told.items()}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its position, its CKA (NaN with ``reason``), how sure that is (`trust.notes`, "" where that is not
    known), and for either layer the best match in the other network.

    A match is a position and its CKA, None where there is none. In a comparison of a network with itself a layer's
    match is another layer.
    """

    row: int
    column: int
    cka: float
    reason: str | None
    note: str
    match_of_a: tuple[int, float] | None
    match_of_b: tuple[int, float] | None


def cell(comparison: Comparison, row: int, column: int) -> Cell:
    """What there is to say about one cell."""

    def best(values: np.ndarray, own: int) -> tuple[int, float] | None:
        values = values.copy()
        if comparison.is_self:
            values[own] = np.nan
        if np.isnan(values).all():
            return None
        position = int(np.nanargmax(values))
        return position, float(values[position])

    return Cell(
        row,
        column,
        float(comparison.matrix[row, column]),
        words.why_none(comparison, row, column),
        trust.note(comparison, row, column),
        best(comparison.matrix[row], row),
        best(comparison.matrix[:, column], column),
    )


def example_cell(comparison: Comparison) -> tuple[int, int] | None:
    """A cell to explain the map with: the middle block output of A and its best match in B (not itself)."""
    matrix = comparison.matrix.copy()
    if comparison.is_self:
        np.fill_diagonal(matrix, np.nan)
    usable = ~np.isnan(matrix).all(axis=1)
    for mask in (usable & layer_mask(comparison.layers_a, "block outputs"), usable):
        rows = np.flatnonzero(mask)
        if rows.size:
            row = int(rows[len(rows) // 2])
            return row, int(np.nanargmax(matrix[row]))
    return None


def sample_steps(total: int, also: int | None = None) -> list[int]:
    """Numbers of images to choose from: 16, 24, 32, 48, … up to all ``total``, and ``also`` if it lies between."""
    steps = {total}
    power = FEWEST_IMAGES
    while power < total:
        steps |= {power, min(total, power * 3 // 2)}
        power *= 2
    if also is not None and FEWEST_IMAGES <= also <= total:
        steps.add(also)
    return sorted(steps)


def value_range(comparison: Comparison) -> tuple[float, float]:
    """The lowest and the highest value of a map, rounded outwards to hundredths; 0 and 1 where it has none.

    Of a difference as far below 0 as above, so that its white stays 0.
    """
    values = comparison.matrix[np.isfinite(comparison.matrix)]
    if not values.size:
        return 0.0, 1.0
    if is_difference(comparison):
        values = np.array([-1, 1]) * abs(values).max()
    rounding = 1e-6  # of a layer with itself, a little above 1
    low, high = np.floor((values.min() + rounding) * 100) / 100, np.ceil((values.max() - rounding) * 100) / 100
    return float(low), float(high if high > low else low + 0.01)
