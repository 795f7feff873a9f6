"""What a reader sees of a comparison, in words and filters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core import library, views
from cka_core.comparison import Comparison, Layer
from tests.synthetic import comparison


def self_comparison() -> Comparison:
    return comparison("cifar-resnet-14x1", "cifar-resnet-14x1")


def test_labels_name_the_layer_its_kind_and_its_output():
    assert views.labels([Layer("stage2_block1_add", "Add", (16, 16, 32))]) == ["stage2_block1_add · Add · 16×16×32"]


def test_labels_are_unique_and_carry_no_html():
    layers = [Layer("<b>x</b>", "Dense", (10,)), Layer("<b>x</b>", "Dense", (10,))]
    lines = views.labels(layers)
    assert len(set(lines)) == 2
    assert all("<" not in line for line in lines)


def test_labels_say_why_a_layer_has_no_cka():
    assert views.labels([Layer("a", "ReLU", (4,))], ["no variance"]) == ["a · ReLU · 4 · no CKA: no variance"]


def test_names_are_told_apart_only_where_they_repeat():
    layers = [Layer("a", "ReLU", (4,)), Layer("b", "ReLU", (4,)), Layer("a", "ReLU", (4,))]
    assert views.unique_names(layers) == ["a (1)", "b", "a (3)"]


def test_stages_are_runs_that_cover_all_layers():
    layers = comparison().layers_a
    runs = views.stages(layers)
    assert [run.name for run in runs] == ["stem", "stage1", "stage2", "stage3", "head"]
    assert runs[0].start == 0 and runs[-1].stop == len(layers)
    assert all(before.stop == after.start for before, after in zip(runs, runs[1:], strict=False))


def test_without_stages_the_axis_names_a_few_layers():
    layers = [Layer(f"layer{i}", "Dense", (4,)) for i in range(100)]
    positions, names = views.ticks(layers)
    assert views.stages(layers) == []
    assert len(positions) <= 8
    assert names[0] == "layer0"


@pytest.mark.parametrize(
    "kinds, kind",
    [("block outputs", "Add"), ("convolutions", "Conv2D"), ("batch norms", "BatchNormalization")],
)
def test_a_filter_keeps_its_kind_and_nothing_else(kinds, kind):
    whole = comparison()
    shown = views.filtered(whole, kinds)
    assert {layer.kind for layer in shown.layers_a + shown.layers_b} == {kind}
    rows = [i for i, layer in enumerate(whole.layers_a) if layer.kind == kind]
    columns = [i for i, layer in enumerate(whole.layers_b) if layer.kind == kind]
    assert np.array_equal(shown.matrix, whole.matrix[np.ix_(rows, columns)])


def test_every_layer_of_the_known_networks_with_an_activation_is_found():
    names = {layer.name for layer in views.filtered(comparison(), "activations").layers_a}
    assert names == {layer.name for layer in comparison().layers_a if "relu" in layer.name}


def test_search_wants_all_its_words_in_any_case():
    shown = views.filtered(comparison(), search="STAGE2 conv1")
    assert shown.layers_a and all("stage2" in layer.name and "conv1" in layer.name for layer in shown.layers_a)


def test_a_search_that_finds_nothing_names_the_network():
    with pytest.raises(ValueError, match="No convolutions with “nowhere” .* cifar-resnet-14x1"):
        views.filtered(comparison(), "convolutions", "nowhere")


def test_an_unknown_group_lists_the_valid_ones():
    with pytest.raises(ValueError, match="block outputs"):
        views.layer_mask(comparison().layers_a, "poolings")


def test_pairs_hold_every_cell_once_most_similar_first():
    whole = comparison()
    frame = views.pairs(whole)
    assert len(frame) == whole.matrix.size
    assert frame["CKA"].is_monotonic_decreasing
    table = whole.to_frame()
    for _, row in frame.sample(20, random_state=0).iterrows():
        assert table.loc[row["layer of A"], row["layer of B"]] == row["CKA"]


def test_best_matches_of_both_sides():
    whole = comparison()
    for side, matrix, other in (("a", whole.matrix, whole.layers_b), ("b", whole.matrix.T, whole.layers_a)):
        frame = views.best_matches(whole, side)
        assert np.array_equal(frame["CKA"], matrix.max(axis=1))
        assert list(frame["best match"]) == [other[i].name for i in matrix.argmax(axis=1)]


def test_a_layer_without_cka_has_no_best_match():
    whole = comparison()
    matrix = whole.matrix.copy()
    matrix[3] = np.nan
    reasons = [None] * len(matrix)
    reasons[3] = "no variance"
    whole = dataclasses.replace(whole, matrix=matrix, reasons_a=tuple(reasons))
    frame = views.best_matches(whole, "a")
    assert frame["best match"][3] == "" and np.isnan(frame["CKA"][3])
    cell = views.cell(whole, 3, 0)
    assert cell.match_of_a is None and cell.reason == "no variance"
    assert cell.match_of_b is not None and cell.match_of_b[0] != 3


def test_in_a_self_comparison_the_best_match_is_another_layer():
    cell = views.cell(self_comparison(), 5, 5)
    assert cell.cka == pytest.approx(1)
    assert cell.match_of_a is not None and cell.match_of_a[0] != 5
    assert views.example_cell(self_comparison())[0] != views.example_cell(self_comparison())[1]


def test_the_example_is_a_block_output_and_its_best_match():
    whole = comparison()
    row, column = views.example_cell(whole)
    assert whole.layers_a[row].kind == "Add"
    assert column == whole.matrix[row].argmax()


def test_a_map_without_any_cka_has_no_example():
    whole = comparison()
    assert views.example_cell(dataclasses.replace(whole, matrix=np.full(whole.matrix.shape, np.nan))) is None


@pytest.mark.parametrize("total", [16, 17, 1000, 3125, 10000])
def test_numbers_of_images_go_from_16_to_all(total):
    steps = views.sample_steps(total)
    assert steps[0] == 16 and steps[-1] == total
    assert steps == sorted(set(steps))


def test_a_number_from_a_link_is_a_choice_too():
    assert 300 in views.sample_steps(1000, 300)
    assert 5000 not in views.sample_steps(1000, 5000)
    assert 3 not in views.sample_steps(1000, 3)


def test_accuracy_carries_its_interval():
    assert views.accuracy_text(0.503, 1000) == "50 % ±3"
    assert views.accuracy_text(0.503, 10000) == "50 % ±1"
    assert views.accuracy_text(1.0, 1000) == "100 % ±1"


@pytest.mark.parametrize(
    "seconds, text",
    [(0.04, "0.1 s"), (0.42, "0.4 s"), (6.2, "6 s"), (130, "2 min 10 s"), (120, "2 min"), (4020, "1 h 7 min")],
)
def test_seconds_in_words(seconds, text):
    assert views.seconds_text(seconds) == text


@pytest.mark.parametrize("count, text", [(994, "994"), (566_650, "567k"), (2_780_618, "2.8M"), (999_900, "1.0M")])
def test_counts_in_words(count, text):
    assert views.count_text(count) == text


def test_facts_say_what_the_result_rests_on():
    assert views.facts(comparison()) == "768 test images · unbiased CKA · 0.4 s"
    first = comparison()
    first.provenance["images"] |= {"seed": None, "images": "cifar10", "n": 10000}
    assert views.facts(first) == "first 10,000 test images of cifar10 · unbiased CKA · 0.4 s"


def test_the_command_writes_numbers_and_figure():
    line = views.command(comparison())
    assert line.startswith("python -m cka_core compare cifar-resnet-14x1 cifar-resnet-38x1 ")
    assert line.endswith("--samples 768 --out result.npz --figure result.png")


def test_titles_tell_two_networks_apart(store):
    one, other = library.find("cifar-resnet-14x1", store), library.find("cifar-resnet-14x1:3", store)
    deep = library.find("cifar-resnet-38x1", store)
    assert views.titles(one, deep) == ("ResNet 14x1, untrained", "ResNet 38x1, untrained")
    first, second = views.titles(one, other)
    assert first != second
    assert len(set(views.titles(one, one))) == 1


def test_picker_labels_are_unique(store):
    networks = library.networks(store)
    labels = views.network_labels(networks | {"again": networks["resnet50"]})
    assert len(set(labels.values())) == len(labels) == len(networks) + 1


def test_trained_and_untrained_know_each_other(store):
    networks = library.networks(store)
    plain = networks["cifar-resnet-14x1"]
    trained = dataclasses.replace(
        plain, spec=dataclasses.replace(plain.spec, name="t"), trained_on="cifar10-mini", untrained_name=plain.spec.name
    )
    assert views.counterpart(trained, networks) == "cifar-resnet-14x1"
    assert views.counterpart(plain, {"t": trained, plain.spec.name: plain}) == "t"
    assert views.counterpart(networks["resnet50"], {"resnet50": networks["resnet50"]}) is None


def test_time_left_goes_by_the_speed_seen():
    assert views.left_text(0.5, 0.25, 100, 110) == "20 s left"
    assert views.left_text(0.26, 0.25, 100, 110) == ""
    assert views.left_text(0.5, 0.25, 100, 100.5) == ""
