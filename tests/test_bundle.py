"""What ships is complete, small, honest and can be made again."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from cka_core import bundle
from cka_core.atlas import pairs, study
from cka_core.atlas.study import bundled as bundled_study
from cka_core.base import shipped
from cka_core.base.keys import plain
from cka_core.base.progress import silent
from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.images.sets import load_images
from cka_core.library import catalogue, keeping
from cka_core.networks.architectures import architecture
from cka_core.networks.building import build_network
from cka_core.results import activation_sets, best_match, estimators
from cka_core.results import comparison as results
from cka_core.results.blocks import network_blocks
from cka_core.training.recipe import TrainSpec

DEMO = Path(bundle.__file__).parent / "demo"


def test_every_comparison_of_the_bundle_is_there_and_no_other(store):
    wanted = bundle.comparisons(store)
    assert {path.stem for path in shipped.COMPARISONS.glob("*.npz")} == {spec.key for spec in wanted}
    for spec in wanted:
        found = results.find(spec, store)
        assert found is not None
        usable = [[reason is None for reason in reasons] for reasons in (found.reasons_a, found.reasons_b)]
        assert np.isfinite(found.matrix[np.ix_(*usable)]).all() and all(map(any, usable))
        assert (found.name_a, found.name_b) == (spec.a.name, spec.b.name)
    assert not Path(store.root).exists()


def test_what_stands_beside_the_opening_map_ships_too_and_nothing_else(store):
    beside = bundle.beside(store)
    assert {path.stem for path in shipped.NULLS.glob("*")} == {chance.key for chance, _ in beside}
    assert {path.stem for path in shipped.ESTIMATES.glob("*")} == {cell.key for _, cell in beside}
    for (chance, cell), of in zip(beside, (bundle.opening(store), bundle.wide_and_deep(store)), strict=True):
        made = results.find(of, store)
        by_chance = best_match.find(chance, store)
        assert len(by_chance.high) == len(made.layers_a) and (by_chance.high < 0.1).all()
        found = estimators.find(cell, store)
        value = made.to_frame().loc[cell.layer_a, cell.layer_b]
        assert found.images[-1] == 768 and abs(np.nanmean(found.unbiased[:, -1, -1]) - value) < 0.01
    assert not Path(store.root).exists()


def test_the_app_opens_with_a_network_that_has_a_block_and_so_has_its_second_seed(bundled_atlas, store):
    opening = results.find(bundle.opening(store), store)
    assert opening.is_self and len(network_blocks(opening.matrix, opening.layers_a)) == 1
    seeds = [bundled_atlas.member(name) for name in (bundle.OPENING, bundle.SECOND_SEED)]
    assert all(member.final.blocks for member in seeds)
    found = pairs.other_seed(bundled_atlas, seeds[0].weights)
    assert (found.name, found.seed, found.has_block) == (seeds[1].name, seeds[1].seed, True)
    assert f"{found.contrast.inside:.2f}" in pairs.other_seed_text(found)
    assert f"{found.contrast.inside:.2f}" in pairs.two_seeds_text(bundled_atlas, seeds[1].weights, seeds[0].weights)
    assert pairs.other_seed(bundled_atlas, "of no network") is None
    assert pairs.two_seeds_text(bundled_atlas, seeds[0].weights, seeds[0].weights) == ""


def test_it_stays_small():
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) < 80e6


@pytest.mark.parametrize("spec", bundle.TRAININGS, ids=lambda spec: spec.architecture)
def test_the_accuracy_printed_is_that_of_the_weights_that_ship(spec, store):
    info = catalogue.find(spec.default_name, store)
    assert info.spec.source == "bundled" and info.record["training_key"] == spec.key
    model = catalogue.load_model(info.spec, store)
    test = load_images("cifar10-mini", "test")
    right = (model.predict(test.x / np.float32(255), batch_size=100, verbose=0).argmax(1) == test.y).mean()
    assert abs(right - info.test_accuracy) <= 0.002
    assert info.test_images == 1000 and len(info.history["loss"]) == spec.epochs


def test_a_bundled_comparison_is_what_the_engine_computes(store):
    from cka_core.comparing import engine

    spec = bundle.comparisons(store)[0]
    assert np.abs(engine.run(spec, store).matrix - results.find(spec, Store(store.root)).matrix).max() < 1e-5


def test_the_gram_matrices_that_ship_are_those_of_the_networks_on_the_first_images(store, tmp_path):
    from cka_core.comparing import extraction

    names = [spec.name for spec in bundle.opened(store)]
    assert sorted(path.stem for path in shipped.GRAMS.glob("*.npz")) == sorted(names)
    network = catalogue.find(names[1], store).spec
    few = dataclasses.replace(bundle.SAMPLE, n=64)
    there = activation_sets.read(shipped.GRAMS / f"{network.name}.npz")
    assert there.sample.spec == few and there.has_norms and there.network["weights"] == network.weights
    made = extraction.extract(network, few, 64, tmp_path / "again.npz", store, name="again").minibatch(0)
    found = there.minibatch(0)
    assert found.names == made.names
    scale = np.abs(made.triangles).max(axis=1, keepdims=True)
    assert np.abs((found.triangles - made.triangles) / scale).max() < 1e-4
    images = few.load(store)
    named = catalogue.load_model(network, store).predict(images.x / np.float32(255), verbose=0).argmax(axis=1)
    told = json.loads((shipped.GRAMS / "predicted.json").read_text())
    assert sorted(told) == sorted(names) and np.mean(named == told[network.name]) > 0.96, "but for ties"


@pytest.fixture(scope="module")
def bundled_atlas():
    from cka_core.atlas import result

    return result.bundled()


def test_the_bundled_atlas_is_of_the_bundled_study_and_networks(bundled_atlas, store):
    wanted = study.bundled()
    assert bundled_atlas.study == wanted and [member.name for member in bundled_atlas.members] == list(wanted.names)
    for index, (member, spec) in enumerate(zip(bundled_atlas.members, wanted.trainings, strict=True)):
        right = (bundled_atlas.outputs(member.name).argmax(1) == bundled_atlas.labels).mean()
        assert right == pytest.approx(member.final.test_accuracy)
        assert member.epochs[0] == 0
        if wanted.ships(index) == "maps":
            assert member.name not in catalogue.networks(store)
            assert member.epochs[-1] == spec.epochs and member.recipe == plain(spec)
            continue
        info = catalogue.find(member.name, store)
        assert info.spec.source == "bundled" and info.spec.weights == member.weights
        assert info.record["training_key"] == spec.key
        assert member.epochs[-1] == info.record["kept_epoch"]
        if spec.images == wanted.sample.images:
            assert info.test_accuracy == pytest.approx(member.final.test_accuracy, abs=2e-3)
            assert info.record["train_accuracy"] == pytest.approx(member.final.train_accuracy, abs=2e-3)


def test_the_bundled_atlas_covers_depth_width_seeds_and_training(bundled_atlas):
    seeds: dict[str, set[int]] = {}
    for member in bundled_atlas.studied.members:
        seeds.setdefault(member.architecture.removeprefix("cifar-resnet-"), set()).add(member.seed)
    assert set(seeds) >= {"14x1", "20x1", "38x1", "56x1", "14x2", "14x4", "38x2"}
    assert all(len(seeds[size]) >= 2 for size in ("14x1", "38x1", "14x2"))
    assert sum(len(member.epochs) >= 6 for member in bundled_atlas.members) >= 4


def test_the_blocks_printed_are_those_of_the_maps_that_ship(bundled_atlas):
    for member in bundled_atlas.members:
        for snapshot in member.snapshots:
            found = network_blocks(bundled_atlas.map(member.name, snapshot.epoch), member.layers)
            said = [dataclasses.replace(block, low=None, high=None, deciding=None) for block in snapshot.blocks]
            assert list(found) == said, "how sure they are is known of Gram matrices, not of a map"


@pytest.mark.parametrize("size", ["14x4", "38x1"])
def test_a_bundled_map_is_what_compare_gives(bundled_atlas, store, size):
    """Large layers too, whose minibatches are in units of their own."""
    from cka_core.comparing import engine

    name = f"cifar-resnet-{size}-plain-s0"
    model = catalogue.load_model(catalogue.find(name, store).spec, store)
    own = engine.compare(model, model, bundled_atlas.sample.load(store), batch_size=bundled_atlas.study.batch_size)
    assert np.abs(bundled_atlas.map(name) - own.matrix).max() < 1e-4
    squares = np.square(bundled_atlas.scores(name))
    first, second = (part.sum(axis=1) for part in np.split(squares, 2, axis=1))
    assert (np.abs(np.log2(first / second)) < 3).all()  # two random halves of the images vary about as much


def test_one_bundled_network_really_works(bundled_atlas, store):
    member = bundled_atlas.member("cifar-resnet-20x1-cifar10-s0")
    assert member.trained_on == "cifar10"
    info = catalogue.find(member.name, store)
    assert info.spec.architecture == "cifar-resnet-20x1"
    assert info.test_images == 10_000 and info.test_accuracy >= 0.88
    # The 1,000 bundled test images are some of the 10,000: their share lies within its own uncertainty of it.
    assert abs(member.final.test_accuracy - info.test_accuracy) < 0.04


def written_again(
    path: Path, change: Callable[[bytes], bytes]
) -> tuple[bytes, bytes, list[np.ndarray], list[np.ndarray]]:
    """A network's file, the file that ``change`` makes of it, and the weights of both as Keras reads them."""
    model = build_network("cifar-resnet-8x2", seed=3)
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(changed := change(whole))
    return whole, changed, model.get_weights(), keras.models.load_model(path, safe_mode=True).get_weights()


def test_half_precision_keeps_a_network_and_halves_its_file(tmp_path):
    whole, half, before, found = written_again(tmp_path / "network.keras", bundle.half_precision)
    assert len(half) < 0.6 * len(whole)
    for old, new in zip(before, found, strict=True):
        assert new.dtype == np.float32 and np.array_equal(new, old.astype(np.float16).astype(np.float32))


def test_a_compressed_network_is_smaller_and_the_same(tmp_path):
    whole, small, before, found = written_again(tmp_path / "network.keras", bundle.compressed)
    assert len(small) < 0.9 * len(whole) and bundle.compressed(small) == small
    for old, new in zip(before, found, strict=True):
        assert np.array_equal(new, old)


def test_what_ships_is_compressed():
    for path in shipped.NETWORKS.glob("*.keras"):
        with zipfile.ZipFile(path) as archive:
            assert all(part.compress_type == zipfile.ZIP_DEFLATED for part in archive.infolist()), path.name


def test_large_networks_ship_at_half_precision_and_say_so(store):
    study = bundled_study()
    half = {name for index, name in enumerate(study.names) if study.ships(index) == "half"}
    for path in shipped.NETWORKS.glob("*.keras"):
        stored = catalogue.find(path.stem, store).record.get("stored_as", "float32")
        size = architecture(catalogue.find(path.stem, store).spec.architecture).parameters
        assert path.stat().st_size < bundle.WHOLE_BYTES * 1.2
        assert stored == ("float16" if 4 * size > bundle.WHOLE_BYTES or path.stem in half else "float32")


def test_a_network_of_another_recipe_gives_up_its_name(store, tmp_path, monkeypatch):
    spec, name = TrainSpec("cifar-resnet-8x1", epochs=1, fraction=0.02), "cifar-resnet-8x1-mine"
    monkeypatch.setattr(shipped, "NETWORKS", tmp_path)
    catalogue._bundled_records.cache_clear()
    try:
        first = list(bundle._network(spec, name, store, silent))
        before = json.loads((tmp_path / f"{name}.json").read_text())
        again = dataclasses.replace(spec, epochs=2)
        assert list(bundle._network(again, name, store, silent)) == first
        after = json.loads((tmp_path / f"{name}.json").read_text())
    finally:
        catalogue._bundled_records.cache_clear()
    assert before["training_key"] == spec.key and after["training_key"] == again.key
    assert before["weights"] != after["weights"]
    assert [one.title for one in keeping.trash(store)] == [name]


def test_a_finished_build_has_nothing_to_do(store, monkeypatch):
    monkeypatch.setattr(bundle, "train", lambda *args, **values: pytest.fail("trained again"))
    made = list(bundle.build(store))
    beside = 2 * len(bundle.beside(store)) + len(bundle.opened(store))  # chance and estimates; Gram matrices
    networks = len(list(shipped.NETWORKS.glob("*.keras")))
    assert len(made) == len(set(made)) == networks + len(bundle.comparisons(store)) + beside


def test_estimates_grow_with_the_work_and_learn_from_what_was_measured(store):
    small, large = (catalogue.find(name, store) for name in ("cifar-resnet-8x1", "resnet101"))
    seconds = [estimate.estimate_seconds(small, large, n, 256, store) for n in (64, 256, 1024)]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert estimate.estimate_seconds(small, small, 256, 256, store) < estimate.estimate_seconds(
        small, large, 256, 256, store
    )
    nominal = sum(estimate.work_seconds(name, 1024, 256) for name in ("cifar-resnet-8x1", "resnet101"))
    estimate.remember(["cifar-resnet-8x1", "resnet101"], 1024, 256, 3 * nominal, store)
    assert estimate.estimate_seconds(small, large, 1024, 256, store) > 2 * seconds[-1] - estimate.START_SECONDS
