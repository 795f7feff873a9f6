"""Figures of a training: what stands on them, and that they do not move while it goes on."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cka_core.training.figures import confusion, confusion_alt, curves, curves_alt

HISTORY = {"loss": [2.0, 1.5], "accuracy": [0.25, 0.5], "val_loss": [2.1, 1.75], "val_accuracy": [0.2, 0.45]}
COUNTS = [[8, 2, 0], [1, 5, 4], [0, 0, 0]]
CLASSES = ("cat", "dog", "<b>deer</b>")


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_both_lines_are_told_apart_without_colours(quantity):
    training, held_out = curves(HISTORY, 10, quantity).data
    assert list(training.x) == list(held_out.x) == [1, 2]
    assert list(training.y) == HISTORY[quantity] and list(held_out.y) == HISTORY[f"val_{quantity}"]
    assert (training.name, held_out.name) == ("training", "held out")
    assert (training.line.dash, held_out.line.dash) == ("solid", "dash")


def test_without_held_out_images_there_is_one_line():
    assert [line.name for line in curves({"loss": [1.0], "accuracy": [0.5]}, 3, "loss").data] == ["training"]


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_the_axis_of_the_epochs_does_not_move_while_a_training_goes_on(quantity):
    before, after = (curves(history, 10, quantity).layout for history in ({}, HISTORY))
    assert before.xaxis == after.xaxis and before.uirevision == after.uirevision
    assert tuple(after.xaxis.range) == (0.5, 10.5)
    if quantity == "accuracy":
        assert before.yaxis == after.yaxis and tuple(after.yaxis.range) == (0, 1)


def test_the_kept_epoch_is_marked():
    assert not curves(HISTORY, 10, "loss").layout.shapes
    assert curves(HISTORY, 10, "loss", kept_epoch=2).layout.shapes[0].x0 == 2


def test_unknown_quantity():
    with pytest.raises(ValueError, match="Valid: loss, accuracy"):
        curves(HISTORY, 10, "speed")


def test_curves_in_words():
    assert curves_alt({}, 10, "loss") == "Loss by epoch: no epoch is done yet."
    said = curves_alt(HISTORY, 10, "accuracy")
    assert said == "Accuracy by epoch. After epoch 2 of 10: training images 0.500, held out images 0.450."


def test_confusion_shows_shares_of_each_true_class():
    table = confusion(COUNTS, CLASSES).data[0]
    assert np.allclose(table.z, [[0.8, 0.2, 0], [0.1, 0.5, 0.4], [0, 0, 0]]), "a class without images is no error"
    assert np.asarray(table.customdata)[1, 2].tolist() == [4, 10]
    assert [re.sub("<[^>]*>", "", text) for text in table.text[0]] == ["80", "20", ""]
    assert ["#000000" in text for text in table.text[0]] == [True, False, False], "dark on light, light on dark"
    assert list(table.y) == ["cat", "dog", "&lt;b&gt;deer&lt;/b&gt;"], "names are shown as they are"
    assert confusion(COUNTS, CLASSES).layout.yaxis.autorange == "reversed", "the first class is on top"


def test_classes_that_the_images_do_not_have_are_left_out_unless_some_were_taken_for_them():
    counts = [[3, 1, 0, 0], [0, 4, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    names = ["squares", "circles", "(no class 2)", "(no class 3)"]
    table = confusion(counts, names).data[0]
    assert list(table.y) == list(table.x) == names[:3]
    assert np.allclose(table.z, [[0.75, 0.25, 0], [0, 0.8, 0.2], [0, 0, 0]])
    said = confusion_alt(counts, names)
    assert "Known best: circles, 80%; worst: squares, 75%" in said and "squares taken for circles, 25%" in said
    assert len(confusion(np.zeros((2, 2), int).tolist(), names[:2]).data[0].y) == 2


def test_confusion_in_words():
    said = confusion_alt([[8, 2], [4, 6]], ["cat", "dog"])
    assert "Known best: cat, 80%; worst: dog, 60%" in said and "dog taken for cat, 40%" in said


def test_confusion_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="Expected a table of 3 x 3 classes, got shape"):
        confusion([[1, 2], [3, 4]], CLASSES)
