"""What the documents say of the bundled study is what ships: numbers and tables are made again and looked for there."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import pytest

from cka_core import bundle
from cka_core.atlas.blocks import was_there
from cka_core.atlas.grid import data_axis, updates_of
from cka_core.atlas.kinds import block_pairs
from cka_core.atlas.numbers import deletion_losses
from cka_core.atlas.result import Atlas, Member, bundled
from cka_core.base.store import Store
from cka_core.claims.beyond import PAPER_EPOCHS
from cka_core.claims.cards import claims
from cka_core.claims.evidence import UNCLEAR
from cka_core.library import catalogue
from cka_core.measures import blocks
from cka_core.measures.block_falls import FEW
from cka_core.networks.layers import hidden
from cka_core.results.blocks import network_blocks

ROOT = Path(__file__).resolve().parents[2]


def document(path: str) -> str:
    """A document's text, its lines joined."""
    return " ".join((ROOT / path).read_text().split())


STUDY = document("docs/study.md")


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    found = bundled()
    assert found is not None
    return found


def test_the_study_says_how_often_its_networks_were_updated(atlas):
    """Those on more images as often as the others."""
    (said,) = {updates_of(member) for member in atlas.members if member.name != "cifar-resnet-20x1-cifar10-s0"}
    assert said is not None and set(re.findall(r"([\d,]+) updates", STUDY)) == {f"{said:,}"}
    (epochs,) = {member.recipe["epochs"] for member in atlas.studied.members}
    assert f"{said // epochs * PAPER_EPOCHS:,} of the paper's {PAPER_EPOCHS} epochs" in STUDY


def test_documents_count_the_networks_that_there_are(atlas, tmp_path):
    later = [member for member in atlas.studied.members if not was_there(member.weights)]
    beside = [member for member in atlas.members if member.trained_on == "cifar10"]
    on_axis = [member for member in beside if "epoch_images" in member.recipe]
    assert (len(atlas.members), len(later), len(beside), len(on_axis)) == (40, 19, 11, 10)
    assert "Nineteen later ones by the same recipe, and ten on more images, make 40 in all." in STUDY
    assert "eleven of the bundled one's 40 are trained on a quarter or on all of CIFAR-10" in document("README.md")
    assert "ten trained on a quarter or on all of CIFAR-10 with as many updates" in document("docs/paper.md")
    ship = [info for info in catalogue.networks(Store(tmp_path)).values() if info.spec.source == "bundled"]
    notebook = json.loads((ROOT / "examples" / "original_notebook.ipynb").read_text())
    said = "thirteen small trained ones are bundled"
    assert len(ship) == 13 and any(said in "".join(cell["source"]) for cell in notebook["cells"])


def test_the_study_says_where_all_blocks_end_and_who_fits_its_images(atlas):
    ends = [(member.trained_on, member.layers[block.stop - 1].name) for member, block in every_block(atlas)]
    beside, studied = (ends.count((images, "stage3_block1_add")) for images in ("cifar10", "cifar10-mini"))
    assert (studied, beside) == (7, 2) and len(ends) == 10
    said = (
        "Seven of the eight blocks, and the two on a quarter of CIFAR-10, end with the first residual block of stage 3"
    )
    assert said in STUDY
    worst, *others = sorted(atlas.studied.members, key=lambda member: member.final.train_accuracy)
    assert min(member.final.train_accuracy for member in others) > 0.98
    assert f"All but {short(worst)} ({100 * worst.final.train_accuracy:.0f} %) fit 98 % or more" in STUDY


def every_block(atlas: Atlas) -> list[tuple[Member, blocks.Block]]:
    return [(member, block) for member in atlas.members for block in member.final.blocks]


def test_documents_say_what_the_page_opens_with(tmp_path):
    opening = bundle.opening(Store(tmp_path))
    assert opening.a == opening.b and "a finished map of one trained network with itself" in document("README.md")
    assert len(bundle.OPENED) == 3 and bundle.OPENED[0] == opening.a.name
    ship = "of three networks, the one that the app opens with and the deep and the wide one a click away, those of 64"
    assert ship in document("docs/architecture.md")
    assert "opening pair" not in document("docs/measures.md")


def short(member: Member) -> str:
    """ "38x1 seed 10"."""
    return f"{member.architecture.removeprefix('cifar-resnet-')} seed {member.seed}"


def table(head: str) -> list[str]:
    """The rows of the study's table that begins so."""
    lines = (ROOT / "docs" / "study.md").read_text().splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith(head))
    return list(itertools.takewhile(lambda line: line.startswith("|"), lines[first + 2 :]))


def later(atlas: Atlas) -> list[Member]:
    """The study's networks that were trained after the rule was fixed, in the table's order: architecture by
    architecture, as they were added."""
    order = ("38x1", "56x1", "110x1", "14x1", "20x1", "26x1", "14x2", "14x4", "38x2")
    members = [member for member in atlas.studied.members if not was_there(member.weights)]
    return sorted(members, key=lambda member: order.index(member.architecture.removeprefix("cifar-resnet-")))


def runs_of(atlas: Atlas, member: Member, monkeypatch) -> str:
    """The runs that the rule weighs, its steps 1 to 4, each with the larger of its falls: what it finds where any fall
    is enough."""
    monkeypatch.setattr(blocks, "FALL", -math.inf)
    return ", ".join(f"{run.span} ({run.fall:.2f})" for run in network_blocks(atlas.map(member.name), member.layers))


def block_of(member: Member) -> str:
    if not member.final.blocks:
        return "none"
    (block,) = member.final.blocks
    few = ": too few" if block.deciding < FEW else ""
    reach = f"{block.low:.2f} to {block.high:.2f}"
    return f"{block.span}, fall {block.fall:.2f} ({reach}); {block.deciding:.0f} images decide{few}"


SETTINGS = list(itertools.product((0.8, 0.85, 0.9, 0.95), (0.02, 0.05, 0.1), (0.2, 0.25, 0.3)))


def blocks_by(atlas: Atlas, member: Member, alike: float, others: float, fall: float, monkeypatch):
    """What the rule finds with other thresholds."""
    monkeypatch.setattr(blocks, "ALIKE", alike)
    monkeypatch.setattr(blocks, "OTHERS", others)
    monkeypatch.setattr(blocks, "FALL", fall)
    return network_blocks(atlas.map(member.name), member.layers)


def settings_of(atlas: Atlas, member: Member, monkeypatch) -> int:
    """How many of 36 settings of the thresholds find a block."""
    return sum(bool(blocks_by(atlas, member, *thresholds, monkeypatch)) for thresholds in SETTINGS)


def test_the_table_of_later_networks_is_made_by_the_rule_from_what_ships(atlas, monkeypatch):
    rows = []
    for member in later(atlas):
        with monkeypatch.context() as changed:
            runs = runs_of(atlas, member, changed)
        with monkeypatch.context() as changed:
            settings = settings_of(atlas, member, changed)
        accuracy = f"{member.final.test_accuracy:.3f}"
        rows.append(f"| {short(member)} | {accuracy} | {runs} | {block_of(member)} | {settings} |")
    assert table("| network | test accuracy | runs that the rule weighs") == rows


def test_the_study_says_how_near_to_a_block_the_later_networks_without_one_are(atlas, monkeypatch):
    ends = []
    monkeypatch.setattr(blocks, "FALL", -math.inf)
    for member in later(atlas):
        if member.architecture == "cifar-resnet-38x1":
            until = hidden(member.layers)
            matrix = atlas.map(member.name)[:until, :until]
            (run,) = network_blocks(atlas.map(member.name), member.layers)
            ends.append(blocks.ends_of(matrix, run)[1])
    low, *_, high = sorted(ends)
    assert f"by {low:.2f} to {high:.2f} within a twentieth of the depth" in STUDY


def test_the_study_says_how_alike_the_block_of_26x1_is_to_any_other(atlas):
    """To those of the study, and to those of the networks on more images."""
    name = "cifar-resnet-26x1-plain-s35"
    of_it = [pair for pair in block_pairs(atlas) if name in (pair.a.name, pair.b.name)]
    beside = {member.name for member in atlas.members} - {member.name for member in atlas.studied.members}
    others = [pair.cka for pair in of_it if not {pair.a.name, pair.b.name} & beside]
    more = [pair.cka for pair in of_it if {pair.a.name, pair.b.name} & beside]
    assert len(others) == 6 and f"is like no other of the study (CKA {max(others):.2f} at most)" in STUDY
    assert f"nor like those of the networks on more images ({max(more):.2f} at most)" in STUDY


def test_the_study_says_what_tells_the_block_of_110x1_from_the_others(atlas, monkeypatch):
    member = atlas.member("cifar-resnet-110x1-plain-s38")
    (block,) = member.final.blocks
    first, last = member.layers[block.start].name, member.layers[block.stop - 1].name
    assert (first.split("_")[:2], last.split("_")[:2]) == (["stage3", "block2"], ["stage3", "block15"])
    assert not member.blocks_without["component"] and round(block.deciding) == 3
    (left,) = member.blocks_without["images"]
    assert f"none there but one in stage 1 ({left.span})" in STUDY
    assert member.halves is not None and [len(half) for half in member.halves] == [1, 0]
    assert member.layers[member.halves[0][0].stop - 1].stage == "stage1"
    with_blocks = [one for one in atlas.studied.members if one.final.blocks]
    losses = {one.name: deletion_losses(one) for one in with_blocks}
    dearer = [name for name, loss in losses.items() if loss.inside > loss.outside]
    assert len(with_blocks) == 8 and dearer == [member.name]
    costs = losses[member.name]
    assert f"costs {100 * costs.inside:.1f} points of accuracy, and {100 * costs.outside:.1f} elsewhere" in STUDY
    alike = [pair.cka for pair in block_pairs(atlas) if member.name in (pair.a.name, pair.b.name)]
    assert len(alike) == 4 and f"whose weights ship (CKA {max(alike):.2f} at most)" in STUDY
    settings = [blocks_by(atlas, member, *thresholds, monkeypatch) for thresholds in SETTINGS]
    found = [runs for runs in settings if runs]
    elsewhere = [runs for runs in found if not any(member.layers[run.stop - 1].stage == "stage3" for run in runs)]
    said = f"of the {len(found)} settings that find a block {len(elsewhere)} find none in stage 3"
    assert said in STUDY


def test_the_study_says_which_networks_on_more_images_have_a_block_without_the_component(atlas):
    on_more = [
        member
        for member in atlas.members
        if member.architecture == "cifar-resnet-56x1" and member.trained_on == "cifar10"
    ]
    found = {member.seed: member.blocks_without["component"] for member in on_more}
    assert not any(member.final.blocks for member in on_more)
    assert {seed for seed, blocks in found.items() if blocks} == {28, 29, 30} and len(found) == 4
    (first,), (second,), (third,) = (found[seed] for seed in (28, 29, 30))
    said = f"({first.span}, fall {first.fall:.2f}; {second.span}, {second.fall:.2f}; {third.span}, {third.fall:.2f})"
    assert f"seeds 28, 29 and 30, have one without each layer's first component {said}" in STUDY


def test_the_study_says_how_near_the_two_last_networks_are_to_a_block(atlas, monkeypatch):
    monkeypatch.setattr(blocks, "FALL", -math.inf)
    falls = [
        max(run.fall for run in network_blocks(atlas.map(name), atlas.member(name).layers))
        for name in ("cifar-resnet-38x2-plain-s19", "cifar-resnet-38x2-plain-s20")
    ]
    assert f"fall by {falls[0]:.2f} and by {falls[1]:.3f}, and" in STUDY
    assert f"whose falls are {falls[0]:.2f} and {falls[1]:.3f} where 0.25 makes a block" in STUDY


def test_the_study_says_what_the_later_networks_do_not_repeat(atlas):
    first, *_ = claims(atlas)
    assert first.holds == UNCLEAR and "of depth 38 and more 3 of 9 do, where 4 of 4" in first.shows
    assert "(as many fewer by chance in 4.9 % of the ways to deal them)" in first.shows
    assert "As many fewer are chance in 4.9 % of the ways to deal the thirteen" in STUDY
    assert "but 3 of 9 do not repeat 4 of 4 (4.9 %), so that nothing is read from both together" in STUDY


def test_the_claims_of_the_later_networks_hang_on_those_that_are_named(atlas):
    def without(*names: str) -> str:
        left = [member.name for member in atlas.members if member.name not in names]
        after = claims(atlas.only(left))[0].after
        assert after is not None
        return after.text

    deepest, shallow = "cifar-resnet-110x1-plain-s38", "cifar-resnet-14x2-plain-s37"
    for told, text in (
        ("0.84, as much by chance in 0.5 % of orders", without()),
        ("0.76, by chance in 2.4 %", without(deepest)),
        ("0.75 and 3.8 %", without(deepest, shallow)),
    ):
        correlation, chance = re.findall(r"\d\.\d+", told)
        assert told in STUDY and f"depth {correlation} (as much by chance in {chance} % of orders" in text


def test_the_table_of_more_images_is_made_from_what_ships(atlas):
    rows = []
    for title, groups in data_axis(atlas).items():
        for images, group in groups.items():
            last = [member.final for member in group]
            tests, fits = [one.test_accuracy for one in last], [100 * one.train_accuracy for one in last]
            few = len(group) <= 3
            test = ", ".join(f"{one:.3f}" for one in tests) if few else f"{min(tests):.3f} to {max(tests):.3f}"
            fit = f"{', '.join(f'{one:.0f}' for one in fits)} %" if few else f"{min(fits):.1f} % and more"
            found = [block for one in last for block in one.blocks]
            told = ", ".join(f"{block.span} ({block.fall:.2f})" for block in found)
            with_block = f"{len(found)}: {told}" if found else "none"
            cells = (title.removeprefix("ResNet "), f"{images:,}", str(len(group)), test, fit, with_block)
            rows.append(f"| {' | '.join(cells)} |")
    assert table("| | trained on | networks") == rows
