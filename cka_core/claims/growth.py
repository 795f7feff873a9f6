"""Whether blocks grow with depth, and with width, over architectures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from cka_core.atlas import numbers
from cka_core.atlas.blocks import was_there
from cka_core.atlas.numbers import mean
from cka_core.atlas.result import Atlas, Member
from cka_core.base.words import counted
from cka_core.claims.evidence import (
    CHANCE,
    NOT_TESTED,
    UNCLEAR,
    YES,
    Evidence,
    Part,
    can_grow,
    decimal,
    fewer_by_chance,
    grows,
    highest,
    percent,
)
from cka_core.measures.ranks import by_chance_exactly, rank_correlation

SIZES = 4
"""So many depths at one width, or widths at one depth, can show growth: three are in order by chance in 1 of 6."""

MADE = (
    "The rule for a block was fixed on {} of these networks, so that how often chance does as well is said after the "
    "fact; networks trained later are its test."
)
LONG = "A block has at least 8 layers, of which a network of depth 14 has 47 and one of depth 56 has 194."


def block_structure(atlas: Atlas) -> Evidence:
    """Whether blocks grow with depth (which decides), and with width."""
    members, groups = atlas.members, numbers.seed_groups(atlas)
    shares = [mean([numbers.block_share(member) for member in group]) for group in groups]
    start, end = _formation(members)
    sizes = [max(1, group[0].parameters) for group in groups]
    figures = {
        "networks": len(members), "architectures": len(groups), "fitted": sum(member.fitted for member in members),
        "with_blocks": sum(bool(member.final.blocks) for member in members), "share_at_start": start,
        "share_at_end": end, "rho_parameters": rank_correlation(sizes, shares),
        "mean_fall": mean([block.fall for member in members for block in member.final.blocks]),
    }  # fmt: skip
    if not figures["with_blocks"]:
        return Evidence((), figures, reason=f"No block was found in any of the {counted(len(members), 'network')}.")
    more = ""
    if not math.isnan(start):
        more = f"On average {percent(start)} of the layers lie in blocks before training and {percent(end)} after it."
    depth, width = _growth(groups, shares, "depth", "width"), _growth(groups, shares, "width", "depth")
    parts = (_repeated(depth, members), width)
    return Evidence(parts, figures, _made_on(members), _too_few(groups), more)


def _deep(members: Sequence[Member]) -> tuple[int, list[Member], list[Member]]:
    """The least depth of a network with a block that the rule was fixed on; of all as deep, those it was fixed on and
    those that came later."""
    made = [member for member in members if was_there(member.weights)]
    least = min((member.depth for member in made if member.final.blocks), default=0)
    deep = [member for member in members if member.depth >= least]
    return least, [member for member in deep if member in made], [member for member in deep if member not in made]


def _having(members: Sequence[Member]) -> tuple[int, int]:
    return sum(bool(member.final.blocks) for member in members), len(members)


def _made_on(members: Sequence[Member]) -> str:
    """On which networks the rule was fixed, and how it did on those of the same depths that came later."""
    made = sum(was_there(member.weights) for member in members)
    least, before, later = _deep(members)
    if not made:
        return LONG
    if not later:
        return MADE.format(made)
    had, have = (f"{having} of {total}" for having, total in map(_having, (before, later)))
    return f"{MADE.format(made)} Of depth {least} and more, {had} of the former have a block and {have} of the latter."


def _repeated(part: Part, members: Sequence[Member]) -> Part:
    """The part as it is, or unclear where it says yes and deep networks that came later have blocks more rarely than
    those that the rule was fixed on: no figure of both together is without hindsight then."""
    least, before, later = _deep(members)
    if part.verdict != YES or not before or not later:
        return part
    had, have = _having(before), _having(later)
    chance = fewer_by_chance(had, have)
    if chance > CHANCE:
        return part
    text = (
        f"{part.text}; but networks trained after the rule was fixed have blocks more rarely: of depth {least} and "
        f"more {have[0]} of {have[1]} do, where {had[0]} of {had[1]} that it was fixed on do (as many fewer by "
        f"chance in {100 * chance:.1f} % of the ways to deal them), so that nothing is read from both together"
    )
    return dataclasses.replace(part, verdict=UNCLEAR, text=text, numbers=part.numbers | {"chance_not_repeated": chance})


def _too_few(groups: Sequence[Sequence[Member]]) -> str:
    depths, widths = ([getattr(group[0], what) for group in groups] for what in ("depth", "width"))
    if can_grow(depths, widths) >= SIZES:
        return ""
    return "Networks of at least four depths at one width are needed to see whether blocks grow with depth."


def _growth(groups: Sequence[Sequence[Member]], shares: Sequence[float], what: str, other: str) -> Part:
    """The rank correlation of the share of layers in blocks, its seeds averaged, with depth or with width."""
    values, others = ([getattr(group[0], of) for group in groups] for of in (what, other))
    several = can_grow(values, others)
    rho, chance = by_chance_exactly(values, shares)
    top = highest(rho, len(groups))
    figures = {f"rho_{what}": rho, f"chance_{what}": chance, f"highest_{what}": top, f"{what}s_compared": several}
    if several < SIZES:
        text = (
            f"{what} is not tested: at most {counted(several, what)} at one {other}, of which even a perfect order "
            f"would be chance in 1 of {math.factorial(several)} cases; {what}s go up to {max(values)}"
        )
        return Part(f"growth with {what}", NOT_TESTED, text, figures)
    over = f"over {counted(len(groups), 'architecture')}"
    if math.isnan(rho):
        text = f"{over} the share of layers in blocks does not vary, or all have one {what}"
        return Part(f"growth with {what}", grows(rho, 1.0, len(groups)), text, figures)
    text = (
        f"{over} the share of layers in blocks has a rank correlation of {decimal(rho)} with {what} (as much by "
        f"chance: {_chance(chance)}); {_with_blocks(groups, what)}"
    )
    reach = f"as much by chance in {_chance(chance)} of orders; 95 % interval up to {decimal(top)}, {over}"
    return Part(
        f"growth with {what}", grows(rho, chance, len(groups)), text, figures,
        f"rank correlation with {what} {decimal(rho)}", reach,
    )  # fmt: skip


def _with_blocks(groups: Sequence[Sequence[Member]], what: str) -> str:
    """ "4 of 4 networks of depth 38 and more have blocks, 0 of 6 below"; how many have, where no such line exists."""
    members = [member for group in groups for member in group]
    having = [getattr(member, what) for member in members if member.final.blocks]
    least = min(having)
    above = [member for member in members if getattr(member, what) >= least]
    return (
        f"{len(having)} of {counted(len(above), 'network')} of {what} {least} and more "
        f"{'has' if len(having) == 1 else 'have'} blocks, 0 of {len(members) - len(above)} below"
    )


def _chance(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"


def _formation(members: Sequence[Member]) -> tuple[float, float]:
    """Mean share of layers in blocks before training and at the end, of the networks looked at before training."""
    curves = [numbers.blocks_along_epochs(member) for member in members]
    kept = [np.array(shares) for epochs, shares in curves if epochs[0] == 0 and len(epochs) > 1]
    return mean([shares[0] for shares in kept]), mean([shares[-1] for shares in kept])
