"""The lesson's fifth chapter: the kinds of figure in Nguyen, Raghu & Kornblith 2021, drawn from an atlas, each with the
question to ask of it, its answer here and its caveat, in plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.atlas import errors
from cka_core.atlas import grid as places
from cka_core.atlas.images import class_accuracies, difference_text, groups, wide_and_deep_groups
from cka_core.atlas.numbers import first_component, inside_and_outside, probe_slopes
from cka_core.atlas.result import Atlas, Member
from cka_core.atlas.views import blocks_text, longest, median_shares
from cka_core.base.words import accuracy_text
from cka_core.claims.cards import Claim, claims
from cka_core.claims.evidence import decimal, percent, points
from cka_core.claims.lesson_maps import (
    TRAINED,
    TWINS,
    WIDE,
    network_text,
    pair_map,
    picture,
    self_map,
    stages,
    where,
)
from cka_core.claims.lesson_story import rounded

SMALL, MIDDLE = 40, 72
"""Cells a side of the maps of the grid and of two or three maps beside each other."""

COMPARED = "a=cifar-resnet-38x1-cifar10-mini-s0&b=cifar-resnet-14x4-cifar10-mini-s0"
"""Two bundled networks whose comparison is finished by every measure and with every control."""

VERDICTS = {
    "yes": "Seen here.", "no": "Not seen here.", "unclear": "Not clear here.", "not tested": "Not tested here.",
    "cannot say": "It cannot be said here.",
}  # fmt: skip


def paper_figures(atlas: Atlas, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The steps of the chapter: name, sentence, figure, question, answer, caveat, and a link that opens the Atlas so.

    ``classes`` are the names of the images' classes. ValueError where the atlas lacks one of the networks shown.
    """
    held = {claim.key: claim for claim in claims(atlas)}
    one, other = (atlas.member(name) for name in TWINS)
    return [
        _depth_and_width(atlas, held["block-structure"]),
        _over_training(atlas, one),
        _component(atlas, one, held["first-component"]),
        _probes(atlas, one, held["probes-and-deletion"]),
        _seeds(atlas, one, other, atlas.member(WIDE), held["outside-and-inside"]),
        _by_class(atlas, classes, held["errors"]),
        _questions(one),
    ]


def _depth_and_width(atlas: Atlas, claim: Claim) -> dict[str, Any]:
    """The paper's figure 1: each network with itself, depth across, width down."""
    shown = places.grid(atlas, 0)
    cells = [
        {"row": shown.widths.index(width), "column": shown.depths.index(depth), "size": f"{depth}×{width}",
         "blocks": where(member.final.blocks), **self_map(atlas, member, most=SMALL)}
        for (depth, width), member in shown.cells.items()
    ]  # fmt: skip
    with_block = [cell["size"] for cell in cells if cell["marks"]]
    seen = f"A block: {', '.join(with_block)}." if with_block else "None of these has a block."
    rho, chance = claim.numbers.get("rho_depth"), claim.numbers.get("chance_depth")
    told = ""
    if isinstance(rho, float) and isinstance(chance, float):
        told = " Over all networks, the share of layers in blocks goes with depth at a rank correlation of "
        told += f"{decimal(rho)}; chance does as well in {100 * chance:.1f} % of the orders."
    return {
        "name": "Depth and width",
        "kind": "grid",
        "sentence": "Many networks at once, each with itself: deeper to the right, [[width|wider]] downwards.",
        "question": "Where are bright squares with sharp edges? Do they come with depth, with width, or with both?",
        "answer": f"{seen}{told} {VERDICTS[claim.holds]}",
        "caveat": claim.caveat or "One training of each: another seed may look otherwise.",
        "cells": cells,
        "rows": [f"×{width}" for width in shown.widths],
        "columns": [f"depth {depth}" for depth in shown.depths],
        "link": "atlas",
        "to": "the grid of the Atlas",
    }


def _over_training(atlas: Atlas, member: Member) -> dict[str, Any]:
    """Figures over training: one network's map after each epoch that was kept."""
    frames = [
        {"epoch": snapshot.epoch, "test": percent(snapshot.test_accuracy), "blocks": blocks_text(snapshot.blocks),
         **self_map(atlas, member, snapshot.epoch, most=MIDDLE)}
        for snapshot in member.snapshots
    ]  # fmt: skip
    first = next((snapshot for snapshot in member.snapshots if snapshot.blocks), None)
    said = "No block at any epoch that was kept."
    if first is not None:
        said = f"After epoch {first.epoch} there is a block ({blocks_text(first.blocks)}); then "
        said += f"{percent(first.test_accuracy)} of the test images are right, in the end "
        said += f"{percent(member.final.test_accuracy)}. In the end: {blocks_text(member.final.blocks)}."
    middle = member.snapshots[1] if len(member.snapshots) > 1 else member.final
    return {
        "name": "Over training",
        "kind": "frames",
        "sentence": "One network while it learns: untrained nearly everything is alike, then edges appear.",
        "question": "After which epoch does a square stand apart? Is the network good by then?",
        "answer": said,
        "caveat": "A square that is bright before training is no block: nothing stands apart from it. Look for edges, "
        "not for brightness.",
        "frames": frames,
        "link": f"atlas?network={member.name}&epoch={middle.epoch}",
        "to": f"this network after epoch {middle.epoch}, in the Atlas",
    }


def _component(atlas: Atlas, member: Member, claim: Claim) -> dict[str, Any]:
    """Share of variance of the first component along depth; cosines between components beside the map."""
    inside, outside = median_shares(member, member.final)
    cosines = first_component(atlas, member).cosines
    block = longest(member)
    return {
        "name": "First component",
        "kind": "component",
        "sentence": "Beside the map: how alike the layers’ [[first component|first components]] are, and how much of "
        "the variance each holds.",
        "question": "Is the cosine bright where CKA is? And does the share alone say where the block is?",
        "answer": f"|cos| is {decimal(cosines.inside)} within the block and {decimal(cosines.outside)} elsewhere at "
        f"equal distance; the share is {percent(inside)} inside and {percent(outside)} outside (medians). That the "
        f"block is this direction: {_lower(VERDICTS[claim.holds])}",
        "caveat": f"Both are bright together, which does not say that one makes the other. {claim.caveat}",
        "maps": [
            {"name": "CKA", **self_map(atlas, member, most=MIDDLE)},
            {**self_map(atlas, member, most=MIDDLE), "name": "|cos| of first components",
             **picture(np.abs(atlas.component_cosines(member.name)), MIDDLE)},
        ],
        "curves": [{"name": "first component’s share of variance", "values": rounded(member.final.shares)}],
        "span": [block.start, block.stop] if block else None,
        "stages": stages(member.layers),
        "link": f"atlas?network={member.name}&without=first+component",
        "to": "the map with and without it, in the Atlas",
    }  # fmt: skip


def _probes(atlas: Atlas, member: Member, claim: Claim) -> dict[str, Any]:
    """Accuracy of a linear probe on each residual block's output, against the share of the way through the network."""
    steady = atlas.member(TRAINED)
    slopes, block, n = probe_slopes(member), longest(member), len(member.layers)
    of_probes = next((part.verdict for part in claim.parts if part.name == "probes"), None) or "cannot say"
    said = "It has no block."
    if slopes.n_inside and slopes.n_outside:
        said = f"From one residual block to the next, a probe of {network_text(member)} gains {points(slopes.inside)} "
        said += f"inside its block (shaded) and {points(slopes.outside)} elsewhere."
    return {
        "name": "Linear probes",
        "kind": "probes",
        "sentence": "A [[linear probe]] on every residual block’s output: how well can the class be read there?",
        "question": "Where does a curve stop rising, and what is in the map at that place?",
        "answer": f"{said} That probes rise less inside blocks: {_lower(VERDICTS[of_probes])} That layers add little "
        f"there: {_lower(VERDICTS[claim.holds])[:-1]}, by what it costs to delete them.",
        "caveat": f"Where a block lies matters too: {network_text(steady)} has none, and its curve is flatter at "
        "first. It saw more images; compare the shapes of the curves, not their heights.",
        "lines": [
            {"name": network_text(one), "points": [[round(p.position / (len(one.layers) - 1), 4), round(p.accuracy, 4)]
                                                  for p in sorted(one.probes, key=lambda p: p.position)]}
            for one in (member, steady)
        ],
        "span": [block.start / (n - 1), (block.stop - 1) / (n - 1)] if block else None,
        "link": f"atlas?network={member.name}",
        "to": "the map with its probes along the side, in the Atlas",
    }  # fmt: skip


def _seeds(atlas: Atlas, one: Member, other: Member, wide: Member, claim: Claim) -> dict[str, Any]:
    """Two seeds of a network with each other, and one of them with a network of another shape."""
    found = inside_and_outside(atlas, one, other).contrast
    over_all = f" ({claim.parts[0].figure}, over all networks)." if claim.parts and claim.parts[0].figure else "."
    return {
        "name": "Seeds and shapes",
        "kind": "pairs",
        "sentence": "Two networks: two [[seed|seeds]] of one shape, and two shapes. The lines at the edges are each "
        "one’s block.",
        "question": "Do two trainings agree at the same depth? Inside their blocks as much as outside?",
        "answer": f"CKA of the same layer in both seeds is {decimal(found.inside)} inside a block of either and "
        f"{decimal(found.outside)} outside. That no two blocks are alike: "
        f"{_lower(VERDICTS[claim.holds])[:-1]}{over_all}",
        "caveat": claim.caveat or "Two seeds are one pair: others may agree more, or less.",
        "maps": [
            {
                "name": f"{network_text(one)} (up) and {network_text(other)} (across)",
                **pair_map(atlas, one, other, MIDDLE),
            },
            {
                "name": f"{network_text(one)} (up) and {network_text(wide)} (across)",
                **pair_map(atlas, one, wide, MIDDLE),
            },
        ],
        "link": f"atlas?view=Two+networks&one={one.name}&other={other.name}",
        "to": "the two seeds in the Atlas",
    }


def _by_class(atlas: Atlas, classes: Sequence[str], claim: Claim) -> dict[str, Any]:
    """Accuracy by class of a wide and a deep network, the largest difference first."""
    every, keys = groups(atlas), wide_and_deep_groups(atlas)
    wide, deep = (every[key] for key in keys)
    found = [class_accuracies(atlas, group, len(classes)) for group in (wide, deep)]
    tests = [accuracy_text(errors.accuracy_of(one), one[0].test_images) for one in (wide, deep)]
    order = np.argsort(found[1].mean - found[0].mean, kind="stable")
    bars = [
        {"class": classes[at], "sides": [[round(float(part[at]), 4) for part in (one.mean, one.low, one.high)]
                                         for one in found]}
        for at in order.tolist()
    ]  # fmt: skip
    apart = [
        bar["class"] for bar in bars if max(side[1] for side in bar["sides"]) > min(side[2] for side in bar["sides"])
    ]
    seeds = min(one.seeds for one in found)
    whose = "over their seeds" if seeds > 1 else "over images"
    said = f"Lines that do not overlap ({whose}): {', '.join(apart)}." if apart else f"All lines overlap ({whose})."
    return {
        "name": "Wide against deep",
        "kind": "classes",
        "sentence": f"A wide and a deep network, {tests[0]} and {tests[1]} of the test images right: right about the "
        "same classes?",
        "question": "In which class do they differ most? By more than the lines reach?",
        "answer": f"{said} {difference_text(atlas, wide, deep).replace('**', '')} That the two make different errors: "
        f"{_lower(VERDICTS[claim.holds])}",
        "caveat": f"{len(bars)} classes are as many chances to see a difference: the largest is large by chance too. "
        f"{claim.caveat}".strip(),
        "bars": bars,
        "titles": [one[0].title for one in (wide, deep)],
        "link": f"atlas?view=Wide+against+deep&wide={keys[0]}&deep={keys[1]}",
        "to": "both networks in the Atlas, image by image",
    }


def _questions(member: Member) -> dict[str, Any]:
    """What to ask of any such figure, each with the place in the app that answers it; no map is drawn."""
    asked = (
        ("Would noise look like this, too?", "noise against noise", "learn?chapter=3"),
        ("What did the network look like before training?", "the map minus untrained",
         f"?{COMPARED}&control=minus+untrained"),
        ("Are the images alike in their pixels already?", "the map without what the pixels explain",
         f"?{COMPARED}&control=without+what+the+pixels+explain"),
        ("Which images decide, and how many are they?", "a block without its most influential images",
         f"atlas?network={member.name}&without=influential+images"),
        ("Does another seed say the same?", "two seeds of one network",
         f"atlas?view=Two+networks&one={TWINS[0]}&other={TWINS[1]}"),
        ("Does another measure?", "one cell under all measures", f"?{COMPARED}&tab=All+measures"),
        ("Was it looked for where it was found?", "networks trained after the rule was fixed",
         "learn?chapter=4&step=10"),
    )  # fmt: skip
    return {
        "name": "What to ask",
        "kind": "list",
        "sentence": "Questions to ask of any figure of this kind, each with a place here that answers it.",
        "questions": [list(one) for one in asked],
    }


def _lower(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"
