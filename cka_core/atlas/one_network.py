"""One network of an atlas as a reader sees it: all that its section shows, from one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cka_core.atlas import views
from cka_core.atlas.images import Dominant, dominant_images, dominant_text
from cka_core.atlas.result import Atlas, Member, Snapshot
from cka_core.atlas.views import LargeView
from cka_core.base import words
from cka_core.measures.block_falls import FEW, OnHalf
from cka_core.measures.blocks import Block, block_text

PICTURES = 10
"""Images shown behind a block."""


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """The network after an epoch, in numbers and words.

    ``blocks`` in words, empty where there is none. ``inside``, ``outside``: median share of a layer's variance that its
    first component holds in blocks and elsewhere, NaN where there are no such layers. ``sure``: how sharp the blocks'
    edges are and how sure that is, in words.
    """

    epoch: int
    test: str
    test_images: int
    train: float
    train_images: int
    fitted: bool
    layers: int
    parameters: str
    blocks: str
    inside: float
    outside: float
    sure: str


@dataclasses.dataclass(frozen=True, eq=False)
class Without:
    """The map after the last epoch without what was asked to be removed.

    ``removed`` in words. ``view`` is None where the atlas was not asked for it, ``before`` is the whole map then.
    ``blocks_before``, ``blocks`` in words.
    """

    removed: str
    epoch: int
    view: LargeView | None
    before: LargeView | None
    words: str
    blocks: str
    blocks_before: str


@dataclasses.dataclass(frozen=True, eq=False)
class Behind:
    """The images behind one block, or behind the first component where there is no block (``block`` is then empty)."""

    block: str
    dominant: Dominant
    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class OneNetwork:
    """What the section of a network shows. ``view`` is its map after ``facts.epoch``; ``is_last``: after the last one.

    Where no layer is of the kinds asked for there is no view, and ``problem`` says so.
    ``behind`` has an entry a block, the longest first, or a single one for the whole network.
    """

    title: str
    facts: Facts
    is_last: bool
    view: LargeView | None
    problem: str
    without: Without
    behind: tuple[Behind, ...]
    influential: frozenset[int]


def one_network(atlas: Atlas, name: str, epoch: int, removed: str, kinds: str) -> OneNetwork:
    """All that is shown of a network after ``epoch``, of its layers of ``kinds``, and of it without ``removed``."""
    member = atlas.member(name)
    snapshot = views.at_or_before(member, epoch)
    view, problem = None, ""
    try:
        view = views.large_view(atlas, name, snapshot.epoch, kinds=kinds)
    except ValueError as error:
        problem = str(error)
    known = view is not None and atlas.has_map(name, member.final.epoch, removed)
    return OneNetwork(
        member.title,
        _facts(member, snapshot),
        snapshot is member.final,
        view,
        problem,
        _without(atlas, member, removed, kinds, known),
        _behind(atlas, member),
        frozenset(member.influential),
    )


def _facts(member: Member, snapshot: Snapshot) -> Facts:
    inside, outside = views.median_shares(member, snapshot)
    return Facts(
        epoch=snapshot.epoch,
        test=views.test_text(member, snapshot),
        test_images=member.test_images,
        train=snapshot.train_accuracy,
        train_images=member.train_images,
        fitted=views.is_fitted(snapshot),
        layers=len(member.layers),
        parameters=words.count_text(member.parameters),
        blocks=views.blocks_text(snapshot.blocks, none=""),
        inside=inside,
        outside=outside,
        sure=_sure(member, snapshot),
    )


def _sure(member: Member, snapshot: Snapshot) -> str:
    """How sharp the edges of the blocks are, and how sure that is, as far as it is known."""
    said = []
    for block in sorted(snapshot.blocks, key=len, reverse=True):
        text = f"At the edge of layers {block.span} similarity falls by {block.fall:.2f}"
        if block.low is not None and block.high is not None:
            text += f" (95 % interval {block.low:.2f} to {block.high:.2f})"
        said.append(f"{text}.")
        if block.deciding is not None and block.deciding < FEW:
            said.append(f"About {block.deciding:.0f} images decide, too few for the interval to be trusted.")
    if snapshot is member.final and member.halves is not None and snapshot.blocks:
        said.append(_on_halves(snapshot.blocks, member.halves))
    return " ".join(said)


def _on_halves(blocks: Sequence[Block], halves: Sequence[Sequence[OnHalf]]) -> str:
    """What each half of the images finds by itself, and whether that is what all of them find."""
    if not any(halves):
        return "Neither half of the images finds one by itself."
    every = [one for half in halves for one in half]
    if all(halves) and all(views.overlapping(blocks, one) for one in every):
        elsewhere = " and ".join(f"{one.elsewhere:.2f}" for one in every)
        return f"Found on either half of the images, it falls by {elsewhere} on the other."

    def told(one: OnHalf) -> str:
        return f"layers {one.span}, whose fall on the other half is {one.elsewhere:.2f}"

    found = [", ".join(map(told, half)) for half in halves]
    first, second = sorted(found, key=len, reverse=True)
    return f"By itself one half of the images finds {first}; the other finds {second or 'none'}."


def _without(atlas: Atlas, member: Member, removed: str, kinds: str, known: bool) -> Without:
    last = member.final.epoch
    return Without(
        "each layer’s first component" if removed == "component" else f"{len(member.influential)} influential images",
        last,
        views.large_view(atlas, member.name, last, removed, kinds) if known else None,
        views.large_view(atlas, member.name, last, kinds=kinds) if known else None,
        views.WITHOUT[removed],
        views.blocks_text(member.blocks_without.get(removed, ())),
        views.blocks_text(member.final.blocks),
    )


def _behind(atlas: Atlas, member: Member) -> tuple[Behind, ...]:
    images = atlas.scores(member.name).shape[1]
    found = []
    longest_first: list[Block | None] = [*sorted(member.final.blocks, key=len, reverse=True)]
    for block in longest_first or [None]:
        dominant = dominant_images(atlas, member.name, block, PICTURES)
        where = f"in {block_text(block)}" if block else "over all layers"
        text = dominant_text(dominant, where, images)
        found.append(Behind(block_text(block) if block else "", dominant, text))
    return tuple(found)
