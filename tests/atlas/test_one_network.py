"""What is said of one network of the bundled atlas, beside what is kept of it."""

from __future__ import annotations

import pytest

from cka_core.atlas import views
from cka_core.atlas.one_network import _on_halves
from cka_core.atlas.result import Atlas, bundled
from cka_core.measures.block_falls import OnHalf
from cka_core.measures.blocks import Block


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    found = bundled()
    assert found is not None
    return found


def test_blocks_overlap_where_they_have_a_layer_in_common():
    first, second = Block(0, 10, 0.9, 0.3), Block(20, 30, 0.9, 0.3)
    assert views.overlapping([first, second], OnHalf(9, 21, 0.3, 0.3)) == [first, second]
    assert views.overlapping([first, second], OnHalf(10, 20, 0.3, 0.3)) == []


def said_of(atlas: Atlas, name: str) -> str:
    member = atlas.member(f"cifar-resnet-{name}")
    return _on_halves(member.final.blocks, member.halves)


def test_a_block_that_both_halves_find_is_told_with_its_falls_on_the_other(atlas):
    assert (
        said_of(atlas, "38x1-plain-s0") == "Found on either half of the images, it falls by 0.47 and 0.64 on the other."
    )


def test_a_half_that_finds_none_or_another_one_is_told(atlas):
    one = "By itself one half of the images finds layers {}, whose fall on the other half is {}; the other finds none."
    assert said_of(atlas, "110x1-plain-s38") == one.format("9–60", "0.37"), "and the block is 266–355"
    ((found,),) = [half for half in atlas.member("cifar-resnet-38x2-plain-s18").halves if half]
    assert said_of(atlas, "38x2-plain-s18") == one.format(f"{found.start}–{found.stop - 1}", f"{found.elsewhere:.2f}")


def test_other_blocks_on_both_halves_are_named_and_none_on_either_is_said(atlas):
    blocks = atlas.member("cifar-resnet-38x1-plain-s0").final.blocks
    elsewhere = OnHalf(1, 10, 0.4, 0.3)
    assert _on_halves(blocks, ((elsewhere,), (elsewhere,))) == (
        "By itself one half of the images finds layers 1–9, whose fall on the other half is 0.30; the other finds "
        "layers 1–9, whose fall on the other half is 0.30."
    )
    assert _on_halves(blocks, ((), ())) == "Neither half of the images finds one by itself."
