"""What is said of how far a map is to be trusted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.comparing.arrays import compare_activations
from cka_core.measures.jackknife import Jackknife
from cka_core.results import figures, trust, views, words
from cka_core.results.comparison import Comparison
from tests.synthetic import comparison


def sure(few: slice = slice(0, 0), **provenance: object) -> Comparison:
    """A comparison with standard errors; in the layers ``few`` of A eleven images decide."""
    made = comparison("cifar-resnet-8x1", "cifar-resnet-8x1:1".removesuffix(":1"))
    rows, columns = made.matrix.shape
    n_eff = np.full(rows, 200.0)
    n_eff[few] = 11
    kept = Jackknife(np.full((rows, columns), 0.02), n_eff, np.full(columns, 150.0))
    return dataclasses.replace(made, jackknife=kept, provenance=made.provenance | provenance)


def texts(result: Comparison) -> list[str]:
    return [fact.text for fact in trust.line(result)]


def misleading(result: Comparison) -> list[str]:
    return [fact.text for fact in trust.line(result) if fact.misleads]


TRAINED = {
    side: {"name": "x", "architecture": "cifar-resnet-8x1", "source": "trained"} for side in ("network_a", "network_b")
}


def test_the_line_says_images_measure_minibatches_batch_norm_chance_and_who_decides():
    told = texts(sure(**TRAINED))
    assert told == [
        "768 test images", "unbiased CKA", "3 minibatches of 256", "batch norm at inference", "chance reaches 0.016",
        "at least 150 images decide",
    ]  # fmt: skip
    assert not misleading(sure(**TRAINED))


def test_minibatches_are_said_to_be_of_a_size_where_all_are():
    assert "2 minibatches of 250" in texts(sure(images={"n": 500}, batch_size=250))
    assert "2 minibatches of 44 to 256" in texts(sure(images={"n": 300})), "2 of 256 would be other images"
    assert "one minibatch" in texts(sure(images={"n": 200}))


def test_of_networks_without_batch_norm_nothing_is_said_of_it():
    result = sure(**{side: {"name": "mine", "architecture": "mine"} for side in ("network_a", "network_b")})
    assert "batch norm at inference" in texts(result), "by its layers"
    dense = {
        side: tuple(dataclasses.replace(layer, kind="Dense") for layer in getattr(result, side))
        for side in ("layers_a", "layers_b")
    }
    assert not [text for text in texts(dataclasses.replace(result, **dense)) if "batch norm" in text]


def test_only_what_would_mislead_is_marked():
    assert misleading(sure(**TRAINED | {"images": {"n": 64}})) == ["chance reaches 0.11"]
    assert misleading(sure(**TRAINED | {"images": {"n": 5}})) == ["chance reaches 1"], "no CKA is above it"
    assert misleading(sure(slice(3, 6), **TRAINED)) == ["few images decide: 11"]
    assert misleading(sure()) == ["batch norm idle before training"]
    assert misleading(sure(batch_norm="train")) == []


def test_the_layers_that_few_images_decide_are_named_by_number():
    (fact,) = [fact for fact in trust.line(sure(slice(3, 6))) if fact.text.startswith(trust.FEW)]
    assert "layers 4–6 of A" in fact.hint and "of B" not in fact.hint


@pytest.mark.parametrize(
    "mask, told",
    [([0, 0, 0], ""), ([0, 1, 0], "layer 2"), ([1, 1, 0], "layers 1–2"), ([1, 0, 1], "layers 1, 3")],
)
def test_runs_of_layers(mask, told):
    assert trust.runs(np.array(mask, bool), ()) == told


def test_layers_without_a_number_are_counted_and_named_with_the_reason():
    result = sure(**TRAINED)
    reasons = [None] * len(result.layers_a)
    reasons[4] = "no variance"
    told = trust.line(dataclasses.replace(result, reasons_a=tuple(reasons)))[-1]
    assert told.text == "1 layer has no number: no variance" and result.layers_a[4].name in told.hint


def test_a_measure_without_intervals_tells_its_own_level_of_chance():
    told = texts(sure(measure="mutual-knn", **TRAINED))
    assert "chance: 0.039" in told, "10 / 255, the number"
    hints = [fact.hint for fact in trust.line(sure(measure="mutual-knn", **TRAINED)) if fact.text.startswith("chance")]
    assert [hint for hint in hints if "k / (n - 1) for the k = 10 nearest of n images" in hint], "and how it comes"
    assert "chance: 0.078" in texts(sure(measure="svcca", **TRAINED)), "20 / 255"
    assert any(text.startswith("chance: not 0") for text in texts(sure(measure="procrustes", **TRAINED)))
    assert not trust.could_have_intervals(dataclasses.replace(sure(measure="mutual-knn"), jackknife=None))
    assert trust.could_have_intervals(comparison())


def test_every_cell_has_its_interval_or_says_that_few_images_decide():
    result = sure(slice(3, 6))
    notes, (low, high) = trust.notes(result), result.interval()
    assert notes[0, 0] == f"[{low[0, 0]:.3f}, {high[0, 0]:.3f}]"
    assert set(notes[3:6].ravel()) == {"few images decide (11)"}
    assert trust.note(result, 4, 2) == notes[4, 2] and trust.note(comparison(), 0, 0) == ""
    assert views.cell(result, 0, 1).note == notes[0, 1]


def test_a_cell_without_an_interval_says_that_few_images_decide_too():
    result = sure(slice(3, 6))
    errors = result.jackknife.errors.copy()
    errors[3:6] = np.nan
    found = dataclasses.replace(result, jackknife=dataclasses.replace(result.jackknife, errors=errors))
    assert set(trust.notes(found)[3:6].ravel()) == {"few images decide (11)"}


def test_of_four_images_there_is_no_interval_and_few_images_decide():
    x = np.random.default_rng(0).standard_normal((2, 4, 5))
    result = compare_activations({"x": x[0]}, {"y": x[1]})
    assert np.isnan(result.interval()[0]).all() and trust.notes(result).tolist() == [["few images decide (4)"]]


def test_a_cell_without_a_number_has_no_note():
    result = sure()
    matrix = result.matrix.copy()
    matrix[2] = np.nan
    assert set(trust.notes(dataclasses.replace(result, matrix=matrix))[2]) == {""}


def test_the_hover_has_the_note_and_what_stands_beside():
    result = sure(slice(3, 6))
    trace = figures.heatmap(result, beside={"untrained <b>": np.full(result.matrix.shape, 0.25)}).data[0]
    assert "%{text}" in trace.hovertemplate and "untrained &lt;b&gt;  %{customdata[0]:.3f}" in trace.hovertemplate
    assert trace.text[4][0] == "few images decide (11)"
    assert np.asarray(trace.customdata).shape == (*result.matrix.shape, 1)
    assert "text" not in figures.heatmap(comparison()).data[0].hovertemplate


def test_a_cell_without_a_number_says_why_beside_another_map():
    result = sure()
    matrix, reasons = result.matrix.copy(), [None, "no variance", *[None] * (len(result.layers_a) - 2)]
    matrix[1], matrix[2, 3] = np.nan, np.nan
    lacking = dataclasses.replace(result, matrix=matrix, reasons_a=tuple(reasons))
    told = trust.values(lacking)
    assert told[0, 0] == f"{matrix[0, 0]:.3f}" and set(told[1]) == {"none, no variance"}
    assert told[2, 3] == trust.value(lacking, 2, 3) == "none, not defined for these two layers"
    trace = figures.heatmap(result, beside={"untrained": told}).data[0]
    assert trace.hovertemplate.count("untrained  %{customdata[0]}<") == 1, "and no number of a word"
    assert trace.customdata[1][0][0] == "none, no variance"


def test_nothing_has_no_sign():
    result = dataclasses.replace(sure(), matrix=np.full(sure().matrix.shape, -0.0004))
    low, high = result.interval()
    assert (trust.value(result, 0, 0), words.number(-0.0006)) == ("0.000", "-0.001")
    shifted = dataclasses.replace(result, matrix=result.matrix - high[0, 0])
    assert trust.note(shifted, 0, 0).endswith(", 0.000]"), trust.note(shifted, 0, 0)


@pytest.mark.parametrize(
    "n_eff, told", [(29.7, "29"), (30.6, "30"), (np.float32(4 * (1 - 1e-7)), "4"), (1234.5, "1,234")]
)
def test_images_that_decide_are_whole_ones(n_eff, told):
    """29.7 of them are fewer than 30, and said to be."""
    assert trust.whole(n_eff) == told


def test_what_decides_is_the_same_number_in_line_cell_and_table():
    result = sure()
    n_eff = np.full(len(result.layers_a), 29.7)
    result = dataclasses.replace(result, jackknife=dataclasses.replace(result.jackknife, n_eff_a=n_eff))
    assert "few images decide: 29" in texts(result) and trust.note(result, 0, 0) == "few images decide (29)"
    assert set(views.pairs(result)["images deciding"]) == {29}


def test_tables_have_bounds_but_none_where_few_images_decide():
    result = sure(slice(3, 6))
    low, high = result.interval()
    pairs = views.pairs(result)
    names = views.unique_names(result.layers_a)
    few = pairs["layer of A"].isin(names[3:6])
    assert pairs.loc[few, "low"].isna().all() and (pairs.loc[~few, "low"] <= pairs.loc[~few, "CKA"]).all()
    best = views.best_matches(result, "b")
    row = int(result.matrix[:, 0].argmax())
    assert best["high"][0] == high[row, 0] and best["images deciding"][0] == 150
    assert "low" not in views.pairs(comparison())


def test_another_measure_is_called_by_its_name():
    result = dataclasses.replace(sure(measure="svcca"), jackknife=None)
    assert "SVCCA" in views.pairs(result) and "SVCCA" in views.best_matches(result, "a")
    figure = figures.heatmap(result)
    assert figure.data[0].colorbar.title.text == "SVCCA" and "SVCCA  %{z" in figure.data[0].hovertemplate
    assert "SVCCA with the best match" in figures.best_match_curve(result).layout.yaxis.title.text
