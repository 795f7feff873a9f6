"""What a reader sees of a comparison, in words and filters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.comparing.arrays import compare_activations
from cka_core.networks.layers import Layer
from cka_core.results import views
from cka_core.results.comparison import Comparison
from tests.synthetic import comparison


def self_comparison() -> Comparison:
    return comparison("cifar-resnet-14x1", "cifar-resnet-14x1")


def test_labels_name_the_layer_its_kind_and_its_output():
    assert views.labels([Layer("stage2_block1_add", "Add", (16, 16, 32))]) == ["stage2_block1_add · Add · 16×16×32"]


def test_a_side_of_any_size_is_said_in_words_and_is_no_stage():
    """Of a network whose input is (None, None, 3)."""
    sides = [Layer("conv", "Conv2D", (-1, -1, 8), "-1×-1"), Layer("rows", "Reshape", (4, -1, 8), "4×-1")]
    layers = [*sides, Layer("pool", "GlobalAveragePooling2D", (8,), "vector"), Layer("out", "Dense", (3,), "vector")]
    assert views.labels(sides) == ["conv · Conv2D · any×any×8", "rows · Reshape · 4×any×8"]
    assert [run.name for run in views.stages(layers)] == ["", "4", "vector"]
    assert views.stages(sides[:1]) == [] and views.ticks(sides[:1]) == ([0.0], ["conv"])


def test_labels_are_unique_and_carry_no_html():
    layers = [Layer("<b>x</b>", "Dense", (10,)), Layer("<b>x</b>", "Dense", (10,))]
    lines = views.labels(layers)
    assert len(set(lines)) == 2
    assert all("<" not in line for line in lines)


def test_labels_say_why_a_layer_has_no_cka():
    assert views.labels([Layer("a", "ReLU", (4,))], ["no variance"]) == ["a · ReLU · 4 · no CKA: no variance"]
    assert views.labels([Layer("a", "ReLU", (4,))], ["no variance"], "SVCCA")[0].endswith("no SVCCA: no variance")


def test_a_cell_of_layers_that_vary_in_other_minibatches_says_that_it_has_no_number():
    x = np.random.default_rng(0).standard_normal((2, 40, 6))
    halves = [np.arange(40) < 20, np.arange(40) >= 20]
    a, b = ({"whole": own, "half": own * half[:, None]} for own, half in zip(x, halves, strict=True))
    result = compare_activations(a, b, batch_size=20, measure="mutual-knn")
    assert np.isnan(result.matrix).tolist() == [[False, False], [False, True]]
    assert views.cell(result, 1, 1).reason == "not defined for these two layers"
    assert views.cell(result, 0, 1).reason is None


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


def test_a_table_of_a_page_gives_a_spreadsheet_no_formula_and_nothing_else_is_changed():
    layers = [Layer(name, "Dense", (1,)) for name in ("=cmd()", "'=cmd()", "fc")]
    result = Comparison(np.eye(3), layers, layers)
    every, best = views.pairs(result), views.best_matches(result, "a")
    shown = views.for_a_spreadsheet(every, ("layer of A", "layer of B", "layer"))
    assert set(shown["layer of A"]) == set(shown["layer of B"]) == {"'=cmd()", "fc"}
    assert list(shown.columns) == list(every.columns) and shown["CKA"].equals(every["CKA"])
    blank = views.for_a_spreadsheet(best.assign(**{"best match": ""}), ("layer", "best match"))
    assert list(blank["layer"]) == ["'=cmd()", "'=cmd()", "fc"] and list(blank["best match"]) == [""] * 3


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


def test_a_maps_range_is_rounded_outwards_to_hundredths_and_a_differences_is_symmetric():
    layers = tuple(Layer(f"l{i}", "Dense", (4,)) for i in range(2))

    def of(*values: float, **provenance: str) -> tuple[float, float]:
        return views.value_range(Comparison(np.array([values, values]), layers, layers, provenance=provenance))

    assert of(0.123, 0.456) == (0.12, 0.46)
    assert of(0.5, 1.0000001) == (0.5, 1.0), "a little above 1 is rounding"
    assert of(0.5, 0.5) == (0.5, 0.51) and of(np.nan, np.nan) == (0, 1)
    assert of(-0.031, 0.012, less="untrained") == (-0.04, 0.04)
    assert of(0.02, 0.31, less="untrained") == (-0.31, 0.31)


@pytest.mark.parametrize("total", [16, 17, 1000, 3125, 10000])
def test_numbers_of_images_go_from_16_to_all(total):
    steps = views.sample_steps(total)
    assert steps[0] == 16 and steps[-1] == total
    assert steps == sorted(set(steps))


def test_a_number_from_a_link_is_a_choice_too():
    assert 300 in views.sample_steps(1000, 300)
    assert 5000 not in views.sample_steps(1000, 5000)
    assert 3 not in views.sample_steps(1000, 3)


@pytest.mark.parametrize("sign", [".", "/"])
def test_labels_of_layers_with_long_paths_tell_them_apart(sign):
    names = ["embeddings", *(f"encoder.layer.{i}.attention.self.query".replace(".", sign) for i in range(14))]
    _, shown = views.ticks([Layer(name, "Linear", (4,)) for name in names])
    assert shown == ["embeddings", *(f"e.l.{i}.a.s.query".replace(".", sign) for i in range(1, 14, 2))]
    endless = [f"a layer with a long name that differs at its end only, {i}" for i in range(8)]
    _, shown = views.ticks([Layer(name, "Linear", (4,)) for name in endless])
    assert len(set(shown)) == 8 and max(map(len, shown)) == 16
