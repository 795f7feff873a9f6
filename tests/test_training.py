"""A training ends where it should, goes on where it was stopped, and never looks at a test image."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cka_core import library
from cka_core.images import load_images
from cka_core.progress import Progress, Stopped
from cka_core.training import TrainingFailed, TrainSpec, _TrainingImages, train

TINY = TrainSpec("cifar-resnet-8x1", epochs=2, batch_size=512, deterministic=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    from cka_core.store import Store

    store = Store(tmp_path_factory.mktemp("store"))
    seen: list[Progress] = []
    history = tmp_path_factory.mktemp("out") / "history.json"
    record = train(TINY, store, history_path=history, report=seen.append)
    return store, record, seen, json.loads(history.read_text())


def test_a_finished_training_is_in_the_library(uninterrupted):
    store, record, _, _ = uninterrupted
    info = library.find("cifar-resnet-8x1-cifar10-mini-s0", store)
    assert info.spec.source == "trained" and info.spec.weights == record["weights"]
    model = library.load_model(info.spec, store)
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


@pytest.mark.parametrize("stop_at", [0.5, 1.0])
def test_stopped_and_resumed_it_ends_with_the_same_digits(uninterrupted, store, stop_at):
    def stop(progress: Progress) -> None:
        if progress.phase == "training" and progress.done >= stop_at:
            raise Stopped

    with pytest.raises(Stopped):
        train(TINY, store, report=stop)
    resumed = train(TINY, store)
    _, record, _, _ = uninterrupted
    assert resumed["history"] == record["history"]
    assert resumed["weights"] == record["weights"]


def test_held_out_images_are_not_trained_on_and_not_test_images(store):
    data = _TrainingImages(TINY, store)
    trained, held = ({image.tobytes() for image in x} for x in (data.x, data.held_x))
    assert len(data.held_x) == 312 and not trained & held
    assert len(trained | held) == len({image.tobytes() for image in load_images("cifar10-mini", "train").x})


def test_augmentation_depends_on_seed_epoch_and_step_alone(store):
    data = _TrainingImages(TINY, store)
    one, same, other = (data.minibatch(data.order(e), e, 1)[0] for e in (0, 0, 1))
    assert (one == same).all() and not (one == other).all()
    assert one.dtype == np.float32 and 0 <= one.min() and one.max() <= 1


def test_a_loss_that_is_not_finite_stops_with_a_suggestion(store):
    spec = TrainSpec("cifar-resnet-8x1", epochs=1, batch_size=1024, learning_rate=1e30, schedule="constant")
    with pytest.raises(TrainingFailed, match=r"epoch 1.*learning rate 1e\+30.*--learning-rate 2e\+29"):
        train(spec, store)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"architecture": "cifar-resnet-15x1"}, "14 and 20"),
        ({"images": "mnist"}, "Unknown image set"),
        ({"optimizer": "lion"}, "Valid: sgd, adam"),
        ({"epochs": 0}, "at least 1 epoch"),
        ({"held_out": 1.0}, "held_out < 1"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(**{"architecture": "cifar-resnet-8x1"} | values)
