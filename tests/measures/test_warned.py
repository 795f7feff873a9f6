"""What a reader is warned of: images far out, and minibatches that are no part of a layer's values."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.measures.grams import grams
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.measure import MeasureMeans
from cka_core.measures.registry import MEASURES
from cka_core.measures.warned import MOST, Warned

LEFT_OUT = (
    "Minibatches in which a layer hardly varies, or no two images have anything in common, are left out of its values: "
)


def network(layers, n=60, seed=0):
    return list(np.random.default_rng(seed).standard_normal((layers, n, 8)))


def batches(x, size=20):
    return [grams([layer[part] for layer in x], first=part.start) for part in minibatches(len(x[0]), size)]


def sums_of(x, y, kind=None):
    first, shape = batches(x), (len(x), len(y))
    second = first if y is x else batches(y)
    sums = HsicSums(*shape) if kind is None else MeasureMeans(MEASURES[kind], *shape)
    for one, other in zip(first, second, strict=True):
        sums.add(one, other)
    return sums


@pytest.mark.parametrize("kind", [None, "rsa-pearson"])
def test_an_image_so_far_out_that_its_minibatch_is_left_out_is_no_silence(kind):
    """A million times further out it is named; ten million times, nothing else of the minibatch is left to be seen."""
    x, y = network(1), network(1, seed=1)
    x[0][3] *= 1e5
    assert [text.startswith("Image 3 is up to") for text in sums_of(x, y, kind).warnings] == [True]
    x[0][3] *= 1e4
    assert sums_of(x, y, kind).warnings == (f"{LEFT_OUT}1 of 3 of 0 of A.",)
    assert np.isfinite(sums_of(x, y, kind).matrix()).all(), "of the two others"
    assert sums_of(y, x, kind).warnings == (f"{LEFT_OUT}1 of 3 of 0 of B.",)


def test_a_layer_that_never_varies_has_its_reason_and_one_that_does_in_some_minibatches_is_named():
    x = network(3)
    x[1][:40] = 0.5
    x[2][:] = 2.0
    sums = sums_of(x, x)
    assert sums.warnings == (f"{LEFT_OUT}2 of 3 of 1 of A.",) and sums.reasons_a == (None, None, "no variance")


def test_merged_they_say_what_all_minibatches_together_say():
    x, y = network(2), network(1, seed=1)
    x[0][25] *= 1e5
    x[1][:20] = 0
    for kind in (None, "rsa-pearson"):
        whole, parts = sums_of(x, y, kind), []
        for one, other in zip(batches(x), batches(y), strict=True):
            part = HsicSums(2, 1) if kind is None else MeasureMeans(MEASURES[kind], 2, 1)
            part.add(one, other)
            parts.append(part)
        for other in parts[1:]:
            parts[0].merge(other)
        assert parts[0].warnings == whole.warnings and len(whole.warnings) == 2


def test_many_layers_are_counted():
    x = network(MOST + 4)
    for layer in x[:-1]:
        layer[:20] = 0
    (told,) = sums_of(x, x).warnings
    assert told.count(" of A") == MOST and told.endswith("1 of 3 of 9 of A, and some of 3 more layers.")


def test_what_earlier_versions_kept_halfway_is_read():
    """They kept the images alone."""
    state = {"outlier_numbers": np.array([[7, 2e4, 1]]), "outlier_layers": np.array(["conv"])}
    (told,) = Warned.from_state(state).sentences()
    assert told.startswith("Image 7 is up to 20,000 times further")
