"""What the paper does not say: blocks that stay without their component, and kinds of block that recur."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.atlas.kinds import block_pairs, kinds_of_block
from cka_core.atlas.result import bundled
from cka_core.claims.beyond import beyond
from cka_core.measures.blocks import Block
from tests import synthetic_atlas


@pytest.fixture(scope="module")
def found():
    atlas = bundled()
    assert atlas is not None
    return beyond(atlas)


def test_removing_the_component_does_not_remove_the_block(found):
    assert found.component.startswith(
        "In 6 of 8 networks with a block, removing each layer's first principal component does not remove the block. "
        "Its edge becomes sharper in 5 of them"
    )
    assert "38x1 seed 0 from 27–94 (0.62) to 33–90 (0.26)" in found.component
    assert [(one.network, one.left is not None) for one in found.left] == [
        ("38x1 seed 0", True), ("56x1 seed 0", True), ("38x2 seed 0", True), ("38x1 seed 1", True),
        ("56x1 seed 14", True), ("26x1 seed 35", True), ("38x2 seed 18", False), ("110x1 seed 38", False),
    ]  # fmt: skip


def test_two_kinds_of_block_recur_across_networks(found):
    assert found.kinds_text == (
        "2 kinds of block recur across networks: 38x1 seed 0 with 56x1 seed 0 at CKA 0.92, 38x2 seed 0 with 38x1 "
        "seed 1 at CKA 0.73, 38x2 seed 0 with 56x1 seed 14 at CKA 0.68, 56x1 seed 14 with 38x2 seed 18 at CKA 0.67, "
        "38x2 seed 0 with 38x2 seed 18 at CKA 0.66, 38x1 seed 1 with 38x2 seed 18 at CKA 0.57; the other pairs are at "
        "0.01 to 0.44."
    )
    assert [[member.name for member, _ in kind.blocks] for kind in found.kinds] == [
        [f"cifar-resnet-{name}" for name in ("38x2-plain-s0", "38x1-plain-s1", "56x1-plain-s14", "38x2-plain-s18")],
        ["cifar-resnet-38x1-plain-s0", "cifar-resnet-56x1-plain-s0"],
        ["cifar-resnet-26x1-plain-s35"],
        ["cifar-resnet-110x1-plain-s38"],
    ]
    assert all(len(kind.images.positions) == 6 for kind in found.kinds)


def test_its_caveats_are_told(found):
    assert found.caveats == (
        "7 of 8 blocks end with residual block 1 of stage 3: block and stage are confounded.",
        "These networks were trained for 625 updates, the paper's for 300 epochs.",
    )


def test_where_all_blocks_end_is_told_and_where_no_more_than_half_do_nothing_is():
    atlas = bundled()
    assert atlas is not None
    members = [member for member in atlas.studied.members if member.final.blocks]
    *same, other = members

    def ends(chosen):
        return [text for text in beyond(atlas.with_members(chosen)).caveats if "confounded" in text]

    assert ends(same) == ["All 7 blocks end with residual block 1 of stage 3: block and stage are confounded."]
    assert ends([same[0], other]) == ends([other]) == []


def test_updates_are_those_of_the_recipe():
    """An epoch may be fewer images than are trained on; what an unknown recipe comes to is not said."""
    atlas = bundled()
    assert atlas is not None
    one, other = [member for member in atlas.studied.members if member.final.blocks][:2]

    def told(recipe):
        changed = dataclasses.replace(other, recipe=other.recipe | recipe)
        return beyond(atlas.with_members([one, changed])).caveats[-1]

    said = "These networks were trained for {} updates, the paper's for 300 epochs."
    assert told({"epoch_images": 1000}) == said.format("200 to 625")
    assert "updates" not in told({"from": "elsewhere"})


def test_without_blocks_nothing_is_found():
    assert beyond(synthetic_atlas.build(1)) is None


def test_planted_blocks_are_gone_and_each_of_its_own():
    atlas = synthetic_atlas.build()
    found = beyond(atlas)
    assert found is not None
    assert found.component.startswith("In 0 of 5 networks with a block")
    assert [len(kind.blocks) for kind in found.kinds] == [1] * 5
    assert found.kinds_text == "No two of 5 blocks are alike: CKA between them is at most 0.30."


def test_a_kind_joins_all_that_are_alike_in_a_chain():
    atlas = synthetic_atlas.build()
    a, b, c = (member for member in atlas.members if member.final.blocks and member.seed == 0)
    for one, other, value in ((a, b, 0.7), (b, c, 0.9)):
        name = f"pair/{one.name}/{other.name}"
        turned = name not in atlas._maps
        between = atlas._maps[f"pair/{other.name}/{one.name}" if turned else name]
        between = between.T if turned else between
        (x,), (y,) = one.final.blocks, other.final.blocks
        between[x.start : x.stop, y.start : y.stop] = value
    kinds = kinds_of_block(atlas)
    assert {member.name for member, _ in kinds[0]} == {a.name, b.name, c.name} and len(kinds) == 3
    assert [round(pair.cka, 2) for pair in block_pairs(atlas)[:3]] == [0.9, 0.7, 0.3]


def test_a_block_elsewhere_is_not_what_is_left_of_it():
    atlas = synthetic_atlas.build()

    def moved(member):
        return dataclasses.replace(member, blocks_without={"component": (Block(0, 8, 0.95, 0.3),)})

    found = beyond(atlas.with_members([moved(member) for member in atlas.members]))
    assert found is not None and all(one.left is None for one in found.left)
    assert np.isfinite([one.block.fall for one in found.left]).all()
