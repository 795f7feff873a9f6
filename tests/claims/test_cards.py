"""A planted claim reads yes with the planted figures, its opposite no, and what is missing is said."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest

from cka_core.atlas.blocks import was_there
from cka_core.atlas.errors import disagreement, distances, errors_by_class, predictions, right_by_image, wide_and_deep
from cka_core.atlas.numbers import (
    blocks_along_epochs,
    corresponding,
    deletion_losses,
    deletion_of_all,
    first_component,
    inside_and_outside,
    inside_blocks,
    probe_slopes,
    recipe_text,
    seed_groups,
    spread,
    student,
)
from cka_core.atlas.result import FORMAT, Atlas, Deletion, Member, Probe, Snapshot, bundled, member_json
from cka_core.atlas.study import study_of
from cka_core.claims.cards import CLAIMS, Claim, claims
from cka_core.claims.evidence import CANNOT_SAY, NO, NOT_TESTED, UNCLEAR, YES
from cka_core.measures.behaviour import compare_behaviour, seed_variation
from cka_core.measures.blocks import Block
from cka_core.measures.ranks import rank_correlation
from cka_core.networks.architectures import architecture
from cka_core.networks.surgery import residual_blocks
from tests import synthetic_atlas

SIZES = ("14x1", "20x1", "38x1", "56x1", "20x2", "38x2")
"""Four depths at one width; 20x2 is the wide one and 38x1 the deep one."""

IMAGES = 500
Pair = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is planted; pairs are (inside blocks, outside)."""

    sizes: tuple[str, ...] = SIZES
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    in_blocks: tuple[float, ...] = (0.0, 0.3, 0.4, 0.5, 0.3, 0.4)
    component: Pair = (0.8, 0.2)
    without_component: float = 0.1
    blocks_left: bool = False
    cosines: Pair = (0.9, 0.3)
    gains: Pair = (0.0, 0.05)
    losses: Pair = (0.01, 0.2)
    across: Pair = (0.3, 0.9)
    errors: str = "architecture"
    fit: float = 0.95


TRUE = Plan()
FALSE = Plan(
    in_blocks=(0.6, 0.5, 0.4, 0.3, 0.5, 0.4), component=(0.2, 0.8), without_component=0.95, blocks_left=True,
    cosines=(0.3, 0.9), gains=(0.05, 0.0), losses=(0.2, 0.01), across=(0.9, 0.3), errors="seed",
)  # fmt: skip


def split(pair: Pair, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, *pair).astype(float)


def planted_member(plan: Plan, spec, share: float) -> Member:
    described = architecture(spec.architecture)
    layers, seed = described.layers, spec.seed
    start = len(layers) // 3
    stop = start + round(share * len(layers))
    blocks = (Block(start, stop, 0.95, 0.4),) if share else ()
    inside = (np.arange(len(layers)) >= start) & (np.arange(len(layers)) < stop) & bool(share)
    shares = tuple(split(plan.component, inside))
    found = residual_blocks(layers)
    whole = [bool(inside[one.first : one.add + 1].all()) for one in found]
    steps = [plan.gains[0 if inside[a.add] and inside[b.add] else 1] for a, b in zip(found, found[1:], strict=False)]
    probes = tuple(Probe(one.add, 0.2 + sum(steps[:i]), 0.9) for i, one in enumerate(found))
    right = 0.6 + 0.001 * seed
    deletions = [Deletion((), right)]
    deletions += [
        Deletion((one.name,), right - plan.losses[0 if all_in else 1]) for one, all_in in zip(found, whole, strict=True)
    ]
    if sum(whole) > 1:
        deletions.append(
            Deletion(tuple(one.name for one, all_in in zip(found, whole, strict=True) if all_in), right - 0.1)
        )
    return Member(
        name=f"{spec.architecture}-s{seed}", architecture=spec.architecture, title=described.title,
        depth=described.depth, width=described.width, seed=seed, parameters=described.parameters,
        recipe=dataclasses.asdict(spec), weights="", test_images=IMAGES, train_images=3125, layers=layers,
        snapshots=(Snapshot(0, 0.1, 0.1, (), shares), Snapshot(9, right, plan.fit, blocks, shares)),
        blocks_without={"component": blocks if plan.blocks_left else ()}, probes=probes, deletions=tuple(deletions),
        influential=(), history={},
    )  # fmt: skip


def planted_outputs(plan: Plan, member: Member, labels: np.ndarray) -> np.ndarray:
    """An architecture's width decides which classes it gets wrong; or the seed alone decides which images."""
    of_class = np.arange(IMAGES) // 10
    hard = (labels < 4) if member.width > 1 else (labels > 5)
    wrong = (hard & (of_class < 30)) if plan.errors == "architecture" else np.zeros(IMAGES, bool)
    wrong ^= (of_class + member.seed) % 25 == 0
    taken_for = np.where(wrong, (labels + 1) % 10, labels)
    return np.log(np.where(taken_for[:, None] == np.arange(10), 0.91, 0.01))


def plant(plan: Plan = TRUE, change=None, without: str = "^$") -> Atlas:
    """The atlas of a plan. ``change`` edits each member; maps whose names match ``without`` are left out."""
    names = [size if size.startswith("resnet") else f"cifar-resnet-{size}" for size in plan.sizes]
    study = study_of(
        {"name": "planted", "samples": 64, "networks": [{"architectures": names, "seeds": list(plan.seeds)}]}
    )
    share_of = dict(zip(names, plan.in_blocks, strict=True))
    members = [planted_member(plan, spec, share_of[spec.architecture]) for spec in study.trainings]
    members = [change(member) if change else member for member in members]
    labels = np.arange(IMAGES) % 10
    maps = {"labels": labels}
    masks = {member.name: inside_blocks(member) for member in members}
    for position, member in enumerate(members):
        same = masks[member.name][:, None] & masks[member.name]
        maps[f"self/{member.name}/9/nothing"] = split((0.95, 0.3), same)
        maps[f"self/{member.name}/9/component"] = split((plan.without_component, 0.1), same)
        maps[f"cosines/{member.name}"] = split(plan.cosines, same)
        maps[f"outputs/{member.name}"] = planted_outputs(plan, member, labels)
        for other in members[position + 1 :]:
            either = masks[member.name][:, None] | masks[other.name]
            maps[f"pair/{member.name}/{other.name}"] = split(plan.across, either)
    about = {
        "format": FORMAT, "study": study.to_json(), "facts": {}, "members": [member_json(member) for member in members],
    }  # fmt: skip
    return Atlas(about, {name: values for name, values in maps.items() if not re.search(without, name)})


def by_key(atlas: Atlas) -> dict[str, Claim]:
    """An atlas's claims, after what holds for all of them."""
    found = claims(atlas)
    assert [claim.key for claim in found] == list(CLAIMS)
    for claim in found:
        for text in (claim.shows, claim.claim, claim.around, claim.caveat or "."):
            assert not re.search(r"\b(nan|None|inf)\b", text) and text.endswith("."), text
            assert "  " not in text and ".." not in text, text
        for value in claim.numbers.values():
            assert value is None or isinstance(value, (int, str)) or math.isfinite(value)
        assert claim.holds in (YES, UNCLEAR, NO, CANNOT_SAY)
    return {claim.key: claim for claim in found}


@pytest.fixture(scope="module")
def true() -> dict[str, Claim]:
    return by_key(plant(TRUE))


@pytest.fixture(scope="module")
def false() -> dict[str, Claim]:
    return by_key(plant(FALSE))


# What is planted is read.


def test_claims_come_in_the_order_of_the_paper():
    assert list(CLAIMS) == [
        "block-structure", "first-component", "probes-and-deletion", "outside-and-inside", "errors"
    ]  # fmt: skip


@pytest.mark.parametrize("key", CLAIMS)
def test_a_planted_claim_holds(key, true):
    assert true[key].holds == YES, true[key].shows


@pytest.mark.parametrize("key", CLAIMS)
def test_a_planted_opposite_does_not_hold(key, false):
    """That nothing tells wide from deep networks is never proved: such a test can only fail to find it."""
    assert false[key].holds == (UNCLEAR if key == "errors" else NO), false[key].shows


PLANTED = {
    "block-structure": {"rho_depth": 1.0, "networks": 24, "architectures": 6, "with_blocks": 20, "share_at_start": 0.0,
                        "share_at_end": 0.317, "depths_compared": 4, "widths_compared": 2, "mean_fall": 0.4},
    "first-component": {"share_inside": 0.8, "share_outside": 0.2, "similarity_before": 0.95, "gone": 1.0, "gone_n": 5,
                        "similarity_after": 0.1, "cosine_inside": 0.9, "cosine_outside": 0.3},
    "probes-and-deletion": {"slope_inside": 0.0, "slope_outside": 0.05, "loss_inside": 0.01, "loss_outside": 0.2,
                            "loss_of_all": 0.1, "slope_without_blocks": 0.05, "loss_n": 5},
    "outside-and-inside": {"seeds_inside": 0.3, "seeds_outside": 0.9, "blocks_shared": 0, "block_pairs": 190,
                           "networks_with_blocks": 20, "seed_pairs": 36},
    "errors": {"wide": "ResNet 20x2", "deep": "ResNet 38x1", "classes_chance": 2 / 70, "accuracy_wide": 0.6015},
}  # fmt: skip


@pytest.mark.parametrize("key", PLANTED)
def test_the_planted_figures_are_read(key, true):
    for name, value in PLANTED[key].items():
        found = true[key].numbers[name]
        assert found == (value if isinstance(value, str) else pytest.approx(value, abs=0.006)), name


def test_an_architecture_counts_once_however_many_seeds_it_has():
    """Seeds averaged first: that all of one architecture's keep their block is one observation of five."""

    def keep(member: Member) -> Member:
        return dataclasses.replace(
            member, blocks_without={"component": member.final.blocks if member.depth == 56 else ()}
        )

    found = by_key(plant(change=keep))["first-component"]
    assert found.numbers["gone_n"] == 5 and found.numbers["gone"] == pytest.approx(0.8)
    assert found.holds == UNCLEAR and "over 5 architectures" in found.shows


def test_within_one_architecture_its_seeds_count():
    found = by_key(plant(Plan(sizes=("38x1",), in_blocks=(0.4,), seeds=(0, 1, 2))))["probes-and-deletion"]
    assert found.numbers["loss_n"] == 3 and "over 3 seeds" in found.shows and found.holds == YES


def test_one_part_decides_and_the_others_are_shown():
    def level(member: Member) -> Member:
        probes = tuple(dataclasses.replace(one, accuracy=0.5) for one in member.probes)
        return dataclasses.replace(member, probes=probes)

    found = by_key(plant(change=level))["probes-and-deletion"]
    assert [(part.name, part.verdict) for part in found.parts] == [("deletions", YES), ("probes", NO)]
    assert found.holds == YES and found.primary == found.parts[0]
    assert found.primary.figure == "19.0 points"
    assert found.primary.reach == "95 % interval 19.0 to 19.0 points, over 5 architectures"


def test_one_pair_that_shares_a_block_is_enough_and_no_mean_hides_it():
    atlas = plant()
    a, b = atlas.member("cifar-resnet-38x1-s0"), atlas.member("cifar-resnet-56x1-s2")
    for one in a.final.blocks:
        for other in b.final.blocks:
            atlas._maps[f"pair/{a.name}/{b.name}"][one.start : one.stop, other.start : other.stop] = 0.92
    found = by_key(atlas)["outside-and-inside"]
    assert found.holds == NO
    assert "in 1 of 190 pairs of blocks CKA between the two is at least 0.5: 38x1 s0 with 56x1 s2 at 0.92; in the " in (
        found.shows[0].lower() + found.shows[1:]
    )


def test_width_is_not_tested_and_says_why(true):
    (width,) = [part for part in true["block-structure"].parts if part.name == "growth with width"]
    assert width.verdict == NOT_TESTED
    assert "at most 2 widths at one depth, of which even a perfect order would be chance in 1 of 2 cases" in width.text


def test_networks_that_the_rule_was_fixed_on_are_named(true):
    assert "fixed on" not in true["block-structure"].caveat
    found = bundled()
    assert found is not None
    before = {member.name for member in found.members if was_there(member.weights)}
    assert before == {member.name for member in found.members if member.seed < 10} and len(before) == 11
    assert "fixed on 10 of these networks" in by_key(found)["block-structure"].caveat


@pytest.mark.parametrize("repeated, verdict", [(True, YES), (False, UNCLEAR)])
def test_what_later_networks_do_not_repeat_is_not_clear(monkeypatch, repeated, verdict):
    """Seeds 0 to 2 stand for the networks that the rule was fixed on, seed 3 for those that came later."""

    def later(member: Member) -> Member:
        member = dataclasses.replace(member, weights=f"{member.seed}")
        final = member.final if repeated or member.seed < 3 else dataclasses.replace(member.final, blocks=())
        return dataclasses.replace(member, snapshots=(*member.snapshots[:-1], final))

    monkeypatch.setattr("cka_core.claims.growth.was_there", lambda weights: weights < "3")
    found = by_key(plant(change=later))["block-structure"]
    assert found.holds == verdict
    assert (
        "have blocks more rarely: of depth 20 and more 0 of 5 do, where 15 of 15 that it was fixed on do (as many "
        "fewer by chance in 0.0 % of the ways to deal them)" in found.shows
    ) is not repeated


def test_the_figures_stand_in_the_sentences(true):
    assert "rank correlation of 1.00 with depth" in true["block-structure"].shows
    assert "20 of 20 networks of depth 20 and more have blocks, 0 of 4 below" in true["block-structure"].shows
    assert "0 % of the layers lie in blocks before training" in true["block-structure"].shows
    assert "80 % of the variance inside blocks and 20 % outside" in true["first-component"].shows
    assert "100 % are in none without each layer's first component" in true["first-component"].shows
    assert "gains 0.0 points inside blocks and 5.0 points elsewhere" in true["probes-and-deletion"].shows
    assert "0.30 inside a block of either and 0.90 outside" in true["outside-and-inside"].shows
    assert "ResNet 20x2 and ResNet 38x1 differ by" in true["errors"].shows


def test_an_interval_that_leaves_what_a_share_can_be_says_why(true):
    atlas = bundled()
    assert atlas is not None
    found = {claim.key: claim for claim in claims(atlas)}["first-component"]
    why = "points, over {} architectures: beyond 0 to 100, since the interval of a mean of so few knows no bounds"
    assert f"41 % are in none without each layer's first component (95 % interval −10.0 to 91.9 {why.format(5)})" in (
        found.shows
    )
    assert f"95 % interval −26.2 to 138.3 {why.format(4)}" in found.after.text
    assert "knows no bounds" not in true["first-component"].shows


# What is missing is said.


def reads_cannot_say(claim: Claim, why: str) -> None:
    assert claim.holds == CANNOT_SAY
    assert why in claim.shows


def test_without_any_block_nothing_is_inside_one():
    found = by_key(plant(dataclasses.replace(TRUE, in_blocks=(0.0,) * 6)))
    for key in list(CLAIMS)[:4]:
        reads_cannot_say(found[key], "No block was found in any of the 24 networks")
    assert found["errors"].holds == YES


def test_a_block_over_everything_leaves_no_outside():
    def cover(member: Member) -> Member:
        final = dataclasses.replace(member.final, blocks=(Block(0, len(member.layers), 0.95, 0.3),))
        return dataclasses.replace(member, snapshots=(member.snapshots[0], final))

    found = by_key(plant(change=cover))
    assert "does not vary" in found["block-structure"].shows and found["block-structure"].holds == UNCLEAR
    reads_cannot_say(found["probes-and-deletion"], "no figures for deletions")


def test_one_seed_says_nothing_of_seeds():
    found = by_key(plant(dataclasses.replace(TRUE, seeds=(0,))))
    assert "Not known here: similarity between seeds." in found["outside-and-inside"].caveat
    assert found["outside-and-inside"].holds == YES
    reads_cannot_say(found["errors"], "one seed only")
    assert found["block-structure"].holds == found["probes-and-deletion"].holds == YES


def test_three_seeds_of_each_cannot_show_different_errors():
    found = by_key(plant(dataclasses.replace(TRUE, seeds=(0, 1, 2))))["errors"]
    reads_cannot_say(found, "even the largest difference would be chance in 10 % of the ways")
    assert "4 seeds of each could" in found.shows


def test_one_network_alone():
    found = by_key(plant(Plan(sizes=("38x1",), in_blocks=(0.4,), seeds=(0,))))
    reads_cannot_say(found["block-structure"], "at least four depths")
    reads_cannot_say(found["outside-and-inside"], "No two networks with blocks")
    assert found["first-component"].holds == UNCLEAR and "one seed only" in found["first-component"].shows
    assert found["errors"].holds == CANNOT_SAY


def test_without_probes_and_deletions():
    found = by_key(plant(change=lambda member: dataclasses.replace(member, probes=(), deletions=())))
    reads_cannot_say(found["probes-and-deletion"], "no figures for deletions")


def test_without_the_part_that_decides_nothing_is_said_and_without_another_that():
    found = by_key(plant(change=lambda member: dataclasses.replace(member, deletions=())))["probes-and-deletion"]
    reads_cannot_say(found, "no figures for deletions")
    found = by_key(plant(change=lambda member: dataclasses.replace(member, probes=())))["probes-and-deletion"]
    assert found.holds == YES
    assert "Not known here: probes." in found.caveat
    assert "linear probe" not in found.shows


def test_without_the_maps():
    found = by_key(plant(without="cosines|pair|component"))
    assert found["first-component"].holds == YES  # which blocks are left is told in blocks_without
    assert "Not known here: the components' directions, similarity without the component." in found[
        "first-component"
    ].caveat  # fmt: skip
    reads_cannot_say(found["outside-and-inside"], "No two networks with blocks were compared")


@pytest.mark.parametrize("without", ["outputs", "outputs/cifar-resnet-(38|56)", "outputs/.*x2"])
def test_without_the_predictions(without):
    reads_cannot_say(by_key(plant(without=without))["errors"], "No wide and deep CIFAR ResNets whose predictions")


def test_without_the_classes_of_the_images():
    reads_cannot_say(by_key(plant(without="labels"))["errors"], "does not know the classes")


def test_layers_without_cka_count_nowhere():
    atlas = plant()
    member = atlas.member("cifar-resnet-38x1-s0")
    for name, values in atlas._maps.items():
        if name.startswith(("pair/cifar-resnet-38x1-s0/", "self", "cosines")):
            values[2], values[len(values) // 2] = np.nan, np.nan
    found = inside_and_outside(atlas, member, atlas.member("cifar-resnet-38x1-s1"))
    assert 2 not in found.layers_outside and len(member.layers) // 2 not in found.layers_inside
    assert {claim.holds for claim in by_key(atlas).values()} == {YES}


def test_nothing_but_nan():
    def lose(member: Member) -> Member:
        shares = (float("nan"),) * len(member.layers)
        snapshots = tuple(dataclasses.replace(snapshot, shares=shares) for snapshot in member.snapshots)
        return dataclasses.replace(member, snapshots=snapshots, blocks_without={}, probes=(), deletions=())

    atlas = plant(change=lose)
    for name, values in atlas._maps.items():
        if name != "labels":
            values[:] = np.nan
    found = by_key(atlas)
    assert [found[key].holds for key in list(CLAIMS)[1:]] == [CANNOT_SAY] * 4


def test_networks_that_are_no_cifar_resnets():
    found = by_key(plant(Plan(sizes=("resnet50", "resnet101"), in_blocks=(0.3, 0.5), seeds=(0, 1))))
    reads_cannot_say(found["block-structure"], "at least four depths")
    reads_cannot_say(found["errors"], "No wide and deep CIFAR ResNets")
    assert "two architectures" in found["probes-and-deletion"].shows


def test_networks_without_residual_blocks():
    def plain(member: Member) -> Member:
        layers = tuple(
            dataclasses.replace(layer, name=f"dense_{i}", kind="Dense") for i, layer in enumerate(member.layers)
        )
        return dataclasses.replace(member, layers=layers, probes=())

    reads_cannot_say(by_key(plant(change=plain))["probes-and-deletion"], "no figures")


def test_networks_that_are_not_fitted_are_named():
    def unlearn(member: Member) -> Member:
        fit = 0.5 if member.depth == 14 or (member.depth, member.width, member.seed) == (20, 1, 2) else 0.95
        final = dataclasses.replace(member.final, train_accuracy=fit)
        return dataclasses.replace(member, snapshots=(member.snapshots[0], final))

    for claim in by_key(plant(change=unlearn)).values():
        assert "Not fitted" in claim.around and "ResNet 14x1, ResNet 20x1 (1 of 4 seeds)." in claim.around
        assert claim.around.count("Seen in 24 networks of 176k to 2.3M parameters") == 1
        assert re.search("3,125 of CIFAR-10's 50,000 images for [0-9]+ epochs, 4 seeds each", claim.around)


def test_any_atlas_can_be_asked():
    by_key(synthetic_atlas.build())
    by_key(synthetic_atlas.build(1))


# Statistics.


def test_rank_correlation_is_of_ranks():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    assert rank_correlation(x, y) == pytest.approx(rank_correlation(np.exp(x), y**3))
    assert rank_correlation(x, -x) == -1
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


@pytest.mark.parametrize(
    "freedom, value", [(1, 12.706), (10, 2.228), (19, 2.093), (30, 2.042), (60, 2.0), (999, 1.962)]
)
def test_student(freedom, value):
    assert student(freedom) == pytest.approx(value, abs=0.006)


def test_spread_leaves_out_what_is_no_number():
    found = spread([1.0, 2.0, np.nan, 3.0])
    assert (found.mean, found.sd, found.n) == (2.0, 1.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - 4.30 / 3**0.5, 2 + 4.30 / 3**0.5))
    assert math.isnan(spread([]).mean) and math.isnan(spread([1.0]).low)


# One network and two.


def test_seeds_of_one_recipe_are_a_group():
    atlas = plant()
    assert [len(group) for group in seed_groups(atlas)] == [4] * 6
    atlas.members[0].recipe["epochs"] = 7
    assert [len(group) for group in seed_groups(atlas)] == [1, 3, 4, 4, 4, 4, 4]


def test_weights_kept_along_the_training_are_no_other_recipe():
    member = synthetic_atlas.build(1).members[0]
    often = dataclasses.replace(member, recipe={**member.recipe, "keep_every": 2})
    assert recipe_text(often) == recipe_text(member)


def test_a_network_beside_the_study_is_no_evidence():
    alone, both = synthetic_atlas.build(), synthetic_atlas.build(beside=True)
    assert len(both.members) == len(alone.members) + 1
    assert [c.shows for c in claims(both)] == [c.shows for c in claims(alone)]
    assert [c.caveat for c in claims(both)] == [c.caveat for c in claims(alone)]
    assert both.grid() == alone.grid() and len(both.seeds_of("cifar-resnet-14x1")) == 1


def test_blocks_form_along_the_epochs():
    epochs, shares = blocks_along_epochs(plant().member("cifar-resnet-38x1-s0"))
    assert epochs == (0, 9)
    assert shares == pytest.approx((0.0, 0.4), abs=0.01)


def test_cosines_are_compared_at_equal_distance():
    """Where similarity depends on distance alone, layers of one block are no more alike than others as far apart."""
    atlas = plant()
    member = atlas.member("cifar-resnet-38x1-s0")
    position = np.arange(len(member.layers))
    atlas._maps[f"cosines/{member.name}"][:] = np.exp(-np.abs(position[:, None] - position) / 10)
    found = first_component(atlas, member).cosines
    assert found.inside == pytest.approx(found.outside)


def test_a_residual_block_at_an_edge_is_not_inside():
    member = plant().member("cifar-resnet-38x1-s0")
    first = next(one for one in residual_blocks(member.layers) if one.first >= member.final.blocks[0].start)
    before = deletion_losses(member)
    edge = dataclasses.replace(member.final.blocks[0], start=first.first + 1)
    final = dataclasses.replace(member.final, blocks=(edge,))
    after = deletion_losses(dataclasses.replace(member, snapshots=(final,)))
    assert after.n_inside == before.n_inside - 1 and after.n_outside == before.n_outside + 1
    assert deletion_of_all(member) == pytest.approx(0.1)


def test_probe_slopes_do_not_depend_on_the_order_of_the_probes():
    member = plant().member("cifar-resnet-38x1-s0")
    assert probe_slopes(member) == probe_slopes(dataclasses.replace(member, probes=member.probes[::-1]))


def test_inside_and_outside_cover_every_layer_once():
    atlas = plant()
    a, b = atlas.member("cifar-resnet-38x1-s0"), atlas.member("cifar-resnet-38x1-s1")
    found = inside_and_outside(atlas, a, b)
    assert sorted([*found.layers_inside, *found.layers_outside]) == list(range(len(a.layers)))
    assert set(found.inside) == {0.3} and set(found.outside) == {0.9}
    other = inside_and_outside(atlas, b, a)
    assert other.contrast == found.contrast


def test_corresponding_layers_are_of_one_kind_and_in_order():
    atlas = plant()
    a, b = atlas.member("cifar-resnet-14x1-s0"), atlas.member("cifar-resnet-38x2-s0")
    partners = corresponding(a, b)
    assert (np.diff(partners[[i for i, layer in enumerate(a.layers) if layer.kind == "Add"]]) > 0).all()
    assert all(a.layers[i].kind == b.layers[j].kind for i, j in enumerate(partners))
    assert list(corresponding(a, a)) == list(range(len(a.layers)))


def test_networks_that_were_not_compared():
    atlas = plant(without="pair")
    with pytest.raises(ValueError, match="has no pair/"):
        inside_and_outside(atlas, *atlas.members[:2])


# Predictions.


def test_wide_and_deep_are_as_accurate_and_trained_alike():
    atlas = plant()
    assert [(wide[0].title, deep[0].title) for wide, deep in wide_and_deep(atlas)] == [
        ("ResNet 20x2", "ResNet 38x1"), ("ResNet 20x2", "ResNet 56x1"), ("ResNet 38x2", "ResNet 56x1")
    ]  # fmt: skip

    def better(member: Member) -> Member:
        final = dataclasses.replace(member.final, test_accuracy=0.6 + 0.04 * (member.width > 1))
        return dataclasses.replace(member, snapshots=(final,))

    assert wide_and_deep(plant(change=better)) == []


def test_disagreement_is_that_of_seed_variation():
    atlas = plant()
    wide, deep = wide_and_deep(atlas)[0]
    found = disagreement(atlas, wide, deep)
    expected = seed_variation({(one.architecture, one.seed): predictions(atlas, one) for one in (*wide, *deep)})
    assert found.across.mean() == pytest.approx(expected.across)
    assert found.within.mean() == pytest.approx(expected.within)


def test_distances_are_means_over_pairs_of_networks():
    atlas = plant()
    wide, deep = wide_and_deep(atlas)[0]
    found = {one.name: one for one in distances(atlas, wide[:2], deep[:2])}

    def pairs(which: str, several: list[tuple[Member, Member]]) -> float:
        seen = [
            compare_behaviour(atlas.outputs(one.name), atlas.outputs(other.name), atlas.labels, logits=True)
            for one, other in several
        ]
        return float(np.mean([getattr(one, which) for one in seen]))

    across = [(one, other) for one in wide[:2] for other in deep[:2]]
    for name, which in (("Hellinger distance", "hellinger"), ("KL divergence, nats", "kl")):
        assert found[name].across == pytest.approx(pairs(which, across))
        assert found[name].within_a == pytest.approx(pairs(which, [(wide[0], wide[1])]))
        assert found[name].within_b == pytest.approx(pairs(which, [(deep[0], deep[1])]))
    one = compare_behaviour(atlas.outputs(wide[0].name), atlas.outputs(wide[1].name), atlas.labels, logits=True)
    assert found["different class"].within_a == pytest.approx(1 - one.agreement[0])
    assert found["only one is right"].within_a == pytest.approx((len(one.only_a) + len(one.only_b)) / len(atlas.labels))
    alone = distances(atlas, wide[:1], deep[:2])
    assert all(math.isnan(one.within_a) and one.across > 0 for one in alone)


def test_classes_are_told_apart_beside_the_overall_accuracy():
    """A network better by the same in every class has no class of its own."""
    atlas = plant()
    wide, deep = wide_and_deep(atlas)[0]
    plain = errors_by_class(atlas, wide, deep)
    relative = errors_by_class(atlas, wide, deep, relative=True)
    assert relative.difference == pytest.approx(plain.difference - plain.difference.mean())
    assert relative.a.mean(axis=1) == pytest.approx(0) and relative.b.mean(axis=1) == pytest.approx(0)


def test_right_by_image_is_a_share_of_networks():
    atlas = plant()
    right = np.array([predictions(atlas, member) == atlas.labels for member in atlas.members])
    assert right_by_image(atlas, atlas.members) == pytest.approx(right.mean(axis=0))
    atlas._maps[f"outputs/{atlas.members[0].name}"][7] = np.nan
    assert right_by_image(atlas, atlas.members)[7] == pytest.approx(right[1:, 7].mean())
    assert math.isnan(right_by_image(atlas, atlas.members[:1])[7])


def test_errors_by_class_are_beyond_the_seeds_where_they_were_planted():
    atlas = plant()
    wide, deep = wide_and_deep(atlas)[0]
    found = errors_by_class(atlas, wide, deep)
    assert sorted(found.beyond) == [0, 1, 2, 3, 6, 7, 8, 9]
    assert (found.difference[:4] < -0.5).all() and (found.difference[6:] > 0.5).all()
    assert found.difference == pytest.approx(-errors_by_class(atlas, deep, wide).difference)
    assert len(errors_by_class(atlas, wide[:1], deep).beyond) == 0
    with pytest.raises(ValueError, match="at least one network in each group, got 0 and 4"):
        errors_by_class(atlas, [], deep)
