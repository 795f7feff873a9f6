"""Estimates of a pair of layers: kept, read back, drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.base import npz
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.measures.estimators import Estimates, murphy
from cka_core.results import estimators
from cka_core.results.comparison import CompareSpec
from cka_core.results.estimators import EstimatorSpec


def made() -> Estimates:
    steps = np.array([8, 16, 24])
    values = np.random.default_rng(0).random((5, 3, 3))
    values[:, [0, 0, 1, 2], [1, 2, 2, 1]] = np.nan
    return Estimates(steps, steps, values - 0.5, values, np.array([0.9, 0.8, 0.7]))


def asked(**how: object) -> EstimatorSpec:
    a = catalogue.find("cifar-resnet-8x1").spec
    return EstimatorSpec(CompareSpec(a, a, SampleSpec(n=24), **how), "stem_conv", "stem_bn")


def test_a_file_of_them_is_read_back_kept_and_anything_else_refused(store):
    assert estimators.find(asked(), store) is None
    estimators.keep(asked(), made(), store)
    again = estimators.find(asked(), store)
    for name in ("images", "sizes", "unbiased", "biased", "level"):
        assert np.array_equal(getattr(again, name), getattr(made(), name), equal_nan=True)
    with pytest.raises(npz.NotReadable):
        estimators.from_bytes(b"something else")
    with pytest.raises(npz.NotReadable):
        estimators.from_bytes(estimators.to_bytes(dataclasses.replace(made(), level=np.zeros(7))))


def test_measure_passes_and_pixels_make_no_difference_to_its_key():
    assert asked(measure="svcca").key == asked(passes=3).key == asked(without="pixels").key == asked().key
    assert EstimatorSpec.from_json(dataclasses.asdict(asked())) == asked()


def test_the_figures_show_both_estimators_their_spread_and_two_levels_of_chance():
    found = made()
    at_once = estimators.against_images(found, 0, (100, 50))
    lines = {trace.name: trace for trace in at_once.data if trace.name}
    assert list(lines["unbiased CKA"].x) == [8, 16, 24]
    assert np.allclose(lines["biased CKA"].y, np.nanmean(found.biased, axis=0).diagonal())
    assert np.allclose(lines["biased, independent noise of 100 and 50 features"].y, murphy(found.images, 100, 50))
    assert np.allclose(lines["biased, images of one layer permuted"].y, found.level)
    eight = estimators.against_images(found, 8, (100, 50))
    assert set(eight.data[-1].y) == {float(murphy(8, 100, 50))}, "the bias is that of the minibatch"
    sizes = estimators.against_sizes(found, 24, (100, 50))
    assert list(sizes.data[1].x) == [8, 24], "16 does not divide 24"
