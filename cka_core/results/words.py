"""Results in the words of the screen: nothing but strings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cka_core.base.words import seconds_text
from cka_core.measures import partial, registry
from cka_core.measures.measure import NOT_DEFINED
from cka_core.results.activation_sets import Sample
from cka_core.results.comparison import Comparison

MEASURES = {registry.STORED.get(name, name): made.title for name, made in registry.MEASURES.items()}
MEASURES[partial.MEASURE.name] = partial.MEASURE.title
"""Titles of the measures by what they are called in a result."""


def facts(comparison: Comparison) -> str:
    """What the result rests on, in one line: "768 test images · unbiased CKA · 0.4 s"."""
    return provenance_text(comparison.provenance)


def provenance_text(provenance: Mapping[str, Any]) -> str:
    """The same of a comparison's provenance."""
    parts = [images_text(provenance)] if images_text(provenance) else []
    parts.append(measure_text(provenance))
    if (provenance.get("passes") or 1) > 1:
        parts.append(f"{provenance['passes']} passes")
    if provenance.get("batch_norm") == "train":
        parts.append("batch norm in train mode")
    parts += [tokens_text(provenance)] if tokens_text(provenance) else []
    if isinstance(provenance.get("seconds"), (int, float)):
        parts.append(seconds_text(provenance["seconds"]))
    return " · ".join(parts)


def images_text(provenance: Mapping[str, Any]) -> str:
    """Which images: "768 test images"; empty where the result does not say."""
    images = provenance.get("images") or {}
    if not images.get("n"):
        return ""
    which = "first " if images.get("seed", 0) is None else ""
    balance = ", balanced over the classes" if images.get("balanced") else ""
    source = "" if images.get("images") in (None, "", "cifar10-mini") else f" of {images['images']}"
    part = "" if images.get("split") == "all" else images.get("split", "")
    return f"{which}{images['n']:,} {part} images{source}{balance}".replace("  ", " ")


TOKENS = {"mean": "mean over tokens", "first": "first token only", "last": "last token only"}


def tokens_text(provenance: Mapping[str, Any]) -> str:
    """What became of the tokens of layers that have some; empty where they were all kept."""
    return TOKENS.get(str(provenance.get("tokens") or ""), "")


FORMS = {
    "divide-by-255": "divided by 255",
    "none": "as they are",
    "imagenet-caffe": "as for ImageNet in Caffe",
    "imagenet-tf": "as for ImageNet in TensorFlow, from -1 to 1",
    "imagenet-torch": "as for ImageNet in PyTorch",
}


def pixels(provenance: Mapping[str, Any], what: str = "pixels") -> str:
    """In what form pixels entered the networks, in few words; empty where the result does not say.

    ``what`` are they called, of images that are no pictures.
    """
    forms = {told["form"] for _, told in _preprocessing(provenance)}
    if not forms and provenance.get("preprocessing") == "uint8 / 255":
        forms = {"divide-by-255"}
    if len(forms) > 1:
        return f"{what} as each network expects them"
    return "".join(f"{what} {FORMS.get(form, form)}" for form in forms)


def pixels_because(provenance: Mapping[str, Any], what: str = "pixels") -> list[str]:
    """The same and why, a sentence a network; one where it is the same for both."""
    told = _preprocessing(provenance)
    if len(told) == 2 and told[0][1] == told[1][1]:
        told = [("each network", told[0][1])]
    return [
        f"{what.capitalize()} entered {name} {FORMS.get(how['form'], how['form'])}"
        + (f" ({how['why']})." if how["why"] else ".")
        for name, how in told
    ]


def fitted(provenance: Mapping[str, Any]) -> list[str]:
    """What was done to images that a network takes in another size or with other channels, a sentence a network."""
    sides = [provenance.get(side) or {} for side in ("network_a", "network_b")]
    told = {str(side.get("name") or "the network"): str(side["fit"]) for side in sides if side.get("fit")}
    return [f"For {name} the images were {what}." for name, what in told.items()]


def _preprocessing(provenance: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Name and preprocessing of the networks whose provenance says it: results of version 0.2 did not."""
    networks = [provenance.get(side) or {} for side in ("network_a", "network_b")]
    return [
        (str(network.get("name") or "the network"), {key: str(told.get(key) or "") for key in ("form", "why")})
        for network in networks
        if isinstance(told := network.get("preprocessing"), Mapping)
    ]


def measure_text(provenance: Mapping[str, Any]) -> str:
    """The measure's title; of one that is not symmetric, which side it is of."""
    title = MEASURES.get(provenance.get("measure", ""), provenance.get("measure", "CKA"))
    if provenance.get("of") == "columns":
        return title.replace("rows from columns", "columns from rows")
    return title


SHORT = {
    "cka-linear-unbiased": "CKA",
    "cka-without-pixels": "CKA without pixels",
    "mutual-knn": "shared neighbours",
    "rsa-pearson": "RSA",
    "rsa-spearman": "RSA",
    "ridge": "R²",
}


def value_text(provenance: Mapping[str, Any]) -> str:
    """What a number of the map is called, as short as can be: "CKA", "SVCCA", "R²"."""
    name = provenance.get("measure") or "cka-linear-unbiased"
    return SHORT.get(name) or MEASURES.get(name, name)


LEAST = 0.0005
"""What is nearer to 0 than this is "0.000": a minus before it would say that it is something."""


def number(value: float) -> str:
    """A value of the map as it is said everywhere: "0.885", "-0.004", "0.000"."""
    return f"{0.0 if abs(value) < LEAST else value:.3f}"


def why_none(comparison: Comparison, row: int, column: int) -> str | None:
    """Why a cell has no number; None where it has one. Where both layers have some with others, that is all there is
    to say: no minibatch in which both vary, or a measure of one's own that has none of these two."""
    if comparison.matrix[row, column] == comparison.matrix[row, column]:
        return None
    return comparison.reasons_a[row] or comparison.reasons_b[column] or f"{NOT_DEFINED} for these two layers"


def sample_text(sample: Sample) -> str:
    """The images of an activation set, in one line: "768 test images of cifar10-mini, seed 0"."""
    if not sample.images:
        return f"{sample.n:,} images{f', labelled “{sample.label}”' if sample.label else ''}"
    draw = ", the first ones" if sample.seed is None else f", seed {sample.seed}"
    balance = ", balanced over the classes" if sample.balanced else ""
    part = "" if sample.split == "all" else f"{sample.split} "
    return f"{sample.n:,} {part}images of {sample.images}{draw}{balance}"


_WRITTEN = re.compile(r" --(?:out|figure) (?:'[^']*'|\S+)")
"""The files that a command writes."""


def command(comparison: Comparison) -> str:
    """The line that computes the same result again, its numbers and its figure in files; of one result less another
    both lines, and the subtraction."""
    line, both = comparison.provenance.get("command"), comparison.provenance.get("commands") or [None]
    if line:
        return _with(_with(line, "--out", "result.npz"), "--figure", "result.png")
    if not all(isinstance(one, str) and one for one in both):
        return "# made in Python: no command was kept with this result"
    files = [f"{name}.npz" for name in ("first", "second")]
    lines = [f"{_WRITTEN.sub('', one)} --out {file}" for one, file in zip(both, files, strict=True)]
    loaded = ", ".join(f"Comparison.load({file!r})" for file in files)
    less = (
        "from cka_core import Comparison; from cka_core.results.differences import difference; "
        f"difference({loaded}, {str(comparison.provenance.get('less'))!r}).save('result.npz')"
    )
    return "\n".join(["# made in Python of two results, the first less the second", *lines, f'python -c "{less}"'])


def _with(line: str, option: str, value: str) -> str:
    return line if f" {option} " in f"{line} " else f"{line} {option} {value}"
