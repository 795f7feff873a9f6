"""A training ends where it should, goes on where it was stopped, and never looks at a test image."""

from __future__ import annotations

import dataclasses
import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cka_core.base.keys import key_of
from cka_core.base.progress import Progress, Stopped
from cka_core.base.store import Store
from cka_core.images.sets import load_images
from cka_core.library import catalogue
from cka_core.networks.building import build_network, weights_digest
from cka_core.training import devices, epochs, fit
from cka_core.training import estimate as training_estimate
from cka_core.training import state as training_state
from cka_core.training.fit import measure_speed, train
from cka_core.training.images import TrainingImages
from cka_core.training.into_library import free_name
from cka_core.training.recipe import PRESETS, TrainingFailed, TrainSpec, about_batch_norm, batch_norm_momentum
from cka_core.training.state import file_digest

ROOT = Path(__file__).parent.parent.parent
TINY = TrainSpec("cifar-resnet-8x1", fraction=0.25, epochs=2, batch_size=128, deterministic=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    seen: list[Progress] = []
    history = tmp_path_factory.mktemp("out") / "history.json"
    record = train(TINY, store, history_path=history, report=seen.append)
    return store, record, seen, json.loads(history.read_text())


def test_a_finished_training_is_in_the_library(uninterrupted):
    store, record, _, _ = uninterrupted
    info = catalogue.find(record["name"], store)
    assert info.spec.source == "trained" and info.spec.weights == record["weights"]
    model = catalogue.load_model(info.spec, store)
    test = load_images("cifar10-mini", "test")
    accuracy = (model.predict(test.x / np.float32(255), verbose=0).argmax(1) == test.y).mean()
    assert accuracy == pytest.approx(record["test_accuracy"], abs=2e-3)


def test_progress_and_history_of_every_epoch(uninterrupted):
    _, record, seen, history = uninterrupted
    assert history["epochs_done"] == 2
    for key in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert len(history["history"][key]) == 2
    assert history["history"]["learning_rate"][-1] == pytest.approx(0, abs=1e-6)
    done = [progress.done for progress in seen if progress.phase == "training"]
    assert done == sorted(done) and done[-1] == 2
    assert record["kept_epoch"] == 1 + max(
        range(2), key=lambda e: (history["history"]["val_accuracy"][e], -history["history"]["val_loss"][e])
    )


def stop_at(epochs: float):
    def stop(progress: Progress) -> None:
        if progress.phase == "training" and progress.done >= epochs:
            raise Stopped

    return stop


@pytest.mark.parametrize("epochs", [0.5, 1.0])
def test_stopped_and_resumed_it_ends_with_the_same_digits(uninterrupted, store, epochs):
    with pytest.raises(Stopped):
        train(TINY, store, report=stop_at(epochs))
    resumed = train(TINY, store)
    _, record, _, _ = uninterrupted
    assert resumed["history"] == record["history"]
    assert resumed["weights"] == record["weights"]


def test_held_out_images_are_not_trained_on_and_not_test_images(store):
    data = TrainingImages(TINY, store)
    trained, held = ({image.tobytes() for image in x} for x in (data.x, data.held_x))
    assert len(data.held_x) == 78 and not trained & held
    everything = {image.tobytes() for image in load_images("cifar10-mini", "train").x}
    assert len(trained | held) == 781 and trained | held <= everything


def test_augmentation_depends_on_seed_epoch_and_step_alone(store):
    data = TrainingImages(TINY, store)
    one, same, other = (data.minibatch(data.order(e), e, 1)[0] for e in (0, 0, 1))
    assert (one == same).all() and not (one == other).all()
    assert one.dtype == np.float32 and 0 <= one.min() and one.max() <= 1


def test_nothing_of_tf_data_is_left_to_wait_for_at_the_end_of_an_epoch(store):
    """Its tuning thread sleeps twice as long each time, and an iterator of a strategy's is gone only when it wakes."""
    import tensorflow as tf

    assert TrainingImages(TINY, store).epoch(0).options().autotune.enabled is False
    found = devices.choose(find_tpu=lambda: None, find_gpus=list)
    with found.scope():
        assert not tf.distribute.has_strategy()
    assert found.strategy is not None


def test_a_loss_that_is_not_finite_stops_with_a_suggestion(store):
    spec = TrainSpec(
        "cifar-resnet-8x1", fraction=0.25, epochs=1, batch_size=256, learning_rate=1e30, schedule="constant"
    )
    with pytest.raises(TrainingFailed, match=r"epoch 1.*learning rate 1e\+30.*--learning-rate 0.05"):
        train(spec, store)


SHORT = TrainSpec("cifar-resnet-8x1", fraction=0.0625, epochs=3, batch_size=64, keep_every=1, deterministic=True)

KILLED = """
import os, signal, sys
from cka_core.training.recipe import TrainSpec
from cka_core.base.store import Store
from cka_core.training.fit import train

def kill(progress):
    if progress.phase == "training" and progress.done >= 1.5:
        os.kill(os.getpid(), signal.SIGKILL)

train(TrainSpec.from_json(__import__("json").loads(sys.argv[1])), Store(sys.argv[2]), report=kill)
"""


def test_the_speed_of_an_epoch_of_many_steps_is_remembered(store):
    spec = TrainSpec("cifar-resnet-8x1", fraction=0.0625, epochs=2, batch_size=16)
    assert not training_estimate.training_seconds(spec, store)[1]
    train(spec, store)
    assert training_estimate.training_seconds(spec, store)[1]


@pytest.mark.parametrize("held_out", [0.1, 0.0])
def test_weights_that_the_last_step_made_infinite_are_not_kept(store, held_out):
    """Each step's loss is that before its update: of one step it is finite whatever comes of it."""
    spec = TrainSpec(
        "cifar-resnet-8x1", fraction=0.0625, epochs=1, batch_size=512, learning_rate=1e38, held_out=held_out
    )
    with pytest.raises(TrainingFailed, match=r"epoch 1.*lower one, such as 0.05: --learning-rate 0.05"):
        train(spec, store)
    state = training_state.read(spec.key, store)
    assert (state.lower_rate, state.result) == (0.05, None)
    assert store.entries("networks") == []


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("short"))
    return store, train(SHORT, store)


def test_a_killed_training_ends_with_the_same_digits(short, store):
    arguments = [json.dumps(dataclasses.asdict(SHORT)), store.root]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert training_state.read(SHORT.key, store).epochs_done == 1
    record = train(SHORT, store)
    assert record["history"] == short[1]["history"] and record["weights"] == short[1]["weights"]
    assert "Goes on after epoch 1." in training_state.read_log(SHORT.key, store)
    assert list(store.scratch("scratch").glob("training-*-*")) == [], "nothing is left of the killed process"


def test_a_damaged_state_is_told_and_the_one_before_it_taken(short, store):
    with pytest.raises(Stopped):
        train(SHORT, store, report=stop_at(2.01))
    state = next(e for e in store.entries(f"trainings/{SHORT.key}") if e.key == "state-00002")
    Path(state.path).write_bytes(b"damaged")
    record = train(SHORT, store)
    assert "after epoch 2 is missing or damaged" in training_state.read_log(SHORT.key, store)
    assert "Goes on after epoch 1." in training_state.read_log(SHORT.key, store)
    assert record["history"] == short[1]["history"] and record["weights"] == short[1]["weights"]
    assert len(store.damaged()) == 1


def test_with_no_state_left_it_starts_again_and_says_so(short, store):
    with pytest.raises(Stopped):
        train(SHORT, store, report=stop_at(1.01))
    for entry in store.entries(f"trainings/{SHORT.key}"):
        store.remove(entry.path)
    record = train(SHORT, store)
    assert "No saved state can be read: starting again." in training_state.read_log(SHORT.key, store)
    assert record["history"] == short[1]["history"]


def test_a_full_disk_stops_it_in_words_and_it_goes_on_afterwards(short, store, monkeypatch):
    put = Store.put

    def full(self, kind, key, data, suffix="npz"):
        if key == "state-00002":
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(self, kind, key, data, suffix)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", full)
        with pytest.raises(TrainingFailed, match="no room to keep epoch 2 .* goes on from epoch 1"):
            train(SHORT, store)
    record = train(SHORT, store)
    assert record["history"] == short[1]["history"] and record["weights"] == short[1]["weights"]


def test_kept_epochs_are_in_the_library(short):
    store, record = short
    assert list(record["checkpoints"]) == ["1", "2", "3"]
    for epoch, weights in record["checkpoints"].items():
        info = catalogue.find(f"{record['name']}@{epoch}", store)
        assert info.spec.weights == weights == weights_digest(catalogue.load_model(info.spec, store))


def test_a_finished_training_leaves_its_record_and_no_states(short):
    store, record = short
    state = training_state.read(SHORT.key, store)
    assert state.result == record and state.epochs_done == 3 and state.name == record["name"]
    assert store.entries(f"trainings/{SHORT.key}") == []
    assert list(store.scratch("scratch").glob("training-*-*")) == [], "the scratch folder is gone"
    assert [found.key for found in training_state.all_states(store)] == [SHORT.key]


def test_asked_again_a_finished_training_is_not_repeated(short):
    store, record = short

    def never(progress):
        raise AssertionError("it trained again")

    assert train(SHORT, store, report=never) == record


@pytest.mark.parametrize("what", ["", "@1"])
def test_a_network_that_was_damaged_is_trained_again_under_its_name(short, what):
    store, record = short
    entry = next(one for one in store.entries("networks") if one.key == record["name"] + what)
    Path(entry.path).write_bytes(b"damaged")
    again = train(SHORT, store, name=record["name"])
    assert again["name"] == record["name"] and again["weights"] == record["weights"]
    assert store.get("networks", record["name"] + what) is not None


def test_killed_after_its_network_was_kept_the_record_is_completed(short):
    store, record = short
    place = f"trainings/{SHORT.key}/record.json"
    store.write_record(place, {**store.read_record(place), "result": None})
    assert train(SHORT, store)["weights"] == record["weights"]
    assert training_state.read(SHORT.key, store).result["name"] == record["name"]


@pytest.mark.parametrize("damage", [{"spec": 3}, {"epochs_done": 2}])
def test_a_record_that_is_none_is_set_aside_and_the_training_begins(short, store, damage):
    store.write_record(f"trainings/{SHORT.key}/record.json", damage)
    assert train(SHORT, store)["history"] == short[1]["history"]
    assert len(store.damaged()) == 1


def test_another_number_of_threads_is_told_since_the_digits_depend_on_it(short, store):
    place = f"trainings/{SHORT.key}/record.json"
    threads = short[0].read_record(place)["threads"]
    assert threads >= 1
    with pytest.raises(Stopped):
        train(SHORT, store, report=stop_at(1.01))
    store.write_record(place, {**store.read_record(place), "threads": threads + 3})
    train(SHORT, store)
    log = training_state.read_log(SHORT.key, store)
    assert f"began on {threads + 3} threads and goes on with {threads}" in log


def test_another_recipe_does_not_replace_a_network(short):
    store, record = short
    other = dataclasses.replace(SHORT, epochs=1, keep_every=0)
    assert free_name(SHORT, store) == record["name"] == "cifar-resnet-8x1-cifar10-mini-0.0625-s0"
    assert free_name(other, store) == f"{record['name']}-{other.key[:6]}"


def test_a_name_that_is_taken_or_unsafe_is_refused_before_training(short):
    store, record = short
    other = dataclasses.replace(SHORT, epochs=1, keep_every=0)
    for name, message in (
        (record["name"], "already"),
        ("../up", r"letters \(a to z, A to Z\), digits"),
        ("resnet50", "untrained"),
    ):
        with pytest.raises(ValueError, match=message):
            train(other, store, name=name)


def test_the_confusion_matrix_counts_every_test_image(short):
    _, record = short
    confusion = np.array(record["confusion"])
    assert confusion.sum(1).tolist() == [100] * 10
    assert np.trace(confusion) / 1000 == pytest.approx(record["test_accuracy"])


def test_two_processes_do_not_train_the_same(store, monkeypatch):
    monkeypatch.setattr(fit, "LOCK_SECONDS", 0.1)
    with fit._alone(SHORT, store), pytest.raises(TrainingFailed, match="another process"):
        train(SHORT, store)


def test_a_share_of_the_images_is_balanced_and_the_same_for_every_seed(store):
    shares = [TrainingImages(TrainSpec("cifar-resnet-8x1", fraction=0.25, seed=s, held_out=0), store) for s in (0, 1)]
    assert (shares[0].x == shares[1].x).all() and len(shares[0]) == 781
    assert set(np.bincount(shares[0].y)) == {78, 79}


def test_an_epoch_of_fewer_images_goes_on_where_the_one_before_left_off(store):
    whole = TrainSpec("cifar-resnet-8x1", fraction=0.0625, held_out=0)
    parts = dataclasses.replace(whole, epoch_images=80, batch_size=32, epochs=5)
    data, all_of_it = TrainingImages(parts, store), TrainingImages(whole, store)
    assert (len(data), data.an_epoch, data.steps) == (195, 80, 3)  # the last minibatch has 16 images
    orders = [data.order(epoch) for epoch in range(parts.epochs)]
    assert all(len(order) == 80 for order in orders)
    passes = np.concatenate([all_of_it.order(0), all_of_it.order(1), all_of_it.order(2)])
    np.testing.assert_array_equal(np.concatenate(orders), passes[:400])
    x, y = data.minibatch(orders[2], 2, 2)
    assert len(x) == len(y) == 16
    np.testing.assert_array_equal(y, data.y[passes[224:240]])


@pytest.mark.parametrize(
    "recipe, updates",
    [({}, 25 * 25), ({"epoch_images": 1000}, 25 * 8), ({"fraction": 0.0625}, 25 * 2), ({"held_out": 0.1}, 25 * 22)],
)
def test_a_recipe_knows_how_often_its_training_changes_the_weights(recipe, updates, store):
    """Of 3,125 images in minibatches of 128 the last has 53, and is an update like the others."""
    spec = TrainSpec("cifar-resnet-8x1", **{"epochs": 25, "held_out": 0.0} | recipe)
    assert spec.updates == updates == spec.epochs * TrainingImages(spec, store).steps


def test_trainings_from_before_epochs_of_fewer_images_have_the_key_they_had():
    spec = TrainSpec("cifar-resnet-8x1")
    known = {key: value for key, value in dataclasses.asdict(spec).items() if key not in ("epoch_images", "held")}
    assert spec.key == key_of(known)
    assert dataclasses.replace(spec, epoch_images=100).key != spec.key
    assert TrainSpec.from_json(known) == spec


def test_a_start_file_travels_through_the_store(store, tmp_path):
    path = tmp_path / "start.weights.h5"
    build_network("cifar-resnet-8x1", seed=7).save_weights(path)
    spec = dataclasses.replace(SHORT, epochs=1, keep_every=0, start="file", start_digest=file_digest(path))
    with pytest.raises(TrainingFailed, match="not in the store any more"):
        train(spec, store)
    assert training_state.keep_start_file(path, store) == spec.start_digest
    from_store = train(spec, store)
    from_path = train(spec, Store(tmp_path / "other"), start_path=path)
    assert from_store["weights"] == from_path["weights"]


def test_a_start_file_of_any_name_is_understood(store, tmp_path):
    build_network("cifar-resnet-8x1", seed=5).save_weights(tmp_path / "mine.weights.h5")
    path = (tmp_path / "mine.weights.h5").rename(tmp_path / "plain.h5")
    spec = dataclasses.replace(SHORT, epochs=1, start="file", start_digest=file_digest(path))
    assert train(spec, store, start_path=path)["kept_epoch"] == 1
    (tmp_path / "text.h5").write_text("no weights")
    spec = dataclasses.replace(spec, start_digest=file_digest(tmp_path / "text.h5"))
    with pytest.raises(TrainingFailed, match="Expected a weights file in HDF5 form"):
        train(spec, store, start_path=tmp_path / "text.h5")


def test_a_start_file_that_is_none_is_refused_in_words(store):
    digest = training_state.keep_start_file(b"no weights at all", store)
    with pytest.raises(TrainingFailed, match="HDF5"):
        train(dataclasses.replace(SHORT, start="file", start_digest=digest), store)


def test_mixed_precision_trains_and_the_network_in_the_library_computes_in_float32(store):
    record = train(dataclasses.replace(SHORT, epochs=1, keep_every=0, mixed_precision=True), store)
    model = catalogue.load_model(catalogue.find(record["name"], store).spec, store)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert np.isfinite(record["history"]["loss"]).all()


def test_batch_norm_follows_faster_in_a_training_of_few_minibatches():
    few = TrainSpec("resnet50", epochs=5, batch_size=256)
    assert batch_norm_momentum(few, 2812) == pytest.approx(0.05 ** (2 / 55), abs=1e-4)
    assert "Only 55 minibatches" in about_batch_norm(few, 2812)
    for enough in (dataclasses.replace(few, batch_size=32), TrainSpec("cifar-resnet-8x1", epochs=1)):
        assert batch_norm_momentum(enough, 2812) is None and about_batch_norm(enough, 2812) == ""


def test_batch_norm_leaves_imagenets_averages_and_in_the_notebooks_full_recipe_by_itself():
    spec = TrainSpec("resnet50", "cifar10", **PRESETS["notebook"])
    assert batch_norm_momentum(spec, 50_000) is None
    assert batch_norm_momentum(spec, 3_125) ** (130 / 2) == pytest.approx(1e-6, rel=0.02)


def test_a_saved_training_keeps_the_momentum(tmp_path):
    import keras

    model = build_network("cifar-resnet-8x1")
    epochs.set_momentum(model, 0.8, keras)
    model.save(tmp_path / "state.keras")
    saved = keras.models.load_model(tmp_path / "state.keras")
    norms = [layer for layer in saved.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 7 and {norm.momentum for norm in norms} == {0.8}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_is_traced_once(optimizer, monkeypatch):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10)])
    epochs.compile_model(model, dataclasses.replace(SHORT, optimizer=optimizer), 2, keras)
    traced, step = [], model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(data) or step(data))
    model.fit(np.ones((8, 4), np.float32), np.arange(8), batch_size=4, verbose=0)
    assert len(traced) == 1


def test_the_speed_is_measured_and_remembered(store):
    speed = measure_speed(SHORT, store)
    assert speed > 0


@pytest.mark.parametrize(
    "values, message",
    [
        ({"architecture": "cifar-resnet-15x1"}, "14 and 20"),
        ({"images": "svhn"}, "Unknown image set"),
        ({"optimizer": "lion"}, "Valid: sgd, adam"),
        ({"epochs": 0}, "at least 1 epoch"),
        ({"epochs": 0}, "^Expected at least 1 epoch, at most 10,000, got 0.$"),
        ({"fraction": 2}, "^Expected 0 < fraction <= 1, got 2.0.$"),
        ({"batch_size": 0}, "^Expected a batch size from 1 to 4,096, got 0.$"),
        ({"l2": -1.0}, "^Expected l2 >= 0, got -1.0.$"),
        ({"held_out": 1.0}, "held_out < 1"),
        ({"fraction": 0}, "0 < fraction <= 1"),
        ({"learning_rate": float("nan")}, "learning_rate > 0"),
        ({"keep_every": 41}, "every 1 to 40 epochs, or never .0., got 41"),
        ({"start": "file"}, "start_digest"),
        ({"schedule": "step"}, "Valid: cosine, constant"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(**{"architecture": "cifar-resnet-8x1"} | values)


def test_killed_between_its_file_and_its_record_it_goes_on_under_its_name(store):
    spec = dataclasses.replace(TINY, epochs=1, fraction=0.0625)
    first = train(spec, store, name="mine")
    store.remove(store.path("networks/mine.json"))
    assert store.has("networks", "mine")
    again = train(spec, store, name="mine")
    assert again["name"] == "mine" and again["weights"] == first["weights"]
    with pytest.raises(ValueError, match="in the library already"):
        train(dataclasses.replace(spec, seed=7), store, name="mine")


def test_a_name_that_was_taken_stays_the_trainings_own(store):
    spec = dataclasses.replace(TINY, epochs=1, fraction=0.0625)
    own = f"{spec.default_name}-{spec.key[:6]}"
    assert free_name(spec, store) == spec.default_name
    train(spec, store, name=own)
    assert free_name(spec, store) == own


def test_an_epoch_of_more_images_than_there_are_is_refused():
    with pytest.raises(ValueError, match="an epoch of 1 to 2,813 images"):
        TrainSpec("cifar-resnet-8x1", epoch_images=3126)


def test_next_to_no_images_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"at least 10 images to train on, got 0: fraction 0\.0001 of the 3,125 "):
        TrainSpec("cifar-resnet-8x1", fraction=0.0001)
    with pytest.raises(ValueError, match="got 5: fraction 0.0001 of the 50,000"):
        TrainSpec("cifar-resnet-8x1", "cifar10", fraction=0.0001, held_out=0.0)
    assert TrainSpec("cifar-resnet-8x1", fraction=0.02).training_images == 56
