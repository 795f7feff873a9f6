"""What a reader sees of an atlas's networks: their facts in words, the large view, the strips beside it.

Light: numpy only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cka_core.atlas.numbers import block_share, clearness, inside_blocks, seed_groups
from cka_core.atlas.result import REMOVED, Atlas, Member, Snapshot
from cka_core.atlas.study import FITTED
from cka_core.base import words
from cka_core.measures.block_falls import OnHalf
from cka_core.measures.blocks import Block, block_text
from cka_core.networks.layers import Layer
from cka_core.results import views
from cka_core.results.comparison import Comparison

WITHOUT = {
    "nothing": "as it is",
    "component": "without each layer’s first component",
    "images": "without the most influential images",
}
"""`REMOVED` in words."""
assert tuple(WITHOUT) == REMOVED


def network_lines(atlas: Atlas) -> dict[str, str]:
    """A line to pick each network by, as short as tells them apart: "ResNet 38x1, seed 0"."""
    lines = {member.name: f"{member.title}, seed {member.seed}" for member in atlas.members}
    said = list(lines.values())
    return {name: line if said.count(line) == 1 else f"{line} ({name})" for name, line in lines.items()}


# One network after an epoch.


def at_or_before(member: Member, epoch: int | None) -> Snapshot:
    """The last snapshot until an epoch: not every network was kept after the same ones, or trained as long."""
    until = [snapshot for snapshot in member.snapshots if epoch is None or snapshot.epoch <= epoch]
    return until[-1] if until else member.snapshots[0]


def epochs(atlas: Atlas, members: Sequence[Member], removed: str = "nothing") -> list[int]:
    """The epochs after which one of the networks has a map."""
    return sorted(
        {epoch for member in members for epoch in member.epochs if atlas.has_map(member.name, epoch, removed)}
    )


def blocks(member: Member, snapshot: Snapshot, removed: str = "nothing") -> tuple[Block, ...]:
    """The blocks of a network's map after an epoch, or of that without what is ``removed``, in the end."""
    return snapshot.blocks if removed == "nothing" else member.blocks_without.get(removed, ())


def overlapping(found: Sequence[Block], block: Block | OnHalf) -> list[Block]:
    """Those that have a layer in common with a block."""
    return [one for one in found if one.start < block.stop and block.start < one.stop]


def blocks_text(found: Sequence[Block], none: str = "no block") -> str:
    """ "layers 48–99, 0.96", the longest first, or "no block"."""
    longest_first = sorted(found, key=len, reverse=True)
    return " and ".join(block_text(block) for block in longest_first) or none


def longest(member: Member) -> Block | None:
    """The longest block in the end."""
    return max(member.final.blocks, key=len, default=None)


def is_fitted(snapshot: Snapshot) -> bool:
    return snapshot.train_accuracy >= FITTED


def test_text(member: Member, snapshot: Snapshot) -> str:
    return words.accuracy_text(snapshot.test_accuracy, member.test_images)


# The large view.


@dataclasses.dataclass(frozen=True, eq=False)
class LargeView:
    """A network's map against itself, only the layers asked for, and what belongs along its axes.

    ``shares`` float64 (layers,): each layer's first component's share of variance. ``probes``: positions among the
    layers shown, and accuracies; empty but after the last epoch. ``blocks``: [start, stop) among the layers shown, and
    in words. ``alike`` float64 (layers,): mean CKA with the other layers.
    """

    comparison: Comparison
    shares: np.ndarray
    probes: tuple[tuple[int, float], ...]
    blocks: tuple[tuple[int, int, str], ...]
    alike: np.ndarray


def large_view(
    atlas: Atlas, name: str, epoch: int | None, removed: str = "nothing", kinds: str = "every layer"
) -> LargeView:
    """`LargeView` of a network after an epoch; ValueError where there is no such map or no such layer."""
    member = atlas.member(name)
    snapshot = at_or_before(member, epoch)
    comparison = views.filtered(atlas.comparison(name, epoch=snapshot.epoch, removed=removed), kinds)
    mask = views.layer_mask(member.layers, kinds)
    position = np.cumsum(mask) - 1
    is_final = snapshot is member.final
    probes = tuple((int(position[p.position]), p.accuracy) for p in member.probes if mask[p.position] and is_final)
    marked = tuple((*within(block, mask), block_text(block)) for block in blocks(member, snapshot, removed))
    values = comparison.matrix.copy()
    np.fill_diagonal(values, np.nan)
    known = ~np.isnan(values)
    alike = np.where(known, values, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    return LargeView(
        comparison,
        np.asarray(snapshot.shares, np.float64)[mask],
        probes,
        tuple(mark for mark in marked if mark[1] > mark[0]),
        alike,
    )


def within(block: Block, mask: np.ndarray) -> tuple[int, int]:
    """Where a block lies among the layers of ``mask``: [start, stop)."""
    return int(mask[: block.start].sum()), int(mask[: block.stop].sum())


def median_shares(member: Member, snapshot: Snapshot) -> tuple[float, float]:
    """Median first-component share of the layers in blocks, and of the others; NaN where there are none."""
    inside = inside_blocks(member, snapshot.epoch)
    shares = np.asarray(snapshot.shares, np.float64)
    return _median(shares[inside]), _median(shares[~inside])


def _median(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def example(atlas: Atlas) -> Member:
    """The network to begin with: the one with the clearest blocks, of those with a second seed, if any of them has
    blocks, since whether seeds agree is the next question."""
    twice = {member.name for group in seed_groups(atlas.studied) if len(group) > 1 for member in group}

    def rank(member: Member) -> tuple[bool, float, float, int]:
        clear = clearness(member)
        return member.name in twice and clear > 0, clear, block_share(member), len(member.layers)

    return max(atlas.studied.members, key=rank)


def ranges(member: Member, shown: Sequence[Layer]) -> list[tuple[int, int]]:
    """The network's blocks in the end, [start, stop) among the layers ``shown``."""
    names = {layer.name for layer in shown}
    mask = np.array([layer.name in names for layer in member.layers], bool)
    found = [within(block, mask) for block in member.final.blocks]
    return [(start, stop) for start, stop in found if stop > start]
