"""One pair of layers under several measures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.measures.registry import MEASURES
from cka_core.results import ranks, views
from tests.synthetic import comparison


@pytest.mark.parametrize("value, place", [(0.9, (1, 4)), (0.5, (2, 4)), (0.1, (4, 4)), (np.nan, None)])
def test_a_place_counts_from_the_largest_and_ties_share_the_better_one(value, place):
    assert ranks.rank(np.array([0.9, 0.5, 0.5, 0.1, np.nan]), value) == place


def test_a_measure_that_only_rescales_gives_the_same_places():
    usual = comparison("cifar-resnet-8x1", "cifar-resnet-14x1")
    cubed = dataclasses.replace(usual, matrix=usual.matrix**3)
    a, b = views.unique_names(usual.layers_a)[4], views.unique_names(usual.layers_b)[7]
    table = ranks.under_each({"cka": usual, "svcca": cubed}, a, b)
    assert list(table["measure"]) == ["unbiased CKA", "SVCCA"]
    assert table["value"][1] == pytest.approx(table["value"][0] ** 3)
    for column in ranks.COLUMNS:
        assert table[column][0] == table[column][1] != ""
    own = usual.matrix[4]
    assert table["among B’s layers"][0] == f"{(own > own[7]).sum() + 1} of {len(own)}"


def test_a_measure_of_other_layers_only_has_an_empty_row():
    usual = comparison("cifar-resnet-8x1", "cifar-resnet-8x1")
    residual = usual.select(
        views.layer_mask(usual.layers_a, "block outputs"), views.layer_mask(usual.layers_b, "block outputs")
    )
    table = ranks.under_each({"procrustes": residual}, "stem_conv", "stem_conv")
    assert np.isnan(table["value"][0]) and table["among all pairs"][0] == "of residual outputs only"


def test_a_measure_that_has_none_of_the_cell_says_why():
    usual = comparison("cifar-resnet-8x1", "cifar-resnet-8x1")
    matrix, reasons = usual.matrix.copy(), ["no variance", *usual.reasons_a[1:]]
    matrix[0] = np.nan
    silent = dataclasses.replace(usual, matrix=matrix, reasons_a=tuple(reasons))
    a, b = views.unique_names(usual.layers_a)[0], views.unique_names(usual.layers_b)[3]
    table = ranks.under_each({"cka": usual, "svcca": silent}, a, b)
    assert table["among all pairs"][0].endswith(f" of {usual.matrix.size:,}")
    assert table["among all pairs"][1] == "none, no variance" and not table["among B’s layers"][1]


def test_the_facts_of_every_measure_are_told():
    table = ranks.facts()
    assert len(table) == len(MEASURES) and (table.map(len) > 0).all(axis=None)
