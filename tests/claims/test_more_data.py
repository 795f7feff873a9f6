"""The data axis: networks trained on more images with as many updates, and whether their blocks go."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.atlas.grid import data_axis, grid, grid_values, images_of
from cka_core.atlas.result import Atlas
from cka_core.claims.cards import claims, trained_after
from cka_core.claims.more_data import by_chance, more_data
from tests import synthetic_atlas

MORE = ((0.25, 12_500, "ResNet 38x1 on 12,500 images"), (1.0, 50_000, "ResNet 38x1 on 50,000 images"))


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    """The synthetic atlas, with 38x1 on a quarter and on all of CIFAR-10, two trainings each; the latter without a
    block."""
    plain = synthetic_atlas.build()
    members, maps = list(plain.members), {key: np.asarray(plain._maps[key]) for key in plain._maps}
    for member in [one for one in plain.members if one.architecture == "cifar-resnet-38x1"]:
        for fraction, images, title in MORE:
            name = f"{member.name}-{images}"
            recipe = {**member.recipe, "images": "cifar10", "fraction": fraction, "epoch_images": 3125}
            snapshots = member.snapshots
            if images == 50_000:
                snapshots = tuple(dataclasses.replace(one, blocks=()) for one in snapshots)
            members.append(
                dataclasses.replace(
                    member, name=name, title=title, recipe=recipe, snapshots=snapshots, weights=name[-32:]
                )
            )
            for key in list(maps):
                kind, of, *rest = (*key.split("/"), "")
                if kind != "pair" and of == member.name:
                    maps["/".join((kind, name, *rest)).rstrip("/")] = maps[key]
    return Atlas(plain.with_members(members)._about, maps)


def test_the_axis_is_read_from_the_recipes(atlas):
    axis = data_axis(atlas)
    assert {title: {images: len(group) for images, group in own.items()} for title, own in axis.items()} == {
        "ResNet 38x1": {3125: 2, 12_500: 2, 50_000: 2}
    }
    assert data_axis(synthetic_atlas.build()) == {}


def test_each_network_stands_once_in_the_grid_and_on_the_axis(atlas):
    places = grid(atlas, 1)
    assert [(member.seed, images_of(member)) for member in places.data.values()] == [
        (1, 3125),
        (1, 12_500),
        (1, 50_000),
    ]
    assert not places.others and places.cells[38, 1] is places.data["ResNet 38x1", 3125]
    values = grid_values(atlas, 0, "nothing", "every layer", "viridis")["data"]
    assert values["rows"] == ["38x1"] and values["columns"] == ["3,125 images", "12,500 images", "50,000 images"]
    assert [(cell["row"], cell["column"], cell["size"]) for cell in values["cells"]] == [
        (0, 0, "3,125 images"), (0, 1, "12,500 images"), (0, 2, "50,000 images")
    ]  # fmt: skip


def test_an_atlas_from_elsewhere_has_no_axis():
    plain = synthetic_atlas.build()
    members = [dataclasses.replace(member, recipe={"images": member.trained_on}) for member in plain.members]
    foreign = plain.with_members(members)
    assert data_axis(foreign) == {} and len(grid(foreign, 0).cells) == 4


def test_how_many_have_a_block_is_told_with_what_chance_gives(atlas):
    (found,) = more_data(atlas)
    assert [(one.images, one.networks, one.with_block) for one in found.amounts] == [
        (3125, 2, 2), (12_500, 2, 2), (50_000, 2, 0)
    ]  # fmt: skip
    assert found.holds == "not tested" and found.chance == pytest.approx(1 / 3)  # of 6 ways 2 are as large
    assert "38x1: networks with a block, by how many images they were trained on: 2 of 2 on 3,125;" in found.text


def test_a_block_that_each_layers_first_component_covers_is_told_of_those_without_one(atlas):
    block = atlas.member(next(one.name for one in atlas.members if one.final.blocks)).final.blocks[0]
    plain = [dataclasses.replace(one, blocks_without={}) for one in atlas.members]
    others = atlas.with_members(plain)
    assert [one.covered for one in more_data(others)[0].amounts] == [0, 0, 0]
    assert "component" not in more_data(others)[0].text
    covered = [dataclasses.replace(one, blocks_without={"component": (block,)}) for one in plain]
    (found,) = more_data(atlas.with_members([*plain[:-1], covered[-1]]))
    assert [one.covered for one in found.amounts] == [0, 0, 1]
    (found,) = more_data(atlas.with_members(covered))  # those that have one as they are do not count
    assert [one.covered for one in found.amounts] == [0, 0, 2]
    assert found.text.endswith("Without each layer’s first component others have one, too: 2 on 50,000.")


def test_chance_counts_every_way_to_deal_the_networks():
    assert by_chance([0.5, 0.4, 0.6, 0.5, 0.45], [0.0, 0.1, 0.0]) == (1 / 56, 1 / 56)
    assert by_chance([0.5, 0.5], [0.5, 0.5]) == (1.0, 2 / 6)


def test_networks_trained_after_the_rule_are_told_apart(atlas, monkeypatch):
    studied = atlas.studied
    assert trained_after(studied) is None and all(claim.after is None for claim in claims(atlas))
    before = {member.weights for member in studied.members if member.seed == 0}

    def was_there(weights: str) -> bool:
        return weights in before

    monkeypatch.setattr("cka_core.claims.cards.was_there", was_there)
    later = trained_after(studied)
    assert later is not None and {member.seed for member in later.members} == {1}
    first = claims(atlas)[0]
    assert first.after is not None and first.after.networks == 2
    assert first.after.text.startswith("2 of 2 networks have a block.") and first.after.holds == "cannot say"
