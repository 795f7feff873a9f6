"""What ships is complete, small, honest and can be made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cka_core import bundle, estimate, library
from cka_core import comparison as results
from cka_core.images import load_images
from cka_core.store import Store

DEMO = Path(bundle.__file__).parent / "demo"


def test_every_comparison_of_the_bundle_is_there_and_no_other(store):
    wanted = bundle.comparisons(store)
    assert {path.stem for path in results.BUNDLE.glob("*.npz")} == {spec.key for spec in wanted}
    for spec in wanted:
        found = results.find(spec, store)
        assert found is not None and np.isfinite(found.matrix).all()
        assert (found.name_a, found.name_b) == (spec.a.name, spec.b.name)
    assert not Path(store.root).exists()


def test_it_stays_small():
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) < 80e6


@pytest.mark.parametrize("spec", bundle.TRAININGS, ids=lambda spec: spec.architecture)
def test_the_accuracy_printed_is_that_of_the_weights_that_ship(spec, store):
    info = library.find(spec.default_name, store)
    assert info.spec.source == "bundled" and info.record["training_key"] == spec.key
    model = library.load_model(info.spec, store)
    test = load_images("cifar10-mini", "test")
    right = (model.predict(test.x / np.float32(255), batch_size=100, verbose=0).argmax(1) == test.y).mean()
    assert abs(right - info.test_accuracy) <= 0.002
    assert info.test_images == 1000 and len(info.history["loss"]) == spec.epochs


def test_a_bundled_comparison_is_what_the_engine_computes(store):
    from cka_core import engine

    spec = bundle.comparisons(store)[0]
    assert np.abs(engine.run(spec, store).matrix - results.find(spec, Store(store.root)).matrix).max() < 1e-5


def test_the_bundled_atlas_is_of_the_bundled_study_and_networks(store):
    from cka_core import atlas, study

    found, wanted = atlas.bundled(), study.bundled()
    assert found.study == wanted and [member.name for member in found.members] == list(wanted.names)
    for member, spec in zip(found.members, wanted.trainings, strict=True):
        info = library.find(member.name, store)
        assert info.spec.source == "bundled" and info.spec.weights == member.weights
        assert info.record["training_key"] == spec.key and info.test_accuracy == member.final.test_accuracy
        assert member.epochs == (0, 5, 10, 15, 20, 25) and member.fitted
        right = (found.outputs(member.name).argmax(1) == found.labels).mean()
        assert right == pytest.approx(member.final.test_accuracy)


def test_a_finished_build_has_nothing_to_do(store, monkeypatch):
    monkeypatch.setattr(bundle, "train", lambda *args, **values: pytest.fail("trained again"))
    assert len(list(bundle.build(store))) == len(bundle.TRAININGS) + len(bundle.comparisons(store))


def test_estimates_grow_with_the_work_and_learn_from_what_was_measured(store):
    small, large = (library.find(name, store) for name in ("cifar-resnet-8x1", "resnet101"))
    seconds = [estimate.estimate_seconds(small, large, n, 256, store) for n in (64, 256, 1024)]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert estimate.estimate_seconds(small, small, 256, 256, store) < estimate.estimate_seconds(
        small, large, 256, 256, store
    )
    nominal = sum(estimate.work_seconds(name, 1024, 256) for name in ("cifar-resnet-8x1", "resnet101"))
    estimate.remember(["cifar-resnet-8x1", "resnet101"], 1024, 256, 3 * nominal, store)
    assert estimate.estimate_seconds(small, large, 1024, 256, store) > 2 * seconds[-1] - estimate.START_SECONDS
