"""The lesson's last two chapters: what its sentences say is in the maps they stand beside, and follows the networks."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from cka_core.atlas.blocks import MADE_ON
from cka_core.atlas.packing import from_bytes
from cka_core.atlas.result import Atlas
from cka_core.claims import lesson
from cka_core.claims.cards import claims
from cka_core.claims.lesson_maps import DEEP, NETWORKS, TRAINED, TWINS, UNTRAINED, WIDE, name_the_map, picture
from cka_core.claims.lesson_story import NETWORK, after_text, more_images, new_networks, profile
from cka_core.claims.more_data import Amount, MoreData
from cka_core.measures.blocks import width


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return lesson.of_the_bundle()


@pytest.fixture(scope="module")
def fourth(atlas) -> dict[str, Any]:
    return lesson.fourth(atlas)


@pytest.fixture(scope="module")
def fifth(atlas) -> dict[str, Any]:
    return lesson.fifth(atlas)


def unpacked(map_: dict[str, Any]) -> np.ndarray:
    pixels = np.frombuffer(base64.b64decode(map_["pixels"]), np.uint8)
    return from_bytes(pixels.reshape(map_["rows"], map_["columns"]))


def named(fourth: dict[str, Any], answer: str) -> dict[str, Any]:
    (found,) = (one for one in fourth["maps"] if one["answer"] == answer)
    return found


# Six maps to name.


def test_each_name_is_the_answer_of_one_map(fourth):
    assert sorted(one["answer"] for one in fourth["maps"]) == sorted(fourth["names"])
    assert len({one["look"] for one in fourth["maps"]}) == len({one["why"] for one in fourth["maps"]}) == 6


def test_no_question_holds_its_answer(fourth):
    for one in fourth["maps"]:
        assert one["answer"] not in one["look"].lower()


def test_the_maps_are_those_of_the_atlas(fourth, atlas):
    steady = named(fourth, "trained")
    assert np.abs(unpacked(steady) - np.clip(atlas.map(TRAINED), 0, 1)).max() <= 0.5 / 254 + 1e-6
    assert unpacked(named(fourth, "wide")).shape == atlas.map(WIDE).shape
    halved = atlas.map(UNTRAINED, 0).reshape(67, 2, 67, 2).mean(axis=(1, 3))
    assert np.abs(unpacked(named(fourth, "untrained")) - np.clip(halved, 0, 1)).max() <= 0.5 / 254 + 1e-6


def test_a_cell_is_the_mean_of_as_few_layers_as_it_takes():
    matrix = np.arange(150 * 60, dtype=float).reshape(150, 60) / 9000
    small = picture(matrix, 100)
    assert (small["rows"], small["columns"], small["layers"]) == (75, 60, [150, 60])
    np.testing.assert_allclose(unpacked(small), matrix.reshape(75, 2, 60).mean(axis=1), atol=0.5 / 254 + 1e-6)


def test_what_is_said_to_be_seen_is_in_the_maps(atlas):
    """If networks are trained again, the sentences of chapter 4 are to be read again."""
    near, far = np.diagonal(atlas.map(TRAINED), 1), np.diagonal(atlas.map(TRAINED), 60)
    assert near.mean() > 0.8 > 0.4 > far.mean()  # bright along the diagonal, darker away from it
    assert atlas.map(UNTRAINED, 0).min() > 0.5 and atlas.map(UNTRAINED, 0).mean() > 0.9  # nearly all alike
    (block,) = atlas.member(DEEP).final.blocks  # one square
    assert block.fall > 0.25 and len(block) > 0.5 * len(atlas.member(DEEP).layers)
    pair = atlas.pair(*TWINS)
    assert np.diagonal(pair).mean() < 0.5  # no bright diagonal
    first = atlas.member(TWINS[0]).final.blocks[0]
    assert pair[first.start : first.stop].mean() < 0.2
    assert atlas.member(WIDE).final.blocks == () and len(atlas.member(WIDE).layers) < 60


def test_an_atlas_without_the_networks_is_refused_by_name(atlas):
    fewer = atlas.only([member.name for member in atlas.members if member.name != WIDE])
    with pytest.raises(ValueError, match=WIDE):
        name_the_map(fewer)


# The block's story.


def test_the_fall_of_the_rule_is_read_off_the_curve(atlas):
    member = atlas.member(NETWORK)
    (block,) = member.final.blocks
    curve = profile(atlas, member, block)
    w = width(len(curve))
    right = curve[block.stop - w : block.stop].mean() - curve[block.stop : block.stop + w].mean()
    left = curve[block.start : block.start + w].mean() - curve[block.start - w : block.start].mean()
    assert max(left, right) == pytest.approx(block.fall, abs=1e-9)


def test_the_story_tells_the_atlass_numbers(fourth, atlas):
    (block,) = atlas.member(NETWORK).final.blocks
    steps = {step["kind"]: step for step in fourth["story"]["steps"]}
    assert f"Layers {block.start}–{block.stop - 1}" in steps["rule"]["says"]
    assert f"{block.fall:.2f} (95 % interval {block.low:.2f} to {block.high:.2f})" in steps["rule"]["says"]
    assert f"About {block.deciding:.0f} of 512 images decide" in steps["component"]["decide"]
    assert len(steps["images"]["pictures"]) == 10
    for step in steps.values():
        assert set(step.get("maps", {})) <= set(fourth["story"]["maps"])


@pytest.mark.parametrize(
    ("k", "n", "text"),
    [
        (0, 4, "4 networks of these shapes were trained, and none of them has a block."),
        (1, 6, "6 networks of these shapes were trained, and 1 of them has a block."),
        (2, 6, "6 networks of these shapes were trained, and 2 of them have a block."),
        (6, 6, "6 networks of these shapes were trained, and all of them have a block."),
        (0, 1, "1 network of these shapes was trained, and it has no block."),
        (1, 1, "1 network of these shapes was trained, and it has a block."),
    ],
)
def test_the_wording_follows_how_many_new_networks_have_a_block(k, n, text):
    assert after_text(k, n) == f"After the rule was fixed, {text}"


def test_new_networks_are_counted_in_the_atlas(atlas):
    step = new_networks(atlas)
    assert step is not None
    later = [one for one in atlas.studied.members if one.weights not in MADE_ON]
    shapes = {one.architecture for one in atlas.studied.members if one.weights in MADE_ON and one.final.blocks}
    of_these = [one for one in later if one.architecture in shapes]
    assert step["sentence"] == after_text(sum(bool(one.final.blocks) for one in of_these), len(of_these))
    without = next(one for one in of_these if not one.final.blocks)
    now = dataclasses.replace(without.final, blocks=atlas.member(NETWORK).final.blocks)
    changed = dataclasses.replace(without, snapshots=(*without.snapshots[:-1], now))
    other = new_networks(atlas.with_members([changed if one.name == without.name else one for one in atlas.members]))
    assert other is not None
    assert other["sentence"] == after_text(1 + sum(bool(one.final.blocks) for one in of_these), len(of_these))


def test_an_atlas_of_the_rules_own_networks_has_no_such_step(atlas):
    old = atlas.only([member.name for member in atlas.members if member.weights in MADE_ON])
    assert new_networks(old) is None
    assert [step["kind"] for step in lesson.fourth(old)["story"]["steps"]] == ["rule", "component", "images"]


def more(holds: str, shares: tuple[float, float]) -> MoreData:
    amounts = [
        Amount(n, 5, round(5 * share), share, 0.5, 0.9, 0) for n, share in zip((3125, 50_000), shares, strict=True)
    ]
    return MoreData("38x1", tuple(amounts), 0.03, holds)


@pytest.mark.parametrize(
    ("holds", "shares", "said"),
    [
        ("yes", (0.5, 0.1), "the block grows rarer"),
        ("yes", (0.1, 0.5), "the block does not go"),
        ("unclear", (0.5, 0.4), "whether the block goes is not clear"),
        ("not tested", (0.5, 0.4), "there are too few networks to say"),
    ],
)
def test_more_images_are_a_step_only_where_the_atlas_has_them(holds, shares, said):
    assert more_images(()) is None
    step = more_images((more(holds, shares),))
    assert step is not None
    assert step["sentence"].endswith(f"{said}.") and "16 times as many images" in step["sentence"]
    assert [one["share"] for one in step["amounts"]] == list(shares)


# The paper's figures.


def test_every_figure_has_its_question_its_answer_its_caveat_and_a_way_out(fifth, atlas):
    *drawn, last = fifth["steps"]
    assert [step["kind"] for step in drawn] == ["grid", "frames", "component", "probes", "pairs", "classes"]
    for step in drawn:
        assert step["question"].endswith("?") and len(step["answer"]) > 40 and len(step["caveat"]) > 40
        assert step["link"].startswith("atlas")
    assert len(last["questions"]) == 7
    assert len({step["sentence"] for step in fifth["steps"]}) == len(fifth["steps"])


def test_the_answers_are_the_atlass_numbers(fifth, atlas):
    steps = {step["kind"]: step for step in fifth["steps"]}
    cells = {cell["size"]: cell for cell in steps["grid"]["cells"]}
    for size, cell in cells.items():
        assert bool(cell["marks"]) == (size in steps["grid"]["answer"])
    assert [frame["epoch"] for frame in steps["frames"]["frames"]] == list(atlas.member(NETWORK).epochs)
    shares = np.array(steps["component"]["curves"][0]["values"], float)
    np.testing.assert_allclose(shares, atlas.member(NETWORK).final.shares, atol=1e-4)
    heights = [height for _, height in steps["probes"]["lines"][0]["points"]]
    assert heights == [round(probe.accuracy, 4) for probe in atlas.member(NETWORK).probes]
    for bar in steps["classes"]["bars"]:
        for middle, low, high in bar["sides"]:
            assert low <= middle <= high


def test_a_verdict_beside_a_figure_says_what_it_rests_on(fifth, atlas):
    """The deletions decide a claim whose step draws probes, all networks one whose step draws a pair."""
    answers = {step["kind"]: step.get("answer", "") for step in fifth["steps"]}
    parts = {part.name: part for claim in claims(atlas) for part in claim.parts}
    assert (parts["probes"].verdict, parts["deletions"].verdict) == ("no", "unclear")
    assert "That probes rise less inside blocks: not seen here." in answers["probes"]
    assert "add little there: not clear here, by what it costs to delete them." in answers["probes"]
    assert f"({parts['blocks of different networks'].figure}, over all networks)" in answers["pairs"]


def test_both_chapters_are_small_and_plain(fourth, fifth):
    for chapter, most in ((fourth, 250_000), (fifth, 120_000)):
        assert len(json.dumps(chapter, allow_nan=False)) < most


def test_all_networks_named_are_bundled(atlas):
    assert {NETWORK, *NETWORKS} <= {member.name for member in atlas.members}
