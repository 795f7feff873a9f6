"""The trainings of a store as a page shows them, and in words how they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cka_core.base.locks import file_lock
from cka_core.base.progress import Progress
from cka_core.base.store import Store
from cka_core.images import own
from cka_core.images.own_files import OwnImages
from cka_core.jobs import records, submit, trainings
from cka_core.library import catalogue, keeping
from cka_core.training import estimate as training_estimate
from cka_core.training import state as training_state
from cka_core.training.recipe import TrainSpec
from cka_core.training.work import Work

SPEC = TrainSpec("cifar-resnet-8x1", epochs=4)
BELIEVED = "tcp://elsewhere"


def submitted(spec: TrainSpec, store: Store, state: str = "queued", cluster: str = BELIEVED) -> str:
    """The record of a job, as a page and a worker leave it."""
    attempt = records.write_new(spec.key, "train", dataclasses.asdict(spec), "A title", store, cluster)
    if state != "queued":
        records.begin(spec.key, attempt, store)
    if state not in ("queued", "running"):
        records.finish(spec.key, attempt, state, "The reason." if state == "failed" else None, store)
    return spec.key


def trained(spec: TrainSpec, store: Store, epochs: int, result: dict[str, Any] | None = None) -> None:
    """What a training leaves after some epochs."""
    work = Work(spec, spec.default_name, 2812, "CPU: there is no GPU.", store)
    for epoch in range(1, epochs + 1):
        row = {"loss": 2 / epoch, "accuracy": 0.2, "val_loss": 2.0, "val_accuracy": 0.1 * epoch}
        work.finish_epoch(epoch, row, 3.0, lambda path: path.write_bytes(b"s"), lambda path: path.write_bytes(b"w"))
    if result:
        work.finish(result)
    work.close()


def of_ones_own(store: Store) -> TrainSpec:
    """A training on images of one's own, which are called "mine"."""
    labels = np.arange(64) % 4
    pixels = np.broadcast_to(labels[:, None, None, None], (64, 32, 32, 3)).astype(np.uint8)
    own.put("mine", OwnImages({"all": (pixels, labels)}, ("a", "b", "c", "d")), "mine.npz", store)
    return dataclasses.replace(SPEC, images="mine")


def state(spec: TrainSpec, store: Store) -> str:
    found = trainings.find(spec.key, store)
    assert found is not None
    return found.state


def test_nothing_yet(store):
    assert trainings.trainings(store) == []
    assert trainings.find("0" * 24, store) is None


def test_order_at_work_then_waiting_in_turn_then_the_last_one_ended_first(store):
    specs = [dataclasses.replace(SPEC, seed=seed) for seed in range(6)]
    for spec, how in zip(specs, ("done", "stopped", "queued", "queued", "running"), strict=False):
        submitted(spec, store, how)
    trained(specs[5], store, 1)
    found = trainings.trainings(store)
    assert [training.spec.seed for training in found] == [4, 2, 3, 5, 1], "of the first one nothing is left"
    assert [training.state for training in found] == ["running", "queued", "queued", "stopped", "stopped"]


@pytest.mark.parametrize("how", ["queued", "running", "stopped", "failed"])
def test_the_state_is_that_of_the_job(store, how):
    submitted(SPEC, store, how)
    trained(SPEC, store, 2)
    assert state(SPEC, store) == how


def test_a_training_of_the_command_line_is_seen_while_it_runs_and_can_be_resumed(store):
    trained(SPEC, store, 2)
    assert state(SPEC, store) == "stopped"
    with file_lock(store.scratch("scratch") / f"training-{SPEC.key}.lock", 0):  # held by training.train
        assert state(SPEC, store) == "elsewhere"
        with pytest.raises(ValueError, match="another program"):
            trainings.remove(SPEC.key, store)
    assert state(SPEC, store) == "stopped"


def test_a_result_counts_more_than_what_the_job_says(store):
    submitted(SPEC, store, "failed")
    trained(SPEC, store, 4, {"name": "any"})
    assert state(SPEC, store) == "done"


def test_removing_forgets_the_job_and_the_saved_epochs(store):
    submitted(SPEC, store, "stopped")
    trained(SPEC, store, 2)
    store.scratch(f"scratch/training-{SPEC.key}-4711")  # of a process that was killed
    trainings.remove(SPEC.key, store)
    assert trainings.trainings(store) == [] and not store.entries("trainings")
    assert not list(store.scratch("scratch").iterdir())


def test_one_at_work_is_not_removed(store):
    submitted(SPEC, store, "running")
    trained(SPEC, store, 2)
    with pytest.raises(ValueError, match="Stop it"):
        trainings.remove(SPEC.key, store)
    assert training_state.read(SPEC.key, store).epochs_done == 2


def test_a_record_of_another_version_is_left_out(store):
    records.write_new("a" * 24, "train", {"architecture": "resnet50", "colour": "red"}, "Old", store, BELIEVED)
    records.write_new("b" * 24, "train", dataclasses.asdict(SPEC), "Another key", store, BELIEVED)
    assert trainings.trainings(store) == []


# What is asked for


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        (" 3 ", (3,)),
        ("0, 1, 2", (0, 1, 2)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("3 – 5; 9 0", (3, 4, 5, 9, 0)),
        ("1, 1, 0-2", (1, 0, 2)),
    ],
)
def test_seeds(text, seeds):
    assert trainings.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "-1", "1.5", "5-1", "0-20", "0-9, 10-19, 20", "9999999999", "0-"])
def test_seeds_that_cannot_be_meant(text):
    with pytest.raises(ValueError, match="^Expected"):
        trainings.parse_seeds(text)


def test_bundled_trainings_are_known(store):
    networks = catalogue.networks(store)
    bundled = [name for name, info in networks.items() if info.spec.source == "bundled"]
    assert sorted(trainings.trained(store, networks).values()) == sorted(bundled)


def test_partners_begin_with_other_seeds_then_other_trained_networks():
    networks = catalogue.networks(Store("memory://none"))
    own = next(name for name, info in networks.items() if info.trained_on)
    found = trainings.partners(own, networks)
    assert own not in found and len(found) == len(networks) - 1
    trained_on = [bool(networks[name].trained_on) for name in found]
    assert trained_on == sorted(trained_on, reverse=True)


# In words


def at_work(store: Store, progress: Progress | None = None) -> tuple[str, str]:
    submitted(SPEC, store, "running")
    if progress:
        records.tell(SPEC.key, 1, progress, store)
    found = trainings.find(SPEC.key, store)
    assert found is not None
    return trainings.at_work_text(found, store)


def test_where_a_training_is_and_its_numbers(store):
    assert at_work(store) == ("starting", "")


def test_the_time_left_comes_from_its_own_epochs(store):
    trained(SPEC, store, 2)
    detail = "epoch 3 of 4 · image 1,406 of 2,812 · 560 images/s · loss 1.710 · accuracy 0.380"
    place, numbers = at_work(store, Progress("training", 2.5, 4, detail))
    assert place == "epoch 3 of 4 · image 1,406 of 2,812"
    assert numbers == "560 images/s · loss 1.710 · accuracy 0.380 · 4 s left · CPU"  # 1.5 epochs of 3 s


def test_one_that_stops_says_so(store):
    submitted(SPEC, store, "running")
    submit.stop(SPEC.key, store)
    found = trainings.find(SPEC.key, store)
    assert trainings.at_work_text(found, store)[0].startswith("stopping after this step")


@pytest.mark.parametrize(
    ("how", "cluster", "said"),
    [
        ("stopped", BELIEVED, "Stopped. 2 of 4 epochs are kept: Resume goes on from there."),
        ("failed", BELIEVED, "Failed. The reason. 2 of 4 epochs are kept: Resume goes on from there."),
        ("running", "here/gone/1", "Interrupted. The cluster ended while this was at work. 2 of 4 epochs are kept"),
    ],
)
def test_nothing_is_lost_and_it_says_so(store, how, cluster, said):
    submitted(SPEC, store, how, cluster)
    trained(SPEC, store, 2)
    assert trainings.ended_text(trainings.find(SPEC.key, store)).startswith(said)


def test_what_a_finished_training_reached():
    record = {
        "test_accuracy": 0.54, "test_images": 1000, "train_accuracy": 0.88, "kept_epoch": 3, "seconds": [3.0, 4.0],
        "spec": {"epochs": 4},
    }  # fmt: skip
    assert trainings.result_text(record) == (
        "54 % ±3 of 1,000 test images right · 88 % of the training images · epoch 3 of 4 kept · trained in 7 s"
    )


# How long it takes


def test_the_first_estimate_is_rough_and_learns_from_what_was_measured(store):
    small, large = TrainSpec("cifar-resnet-14x1"), TrainSpec("cifar-resnet-56x1")
    guess, measured = training_estimate.training_seconds(small, store)
    assert not measured and training_estimate.training_seconds(large, store)[0] > 3 * guess
    training_estimate.remember_speed("cifar-resnet-14x1", 128, 300.0, store)
    seconds, measured = training_estimate.training_seconds(small, store)
    assert measured and seconds == pytest.approx((3125 * 0.9 + 3125 * 0.1 / 3) / 300)
    assert training_estimate.training_seconds(dataclasses.replace(small, batch_size=32), store) == (seconds, True)
    other, measured = training_estimate.training_seconds(large, store)
    assert not measured and other > 3 * seconds, "scaled by the work"
    assert training_estimate.whole_training_seconds(small, store) > 40 * seconds


def test_a_share_of_the_images_takes_a_share_of_the_time(store):
    whole, quarter = (
        training_estimate.training_seconds(TrainSpec("cifar-resnet-14x1", fraction=share), store)[0]
        for share in (1.0, 0.25)
    )
    assert quarter == pytest.approx(whole / 4)


def test_speeds_of_several_sizes_stand_side_by_side_and_follow_the_machine(store):
    for size, speed in ((32, 100.0), (256, 400.0), (256, 200.0)):
        training_estimate.remember_speed("resnet50", size, speed, store)
    training_estimate.remember_speed("resnet50", 256, float("nan"), store)
    times = {
        size: training_estimate.training_seconds(TrainSpec("resnet50", batch_size=size, held_out=0.0), store)[0]
        for size in (16, 32, 256, 512)
    }
    assert times[16] == times[32] == pytest.approx(31.25) and times[256] == times[512] == pytest.approx(3125 / 300)


def test_a_training_outlives_its_images_and_comes_back_with_them(store):
    """That its images were removed is no damage of its record: they can be put back for a week."""
    spec = of_ones_own(store)
    trained(spec, store, 2)
    removed = keeping.remove("images", "mine", "mine", store)
    assert trainings.trainings(store) == [] and store.damaged() == []
    assert training_state.of_images_gone(store) == ["mine"]
    assert training_state.of_images_gone(store, only=()) == []
    assert training_state.of_images_gone(store, shown={spec.key}) == []
    keeping.restore(removed, store)
    (found,) = trainings.trainings(store)
    assert found.spec == spec and found.epochs_done == 2 and training_state.of_images_gone(store) == []
