"""The best match by chance: kept, found from either side, drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.base import npz
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.measures.chance import BestMatchChance
from cka_core.results import best_match, figures
from cka_core.results.best_match import BestMatchSpec
from cka_core.results.comparison import CompareSpec
from tests.synthetic import comparison

FOUND = BestMatchChance(np.array([0.1, np.nan]), np.array([0.2, np.nan]), np.full(3, 0.3), np.full(3, 0.4), 50)


def asked(**how: object) -> BestMatchSpec:
    a, b = (catalogue.find(name).spec for name in ("cifar-resnet-8x1", "cifar-resnet-14x1"))
    return BestMatchSpec(CompareSpec(a, b, SampleSpec(n=16), **how))


def test_a_file_of_it_is_read_back_and_anything_else_refused():
    again = best_match.from_bytes(best_match.to_bytes(FOUND))
    assert all(np.array_equal(getattr(again, name), getattr(FOUND, name), equal_nan=True) for name in best_match.ARRAYS)
    assert again.draws == 50
    for data in (b"", b"PK", best_match.to_bytes(dataclasses.replace(FOUND, mean=np.zeros(7)))):
        with pytest.raises(npz.NotReadable):
            best_match.from_bytes(data)


def test_it_is_found_from_either_side_and_a_damaged_one_set_aside(store):
    assert best_match.find(asked(), store) is None
    best_match.keep(asked(), FOUND, store)
    turned = best_match.find(dataclasses.replace(asked(), of=asked().of.swapped()), store)
    assert np.array_equal(turned.high, FOUND.high_b) and np.array_equal(turned.mean_b, FOUND.mean, equal_nan=True)
    other = asked(batch_size=8)
    store.put(best_match.KIND, other.key, b"something else")
    assert best_match.find(other, store) is None and not store.has(best_match.KIND, other.key)


def test_a_spec_is_of_unbiased_cka_and_comes_back_from_json():
    assert BestMatchSpec.from_json(dataclasses.asdict(asked())) == asked()
    for how in ({"measure": "svcca"}, {"passes": 2}, {"without": "pixels"}):
        with pytest.raises(ValueError, match="unbiased CKA in one pass"):
            asked(**how)


def test_the_curve_shows_it_for_either_network():
    result = comparison("cifar-resnet-8x1", "cifar-resnet-14x1")
    rows, columns = result.matrix.shape
    by_chance = BestMatchChance(np.zeros(rows), np.full(rows, 0.02), np.zeros(columns), np.full(columns, 0.03), 200)
    dashed = [
        trace for trace in figures.best_match_curve(result, by_chance=by_chance).data if trace.line.dash == "dash"
    ]
    assert [set(trace.y) for trace in dashed] == [{0.02}, {0.03}]
    assert [len(trace.x) for trace in dashed] == [rows, columns]
