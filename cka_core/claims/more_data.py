"""Whether a network's block goes when it is trained on more images, with as many updates: the study's data axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cka_core.atlas.errors import dealt
from cka_core.atlas.grid import data_axis
from cka_core.atlas.numbers import block_share, mean
from cka_core.atlas.result import Atlas, Member
from cka_core.base.words import counted
from cka_core.claims.evidence import differ, percent

CAVEAT = (
    "With as many updates, each of more images is seen less often, and fewer of them are fitted: what more data does "
    "and what a worse fit does cannot be told apart here."
)


@dataclasses.dataclass(frozen=True)
class Amount:
    """The networks trained on so many images: how many have a block, the mean share of their layers in one, their mean
    accuracy on test and training images; how many others have one without each layer's first component (``covered``).
    """

    images: int
    networks: int
    with_block: int
    share: float
    test: float
    train: float
    covered: int


@dataclasses.dataclass(frozen=True)
class MoreData:
    """An architecture on more and more images, fewest first.

    ``chance``: the share of ways to deal the networks of the first and the last amount into two groups of their sizes
    that give as large a difference of mean ``share``. ``holds``: "yes" if that is at most 1 in 20, "unclear", or "not
    tested" where no difference could be as rare.
    """

    title: str
    amounts: tuple[Amount, ...]
    chance: float
    holds: str

    @property
    def text(self) -> str:
        """ "38x1: 5 of 5 networks trained on 3,125 images have a block, 1 of 3 on 50,000."."""
        told = "; ".join(f"{one.with_block} of {one.networks} on {one.images:,}" for one in self.amounts)
        return (
            f"{self.title}: networks with a block, by how many images they were trained on: {told}. On average "
            f"{percent(self.amounts[0].share)} of the layers lie in blocks with the fewest images and "
            f"{percent(self.amounts[-1].share)} with the most (as large a difference by chance in "
            f"{100 * self.chance:.1f} % of the ways to deal {counted(self.amounts[0].networks, 'network')} and "
            f"{self.amounts[-1].networks}).{self._covered}"
        )

    @property
    def _covered(self) -> str:
        covered = [f"{one.covered} on {one.images:,}" for one in self.amounts if one.covered]
        if not covered:
            return ""
        return f" Without each layer’s first component others have one, too: {'; '.join(covered)}."


def more_data(atlas: Atlas) -> tuple[MoreData, ...]:
    """`MoreData` of every architecture on the atlas's data axis; empty where it has none."""
    found = []
    for title, groups in data_axis(atlas).items():
        if len(groups) < 2:
            continue
        few, many = (next(iter(order)) for order in (groups.values(), reversed(groups.values())))
        chance, least = by_chance([block_share(one) for one in few], [block_share(one) for one in many])
        amounts = tuple(_amount(images, group) for images, group in groups.items())
        found.append(MoreData(title.replace("ResNet ", ""), amounts, chance, differ(chance, least)))
    return tuple(found)


def by_chance(few: Sequence[float], many: Sequence[float]) -> tuple[float, float]:
    """The share of ways to deal all values into two groups of these sizes that give as large a difference of means, and
    the share of the rarest: two-sided (`errors.dealt`)."""
    values = np.array([*few, *many])

    def apart(first: np.ndarray) -> float:
        inside = np.isin(np.arange(len(values)), first)
        return float(abs(values[inside].mean() - values[~inside].mean()))

    found = dealt(apart, len(few), len(many))
    return found.chance, found.least


def _amount(images: int, group: Sequence[Member]) -> Amount:
    return Amount(
        images,
        len(group),
        sum(bool(member.final.blocks) for member in group),
        mean([block_share(member) for member in group]),
        mean([member.final.test_accuracy for member in group]),
        mean([member.final.train_accuracy for member in group]),
        sum(not member.final.blocks and bool(member.blocks_without.get("component")) for member in group),
    )
