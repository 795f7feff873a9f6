"""What an atlas shows inside blocks and outside, of blocks of different networks, and of wide and deep errors.

`cards` puts it beside the claims of the paper, `growth` is the evidence for its first one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from cka_core.atlas import errors, kinds, numbers
from cka_core.atlas.numbers import Contrast, Spread, mean
from cka_core.atlas.result import Atlas, Member
from cka_core.base.words import counted
from cka_core.claims.evidence import (
    CKA,
    DELETION,
    NOT_TESTED,
    PAIR,
    PROBE,
    SHARE,
    Evidence,
    Part,
    by_unit,
    clear,
    decimal,
    differ,
    inside_more,
    none,
    part,
    percent,
    points,
    reach,
)
from cka_core.images.sets import CIFAR10_CLASSES

LARGELY = 0.5
"""A block largely goes if at least this share of its layers is in no block afterwards."""

UNBOUNDED = ": beyond 0 to 100, since the interval of a mean of so few knows no bounds"
"""Said of a share whose interval leaves what a share can be."""

SEEDS = 4
"""So many seeds of a wide and of a deep network can differ by more than chance: of 70 ways to deal 4 and 4, 2 are as
different as any; of 20 ways to deal 3 and 3, 2 are, which is 1 in 10."""


# Inside blocks and outside.


def first_component(atlas: Atlas) -> Evidence:
    """Whether a block goes with its layers' first principal component (which decides), and whether they share it."""
    groups = _with_blocks(atlas)
    found = [[numbers.first_component(atlas, member) for member in group] for group in groups]
    every = [one for group in found for one in group]
    fall = by_unit([[one.before - one.after for one in group] for group in found])
    before, after = (mean([getattr(one, what) for one in every]) for what in ("before", "after"))
    parts = (
        _gone(by_unit([[1 - one.left for one in group] for group in found])),
        inside_more(
            "the components' directions", "cosine", [[one.cosines for one in group] for group in found],
            "|cos| of two layers' first components is {} in a block and {} elsewhere at equal distance", decimal, CKA,
        ),
        inside_more(
            "the component's share of variance", "share", [[one.shares for one in group] for group in found],
            "the first component has {} of the variance inside blocks and {} outside", percent, SHARE,
        ),
        part(
            "similarity without the component", "fall", fall,
            f"similarity inside blocks is {decimal(before)}, without it {decimal(after)}",
            {"similarity_before": before, "similarity_after": after}, CKA, decimal,
        ),
    )  # fmt: skip
    caveat = "A component is removed from each layer by itself; a block may rest on several."
    return Evidence(parts, {"networks": len(every)}, caveat, _no_blocks(atlas))


def _gone(found: tuple[Spread, str]) -> Part:
    """The share of the layers in blocks that are in none without the component."""
    over, unit = found
    figures = {"gone": over.mean, "gone_low": over.low, "gone_high": over.high, "gone_n": over.n}
    name = "blocks without the component"
    if not over.n:
        return Part(name, None, "", figures)
    certain = reach(over, unit, points)
    if over.n > 2 and (over.low < 0 or over.high > 1):  # of two no interval is told
        certain += UNBOUNDED
    text = (
        f"of the layers in blocks {percent(over.mean)} are in none without each layer's first component ({certain}); "
        "the claim asks for half"
    )
    return Part(name, clear(over, LARGELY, LARGELY), text, figures, f"{percent(over.mean)} leave the block", certain)


def probes_and_deletion(atlas: Atlas) -> Evidence:
    """Whether deleting residual blocks is cheaper inside blocks (which decides), and whether probes rise less."""
    groups = _with_blocks(atlas)
    members = [member for group in groups for member in group]
    without = mean([numbers.probe_slopes(member).outside for member in atlas.members if not member.final.blocks])
    at_once = mean([numbers.deletion_of_all(member) for member in members])
    parts = (
        inside_more(
            "deletions", "loss", [[numbers.deletion_losses(member) for member in group] for group in groups],
            "deleting one residual block costs {} of accuracy inside blocks and {} elsewhere", points, DELETION,
            more=False,
        ),
        inside_more(
            "probes", "slope", [[numbers.probe_slopes(member) for member in group] for group in groups],
            "from one residual block to the next a linear probe gains {} inside blocks and {} elsewhere", points, PROBE,
            more=False,
        ),
    )  # fmt: skip
    more = ""
    if not math.isnan(at_once):
        more = f"Deleting all residual blocks inside a block at once costs {points(at_once)}."
    caveat = "Where blocks lie matters too: what is deleted outside includes the first layers of each stage."
    figures = {"networks": len(members), "slope_without_blocks": without, "loss_of_all": at_once}
    return Evidence(parts, figures, caveat, _no_blocks(atlas), more)


# Two networks.


def outside_and_inside(atlas: Atlas) -> Evidence:
    """Whether no two networks share a block (which decides), and whether seeds are more alike outside blocks."""
    pairs = kinds.block_pairs(atlas)
    networks = {member.name for pair in pairs for member in (pair.a, pair.b)}
    seeds = [_contrasts(atlas, itertools.combinations(group, 2)) for group in numbers.seed_groups(atlas)]
    parts = (
        _own_blocks(pairs, len(networks)),
        inside_more(
            "similarity between seeds", "seeds", seeds,
            "between seeds CKA of the same layer is {} inside a block of either and {} outside", decimal, CKA,
            more=False, one=PAIR,
        ),
    )  # fmt: skip
    figures = {"block_pairs": len(pairs), "seed_pairs": sum(map(len, seeds))}
    reason = _no_blocks(atlas)
    if not reason and not pairs:
        reason = "No two networks with blocks were compared here."
    caveat = (
        "Blocks of one kind lie at the same stage of networks with the same architecture family and images, which may "
        "be why they are alike."
    )
    return Evidence(parts, figures, caveat, reason)


def _own_blocks(pairs: Sequence[kinds.BlockPair], networks: int) -> Part:
    """Pairs of networks that share a block. No mean: where some do and some do not, no pair is like it."""
    name = "blocks of different networks"
    shared = [pair for pair in pairs if pair.shared]
    figures: dict[str, Any] = {"blocks_shared": len(shared), "networks_with_blocks": networks}
    if not pairs:
        return Part(name, None, "", figures)
    rest = [pair.cka for pair in pairs if not pair.shared]
    others = f"in the others it is {decimal(min(rest))} to {decimal(max(rest))}" if rest else ""
    alike = " and ".join(f"{_short(pair.a)} with {_short(pair.b)} at {decimal(pair.cka)}" for pair in shared)
    text = f"in {len(shared)} of {counted(len(pairs), 'pair')} of blocks CKA between the two is at least 0.5"
    text += f": {alike}" if alike else ""
    text += f"; {others}" if others and shared else f" ({others})" if others else ""
    figure = f"{len(shared)} of {counted(len(pairs), 'pair')} of blocks alike"
    span = f"CKA from {decimal(min(pair.cka for pair in pairs))} to {decimal(pairs[0].cka)}"
    return Part(name, none(len(shared), networks), text, figures, figure, f"of {counted(networks, 'network')}; {span}")


def _short(member: Member) -> str:
    return f"{member.architecture.removeprefix('cifar-resnet-')} s{member.seed}"


def _contrasts(atlas: Atlas, pairs: Iterable[tuple[Member, ...]]) -> list[Contrast]:
    """Inside and outside of every two networks that the atlas compared."""
    found = []
    for a, b in pairs:
        try:
            found.append(numbers.inside_and_outside(atlas, a, b).contrast)
        except ValueError:
            continue
    return found


def _with_blocks(atlas: Atlas) -> list[list[Member]]:
    """The seeds of each architecture that have blocks."""
    groups = [[member for member in group if member.final.blocks] for group in numbers.seed_groups(atlas)]
    return [group for group in groups if group]


def _no_blocks(atlas: Atlas) -> str:
    if any(member.final.blocks for member in atlas.members):
        return ""
    return f"No block was found in any of the {counted(len(atlas.members), 'network')}, so nothing is inside one."


# Errors.


def different_errors(atlas: Atlas) -> Evidence:
    """Whether wide and deep networks of about the same accuracy differ by class (which decides), and by image."""
    if not _has_labels(atlas):
        return Evidence((), {"pairs": 0}, reason="This atlas does not know the classes of the test images.")
    pairs = [(_with_outputs(atlas, wide), _with_outputs(atlas, deep)) for wide, deep in errors.wide_and_deep(atlas)]
    pairs = sorted((pair for pair in pairs if all(pair)), key=lambda pair: -min(map(len, pair)))
    several = [pair for pair in pairs if min(map(len, pair)) > 1]
    reason = ""
    if not pairs:
        within = round(100 * numbers.SIMILAR)
        reason = f"No wide and deep CIFAR ResNets whose predictions are known are within {within} points in accuracy."
    elif not several:
        reason = "The wide or the deep networks have one seed only, so what a seed changes is not known."
    figures: dict[str, Any] = {"pairs": len(several), "wide": None, "deep": None}
    if not several:
        return Evidence((), figures, reason=reason)
    wide, deep = several[0]
    figures |= {
        "wide": wide[0].title, "accuracy_wide": errors.accuracy_of(wide), "seeds_wide": len(wide),
        "deep": deep[0].title, "accuracy_deep": errors.accuracy_of(deep), "seeds_deep": len(deep),
    }  # fmt: skip
    parts = (_by_class(atlas, wide, deep), _by_image(atlas, wide, deep))
    if parts[0].verdict == NOT_TESTED:
        reason = (
            f"{len(wide)} seeds of {wide[0].title} and {len(deep)} of {deep[0].title} cannot show it: even the largest "
            f"difference would be chance in {percent(parts[0].numbers['classes_least'])} of the ways to deal them into "
            f"two groups. {SEEDS} seeds of each could."
        )
    caveat = "One wide and one deep architecture, chosen for equal accuracy: others may differ by more or by less."
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


def _by_class(atlas: Atlas, wide: Sequence[Member], deep: Sequence[Member]) -> Part:
    """Which classes are right, beside the overall accuracy, against every other way to deal the networks."""
    dealt = errors.dealt_by_class(atlas, wide, deep)
    apart = errors.errors_by_class(atlas, wide, deep, relative=True).difference
    typical = math.sqrt(mean(apart**2))
    largest = max(range(len(apart)), key=lambda label: abs(apart[label]) if math.isfinite(apart[label]) else -1)
    names = CIFAR10_CLASSES if len(apart) == len(CIFAR10_CLASSES) else [f"class {label}" for label in range(len(apart))]
    better = wide if apart[largest] > 0 else deep
    text = (
        f"beside their overall accuracy, {wide[0].title} and {deep[0].title} differ by {points(typical)} a class (root "
        f"mean square; as much by chance in {percent(dealt.chance)} of the ways to deal the networks), most in "
        f"{names[largest]}, where {better[0].title} is {points(abs(apart[largest]))} better"
    )
    figures = {
        "classes_apart": typical, "classes_chance": dealt.chance, "classes_least": dealt.least,
        "largest_class": names[largest], "largest_difference": apart[largest],
    }  # fmt: skip
    certain = f"as much by chance in {percent(dealt.chance)} of the ways to deal {len(wide)} and {len(deep)} networks"
    return Part(
        "differences by class", differ(dealt.chance, dealt.least), text, figures, f"{points(typical)} a class", certain
    )


def _by_image(atlas: Atlas, wide: Sequence[Member], deep: Sequence[Member]) -> Part:
    """Different predictions of wide and deep networks against those of seeds, dealt in the same way."""
    dealt = errors.dealt_by_image(atlas, wide, deep)
    found = errors.disagreement(atlas, wide, deep)
    across, within = mean(found.across), mean(found.within)
    text = (
        f"a wide and a deep network predict different classes for {percent(across)} of the test images, two seeds for "
        f"{percent(within)} (as much by chance in {percent(dealt.chance)} of the ways to deal the networks)"
    )
    figures = {"differ_across": across, "differ_within": within, "image_chance": dealt.chance}
    return Part("differences by image", differ(dealt.chance, dealt.least), text, figures)
