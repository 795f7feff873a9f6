"""What an atlas shows inside blocks and outside, and of wide and deep networks' errors, as `evidence.Evidence`.

`claims` puts it beside the claims of the paper, `growth` is the evidence for its first one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cka_core.atlas import errors, numbers
from cka_core.atlas.numbers import Contrast, mean, spread
from cka_core.atlas.result import Atlas, Member
from cka_core.claims.evidence import (
    Evidence,
    Part,
    beyond_chance,
    count,
    decimal,
    inside_more,
    interval,
    most,
    part,
    percent,
    points,
)
from cka_core.images.sets import CIFAR10_CLASSES

LEFT = 0.5
"""A network's blocks "largely go" if less than this share of their layers is in a block afterwards."""

LESS = 0.1
"""So much less similarity inside a block is a difference."""

ONE_NETWORK = "Each network with blocks counts once, though seeds of one architecture are not independent."


# Inside blocks and outside.


def first_component(atlas: Atlas) -> Evidence:
    """Whether blocks are their layers' first principal component."""
    found = [numbers.first_component(atlas, member) for member in atlas.members if member.final.blocks]
    both = [one for one in found if math.isfinite(one.before - one.after)]
    before, after = mean([one.before for one in both]), mean([one.after for one in both])
    fall = spread([one.before - one.after for one in both])
    left = [one.left for one in found if math.isfinite(one.left)]
    gone = sum(share < LEFT for share in left)
    parts = (
        inside_more(
            "the component's share of variance", "share", [one.shares for one in found],
            "the first component has {} of the variance inside blocks and {} outside", percent,
        ),
        part(
            "similarity without the component", "fall", fall,
            f"similarity inside blocks is {decimal(before)}, without it {decimal(after)}{interval(fall, decimal)}",
            {"similarity_before": before, "similarity_after": after}, LESS,
        ),
        Part(
            "blocks without the component", most(gone, len(left)),
            f"in {gone} of {count(len(left), 'network')} with blocks less than half of their layers are still in one "
            "without it" if left else "",
            {"gone": gone, "gone_of": len(left), "left": mean(left)},
        ),
        inside_more(
            "the components' directions", "cosine", [one.cosines for one in found],
            "|cos| of two layers' first components is {} in a block and {} elsewhere at equal distance", decimal,
        ),
    )  # fmt: skip
    return Evidence(parts, {"networks": len(found)}, ONE_NETWORK, _no_blocks(atlas))


def probes_and_deletion(atlas: Atlas) -> Evidence:
    """Whether probes are flatter, and deleting residual blocks cheaper, inside blocks than elsewhere."""
    members = [member for member in atlas.members if member.final.blocks]
    without = mean([numbers.probe_slopes(member).outside for member in atlas.members if not member.final.blocks])
    at_once = mean([numbers.deletion_of_all(member) for member in members])
    parts = (
        inside_more(
            "probes", "slope", [numbers.probe_slopes(member) for member in members],
            "from one residual block to the next a linear probe gains {} inside blocks and {} elsewhere",
            points, more=False,
        ),
        inside_more(
            "deletions", "loss", [numbers.deletion_losses(member) for member in members],
            "deleting one residual block costs {} of accuracy inside blocks and {} elsewhere", points, more=False,
        ),
    )  # fmt: skip
    more = ""
    if not math.isnan(at_once):
        more = f"Deleting all residual blocks inside a block at once costs {points(at_once)}."
    caveat = f"{ONE_NETWORK} Where blocks lie matters too: late layers may add little in any network."
    figures = {"networks": len(members), "slope_without_blocks": without, "loss_of_all": at_once}
    return Evidence(parts, figures, caveat, _no_blocks(atlas), more)


def outside_and_inside(atlas: Atlas) -> Evidence:
    """Whether corresponding layers of two networks are more alike outside blocks, over seeds and architectures."""
    groups = numbers.seed_groups(atlas)
    seeds = [_pairs(atlas, itertools.combinations(group, 2)) for group in groups]
    both = list(itertools.combinations(range(len(groups)), 2))
    across = [_pairs(atlas, itertools.product(groups[i], groups[j])) for i, j in both]
    parts = (
        inside_more(
            "similarity between seeds", "seeds", [_average(pairs) for pairs in seeds],
            "between seeds CKA of the same layer is {} inside a block of either and {} outside", decimal, more=False,
        ),
        inside_more(
            "similarity between architectures", "across", [_average(pairs) for pairs in across],
            "between architectures, at the same relative depth, it is {} inside and {} outside", decimal, more=False,
            pairs=both,
        ),
    )  # fmt: skip
    pairs = [one for found in seeds for one in found]
    figures = {
        "seed_pairs": len(pairs), "architecture_pairs": sum(map(bool, across)),
        "seeds_inside_sd": spread([one.inside for one in pairs]).sd,
        "seeds_outside_sd": spread([one.outside for one in pairs]).sd,
    }  # fmt: skip
    reason = _no_blocks(atlas)
    if not reason and not pairs:
        reason = "No architecture here has two seeds that were compared."
    elif not reason and parts[0].verdict is None:
        reason = "No two seeds here have layers both inside a block and outside."
    caveat = (
        "An architecture counts once; the interval between architectures is over them, each of which is in several "
        "pairs. Late layers may differ more between networks than early ones, in a block or not."
    )
    return Evidence(parts, figures, caveat, reason)


def _pairs(atlas: Atlas, pairs: Iterable[tuple[Member, ...]]) -> list[Contrast]:
    """Inside and outside of every two networks that the atlas compared."""
    found = []
    for a, b in pairs:
        try:
            found.append(numbers.inside_and_outside(atlas, a, b).contrast)
        except ValueError:
            continue
    return found


def _average(pairs: Sequence[Contrast]) -> Contrast:
    """Of several pairs of networks, those that have both an inside and an outside."""
    both = [one for one in pairs if one.n_inside and one.n_outside]
    return Contrast(mean([one.inside for one in both]), mean([one.outside for one in both]), len(both), len(both))


def _no_blocks(atlas: Atlas) -> str:
    if any(member.final.blocks for member in atlas.members):
        return ""
    return f"No block was found in any of the {count(len(atlas.members), 'network')}, so nothing is inside one."


# Errors.


def different_errors(atlas: Atlas) -> Evidence:
    """Whether wide and deep networks of about the same accuracy differ more than seeds do, by image and by class."""
    if not _has_labels(atlas):
        return Evidence((), {"pairs": 0}, reason="This atlas does not know the classes of the test images.")
    pairs = [(_with_outputs(atlas, wide), _with_outputs(atlas, deep)) for wide, deep in errors.wide_and_deep(atlas)]
    pairs = [pair for pair in pairs if all(pair)]
    several = [pair for pair in pairs if min(map(len, pair)) > 1]
    parts = (_by_image(atlas, several), _by_class(atlas, several))
    reason = ""
    if not pairs:
        within = round(100 * numbers.SIMILAR)
        reason = f"No wide and deep CIFAR ResNets whose predictions are known are within {within} points in accuracy."
    elif not several:
        reason = "The wide or the deep networks have one seed only, so what a seed changes is not known."
    figures: dict[str, Any] = {"pairs": len(several), "wide": None, "deep": None}
    if several:
        wide, deep = several[0]
        figures |= {
            "wide": wide[0].title, "accuracy_wide": errors.accuracy_of(wide),
            "deep": deep[0].title, "accuracy_deep": errors.accuracy_of(deep),
        }  # fmt: skip
    caveat = (
        "The interval is over test images: networks of other seeds may differ by more or by less." if several else ""
    )
    return Evidence(parts, figures, caveat, reason)


def _has_labels(atlas: Atlas) -> bool:
    try:
        return atlas.labels.size > 0
    except ValueError:
        return False


def _with_outputs(atlas: Atlas, group: Sequence[Member]) -> list[Member]:
    """The networks whose predictions the atlas has."""
    found = []
    for member in group:
        try:
            if (errors.predictions(atlas, member) != errors.UNKNOWN).any():
                found.append(member)
        except ValueError:
            continue
    return found


def _by_image(atlas: Atlas, pairs: Sequence[tuple[list[Member], list[Member]]]) -> Part:
    """Different predictions of wide and deep networks against those of seeds, over all pairs of architectures."""
    found = [errors.disagreement(atlas, wide, deep) for wide, deep in pairs]
    across = np.mean([one.across for one in found], axis=0) if found else np.array([])
    within = np.mean([one.within for one in found], axis=0) if found else np.array([])
    more = spread(across - within)
    text = (
        f"a wide and a deep network predict different classes for {percent(mean(across))} of the test images, two "
        f"seeds for {percent(mean(within))}{interval(more, percent)}"
    )
    return part(
        "differences by image", "image", more, text, {"differ_across": mean(across), "differ_within": mean(within)}
    )


def _by_class(atlas: Atlas, pairs: Sequence[tuple[list[Member], list[Member]]]) -> Part:
    """Classes whose accuracy differs by more than seeds do, for the pair that is closest in accuracy."""
    name = "differences by class"
    if not pairs:
        return Part(name, None, "", {"classes_beyond": None})
    wide, deep = pairs[0]
    found = errors.errors_by_class(atlas, wide, deep, relative=True)
    seen, beyond = int(np.isfinite(found.difference).sum()), found.beyond
    figures: dict[str, Any] = {"classes": seen, "classes_beyond": len(beyond)}
    if not seen:
        return Part(name, None, "", figures)
    text = (
        f"beside their overall accuracy, {wide[0].title} and {deep[0].title} differ by more than their seeds in "
        f"{len(beyond)} of {seen} classes"
    )
    if len(beyond):
        total = len(found.difference)
        names = CIFAR10_CLASSES if total == len(CIFAR10_CLASSES) else [f"class {label}" for label in range(total)]
        most = float(found.difference[beyond[0]])
        figures |= {"largest_class": names[beyond[0]], "largest_difference": most}
        better = wide if most > 0 else deep
        text += f", most in {names[beyond[0]]}, where {better[0].title} is {points(abs(most))} better"
    return Part(name, beyond_chance(len(beyond), seen), text, figures)
