"""Blocks of different networks against each other: which two are alike, and the kinds they come in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from cka_core.atlas.numbers import or_none
from cka_core.atlas.result import Atlas, Member
from cka_core.measures.blocks import Block

SHARED = 0.5
"""Two networks share a block if the layers of one's are this alike to those of the other's."""


@dataclasses.dataclass(frozen=True)
class BlockPair:
    """The median CKA of the layers of a block of A with those of a block of B."""

    a: Member
    b: Member
    block_a: Block
    block_b: Block
    cka: float

    @property
    def shared(self) -> bool:
        return self.cka >= SHARED


def block_pairs(atlas: Atlas) -> list[BlockPair]:
    """`BlockPair` of every two networks with blocks that the atlas compared, the most alike first."""
    return sorted(_block_pairs(atlas), key=lambda pair: -pair.cka)


def _block_pairs(atlas: Atlas) -> Iterator[BlockPair]:
    for a, b in atlas.pairs():
        if not a.final.blocks or not b.final.blocks:
            continue
        matrix = or_none(lambda a=a, b=b: atlas.pair(a.name, b.name))  # type: ignore[misc]
        if matrix is None:
            continue
        for one in a.final.blocks:
            for other in b.final.blocks:
                between = matrix[one.start : one.stop, other.start : other.stop]
                between = between[np.isfinite(between)]
                if between.size:
                    yield BlockPair(a, b, one, other, float(np.median(between)))


def kinds_of_block(atlas: Atlas) -> list[tuple[tuple[Member, Block], ...]]:
    """Blocks by kind, those with the most networks first: two are of one kind if they are `SHARED`, or if both are of a
    kind with a third."""
    kinds = [[(member, block)] for member in atlas.members for block in member.final.blocks]
    for pair in block_pairs(atlas):
        if pair.shared:
            one = next(kind for kind in kinds if (pair.a, pair.block_a) in kind)
            other = next(kind for kind in kinds if (pair.b, pair.block_b) in kind)
            if one is not other:
                one += other
                kinds = [kind for kind in kinds if kind is not other]
    return [tuple(kind) for kind in sorted(kinds, key=len, reverse=True)]
