"""Whether blocks grow with capacity: with parameters, with depth or width, among fitted networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cka_core.atlas import numbers
from cka_core.atlas.numbers import mean
from cka_core.atlas.result import Atlas, Member
from cka_core.claims.evidence import Evidence, Part, count, decimal, growing, percent
from cka_core.measures.blocks import Block
from cka_core.measures.ranks import by_chance, concordance, rank_correlation

SIZES = 3
"""So many sizes of networks are needed to see whether something grows with them."""


def block_structure(atlas: Atlas) -> Evidence:
    """Whether blocks grow with parameters, with depth or width alone, and with parameters among fitted networks."""
    members = atlas.members
    shares = {member.name: numbers.block_share(member) for member in members}
    start, end = _formation(members)
    figures = {
        "networks": len(members), "fitted": sum(member.fitted for member in members),
        "with_blocks": sum(share > 0 for share in shares.values()),
        "share_at_start": start, "share_at_end": end, **_block_correlations(members, shares),
    }  # fmt: skip
    reason = more = ""
    if not any(shares.values()):
        reason = f"No block was found in any of the {count(len(members), 'network')}."
    elif len({member.parameters for member in members}) < SIZES:
        reason = "Networks of at least three sizes are needed to see whether blocks grow with capacity."
    if not math.isnan(start) and any(shares.values()):
        more = f"On average {percent(start)} of the layers lie in blocks before training and {percent(end)} after it."
    growth = (_growth(atlas, shares), _growth_by_pairs(atlas, shares), _growth_of_fitted(atlas, shares))
    caveat = "A block has at least 5 layers, which is much of a short network."
    return Evidence(() if reason else growth, figures, caveat, reason, more)


def _growth(atlas: Atlas, shares: dict[str, float]) -> Part:
    """The rank correlation of the share of layers in blocks with parameters, over all networks."""
    groups = numbers.seed_groups(atlas)
    rho, chance = _with_parameters(groups, shares)
    text = f"{percent(next(iter(shares.values())))} of the layers lie in blocks in every network"
    if not math.isnan(rho):
        text = (
            f"over {count(len(shares), 'network')} the share of layers in blocks has a rank correlation of "
            f"{decimal(rho)} with parameters (as much by chance: {_chance(chance)})"
        )
    return Part("growth with parameters", growing(rho, chance), text, {"rho": rho, "chance": chance})


def _with_parameters(groups: Sequence[Sequence[Member]], shares: dict[str, float]) -> tuple[float, float]:
    """A rank correlation with parameters, and how often chance does as well.

    For chance whole architectures change places: seeds of one are no evidence of their own.
    """
    capacity = np.array([math.log(max(1, group[0].parameters)) for group in groups])
    which = np.array([number for number, group in enumerate(groups) for _ in group])
    values = [shares[member.name] for group in groups for member in group]
    rho = rank_correlation(capacity[which], values)
    return rho, by_chance(lambda order: rank_correlation(capacity[order][which], values), len(groups))


def _growth_by_pairs(atlas: Atlas, shares: dict[str, float]) -> Part:
    """Whether what is deeper or wider, and neither less, has more of its layers in blocks; means over seeds."""
    groups = numbers.seed_groups(atlas)
    sizes = np.array([(group[0].depth, group[0].width) for group in groups])
    values = np.array([mean([shares[member.name] for member in group]) for group in groups])
    more, fewer, pairs = concordance(sizes, values)
    name, figures = (
        "growth with depth or width",
        {"size_pairs": pairs, "larger_has_more": more, "larger_has_less": fewer},
    )
    if not pairs:
        return Part(name, None, "", figures)

    def excess(order: np.ndarray) -> float:
        more, fewer, pairs = concordance(sizes[order], values)
        return (more - fewer) / pairs

    chance = by_chance(excess, len(groups))
    text = (
        f"of {count(pairs, 'pair')} of architectures, one larger in depth or width and smaller in neither, the larger "
        f"has more of its layers in blocks in {more} and less in {fewer} (as much by chance: {_chance(chance)})"
    )
    verdict = growing((more - fewer) / pairs, chance)
    return Part(name, verdict, text, {**figures, "size_pairs_chance": chance})


def _growth_of_fitted(atlas: Atlas, shares: dict[str, float]) -> Part:
    """The same over the fitted networks alone."""
    fitted = [[member for member in group if member.fitted] for group in numbers.seed_groups(atlas)]
    groups, name = [group for group in fitted if group], "growth among fitted networks"
    if len({group[0].parameters for group in groups}) < SIZES:
        return Part(name, None, "", {"rho_fitted": None, "chance_fitted": None})
    rho, chance = _with_parameters(groups, shares)
    found = f"the rank correlation is {decimal(rho)} (as much by chance: {_chance(chance)})"
    found = "the share is always the same" if math.isnan(rho) else found
    text = f"over the {sum(map(len, groups))} fitted ones {found}"
    return Part(name, growing(rho, chance), text, {"rho_fitted": rho, "chance_fitted": chance})


def _chance(share: float) -> str:
    return percent(share) if share >= 0.01 else "less than 1 %"


def _capacity(members: Sequence[Member]) -> list[float]:
    return [math.log(max(1, member.parameters)) for member in members]


def _block_correlations(members: Sequence[Member], shares: dict[str, float]) -> dict[str, Any]:
    """Further rank correlations with parameters: of the number of blocks and, where there are any, of their looks."""
    values = [shares[member.name] for member in members]
    looks: dict[str, Callable[[Member, Block], float]] = {
        "length": lambda member, block: len(block) / len(member.layers),
        "strength": lambda member, block: block.strength,
        "fall": lambda member, block: block.fall,
    }
    found = {
        "rho_depth": rank_correlation([member.depth for member in members], values),
        "rho_width": rank_correlation([member.width for member in members], values),
        "rho_number": rank_correlation(_capacity(members), [len(member.final.blocks) for member in members]),
    }
    with_blocks = [member for member in members if member.final.blocks]
    for look, of in looks.items():
        means = [mean([of(member, block) for block in member.final.blocks]) for member in with_blocks]
        found |= {f"rho_{look}": rank_correlation(_capacity(with_blocks), means), f"mean_{look}": mean(means)}
    return found


def _formation(members: Sequence[Member]) -> tuple[float, float]:
    """Mean share of layers in blocks before training and at the end, of the networks looked at before training."""
    curves = [numbers.blocks_along_epochs(member) for member in members]
    kept = [shares for epochs, shares in curves if epochs[0] == 0 and len(epochs) > 1]
    return mean([shares[0] for shares in kept]), mean([shares[-1] for shares in kept])
