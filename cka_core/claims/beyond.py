"""What an atlas shows that the paper does not say: what is left without the component, and kinds of block."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from cka_core.atlas.grid import updates_of
from cka_core.atlas.images import Dominant, dominant_images
from cka_core.atlas.kinds import block_pairs, kinds_of_block
from cka_core.atlas.result import Atlas, Member
from cka_core.atlas.views import overlapping
from cka_core.base.words import counted
from cka_core.claims.evidence import decimal
from cka_core.measures.blocks import Block, block_text
from cka_core.networks.surgery import residual_blocks

PAPER_EPOCHS = 300

IMAGES = 6
"""Images shown behind each kind of block."""


@dataclasses.dataclass(frozen=True)
class Left:
    """A network's longest block, and what is left of it without each layer's first component (None: nothing)."""

    network: str
    block: Block
    left: Block | None


@dataclasses.dataclass(frozen=True)
class Kind:
    """Blocks that are alike: which networks have one, and the images that make most of their first component."""

    blocks: tuple[tuple[Member, Block], ...]
    images: Dominant

    @property
    def text(self) -> str:
        """ "38x1 seed 0, layers 27–94, 0.98 · 56x1 seed 0, layers 16–136, 0.99"."""
        return " · ".join(f"{network_text(member)}, {block_text(block)}" for member, block in self.blocks)


@dataclasses.dataclass(frozen=True)
class Beyond:
    """What is found, in words, with its caveats; ``left`` and ``kinds`` hold what it is said of."""

    component: str
    left: tuple[Left, ...]
    kinds_text: str
    kinds: tuple[Kind, ...]
    caveats: tuple[str, ...]


def beyond(atlas: Atlas) -> Beyond | None:
    """`Beyond` of an atlas's studied networks; None if none of them has a block."""
    atlas = atlas.studied
    members = [member for member in atlas.members if member.final.blocks]
    if not members:
        return None
    left = tuple(_left(member) for member in members if "component" in member.blocks_without)
    kinds = tuple(_kind(atlas, kind) for kind in kinds_of_block(atlas))
    return Beyond(_component_text(left), left, _kinds_text(atlas, kinds), kinds, _caveats(members))


def network_text(member: Member) -> str:
    return f"{member.architecture.removeprefix('cifar-resnet-')} seed {member.seed}"


def _left(member: Member) -> Left:
    block = max(member.final.blocks, key=len)
    still = overlapping(member.blocks_without["component"], block)
    return Left(network_text(member), block, max(still, key=len, default=None))


def _component_text(left: Sequence[Left]) -> str:
    if not left:
        return ""
    stay = [one for one in left if one.left is not None]
    sharper = sum(one.left is not None and one.left.fall > one.block.fall for one in stay)
    text = (
        f"In {len(stay)} of {counted(len(left), 'network')} with a block, removing each layer's first principal "
        "component does not remove the block."
    )
    if stay:
        told = "; ".join(
            f"{one.network} from {_place(one.block)} to {_place(one.left)}" for one in stay if one.left is not None
        )
        text += f" Its edge becomes sharper in {sharper} of them (layers, and fall at the edge): {told}."
    return text


def _place(block: Block) -> str:
    return f"{block.span} ({decimal(block.fall)})"


def _kind(atlas: Atlas, kind: Sequence[tuple[Member, Block]]) -> Kind:
    member, block = max(kind, key=lambda one: len(one[1]))
    return Kind(tuple(kind), dominant_images(atlas, member.name, block, IMAGES))


def _kinds_text(atlas: Atlas, kinds: Sequence[Kind]) -> str:
    pairs = block_pairs(atlas)
    if not pairs:
        return ""
    shared = [pair for pair in pairs if pair.shared]
    rest = [pair.cka for pair in pairs if not pair.shared]
    several = sum(len(kind.blocks) > 1 for kind in kinds)
    if not shared:
        return f"No two of {counted(len(kinds), 'block')} are alike: CKA between them is at most {decimal(max(rest))}."
    told = ", ".join(f"{network_text(p.a)} with {network_text(p.b)} at CKA {decimal(p.cka)}" for p in shared)
    text = f"{counted(several, 'kind')} of block recur{'s' if several == 1 else ''} across networks: {told}"
    return f"{text}; the other pairs are at {decimal(min(rest))} to {decimal(max(rest))}." if rest else f"{text}."


def _caveats(members: Sequence[Member]) -> tuple[str, ...]:
    ends = Counter(_end(member, block) for member in members for block in member.final.blocks)
    blocks, found = ends.total(), []
    end, times = ends.most_common(1)[0] if ends else ("", 0)
    if end and times > max(1, blocks / 2):
        stage, _, position = end.partition("_block")
        which = f"All {blocks}" if times == blocks else f"{times} of {blocks}"
        found.append(
            f"{which} blocks end with residual block {position} of {stage.replace('stage', 'stage ')}: block and stage "
            "are confounded."
        )
    updates = [each for member in members if (each := updates_of(member)) is not None]
    if len(updates) == len(members):
        few, many = min(updates), max(updates)
        said = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        found.append(f"These networks were trained for {said} updates, the paper's for {PAPER_EPOCHS} epochs.")
    return tuple(found)


def _end(member: Member, block: Block) -> str:
    """The residual block that a block's last layer is in or directly after, such as "stage3_block1"."""
    before = [one for one in residual_blocks(member.layers) if one.first < block.stop]
    return before[-1].name if before else ""
