"""Maps without what the pixels explain, and of several passes over the images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.comparing import engine, passes
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.measures import kernels, partial
from cka_core.networks.building import build_network
from cka_core.results import trust
from cka_core.results.comparison import CompareSpec, find

SMALL = "cifar-resnet-8x1"
SAMPLE = SampleSpec("cifar10-mini", "test", 48, 0)


def asked(**how: object) -> CompareSpec:
    a, b = catalogue.find(SMALL).spec, catalogue.find(f"{SMALL}:1").spec
    return CompareSpec(a, b, SAMPLE, **({"batch_size": 24, "layers": ("*_add",)} | how))


@pytest.fixture(scope="module")
def outputs() -> list[list[np.ndarray]]:
    """Of both networks the residual outputs for the images, flattened, float64."""
    import keras

    images, found = SAMPLE.load(), []
    for seed in (0, 1):
        model = build_network(SMALL, seed=seed)
        adds = [layer.output for layer in model.layers if layer.name.endswith("_add")]
        made = keras.Model(model.input, adds).predict(images.x / np.float32(255), verbose=0)
        found.append([np.asarray(x, np.float64).reshape(len(x), -1) for x in made])
    return found


def test_without_pixels_is_the_partial_correlation_with_them(store, outputs):
    result = engine.run(asked(without="pixels", batch_size=48), store)
    x = np.asarray(SAMPLE.load().x, np.float64).reshape(48, -1)
    a, b = outputs
    r = np.array([[kernels.cka(one, other) for other in b] for one in a])
    to_a, to_b = (np.array([kernels.cka(one, x) for one in side]) for side in outputs)
    expected = (r - np.outer(to_a, to_b)) / np.sqrt(np.outer(1 - to_a**2, 1 - to_b**2))
    hidden = np.logical_or.outer(to_a**2 > 0.95, to_b**2 > 0.95)
    assert np.array_equal(np.isnan(result.matrix), hidden)
    assert np.allclose(result.matrix[~hidden], expected[~hidden], atol=2e-4)
    assert [reason == partial.EXPLAINED for reason in result.reasons_a] == list(to_a**2 > 0.95)
    assert len(result.layers_a) == 3 and result.provenance["network_a"]["layers"] == 3
    assert "--without pixels" in result.provenance["command"]
    with pytest.raises(ValueError, match="no interval of unbiased CKA without what the pixels explain"):
        result.interval()
    assert any(fact.text.startswith("unbiased CKA without") for fact in trust.line(result))


def test_it_is_kept_apart_and_found_from_the_other_side(store):
    made = engine.run(asked(without="pixels"), store)
    assert find(asked(), store) is None
    turned = find(asked(without="pixels").swapped(), store)
    assert np.array_equal(turned.matrix, made.matrix.T, equal_nan=True)


def test_it_is_of_unbiased_cka_only():
    with pytest.raises(ValueError, match="unbiased CKA only, not of SVCCA"):
        asked(without="pixels", measure="svcca")
    with pytest.raises(ValueError, match="Expected 'pixels' or nothing"):
        asked(without="labels")


@pytest.mark.parametrize("measure", ["cka", "svcca"])
def test_passes_are_the_same_images_in_other_minibatches(store, measure):
    told = []
    three = engine.run(asked(passes=3, measure=measure), store, told.append)
    images, model_a, model_b = SAMPLE.load(), *(build_network(SMALL, seed=seed) for seed in (0, 1))
    x = np.concatenate([images.x, *(passes.shuffled(images, number).x for number in (1, 2))])
    whole = engine.compare(model_a, model_b, x, batch_size=24, layers=["*_add"], measure=measure)
    assert np.allclose(three.matrix, whole.matrix, atol=1e-5)
    once = engine.run(asked(measure=measure), store)
    assert not np.array_equal(once.matrix, three.matrix)
    if measure == "cka":
        assert np.array_equal(once.jackknife.errors, three.jackknife.errors), "how sure it is: other images, not orders"
        assert once.chance == three.chance
    assert three.provenance["passes"] == 3 and "--passes 3" in three.provenance["command"]
    assert "2 minibatches of 24, 3 passes" in [fact.text for fact in trust.line(three)]
    fractions = [progress.fraction for progress in told if progress.phase == "comparing"]
    assert fractions == sorted(fractions) and "pass 3 of 3" in told[-1].detail


def test_an_order_is_its_numbers_and_keeps_every_image():
    images = SAMPLE.load()
    one, two = passes.shuffled(images, 1), passes.shuffled(images, 2)
    assert passes.shuffled(images, 1).digest == one.digest != two.digest
    assert sorted(map(bytes, one.x)) == sorted(map(bytes, images.x))
    with pytest.raises(ValueError, match="at least one pass"):
        asked(passes=0)


def test_what_was_kept_before_there_was_a_choice_has_its_key():
    plain = dataclasses.asdict(asked())
    del plain["passes"], plain["without"]
    assert CompareSpec.from_json(plain).key == asked().key != asked(passes=10).key
