"""How far a map is to be trusted, in words: one line about all of it, and a note for each cell."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.measures import mutual_knn, svcca
from cka_core.measures.chance import ABOVE
from cka_core.measures.jackknife import FEW_IMAGES
from cka_core.networks.architectures import is_architecture
from cka_core.results import intervals, words

if TYPE_CHECKING:
    from cka_core.measures.measure import Measure
    from cka_core.networks.layers import Layer
    from cka_core.results.comparison import Comparison

CHANCE_MISLEADS = 0.1
"""Where chance reaches this, 72 images and fewer, a reader who knows CKA of more images reads too much into a map."""

FEW = "few images decide"
ROUNDING = 1e-4
"""What float32 may take from a whole number of images."""

MOST_NAMED = 8
OF_THE_OTHERS = {mutual_knn.MEASURE.name: mutual_knn.NEIGHBOURS, svcca.MEASURE.name: svcca.COMPONENTS}
"""By measure how many of the n - 1 other images, or of as many directions, make its level of chance."""


@dataclasses.dataclass(frozen=True)
class Fact:
    """One thing to know about a map: in a few words, and in a sentence. ``misleads``: who passes it over reads the map
    wrongly."""

    text: str
    hint: str
    misleads: bool = False


def line(result: Comparison) -> tuple[Fact, ...]:
    """What the map rests on, in the order in which it is read; nothing about what the result does not say."""
    facts = [_images(result), _measure(result), _minibatches(result), _batch_norm(result), _batch_norm_less(result)]
    facts += [_tokens(result), _chance(result), _deciding(result), _without_number(result)]
    return tuple(fact for fact in facts if fact is not None)


def misleading(result: Comparison) -> list[str]:
    """Of `line` what a reader must not pass over, in sentences, for what is read away from the page."""
    return [f"{fact.text[:1].upper()}{fact.text[1:]}. {fact.hint}" for fact in line(result) if fact.misleads]


def _images(result: Comparison) -> Fact | None:
    text = words.images_text(result.provenance)
    return Fact(text, "Both networks were shown these images, and no others.") if text else None


def _measure(result: Comparison) -> Fact:
    measure = intervals.measure_of(result)
    if result.provenance.get("less"):
        hint = f"Each cell less {result.provenance['less']}: above 0 it is more alike here, below 0 there."
        return Fact(words.measure_text(result.provenance), hint)
    hint = f"Range: {measure.range}. Unchanged by {measure.invariant}." if measure else "A function of one's own."
    return Fact(words.measure_text(result.provenance), hint)


def _minibatches(result: Comparison) -> Fact | None:
    sizes, measure = intervals.sizes(result), intervals.measure_of(result)
    if not sizes:
        return None
    of = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    text = f"{len(sizes)} minibatches of {of}" if len(sizes) > 1 else "one minibatch"
    passes = result.provenance.get("passes") or 1
    text += f", {passes} passes" if passes > 1 else ""
    return Fact(text, f"Minibatches change {measure.minibatches}." if measure else "Values are averaged over them.")


def _batch_norm(result: Comparison) -> Fact | None:
    networks = [result.provenance.get(side) or {} for side in ("network_a", "network_b")]
    known = any(is_architecture(str(network.get("architecture") or "")) for network in networks)  # all of them have it
    if not known and not any("BatchNorm" in layer.kind for layer in (*result.layers_a, *result.layers_b)):
        return None
    if result.provenance.get("batch_norm") == "train":
        return Fact("batch norm in train mode", "Batch norm took the statistics of each minibatch, as while training.")
    if any(network.get("source") == "untrained" for network in networks):
        why = (
            "An untrained network has no batch norm at inference: its moving statistics are still 0 and 1. In train "
            "mode its layers are less alike."
        )
        return Fact("batch norm idle before training", why, misleads=True)
    return Fact("batch norm at inference", "Batch norm took its moving statistics, as for a new image.")


def _batch_norm_less(result: Comparison) -> Fact | None:
    """Of a difference: what batch norm did in the map that is taken away, where that is something else."""
    less, own = result.provenance.get("less_of"), _batch_norm(result)
    if not less or own is None:
        return None
    theirs = _batch_norm(dataclasses.replace(result, provenance=less))
    if theirs is None or theirs.text == own.text:
        return None
    return dataclasses.replace(theirs, text=f"{result.provenance['less']}: {theirs.text}")


def _tokens(result: Comparison) -> Fact | None:
    text = words.tokens_text(result.provenance)
    return Fact(text, "What became of the tokens of layers that have some.") if text else None


def _chance(result: Comparison) -> Fact | None:
    measure = intervals.measure_of(result)
    try:
        reached = ABOVE * result.chance
    except ValueError:
        if measure is None:
            return None
        short = _level(measure, intervals.sizes(result)) or re.split("[:,]", measure.chance)[0]
        return Fact(f"chance: {short}", f"Its level where nothing is shared: {measure.chance}.")
    hint = (
        f"With one network's images in another order CKA is 0 on average; {ABOVE} standard deviations are "
        f"{reached:.3f}. What lies above is more than chance, which is not yet alike."
    )
    return Fact(f"chance reaches {min(reached, 1.0):.2g}", hint, misleads=reached >= CHANCE_MISLEADS)


def _level(measure: Measure, sizes: Sequence[int]) -> str:
    """The level of chance in a number, where it depends on how many images there are and on nothing else; else ""."""
    count = OF_THE_OTHERS.get(measure.name)
    if count is None or not sizes or min(sizes) < 2:
        return ""
    return f"{sum(m * min(1, count / (m - 1)) for m in sizes) / sum(sizes):.2g}"  # as values are averaged


def _deciding(result: Comparison) -> Fact | None:
    if result.jackknife is None:
        return None
    sides = (("A", result.layers_a, result.jackknife.n_eff_a), ("B", result.layers_b, result.jackknife.n_eff_b))
    known = [n_eff[np.isfinite(n_eff)] for _, _, n_eff in sides]
    if not sum(map(len, known)):
        return None
    least = min(float(n_eff.min()) for n_eff in known if len(n_eff))
    hint = "How many images decide a layer's similarities: 1 / sum of their squared shares in its own HSIC."
    if least >= FEW_IMAGES:
        return Fact(f"at least {whole(least)} images decide", hint)
    few = [(side, runs(n_eff < FEW_IMAGES, layers)) for side, layers, n_eff in sides]
    where = " and ".join(f"{told} of {side}" for side, told in few if told)
    return Fact(
        f"{FEW}: {whole(least)}",
        f"{hint} Fewer than {FEW_IMAGES}, and the next rare image could change everything; no interval is shown there: "
        f"{where}.",
        misleads=True,
    )


def _without_number(result: Comparison) -> Fact | None:
    found = [
        (side, layer.name, reason)
        for side, layers, reasons in (
            ("A", result.layers_a, result.reasons_a),
            ("B", result.layers_b, result.reasons_b),
        )
        for layer, reason in zip(layers, reasons, strict=True)
        if reason
    ]
    if not found:
        return None
    named = [f"{name} of {side} ({reason})" for side, name, reason in found[:MOST_NAMED]]
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    why = ", ".join(dict.fromkeys(reason for _, _, reason in found))
    count = "1 layer has" if len(found) == 1 else f"{len(found)} layers have"
    return Fact(f"{count} no number: {why}", f"Grey on the map: {', '.join(named)}{more}.")


def runs(mask: np.ndarray, layers: Sequence[Layer]) -> str:
    """Which layers, by their numbers from 1: "layers 27–95, 98"; "" for none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]])))
    parts = [
        str(start + 1) if stop == start + 1 else f"{start + 1}–{stop}"
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]
    if not parts:
        return ""
    more = f" and {len(parts) - MOST_NAMED} more runs" if len(parts) > MOST_NAMED else ""
    return (
        f"{'layer' if parts == [parts[0]] and '–' not in parts[0] else 'layers'} {', '.join(parts[:MOST_NAMED])}{more}"
    )


def notes(result: Comparison) -> np.ndarray | None:
    """A note for each cell, an array of text like the matrix: its 95 % interval, or that few images decide.

    None where the result has no standard errors.
    """
    if result.jackknife is None:
        return None
    low, high = result.interval()
    n_eff = result.n_eff
    told = np.char.add(np.char.add(np.char.add("[", _numbers(low)), ", "), np.char.add(_numbers(high), "]"))
    told, few = told.astype(object), n_eff < FEW_IMAGES
    told[np.isnan(low)] = ""  # four images have no interval, nor has what hardly varies without one of them
    told[few] = [f"{FEW} ({whole(count)})" for count in n_eff[few]]
    told[np.isnan(result.matrix)] = ""
    return told


def note(result: Comparison, row: int, column: int) -> str:
    """`notes` of one cell; "" where there are none."""
    told = notes(result.select([row], [column]))
    return "" if told is None else str(told[0, 0])


def _numbers(values: np.ndarray) -> np.ndarray:
    """`words.number` of each."""
    return np.char.mod("%.3f", np.where(np.abs(values) < words.LEAST, 0.0, values))


def values(result: Comparison) -> np.ndarray:
    """Every cell in words, an array of text like the matrix: "0.885", or "none" and why."""
    told = _numbers(result.matrix).astype(object)
    for row, column in np.argwhere(np.isnan(result.matrix)).tolist():
        told[row, column] = f"none, {words.why_none(result, row, column)}"
    return told


def value(result: Comparison, row: int, column: int) -> str:
    """`values` of one cell."""
    return str(values(result.select([row], [column]))[0, 0])


def whole(n_eff: float) -> str:
    """How many images decide, in whole images: 29.7 are fewer than 30."""
    return f"{math.floor(n_eff + ROUNDING):,}"


def columns(result: Comparison, rows: Any, positions: Any) -> dict[str, np.ndarray]:
    """ "low", "high" and "images deciding" of some cells, for a table; nothing where there are no standard errors.

    Bounds are NaN where few images decide.
    """
    if result.jackknife is None:
        return {}
    low, high = (bound[rows, positions] for bound in intervals.where_enough_decide(result))
    return {"low": low, "high": high, "images deciding": np.floor(result.n_eff[rows, positions] + ROUNDING)}


def could_have_intervals(result: Comparison) -> bool:
    """Whether the result was kept without intervals though its measure has some."""
    measure = intervals.measure_of(result)
    return result.jackknife is None and measure is not None and not measure.no_interval
