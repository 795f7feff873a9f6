"""A network's blocks are those of its hidden layers: in the bundled study, what the sentence was fixed on."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from cka_core.atlas.blocks import was_there
from cka_core.atlas.result import Atlas, bundled
from cka_core.measures import blocks
from cka_core.measures.blocks import RULE
from cka_core.networks.architectures import architecture
from cka_core.networks.layers import Layer, hidden
from cka_core.results import views
from cka_core.results.blocks import marked, network_blocks, told, worth_looking_at
from cka_core.results.figures import heatmap

FOUND = {
    "38x1-plain-s0": ((27, 95, 0.62), (33, 91, 0.26)),
    "38x1-plain-s1": ((52, 95, 0.35), (63, 95, 0.51)),
    "56x1-plain-s0": ((16, 137, 0.57), (32, 137, 0.82)),
    "38x2-plain-s0": ((48, 95, 0.43), (63, 95, 0.70)),
}
"""start, stop and fall of the only block in the end, as it is and without each layer's first component."""


LATER = {
    "38x1-plain-s10": (), "38x1-plain-s11": (), "38x1-plain-s12": (), "56x1-plain-s13": (),
    "56x1-plain-s14": ((54, 137, 0.45),), "14x1-plain-s31": (), "20x1-plain-s32": (), "20x1-plain-s33": (),
    "26x1-plain-s34": (), "26x1-plain-s35": ((46, 67, 0.42),), "26x1-plain-s36": (),
    "14x4-plain-s15": (), "14x4-plain-s16": (), "14x4-plain-s17": (), "38x2-plain-s18": ((51, 95, 0.27),),
    "38x2-plain-s19": (), "38x2-plain-s20": (), "110x1-plain-s38": ((266, 356, 0.26),), "14x2-plain-s37": (),
}  # fmt: skip
"""Trained after the rule was fixed, and what it finds in them."""
MORE_DATA = {
    "38x1-quarter-s21": ((40, 95, 0.27),), "38x1-quarter-s22": ((4, 95, 0.27),), "38x1-quarter-s23": (),
    "38x1-all-s24": (), "38x1-all-s25": (), "38x1-all-s26": (), "56x1-quarter-s27": (), "56x1-quarter-s28": (),
    "56x1-all-s29": (), "56x1-all-s30": (),
}  # fmt: skip
"""The same of 38x1 and 56x1 trained on a quarter and on all of CIFAR-10."""


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    found = bundled()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def made_on(atlas) -> Atlas:
    """The networks that the rule was fixed on."""
    return atlas.only([member.name for member in atlas.members if was_there(member.weights)])


def rounded(found):
    return tuple((block.start, block.stop, round(block.fall, 2)) for block in found)


def test_the_blocks_of_the_networks_it_was_fixed_on(made_on):
    for member in made_on.members:
        as_it_is, without = FOUND.get(member.name.removeprefix("cifar-resnet-"), (None, None))
        assert rounded(member.final.blocks) == ((as_it_is,) if as_it_is else ()), member.name
        assert rounded(member.blocks_without["component"]) == ((without,) if without else ()), member.name
        assert member.at(0).blocks == ()


def test_how_sure_each_is_stands_beside_it(atlas, made_on):
    """The 95 % interval over images, and what is found on one half of them measured on the other."""
    for member in made_on.members:
        for block in member.final.blocks:
            assert 0.25 < block.low < block.fall < block.high
        assert member.halves is not None
        for half in member.halves:
            assert len(half) == len(member.final.blocks)
            assert all(one.elsewhere > 0.25 for one in half)
    deciding = {name: round(atlas.member(f"cifar-resnet-{name}").final.blocks[0].deciding) for name in FOUND}
    assert deciding == {"38x1-plain-s0": 11, "56x1-plain-s0": 10, "38x2-plain-s0": 20, "38x1-plain-s1": 48}


def test_of_nineteen_networks_trained_after_the_rule_was_fixed_four_have_a_block(atlas):
    later = [member for member in atlas.studied.members if not was_there(member.weights)]
    assert {member.name.removeprefix("cifar-resnet-"): rounded(member.final.blocks) for member in later} == LATER
    assert not any(member.snapshots[0].blocks for member in later)


def test_the_data_axis_has_networks_with_and_without_blocks(atlas):
    found = {name: rounded(atlas.member(f"cifar-resnet-{name}").final.blocks) for name in MORE_DATA}
    assert found == MORE_DATA


def test_any_of_36_settings_of_the_thresholds_finds_the_same_networks(made_on, monkeypatch):
    """What is found does not hang on the exact numbers: all of 4 deep networks, of 7 others and 11 untrained none."""
    atlas = made_on
    deep = {f"cifar-resnet-{name}" for name in FOUND}
    for alike, others, fall in itertools.product((0.8, 0.85, 0.9, 0.95), (0.02, 0.05, 0.1), (0.2, 0.25, 0.3)):
        monkeypatch.setattr(blocks, "ALIKE", alike)
        monkeypatch.setattr(blocks, "OTHERS", others)
        monkeypatch.setattr(blocks, "FALL", fall)
        ends = {member.name for member in atlas.members if network_blocks(atlas.map(member.name), member.layers)}
        starts = {member.name for member in atlas.members if network_blocks(atlas.map(member.name, 0), member.layers)}
        assert (ends, starts) == (deep, set()), (alike, others, fall)


def test_blocks_that_another_rule_found_are_found_again(atlas, tmp_path):
    """A file of an older version names none, and its blocks have fields of their own."""
    atlas.save(tmp_path)
    about = json.loads((tmp_path / "atlas.json").read_text())
    assert all(member.pop("rule") == RULE for member in about["members"])
    old = [{"start": 3, "stop": 30, "strength": 0.8, "contrast": 0.2}]
    for member in about["members"]:
        member["blocks_without"] = {"component": old, "images": old}
        for snapshot in member["snapshots"]:
            snapshot["blocks"] = old
    (tmp_path / "atlas.json").write_text(json.dumps(about))
    read = Atlas.load(tmp_path)
    assert [rounded(member.final.blocks) for member in read.members] == [
        rounded(member.final.blocks) for member in atlas.members
    ]
    assert all(block.low is None for member in read.members for block in member.final.blocks)
    assert all(member.halves is None for member in read.members)
    assert [one.blocks_without for one in read.members] == [one.blocks_without for one in atlas.members]
    read.save(tmp_path)
    assert {one["rule"] for one in json.loads((tmp_path / "atlas.json").read_text())["members"]} == {RULE}


def layers_of(*kinds: str) -> list[Layer]:
    return [Layer(f"layer{i}", kind, (1,)) for i, kind in enumerate(kinds)]


def test_the_head_is_left_out():
    for name, head in (("cifar-resnet-38x1", 3), ("resnet50", 2)):
        layers = architecture(name).layers
        assert hidden(layers) == len(layers) - head
    assert hidden(layers_of("Conv2D", "MaxPooling2D", "Conv2D", "ReLU", "Flatten", "Dense")) == 5
    assert hidden(layers_of("Conv2d", "AdaptiveAvgPool2d", "Flatten", "Linear")) == 1
    assert hidden(layers_of("Dense", "Dense", "Dense")) == 2
    assert hidden(layers_of("", "", "")) == 3 and hidden([]) == 0


def test_an_edge_at_the_head_is_no_edge():
    layers = layers_of(*["Conv2D"] * 40, "GlobalAveragePooling2D", "Dense")
    matrix = np.full((42, 42), 0.97)
    matrix[40:] = matrix[:, 40:] = 0.2
    assert network_blocks(matrix, layers) == ()
    matrix[:15] = np.minimum(matrix[:15], 0.3)
    matrix[:, :15] = np.minimum(matrix[:, :15], 0.3)
    assert [(block.start, block.stop) for block in network_blocks(matrix, layers)] == [(15, 40)]
    with pytest.raises(ValueError, match="42 x 42 layers"):
        network_blocks(matrix[:10, :10], layers)


def test_a_map_of_a_network_with_itself_has_its_blocks_marked_among_the_layers_shown(atlas):
    member = atlas.member("cifar-resnet-38x1-plain-s0")
    whole = atlas.comparison(member.name)
    assert marked(whole, whole) == ((27, 95, "layers 27–94, 0.98"),)
    convolutions = views.filtered(whole, "convolutions")
    ((start, stop, text),) = marked(whole, convolutions)
    inside = {layer.name for layer in member.layers[27:95]}
    assert {layer.name for layer in convolutions.layers_a[start:stop]} == {
        layer.name for layer in convolutions.layers_a if layer.name in inside
    }
    assert text == "layers 27–94, 0.98"
    other = atlas.comparison(member.name, "cifar-resnet-38x1-plain-s1")
    assert marked(other, other) == ()
    figure = heatmap(whole, blocks=marked(whole, whole))
    squares = {(s.x0, s.x1, s.y0, s.y1) for s in figure.layout.shapes if s.type == "rect"}
    assert squares == {(26.5, 94.5, 26.5, 94.5)}


def test_the_cell_to_begin_with_is_the_end_of_the_block_against_its_beginning(atlas):
    one = atlas.comparison("cifar-resnet-38x1-plain-s0")
    assert worth_looking_at(one) == (94, 27)
    assert "Layers 27–94" in told(one) and "falls by 0.62" in told(one)
    without = atlas.comparison("cifar-resnet-14x1-plain-s0")
    assert worth_looking_at(without) == views.example_cell(without) and told(without) == ""
