"""The Train page as Streamlit runs it, without a browser and without a worker."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cka_core.base.progress import Progress
from cka_core.base.store import Store
from cka_core.jobs import records, submit, trainings
from cka_core.library import catalogue
from cka_core.training import estimate as training_estimate
from cka_core.training import state as training_state
from cka_core.training.recipe import PRESETS, TrainSpec
from cka_core.training.work import Work
from tests.jobs.test_trainings import submitted, trained

APP = Path(__file__).parent.parent.parent / "app.py"
SPEC = TrainSpec("cifar-resnet-8x1", epochs=4)
DETAIL = "epoch 3 of 4 · image 1,406 of 2,812 · 560 images/s · loss 1.710 · accuracy 0.380"
RESULT = {
    "name": SPEC.default_name, "architecture": SPEC.architecture, "spec": dataclasses.asdict(SPEC),
    "training_key": SPEC.key, "kept_epoch": 3, "test_accuracy": 0.5, "test_images": 1000, "train_accuracy": 0.75,
    "classes": ["cat", "dog"], "confusion": [[8, 2], [4, 6]], "seconds": [3.0] * 4, "weights": "0" * 32,
    "history": {"loss": [2.0, 1.5, 1.0, 0.5], "accuracy": [0.2, 0.3, 0.4, 0.5]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def asked(monkeypatch) -> list[tuple[str, Any]]:
    """What the page has the workers do; nothing is done."""
    asked: list[tuple[str, Any]] = []
    monkeypatch.setattr(submit, "submit", lambda kind, spec, title, store, by=None: asked.append((kind, spec)))
    return asked


def open_page(**address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60).run()
    for key in list(page.query_params):
        del page.query_params[key]
    for key, value in address.items():
        page.query_params[key] = value
    page.switch_page("pages/train.py").run()
    assert not page.exception, page.exception
    return page


def texts(page: AppTest) -> str:
    shown = [
        *page.markdown,
        *page.caption,
        *page.title,
        *page.header,
        *page.info,
        *page.warning,
        *page.error,
        *page.code,
    ]
    return "\n".join(element.value for element in shown)


def button(page: AppTest, label: str) -> Any:
    found = [one for one in page.button if one.label == label]
    assert len(found) == 1, [one.label for one in page.button]
    return found[0]


def charts(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def finished(store: Store) -> None:
    """A network that was trained here, with made-up weights."""
    submitted(SPEC, store, "done")
    trained(SPEC, store, 4, RESULT)
    store.put("networks", SPEC.default_name, b"weights", "keras")
    store.write_record(f"networks/{SPEC.default_name}.json", RESULT)


# The form


def test_the_default_form_says_what_it_would_train_and_how_long(asked):
    page = open_page()
    assert "176k\xa0parameters · 50\xa0layers · cifar-resnet-14x1" in texts(page)
    assert "≈ 6 s an epoch" in texts(page) and "a rough guess" in texts(page)
    button(page, "Train").click().run()
    assert asked == [("train", TrainSpec("cifar-resnet-14x1"))]


def test_several_seeds_are_several_trainings(asked):
    page = open_page(seeds="0-2", depth="20", width="2")
    assert "for each of 3 seeds" in texts(page)
    button(page, "Train").click().run()
    assert asked == [("train", TrainSpec("cifar-resnet-20x2", seed=seed)) for seed in range(3)]


def test_the_notebook_preset_is_the_notebooks(asked):
    page = open_page(family="ImageNet ResNet", resnet="101")
    page.segmented_control(key="preset").set_value("notebook").run()
    assert open_page(preset="seed").segmented_control(key="preset").value == "notebook", "as it was called before"
    button(page, "Train").click().run()
    assert asked == [("train", TrainSpec("resnet101", **PRESETS["notebook"]))]


def test_every_value_can_be_edited_is_named_and_stands_in_the_address(asked):
    page = open_page()
    for key, value in (("epochs", 7), ("minibatch", 64), ("rate", 0.02), ("l2", 0.0), ("keep", 2), ("width", 3)):
        page.number_input(key=key).set_value(value)
    for key, value in (("share", 0.25), ("schedule", "constant"), ("heldout", 0.2), ("depth", 8)):
        page.selectbox(key=key).set_value(value)
    for key, value in (("augment", False), ("xla", True), ("mixed", True), ("cpu", True), ("deterministic", True)):
        page.toggle(key=key).set_value(value)
    page.run()
    wanted = TrainSpec(
        "cifar-resnet-8x3", epochs=7, batch_size=64, learning_rate=0.02, l2=0.0, keep_every=2, fraction=0.25,
        schedule="constant", held_out=0.2, augment=False, xla=True, mixed_precision=True, force_cpu=True,
        deterministic=True,
    )  # fmt: skip
    assert "epochs, held-out share" in texts(page)
    button(page, "Train").click().run()
    assert asked == [("train", wanted)]
    again = open_page(**dict(page.query_params))
    button(again, "Train").click().run()
    assert asked[1] == asked[0], "a copied link opens the same form"
    button(again, "Back to the preset").click().run()
    button(again, "Train").click().run()
    assert asked[2] == ("train", TrainSpec("cifar-resnet-8x3"))


def test_another_optimizer_brings_its_learning_rate(asked):
    page = open_page()
    page.number_input(key="rate").set_value(0.5).run()
    page.selectbox(key="optimizer").set_value("adam").run()
    assert page.number_input(key="rate").value == 1e-3
    page.selectbox(key="optimizer").set_value("sgd").run()
    assert page.number_input(key="rate").value == 0.05


def test_imagenet_weights_are_offered_only_where_there_are_some():
    page = open_page(family="ImageNet ResNet", start="imagenet")
    assert page.selectbox(key="start").value == "imagenet" and not page.warning
    page.segmented_control(key="family").set_value("CIFAR ResNet").run()
    assert page.selectbox(key="start").value == "random"
    assert "ImageNet weights" not in page.selectbox(key="start").options


def test_a_weights_file_is_uploaded_into_the_store(asked, store):
    page = open_page(start="file")
    assert button(page, "Train").disabled and "Choose the weights file" in texts(page)
    page.file_uploader(key="start file").set_value(("start.weights.h5", b"<html>", "application/x-hdf5")).run()
    assert button(page, "Train").disabled and "no HDF5 file" in page.error[0].value
    weights = b"\x89HDF\r\n\x1a\nand so on"
    page.file_uploader(key="start file").set_value(("start.weights.h5", weights, "application/x-hdf5")).run()
    button(page, "Train").click().run()
    digest = training_state.keep_start_file(weights, store)
    assert asked == [("train", TrainSpec("cifar-resnet-14x1", start="file", start_digest=digest))]
    assert store.has("weights", digest)


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("family", "VGG"), ("depth", "15"), ("depth", "x"), ("width", "0"), ("width", "65"), ("preset", "mine"),
        ("set", "imagenet"), ("share", "2"), ("epochs", "0"), ("epochs", "1.5"), ("epochs", "9" * 30),
        ("minibatch", "-1"), ("optimizer", "lion"), ("rate", "nan"), ("rate", "1e99"), ("rate", "inf"),
        ("schedule", "step"), ("l2", "-1"), ("augment", "yes"), ("heldout", "0.9"), ("start", "imagenet"),
        ("start", "../../etc/passwd"), ("keep", "-2"), ("xla", "<b>"), ("cpu", "1"), ("resnet", "51"),
    ],
)  # fmt: skip
def test_what_a_link_asks_for_in_vain_is_said_and_the_page_works(asked, key, bad):
    family = {"family": "ImageNet ResNet"} if key == "resnet" else {}
    page = open_page(**(family | {key: bad}))
    notes = [warning.value for warning in page.warning if "The link asks for" in warning.value]
    assert len(notes) == 1 and f"`{bad[:40]}" in notes[0]
    button(page, "Train").click().run()
    assert asked == [("train", TrainSpec("resnet50" if family else "cifar-resnet-14x1"))]


@pytest.mark.parametrize("seeds", ["one", "0-99", "-1", "5-2"])
def test_seeds_that_cannot_be_meant_are_explained(asked, seeds):
    page = open_page(seeds=seeds)
    assert button(page, "Train").disabled and "Expected" in texts(page)


@pytest.mark.parametrize(
    "key, bad, said",
    [("epochs", 0, "Epochs: expected 1 to 10,000, got 0."), ("epochs", -3, "got -3"), ("minibatch", 10**6, "to 4,096"),
     ("rate", -0.1, "Learning rate: expected 1e-09 to 1e+09, got -0.1."), ("rate", 0.0, "got 0."), ("l2", -1.0, "L2:"),
     ("width", 0, "Width: expected 1 to 64, got 0."), ("keep", -1, "Keep weights every")],
)  # fmt: skip
def test_a_number_out_of_range_is_explained_and_nothing_else_is_trained(asked, key, bad, said):
    page = open_page()
    page.number_input(key=key).set_value(bad).run()
    assert not page.exception and button(page, "Train").disabled
    assert said in texts(page).replace("\\", "")
    page.number_input(key=key).set_value(1).run()
    assert not button(page, "Train").disabled


def test_a_loss_that_is_not_finite_leads_to_a_lower_rate_and_not_to_resume(asked, store):
    spec = dataclasses.replace(SPEC, learning_rate=10.0)
    trained(spec, store, 1)
    Work(spec, spec.default_name, 2812, "CPU.", store).note(lower_rate=0.05)
    submitted(spec, store, "failed")
    page = open_page(depth="8", epochs="4", rate="10")
    assert button(page, "Train").disabled and "did not stay finite" in texts(page)
    assert not [one for one in page.button if one.label == "Resume"] and "Resume" not in texts(page)
    button(page, "Fill in the form with learning rate 0.05").click().run()
    assert page.number_input(key="rate").value == 0.05
    button(page, "Train").click().run()
    assert asked == [("train", dataclasses.replace(SPEC, learning_rate=0.05))]


def test_values_that_do_not_fit_together_are_explained():
    page = open_page(epochs="4", keep="9")
    assert button(page, "Train").disabled and "kept every 1 to 4 epochs, or never" in texts(page)


def test_what_is_trained_is_not_trained_again(asked, store):
    finished(store)
    page = open_page(depth="8", epochs="4")
    assert button(page, "Train").disabled and "Trained already." in texts(page)
    page = open_page(depth="8", epochs="4", seeds="0-2")
    assert "1 of the seeds is trained, at work or waiting already." in texts(page)
    button(page, "Train").click().run()
    assert [spec.seed for _, spec in asked] == [1, 2]


def test_what_was_stopped_is_resumed(asked, store):
    submitted(SPEC, store, "stopped")
    trained(SPEC, store, 2)
    page = open_page(depth="8", epochs="4")
    [one] = [one for one in page.button if one.key == "train"]
    assert one.label == "Resume"
    one.click().run()
    assert asked == [("train", SPEC)]


def test_the_speed_can_be_measured(asked, store):
    page = open_page()
    button(page, "Measure").click().run()
    [(kind, spec)] = asked
    assert kind == "measure" and spec == training_estimate.MeasureSpec(TrainSpec("cifar-resnet-14x1"))
    records.write_new(spec.key, "measure", dataclasses.asdict(spec), "speed", store, "tcp://elsewhere")
    assert "Measuring: waiting for a worker" in texts(open_page())
    records.begin(spec.key, 1, store)
    records.tell(spec.key, 1, Progress("measuring", 1, 5, "step 1 of 5"), store)
    page = open_page()
    assert "Measuring: step 1 of 5" in texts(page)
    training_estimate.remember_speed("cifar-resnet-14x1", 128, 1000.0, store)
    records.finish(spec.key, 1, "done", None, store)
    page.run()
    assert "≈ 3 s an epoch" in texts(page) and "a rough guess" not in texts(page)
    assert not [one for one in page.button if one.label == "Measure"]


# The queue


def test_an_empty_queue_shows_an_example_and_a_suggestion(asked):
    page = open_page(epochs="3", share="0.5")
    assert "trained before: an example" in texts(page) and "test images right" in texts(page)
    assert len(charts(page)) >= 2
    button(page, "Fill in the form for it").click().run()
    button(page, "Train").click().run()
    assert asked == [("train", TrainSpec("cifar-resnet-14x1", epochs=15))]


def running(store: Store, spec: TrainSpec = SPEC) -> str:
    submitted(spec, store, "running")
    trained(spec, store, 2)
    records.tell(spec.key, 1, Progress("training", 2.5, 4, DETAIL), store)
    return spec.key


def test_one_at_work_shows_how_far_how_fast_and_its_curves(store):
    key = running(store)
    page = open_page()
    bar = page.get("progress")[0].proto
    assert bar.value == 62 and "epoch 3 of 4" in bar.text
    assert "560 images/s" in texts(page) and "s left · CPU" in texts(page)
    loss, accuracy = charts(page)
    assert [line["name"] for line in loss["data"]] == ["training", "held out"]
    assert accuracy["layout"]["yaxis"]["title"]["text"] == "accuracy"
    button(page, "Stop").click().run()
    assert submit.status(key, store).stopping
    assert button(page, "Stopping").disabled
    assert "stopping after this step" in page.get("progress")[0].proto.text


def test_the_end_of_a_training_is_seen_without_a_reload(store):
    running(store)
    page = open_page()
    assert page.get("progress")
    finished(store)
    page.run()
    assert not page.get("progress") and "50 % ±3 of 1,000 test images right" in texts(page)


def test_waiting_ones_stand_in_turn_and_can_be_taken_out(store):
    running(store)
    waiting = [dataclasses.replace(SPEC, seed=seed) for seed in (1, 2)]
    for spec in waiting:
        submitted(spec, store)
    page = open_page()
    assert "Number 1 in the queue" in texts(page) and "Number 2 in the queue" in texts(page)
    [one] = [one for one in page.button if one.key == f"unqueue {waiting[0].key}"]
    one.click().run()
    assert submit.status(waiting[0].key, store) is None
    assert [training.spec.seed for training in trainings.trainings(store)] == [0, 2]


@pytest.mark.parametrize(
    ("how", "cluster", "said"),
    [
        ("stopped", "tcp://elsewhere", "Stopped. 2 of 4 epochs are kept"),
        ("failed", "tcp://elsewhere", "Failed. The reason. 2 of 4 epochs are kept"),
        ("running", "here/gone/1", "Interrupted. The cluster ended while this was at work. 2 of 4 epochs are kept"),
    ],
)
def test_one_that_ended_early_says_that_nothing_is_lost_and_goes_on(asked, store, how, cluster, said):
    submitted(SPEC, store, how, cluster)
    trained(SPEC, store, 2)
    page = open_page()
    assert said in texts(page).replace("\\", "")
    button(page, "Resume").click().run()
    assert asked == [("train", SPEC)]
    [remove] = [one for one in page.button if one.key == f"remove {SPEC.key}"]
    remove.click().run()
    assert trainings.trainings(store) == []


def test_a_whole_queue_that_was_interrupted_goes_on_in_its_order(asked, store):
    specs = [dataclasses.replace(SPEC, seed=seed) for seed in (2, 0, 1)]
    for spec in specs:
        submitted(spec, store, "queued", "here/gone/1")
    page = open_page()
    button(page, "Resume all 3").click().run()
    assert [spec for _, spec in asked] == specs


def test_a_finished_one_shows_its_confusion_matrix_and_leads_to_a_comparison(store):
    finished(store)
    page = open_page()
    assert "50 % ±3 of 1,000 test images right · 75 % of the training images · epoch 3 of 4 kept" in texts(page)
    [matrix] = [chart for chart in charts(page) if chart["data"][0]["type"] == "heatmap"]
    assert matrix["data"][0]["y"] == ["cat", "dog"]
    partners = page.selectbox(key=f"compare {SPEC.key}")
    other = "cifar-resnet-38x1-cifar10-mini-s0"
    assert other in trainings.partners(SPEC.default_name, catalogue.networks(store))
    page.selectbox(key=f"compare {SPEC.key}").set_value(other).run()
    assert not page.exception and partners is not None
    assert (page.selectbox(key="a").value, page.selectbox(key="b").value) == (SPEC.default_name, other)


def test_a_finished_one_asks_for_a_name_which_it_then_has_everywhere(store):
    finished(store)
    page = open_page()
    page.text_input(key=f"new name of networks {SPEC.default_name}").set_value("cifar-resnet-8x1")
    button(page, "Name it").click().run()
    assert "is what the untrained network is called" in page.error[0].value
    page.text_input(key=f"new name of networks {SPEC.default_name}").set_value(" first try ")
    button(page, "Name it").click().run()
    assert "first try" in page.error[0].value.replace("\\", "") and SPEC.default_name in catalogue.networks(store)
    page.text_input(key=f"new name of networks {SPEC.default_name}").set_value("first-try")
    button(page, "Name it").click().run()
    assert not page.error and "**first-try** · ResNet 8x1" in texts(page).replace("\\", "")
    assert {"first-try"} == {name for name, info in catalogue.networks(store).items() if info.spec.source == "trained"}
    page.selectbox(key=f"compare {SPEC.key}").set_value("cifar-resnet-38x1-cifar10-mini-s0").run()
    assert not page.exception and page.selectbox(key="a").value == "first-try"


def test_removing_a_finished_one_leaves_its_network(store):
    finished(store)
    page = open_page()
    button(page, "Remove").click().run()
    assert trainings.trainings(store) == []
    assert SPEC.default_name in catalogue.networks(store)


def test_recipe_and_log_are_one_click_away(store):
    finished(store)
    page = open_page()
    page.session_state[f"Recipe and log {SPEC.key}"] = True
    page.run()
    assert "python -m cka_core train cifar-resnet-8x1 --seed 0 --epochs 4" in texts(page)
    assert "SGD with momentum 0.9" in texts(page)


def test_one_that_failed_before_its_first_epoch_is_tried_again(asked, store):
    submitted(SPEC, store, "failed")
    page = open_page()
    assert "Failed. The reason." in texts(page).replace("\\", "")
    button(page, "Try again").click().run()
    assert asked == [("train", SPEC)]


def test_a_long_list_begins_with_the_last_ones(store):
    for seed in range(15):
        submitted(dataclasses.replace(SPEC, seed=seed), store, "stopped")
    page = open_page()
    assert texts(page).count("**ResNet 8x1, seed") == 12 and "seed 14" in texts(page)
    page.toggle(key="all ended").set_value(True).run()
    assert texts(page).count("**ResNet 8x1, seed") == 15


def test_a_full_disk_is_said(store, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", store.path("jobs"))

    monkeypatch.setattr(submit, "submit", full)
    page = open_page()
    button(page, "Train").click().run()
    assert not page.exception and "is full" in page.error[0].value
