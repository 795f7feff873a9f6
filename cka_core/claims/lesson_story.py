"""The second half of the lesson's fourth chapter: a block, what it is made of, and what later networks say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.atlas.blocks import was_there
from cka_core.atlas.images import MANY_TIMES, MOST, dominant_images
from cka_core.atlas.numbers import first_component
from cka_core.atlas.result import REMOVED, Atlas, Member
from cka_core.atlas.views import blocks_text, longest, median_shares, overlapping
from cka_core.base.words import counted
from cka_core.claims.evidence import decimal, percent
from cka_core.claims.lesson_maps import TWINS, network_text, picture, self_map, stages, where
from cka_core.claims.more_data import CAVEAT, MoreData, more_data
from cka_core.images import pictures
from cka_core.images.sets import Images
from cka_core.measures.block_falls import FEW
from cka_core.measures.blocks import RULE, Block, smoothed
from cka_core.networks.layers import hidden

NETWORK = TWINS[0]
PICTURES, MAPS, SMALL, LARGE = 10, 12, 48, 140
"""Images shown behind the block; small maps shown at most, and cells a side of a small and of the large map."""


def block_story(atlas: Atlas, images: Images | None) -> dict[str, Any]:
    """The story of `NETWORK`'s longest block: ``steps``, each with its name, sentence, figure and link; and ``maps`` of
    the network by what is taken out of it, which the steps name.

    ``images`` is the atlas's sample, None where it is not here: the step then shows none. What the atlas does not hold
    is no step: networks trained after the rule was fixed, networks trained on more images. ValueError where the atlas
    lacks the network or it has no block.
    """
    member = atlas.member(NETWORK)
    block = longest(member)
    if block is None:
        raise ValueError(f"Expected a block in {NETWORK}, whose story the lesson tells; this atlas has none there.")
    steps = [_rule(atlas, member, block), _made_of(atlas, member, block), _images(atlas, member, block, images)]
    steps += [step for step in (new_networks(atlas), more_images(more_data(atlas))) if step is not None]
    return {"maps": _maps(atlas, member), "steps": steps, "stages": stages(member.layers)}


def _maps(atlas: Atlas, member: Member) -> dict[str, Any]:
    removed = [name for name in REMOVED if atlas.has_map(member.name, removed=name)]
    found = {name: self_map(atlas, member, removed=name, most=LARGE) for name in removed}
    return {**found, "cosines": {**found["nothing"], **picture(np.abs(atlas.component_cosines(member.name)), LARGE)}}


def _rule(atlas: Atlas, member: Member, block: Block) -> dict[str, Any]:
    interval = ""
    if block.low is not None and block.high is not None:
        interval = f" (95 % interval {decimal(block.low)} to {decimal(block.high)})"
    return {
        "name": "A block",
        "kind": "rule",
        "sentence": f"A deep network again: {len(block)} of its {len(member.layers)} layers represent the images "
        "alike, a [[block]]. How does one say so without the eye?",
        "says": f"Layers {block.span}: at the edge, similarity falls by {decimal(block.fall)}{interval}.",
        "rule": RULE,
        "curves": [{"name": "mean CKA with the block’s layers", "values": rounded(profile(atlas, member, block))}],
        "span": [block.start, block.stop],
        "maps": {"nothing": "as it is"},
        "link": _link(member),
        "to": "this network in the Atlas",
    }


def profile(atlas: Atlas, member: Member, block: Block) -> np.ndarray:
    """Each hidden layer's mean similarity with the block's layers, as the rule sees the map: float64 (hidden layers,).

    `blocks.find_blocks` reads the fall off it: what the last layers inside have more than the first ones outside.
    """
    until = hidden(member.layers)
    filled = smoothed(atlas.map(member.name)[:until, :until])
    found: np.ndarray = filled[block.start : block.stop].mean(axis=0)
    return found


def _made_of(atlas: Atlas, member: Member, block: Block) -> dict[str, Any]:
    inside, outside = median_shares(member, member.final)
    still = overlapping(member.blocks_without.get("component", ()), block)
    stays = f"the block stays ({blocks_text(still)})" if still else "the block is gone"
    cosines = first_component(atlas, member).cosines
    maps = {"nothing": "as it is"}
    if atlas.has_map(member.name, removed="component"):
        maps["component"] = "without it"
    maps["cosines"] = "|cos| of first components"
    decide = ""
    if block.deciding is not None:
        decide = f"About {block.deciding:.0f} of {images_of(atlas)} images decide its similarity"
        decide += ": so few that another sample could change it." if block.deciding < FEW else "."
    return {
        "name": "What it is made of",
        "kind": "component",
        "sentence": f"Inside, the [[first component]] holds {percent(inside)} of a layer’s variance, outside "
        f"{percent(outside)}. Is it the block? Take it out and see.",
        "says": f"Two layers’ first components have |cos| {decimal(cosines.inside)} inside the block, "
        f"{decimal(cosines.outside)} elsewhere at equal distance. Without them, {stays}.",
        "decide": decide,
        "curves": [{"name": "first component’s share of variance", "values": rounded(member.final.shares)}],
        "span": [block.start, block.stop],
        "maps": maps,
        "link": _link(member),
        "to": "both maps in the Atlas",
    }


def images_of(atlas: Atlas) -> int:
    """How many images the maps are of."""
    return int(atlas.scores(atlas.members[0].name).shape[1])


def _images(atlas: Atlas, member: Member, block: Block, images: Images | None) -> dict[str, Any]:
    found = dominant_images(atlas, member.name, block, PICTURES)
    few = found.together >= min(MANY_TIMES * found.expected, MOST)
    removed = len(member.influential)
    maps, left = {"nothing": "as it is"}, ""
    if removed and atlas.has_map(member.name, removed="images"):
        maps["images"] = f"without the {removed} most influential"
        still = overlapping(member.blocks_without.get("images", ()), block)
        left = f"Without the {removed} images that change similarity most, "
        left += f"the block stays ({blocks_text(still)})." if still else "the block is gone."
    shown = []
    if images is not None:
        shown = [
            {"class": images.classes[images.y[at]], "share": percent(float(share))}
            for at, share in zip(found.positions.tolist(), found.shares.tolist(), strict=True)
        ]
    meaning = "a few images stand for it" if few else "no few images stand for it"
    return {
        "name": "The images behind it",
        "kind": "images",
        "sentence": f"{len(found.positions)} of {images_of(atlas)} images make {percent(found.together)} of the "
        f"block’s first component: {meaning}.",
        "says": f"If all images counted the same, {len(found.positions)} would make {percent(found.expected)}. {left}",
        "pictures": shown,
        "sheet": pictures.sheet(images.x[found.positions], max(len(found.positions), 1), 90) if images else "",
        "maps": maps,
        "link": f"{_link(member)}&without=influential+images",
        "to": "both maps and all its images in the Atlas",
    }


def new_networks(atlas: Atlas) -> dict[str, Any] | None:
    """What networks trained after the rule was fixed say, of the shapes that had a block before; None without any."""
    atlas = atlas.studied
    before = [one for one in atlas.members if was_there(one.weights)]
    shapes = {one.architecture for one in before if one.final.blocks}
    before = [one for one in before if one.architecture in shapes]
    later = [one for one in atlas.members if one.architecture in shapes and not was_there(one.weights)]
    if not later:
        return None
    k, n, had = _with_block(later), len(later), _with_block(before)
    shown = [*before, *later][:MAPS]
    return {
        "name": "New networks",
        "kind": "after",
        "sentence": after_text(k, n),
        "says": f"Of {counted(len(before), 'network')} of these shapes that the rule was made on, {had} "
        f"{'has' if had == 1 else 'have'} a block; of {n} trained later, from other [[seed|seeds]], {k}.",
        "lesson": "A rule that was made on some networks may fit just those. What was seen before it was fixed is an "
        "idea; what later networks show is its test.",
        "before": [_small(atlas, one) for one in shown if one in before],
        "later": [_small(atlas, one) for one in shown if one in later],
        "more": len(before) + n - len(shown),
        "link": f"atlas?network={later[0].name}",
        "to": "the first of them in the Atlas",
    }


def after_text(k: int, n: int) -> str:
    """What ``k`` networks with a block of ``n`` trained after the rule was fixed come to, in one sentence."""
    said = f"After the rule was fixed, {n} network{'s' if n > 1 else ''} of these shapes "
    said += "were trained" if n > 1 else "was trained"
    if n == 1:
        return f"{said}, and it has {'a' if k else 'no'} block."
    if k == n:
        return f"{said}, and all of them have a block."
    return f"{said}, and {k or 'none'} of them {'have' if k > 1 else 'has'} a block."


def _with_block(members: Sequence[Member]) -> int:
    return sum(bool(one.final.blocks) for one in members)


def _small(atlas: Atlas, member: Member) -> dict[str, Any]:
    return {
        "name": network_text(member),
        "blocks": where(member.final.blocks),
        **self_map(atlas, member, most=SMALL),
    }


def more_images(found: tuple[MoreData, ...]) -> dict[str, Any] | None:
    """The same networks on more images, of the architecture with most of them; None where the atlas has none."""
    if not found:
        return None
    one = max(found, key=lambda one: sum(amount.networks for amount in one.amounts))
    few, many = one.amounts[0], one.amounts[-1]
    said = {
        "yes": "the block grows rarer" if many.share < few.share else "the block does not go",
        "unclear": "whether the block goes is not clear",
        "not tested": "there are too few networks to say",
    }
    return {
        "name": "More images",
        "kind": "more",
        "sentence": f"The same network, trained on {many.images // few.images} times as many images with as many "
        f"updates: {said.get(one.holds, said['unclear'])}.",
        "amounts": [
            {
                "images": f"{amount.images:,}", "networks": amount.networks, "with": amount.with_block,
                "share": round(amount.share, 4), "test": percent(amount.test),
            }
            for amount in one.amounts
        ],
        "says": one.text,
        "lesson": CAVEAT,
        "link": "atlas",
        "to": "these networks in the Atlas, below its grid",
    }  # fmt: skip


def _link(member: Member) -> str:
    return f"atlas?network={member.name}"


def rounded(values: Any) -> list[float | None]:
    """Numbers for a curve; None where there is none."""
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
