"""Other measures and standard errors, end to end: of models, of what the store keeps, and of stored activations."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core import build_network, compare, compare_activations, load_images
from cka_core.comparing import engine, sources, tallies
from cka_core.images.sets import SampleSpec
from cka_core.library import catalogue
from cka_core.measures.grams import GramBatch, grams
from cka_core.measures.registry import MEASURES
from cka_core.results import comparison as results
from cka_core.results.comparison import CompareSpec
from tests import reference


def spec(a="cifar-resnet-8x1", b="cifar-resnet-8x1:1", n=48, **values) -> CompareSpec:
    sample = SampleSpec("cifar10-mini", "test", n, 0)
    return CompareSpec(catalogue.find(a).spec, catalogue.find(b).spec, sample, **{"batch_size": 24} | values)


def stored(seed, n=60, layers=3):
    return {f"block{i}": x for i, x in enumerate(reference.network(seed, n, layers))}


@pytest.mark.parametrize("name", MEASURES)
def test_stored_activations_by_every_measure(name):
    a, b = stored(1), stored(2, layers=2)
    got = compare_activations(a, b, measure=name)
    expected = MEASURES[name].pairs(grams(list(a.values())), grams(list(b.values())))
    assert np.allclose(got.matrix, expected, atol=1e-9)
    assert got.provenance["measure"] == ("cka-linear-unbiased" if name == "cka" else name)
    assert (got.jackknife is not None) == (name == "cka")


def test_a_measure_of_ones_own():
    def overlap(a, b):
        """The cosine of HKH: biased CKA."""
        flat = [stack.reshape(len(stack), -1) for stack in (a, b)]
        flat = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in flat]
        return flat[0] @ flat[1].T

    a, b = stored(1), stored(2) | {"dead": np.ones((60, 2))}
    got = compare_activations(a, b, measure=overlap, batch_size=20)
    biased = compare_activations(a, b, measure="cka-biased", batch_size=20)
    assert np.allclose(got.matrix, biased.matrix, atol=1e-6, equal_nan=True)
    assert got.provenance["measure"] == "overlap" and got.reasons_b[-1] == "no variance"


def test_an_unknown_measure_is_refused_with_the_names():
    with pytest.raises(ValueError, match="Unknown measure 'CCA'. Valid: cka, cka-biased"):
        compare_activations(stored(1), stored(2), measure="CCA")


def test_models_by_another_measure_and_with_errors():
    a, b = build_network("cifar-resnet-8x1", seed=0), build_network("cifar-resnet-8x1", seed=1)
    x = load_images("cifar10-mini", "test", 48, 0).x
    result = compare(a, b, x, batch_size=24)
    low, high = result.interval()
    assert (low <= result.matrix).all() and (result.matrix <= high).all() and (low < high).any()
    knn = compare(a, b, x, batch_size=24, measure="mutual-knn")
    assert knn.matrix.shape == result.matrix.shape and (knn.matrix >= 0).all() and (knn.matrix <= 1).all()
    rotated = compare(a, b, x, batch_size=24, measure="procrustes")
    assert {layer.kind for layer in (*rotated.layers_a, *rotated.layers_b)} == {"Add"}
    chosen = compare(a, b, x, batch_size=24, measure="procrustes", layers=["Conv2D"])
    assert {layer.kind for layer in chosen.layers_a} == {"Conv2D"}


def test_procrustes_of_too_many_pairs_says_what_to_choose():
    many = {f"layer{i}": np.eye(8)[:, : 1 + i % 7] for i in range(70)}
    with pytest.raises(ValueError, match=r"at most 4,000 pairs of layers, got 70 × 70. Choose some.*--layers Add"):
        compare_activations(many, many, measure="procrustes")


def test_every_measure_rests_on_the_gram_matrices_kept(store, monkeypatch):
    first = engine.run(spec(), store)
    assert first.jackknife is not None
    monkeypatch.setattr(sources.Stored, "_load", lambda self: pytest.fail("the network was loaded again"))
    for name in ("rsa-pearson", "ridge", "procrustes"):
        wanted = spec(measure=name)
        made = engine.run(wanted, store)
        assert (results.find(wanted, store).matrix == made.matrix).all()
        assert f"--measure {name}" in made.provenance["command"]
        assert made.provenance["layers"] == (["Add"] if name == "procrustes" else None)
    assert (results.find(spec(), store).matrix == first.matrix).all()


def test_a_measure_that_is_not_symmetric_is_not_found_the_other_way_round(store):
    engine.run(spec(measure="ridge"), store)
    assert results.find(spec(measure="ridge").swapped(), store) is None
    engine.run(spec(measure="svcca"), store)
    assert results.find(spec(measure="svcca").swapped(), store) is not None


def test_gram_matrices_kept_without_norms_are_made_again(store):
    whole = engine.run(spec(measure="cka-biased"), store)
    for entry in store.entries("grams"):
        batch = GramBatch.from_bytes(store.get("grams", entry.key))
        batch.norms = None
        store.put("grams", entry.key, batch.to_bytes())
    assert np.allclose(engine.run(spec(measure="cka-biased"), store).matrix, whole.matrix, atol=1e-9)


def test_minibatches_too_many_to_hold_are_read_again(store, monkeypatch):
    whole = engine.run(spec(), store)
    monkeypatch.setattr(tallies, "HELD", 1)
    again = engine.run(spec(), store)
    assert np.allclose(again.jackknife.errors, whole.jackknife.errors, atol=1e-7)
    arrays = compare_activations(stored(1), stored(2), batch_size=20)
    assert arrays.jackknife is None  # nothing to read again: the activations are not Gram matrices
    with pytest.raises(ValueError, match="too many to be read twice"):
        arrays.interval()


def test_errors_are_those_of_the_whole_map():
    a, b = stored(1), stored(2)
    result = compare_activations(a, b)
    values = []
    for image in range(60):
        kept = np.delete(np.arange(60), image)
        values.append(reference.matrix([x[kept] for x in a.values()], [y[kept] for y in b.values()]))
    values = np.array(values)
    exact = np.sqrt(59 / 60 * np.square(values - values.mean(axis=0)).sum(axis=0))
    assert np.abs(result.jackknife.errors - exact).max() < 1e-7
