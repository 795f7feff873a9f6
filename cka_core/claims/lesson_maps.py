"""The lesson's fourth chapter: six maps to be named, with what each is and how it can be told, in plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.atlas.grid import packed, palette, small_map
from cka_core.atlas.result import Atlas, Member
from cka_core.atlas.views import blocks as blocks_of
from cka_core.atlas.views import longest
from cka_core.claims.evidence import decimal
from cka_core.measures.blocks import Block
from cka_core.measures.planted import PLANTED, planted_map
from cka_core.networks.layers import Layer

DEEP, WIDE, TRAINED = "cifar-resnet-56x1-plain-s0", "cifar-resnet-14x4-plain-s0", "cifar-resnet-20x1-cifar10-s0"
TWINS = "cifar-resnet-38x1-plain-s0", "cifar-resnet-38x1-plain-s1"
UNTRAINED = TWINS[0]
NETWORKS = (UNTRAINED, TWINS[1], DEEP, WIDE, TRAINED)
"""The networks of the bundled atlas that the six maps are of."""

MOST = 100
"""Cells a side of a map that is sent: with more layers, a cell is the mean of as few neighbours as that takes."""


def picture(matrix: np.ndarray, most: int = MOST) -> dict[str, Any]:
    """A map for the browser, 8 bits a cell: ``pixels`` row by row, its size, and how many layers each side stands for.

    Each cell is of as many layers as any other, but for the last.
    """
    layers = matrix.shape
    pixels = small_map(matrix, max(-(-n // -(-n // most)) for n in layers))
    return {"pixels": packed(pixels), "rows": pixels.shape[0], "columns": pixels.shape[1], "layers": list(layers)}


def self_map(atlas: Atlas, member: Member, epoch: int | None = None, removed: str = "nothing", most: int = MOST) -> Any:
    """`picture` of a network with itself, its blocks as shares of its layers, and where its stages begin."""
    found, n = blocks_of(member, member.at(epoch), removed), len(member.layers)
    return {
        **picture(atlas.map(member.name, epoch, removed), most),
        "marks": [[block.start / n, block.stop / n] for block in found],
        "stages": [stages(member.layers)] * 2,
        "titles": [network_text(member)] * 2,
    }


def pair_map(atlas: Atlas, a: Member, b: Member, most: int = MOST) -> dict[str, Any]:
    """`picture` of two networks: A up the side, B along the bottom."""
    return {
        **picture(atlas.pair(a.name, b.name), most),
        "marks": [],
        "sides": [[[block.start / len(one.layers), block.stop / len(one.layers)] for block in one.final.blocks]
                  for one in (a, b)],
        "stages": [stages(a.layers), stages(b.layers)],
        "titles": [network_text(a), network_text(b)],
    }  # fmt: skip


def stages(layers: tuple[Layer, ...]) -> list[list[Any]]:
    """Where each stage of a network begins, as a share of its layers, and its number."""
    found: list[list[Any]] = []
    for position, layer in enumerate(layers):
        stage = layer.name.partition("_")[0]
        if stage.startswith("stage") and (not found or found[-1][1] != stage.removeprefix("stage")):
            found.append([position / len(layers), stage.removeprefix("stage")])
    return found


def network_text(member: Member) -> str:
    """ "38x1, seed 0", and on which images where they are not the study's."""
    return f"{member.title.replace('ResNet ', '')}, seed {member.seed}"


def where(blocks: Sequence[Block]) -> str:
    """ "layers 27–94", or "no block"."""
    return " and ".join(f"layers {block.span}" for block in blocks) or "no block"


def name_the_map(atlas: Atlas) -> dict[str, Any]:
    """The six maps in the order they are asked, the names to choose from (in a word, and in full), and the colours.

    Each has ``answer``, the right name's key; ``look``, what to look at first; ``why``, one sentence that tells it;
    ``is``, what exactly it is; ``link`` into the Atlas or to Compare, empty for the planted one. ValueError where the
    atlas lacks one of `NETWORKS`.
    """
    one, other = (atlas.member(name) for name in TWINS)
    deep, wide, trained = (atlas.member(name) for name in (DEEP, WIDE, TRAINED))
    maps = [_trained(atlas, trained), _untrained(atlas, one), _deep(atlas, deep), _planted()]
    maps += [_seeds(atlas, one, other), _wide(atlas, wide)]
    names = {
        "untrained": ("untrained", "not trained at all"),
        "trained": ("trained", f"trained well, {trained.depth} layers deep"),
        "wide": ("wide", f"wide: {wide.depth} layers deep, width ×{wide.width}"),
        "deep": ("deep", f"deep: {deep.depth} layers, width ×{deep.width}"),
        "seeds": ("two seeds", "two seeds of one network"),
        "planted": ("planted", "planted by hand"),
    }
    return {"maps": maps, "names": names, "palette": packed(palette("magma"))}


def _trained(atlas: Atlas, member: Member) -> dict[str, Any]:
    matrix = atlas.map(member.name)
    ends = matrix[: len(matrix) // 10, -len(matrix) // 10 :]
    return {
        "answer": "trained",
        "look": "Bright along the diagonal, darker away from it: what is near is alike, what is far is not. Which map "
        "is this?",
        "why": f"Trained well: each layer changes what the one before made, until the last are hardly like the first "
        f"([[CKA]] {decimal(float(np.nanmean(ends)))}).",
        "is": f"ResNet {network_text(member)}, with itself",
        "link": f"atlas?network={member.name}",
        **self_map(atlas, member),
    }


def _untrained(atlas: Atlas, member: Member) -> dict[str, Any]:
    matrix = atlas.map(member.name, 0)
    return {
        "answer": "untrained",
        "look": "Nearly all layers are alike, the first and the last too. Which map is this?",
        "why": f"Not trained: random layers pass on how images lie to each other (mean CKA "
        f"{decimal(float(np.nanmean(matrix)))}), so bright does not mean learned.",
        "is": f"ResNet {network_text(member)}, before training, with itself",
        "link": f"atlas?network={member.name}&epoch=0",
        **self_map(atlas, member, 0),
    }


def _deep(atlas: Atlas, member: Member) -> dict[str, Any]:
    block = longest(member)
    run = f"{len(block)} of its {len(member.layers)} layers are one bright square" if block else "its squares are large"
    return {
        "answer": "deep",
        "look": f"{len(member.layers)} layers, and one square with sharp edges. Which map is this?",
        "why": f"Deep: {run}, a [[block]]; beyond it stripes, residual block by residual block.",
        "is": f"ResNet {network_text(member)}, with itself",
        "link": f"atlas?network={member.name}",
        **self_map(atlas, member),
    }


def _planted() -> dict[str, Any]:
    matrix = planted_map()
    n = len(matrix)
    sizes = " and ".join(str(stop - start) for start, stop in PLANTED)
    return {
        "answer": "planted",
        "look": "Squares of one single value, edges drawn with a ruler. Which map is this?",
        "why": f"Planted: {sizes} made-up layers set equal. No network is so clean; in a real one each kind of layer "
        "leaves its stripe.",
        "is": "made-up layers; in two runs of them nothing changes",
        "link": "",
        **picture(matrix),
        "marks": [[start / n, stop / n] for start, stop in PLANTED],
        "stages": [[], []],
        "titles": ["made up", "made up"],
    }


def _seeds(atlas: Atlas, a: Member, b: Member) -> dict[str, Any]:
    matrix = atlas.pair(a.name, b.name)
    block = longest(a)
    inside = float(np.nanmean(matrix[block.start : block.stop])) if block else float(np.nanmean(matrix))
    return {
        "answer": "seeds",
        "look": "There is no bright diagonal: layers at the same depth are not alike. Which map is this?",
        "why": f"Two [[seed|seeds]]: had it been one network with itself, the diagonal would be 1. Across the block of "
        f"the first, CKA is {decimal(inside)}: the other has nothing like it.",
        "is": f"ResNet {network_text(a)} (up) and {network_text(b)} (across)",
        "link": f"atlas?view=Two+networks&one={a.name}&other={b.name}",
        **pair_map(atlas, a, b),
    }


def _wide(atlas: Atlas, member: Member) -> dict[str, Any]:
    n, found = len(member.layers), len(member.final.blocks)
    none = "no run that the rule calls a block" if not found else f"{found} block{'s' if found > 1 else ''}"
    return {
        "answer": "wide",
        "look": f"Only {n} layers: coarse squares that pass into each other. Which map is this?",
        "why": f"[[width|Wide]]: few layers and large ones, alike over whole stages, with {none}. That it is wide, the "
        "map alone hardly says.",
        "is": f"ResNet {network_text(member)}, with itself",
        "link": f"atlas?network={member.name}",
        **self_map(atlas, member),
    }
