"""Results in the words of the screen: nothing but strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cka_core.base.words import seconds_text
from cka_core.results.activation_sets import Sample
from cka_core.results.comparison import Comparison

MEASURES = {"cka-linear-unbiased": "unbiased CKA"}


def facts(comparison: Comparison) -> str:
    """What the result rests on, in one line: "768 test images · unbiased CKA · 0.4 s"."""
    return provenance_text(comparison.provenance)


def provenance_text(provenance: Mapping[str, Any]) -> str:
    """The same of a comparison's provenance."""
    images = provenance.get("images") or {}
    parts = []
    if images.get("n"):
        which = "first " if images.get("seed", 0) is None else ""
        balance = ", balanced over the classes" if images.get("balanced") else ""
        source = "" if images.get("images") in (None, "", "cifar10-mini") else f" of {images['images']}"
        parts.append(f"{which}{images['n']:,} {images.get('split', '')} images{source}{balance}".replace("  ", " "))
    parts.append(MEASURES.get(provenance.get("measure", ""), provenance.get("measure", "CKA")))
    if isinstance(provenance.get("seconds"), (int, float)):
        parts.append(seconds_text(provenance["seconds"]))
    return " · ".join(parts)


def sample_text(sample: Sample) -> str:
    """The images of an activation set, in one line: "768 test images of cifar10-mini, seed 0"."""
    if not sample.images:
        return f"{sample.n:,} images{f', labelled “{sample.label}”' if sample.label else ''}"
    draw = ", the first ones" if sample.seed is None else f", seed {sample.seed}"
    balance = ", balanced over the classes" if sample.balanced else ""
    return f"{sample.n:,} {sample.split} images of {sample.images}{draw}{balance}"


def command(comparison: Comparison) -> str:
    """The line that computes the same result again, its numbers and its figure in files."""
    line = comparison.provenance.get("command")
    if not line:
        return "# made in Python: no command was kept with this result"
    for option, value in (("--out", "result.npz"), ("--figure", "result.png")):
        if f" {option} " not in f"{line} ":
            line = f"{line} {option} {value}"
    return line
