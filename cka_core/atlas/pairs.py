"""Two networks of an atlas on screen: mean and spread over seeds, inside the blocks against outside, in words.

Light: numpy only.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from cka_core.atlas.numbers import Contrast, block_share, clearness, inside_and_outside, seed_groups, spread
from cka_core.atlas.result import Atlas, Member

LARGE = 0.1
"""A difference between inside and outside that is worth a sentence."""


def seeds_of(atlas: Atlas, member: Member) -> tuple[Member, ...]:
    """The networks that differ from one in their seed only, itself among them."""
    return next(group for group in seed_groups(atlas) if member in group)


def twins(atlas: Atlas) -> tuple[Member, Member] | None:
    """Two seeds of one network, of that with the clearest blocks in one of them; None if none has two."""
    several = [group[:2] for group in seed_groups(atlas) if len(group) > 1]
    if not several:
        return None

    def rank(pair: tuple[Member, ...]) -> tuple[float, float]:
        return max(map(clearness, pair)), max(map(block_share, pair))

    a, b = max(several, key=rank)
    return a, b


def seed_pairs(atlas: Atlas, a: Member, b: Member) -> list[tuple[Member, Member]]:
    """All pairs of seeds of two networks; of the same network, each two different seeds once.

    One with itself stands for all its seeds, each with itself.
    """
    first, second = seeds_of(atlas, a), seeds_of(atlas, b)
    if a.name == b.name:
        return [(one, one) for one in first]
    return list(itertools.combinations(first, 2) if first == second else itertools.product(first, second))


@dataclasses.dataclass(frozen=True, eq=False)
class OverSeeds:
    """Over ``pairs`` of networks: the mean map, and the standard deviation (n - 1) of each cell, None for one pair."""

    pairs: int
    mean: np.ndarray
    spread: np.ndarray | None


def over_seeds(atlas: Atlas, a: Member, b: Member) -> OverSeeds:
    maps = np.stack([atlas.pair(one.name, other.name) for one, other in seed_pairs(atlas, a, b)])
    return OverSeeds(len(maps), maps.mean(axis=0), maps.std(axis=0, ddof=1) if len(maps) > 1 else None)


def contrast_text(found: Contrast, same_layers: bool) -> str:
    """What inside and outside mean, in words."""
    counterpart = "the same layer of B" if same_layers else "the layer of B as far through the network"
    said = f"Each layer of A is held against {counterpart}; inside is inside a block of either."
    if not found.n_inside:
        return f"{said} Neither has a block."
    if not found.n_outside:
        return f"{said} Blocks cover everything: there is no outside."
    gap = found.outside - found.inside
    if gap > LARGE:
        return f"{said} Outside the blocks the two agree more: blocks are each network’s own."
    if gap < -LARGE:
        return f"{said} Inside the blocks the two agree more: here blocks are shared, not each network’s own."
    return f"{said} Inside and outside the two agree about as much."


@dataclasses.dataclass(frozen=True)
class OtherSeed:
    """Another seed of a network's training: whether it has a block too, and how alike the same layers of the two are
    inside a block of either and outside."""

    name: str
    seed: int
    has_block: bool
    contrast: Contrast


def other_seed(atlas: Atlas, weights: str) -> OtherSeed | None:
    """`OtherSeed` of the network with these weights: the first other one that the atlas compared it with. None where
    there is none, or the network itself has no block."""
    member = _with_weights(atlas, weights)
    if member is None or not member.final.blocks:
        return None
    for other in seeds_of(atlas, member):
        if other.name != member.name and atlas.has_pair(member.name, other.name):
            contrast = inside_and_outside(atlas, member, other).contrast
            return OtherSeed(other.name, other.seed, bool(other.final.blocks), contrast)
    return None


def other_seed_text(found: OtherSeed) -> str:
    """What it says, in a sentence."""
    if not found.has_block:
        return f"Seed {found.seed} of the same training has no block."
    return f"Seed {found.seed} of the same training has a block too, and {_agree(found.contrast)}."


def two_seeds_text(atlas: Atlas, weights_a: str, weights_b: str) -> str:
    """What two seeds of one training have in common, in a sentence; "" where these are no such two, or the atlas did
    not compare them."""
    a, b = (_with_weights(atlas, weights) for weights in (weights_a, weights_b))
    if a is None or b is None or a.name == b.name or b not in seeds_of(atlas, a):
        return ""
    if not atlas.has_pair(a.name, b.name) or not (a.final.blocks or b.final.blocks):
        return ""
    who = "Both seeds have a block" if a.final.blocks and b.final.blocks else "One of the two seeds has a block"
    return f"{who}, and {_agree(inside_and_outside(atlas, a, b).contrast)}."


def _with_weights(atlas: Atlas, weights: str) -> Member | None:
    return next((one for one in atlas.members if one.weights == weights), None)


def _agree(found: Contrast) -> str:
    if found.outside - found.inside > LARGE:
        return f"there the same layers of the two agree only at {found.inside:.2f}, elsewhere at {found.outside:.2f}"
    return f"there the same layers of the two agree at {found.inside:.2f}"


def contrast_over_seeds(atlas: Atlas, a: Member, b: Member) -> str:
    """Inside and outside over all pairs of seeds, mean and standard deviation; "" where there is one pair only."""
    found = [
        inside_and_outside(atlas, one, other).contrast for one, other in seed_pairs(atlas, a, b) if one is not other
    ]
    both = [one for one in found if one.n_inside and one.n_outside]
    if len(both) < 2:
        return ""
    parts = []
    for what in ("inside", "outside"):
        over = spread([getattr(one, what) for one in both])
        parts.append(f"{what} {over.mean:.2f} ±{over.sd:.2f}")
    return f"Over {len(both)} pairs of seeds: {', '.join(parts)} (mean and standard deviation)."
