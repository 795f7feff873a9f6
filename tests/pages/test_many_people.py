"""The pages where many people use one store, and where there is only something to look at, without a browser."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cka_core.base import deployment, visitors
from cka_core.base.visitors import Visitor
from cka_core.jobs import admission, records, submit
from cka_core.library import arrivals, belongings, keeping
from cka_core.training import state as training_state
from cka_core.training.recipe import TrainSpec
from pages.parts import visitor
from tests.pages.test_compare import APP, button, has_map, keep, spec, texts

PAGES = ("compare", "train", "atlas", "library")
BELIEVED = "tcp://elsewhere"
TEACHERS_KEY = "a teacher's long key"


@pytest.fixture
def in_class(monkeypatch):
    monkeypatch.setenv("CKA_MODE", "class")
    monkeypatch.setenv("CKA_TEACHER_KEY", TEACHERS_KEY)
    monkeypatch.setenv("CKA_ADDRESS", "http://cka.school.example")


def open_page(name: str = "compare", key: str | None = None, **address: str) -> AppTest:
    """A page at a browser that keeps ``key``."""
    page = AppTest.from_file(APP, default_timeout=60)
    if key is not None:
        page.session_state[visitor.KEY] = key
    for parameter, value in address.items():
        page.query_params[parameter] = value
    page.run()
    if name != "compare":
        page.switch_page(f"pages/{name}.py").run()
    assert not page.exception, page.exception
    return page


def someone() -> tuple[str, Visitor]:
    key = visitors.new_key()
    return key, Visitor(visitors.owner_of(key))


def labels(page: AppTest) -> list[str]:
    return [one.label for one in page.button]


def said(page: AppTest) -> str:
    return texts(page).replace("\\", "")


def job(by: Visitor, store, wanted: Any = None, kind: str = "compare") -> str:
    """A job that waits on a cluster that is believed to be there."""
    wanted = wanted or spec()
    records.write_new(wanted.key, kind, dataclasses.asdict(wanted), "Its title", store, BELIEVED)
    visitors.give(by, wanted.key, store)
    return wanted.key


def as_teacher() -> AppTest:
    page = open_page("teacher", visitors.new_key())
    page.text_input(key="told").set_value(TEACHERS_KEY)
    button(page, "Open").click().run()
    return page


def test_the_notebooks_maps_that_may_be_had_are_offered_together(store, in_class, monkeypatch):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *what: submitted.append(what))
    page = open_page(key=visitors.new_key(), a="resnet50", b="resnet50")
    (offer,) = [one for one in page.button if one.label.startswith("Compare 3 that are not made yet")]
    assert "Without ResNet152: a network may have at most 400 layers here." in said(page)
    offer.click().run()
    ((_, wanted, *_),) = submitted
    assert len(wanted.specs) == 3 and {one.a.name for one in wanted.specs} == {"resnet50", "resnet101"}
    for one in wanted.specs:
        admission.check_size("compare", dataclasses.asdict(one), store)
    monkeypatch.setenv("CKA_MAX_LAYERS", "600")
    page = open_page(key=visitors.new_key(), a="resnet50", b="resnet50")
    assert any(one.label.startswith("Compare all 6 that are not made yet") for one in page.button)
    assert "Without ResNet152" not in said(page)


def test_the_first_training_that_is_suggested_may_be_had(store, in_class, monkeypatch):
    monkeypatch.setenv("CKA_MAX_EPOCHS", "3")
    page = open_page("train", visitors.new_key())
    assert "a ResNet 14x1, 3 epochs, " in said(page)
    button(page, "Fill in the form for it").click().run()
    assert page.number_input(key="epochs").value == 3
    monkeypatch.setenv("CKA_MODE", "read-only")
    page = open_page("train")
    assert "Nothing is trained here." in said(page) and "To begin with" not in said(page)
    assert "Fill in the form for it" not in labels(page)


def told_the_folder(page: AppTest) -> bool:
    """Whether the Library says where on this machine everything is kept."""
    return any("Kept in" in (one.proto.help or "") for one in page.caption)


@pytest.mark.parametrize("mode", deployment.MODES)
def test_only_whose_machine_it_is_is_told_the_folder_of_the_store(monkeypatch, mode):
    monkeypatch.setenv("CKA_MODE", mode)
    assert told_the_folder(open_page("library", visitors.new_key())) == (mode == deployment.OPEN)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("mode", deployment.MODES)
@pytest.mark.parametrize("key", [None, visitors.new_key()], ids=["unknown", "known"])
def test_every_page_is_drawn_for_whomever_it_runs(monkeypatch, name, mode, key):
    monkeypatch.setenv("CKA_MODE", mode)
    page = open_page(name, key)
    assert not page.error and not page.warning
    assert has_map(page) or name != "compare"


def test_open_mode_knows_no_visitors(store):
    page = open_page("library")
    assert "Go on at another device" not in said(page) and store.names("owners") == []
    with pytest.raises(Exception, match="teacher"):
        open_page("teacher")


# What is another's


def test_another_persons_jobs_are_a_number_ones_own_are_buttons(store, in_class):
    (anns, ann), (bens, _) = someone(), someone()
    for n in (64, 128):
        job(ann, store, spec(n=n))
    assert [label for label in labels(open_page(key=anns)) if label.startswith("At work")] == ["At work: Its title"] * 2
    page = open_page(key=bens)
    assert not [label for label in labels(page) if label.startswith("At work")]
    assert "2 of others at work or waiting." in said(page)


def test_hundreds_of_jobs_are_a_handful_of_buttons_in_open_mode_too(store):
    for number in range(300):
        wanted = spec(seed=number)
        records.write_new(wanted.key, "compare", dataclasses.asdict(wanted), "Its title", store, BELIEVED)
    page = open_page()
    assert sum(label.startswith("At work") for label in labels(page)) == submit.SHOWN
    assert "295 more at work or waiting." in said(page)


def test_only_who_asked_for_it_can_stop_it(store, in_class):
    (anns, ann), (bens, _) = someone(), someone()
    key = job(ann, store)
    address = {"a": spec().a.name, "b": spec().b.name}
    assert "Stop" not in labels(open_page(key=bens, **address))
    page = open_page(key=anns, **address)
    button(page, "Stop").click().run()
    assert submit.status(key, store).state == "stopped"


def test_who_asks_for_what_another_waits_for_shares_the_run(store, in_class):
    (_, ann), (bens, ben) = someone(), someone()
    key = job(ann, store)
    records.begin(key, 1, store)
    page = open_page(key=bens, a=spec().a.name, b=spec().b.name)
    button(page, "Compare").click().run()
    assert set(visitors.owners(key, store)) == {ann.owner, ben.owner}
    assert records.record(key, store)["attempt"] == 1
    button(page, "Stop").click().run()
    assert visitors.owners(key, store) == [ann.owner] and not submit.status(key, store).stopping


def test_trainings_of_others_are_a_number(store, in_class):
    (anns, ann), (bens, _) = someone(), someone()
    job(ann, store, TrainSpec("cifar-resnet-14x1"), "train")
    assert "Take out of the queue" in labels(open_page("train", anns))
    page = open_page("train", bens)
    assert "Take out of the queue" not in labels(page) and "1 of others at work or waiting." in said(page)


def test_many_waiting_trainings_are_a_few_cards(store):
    for seed in range(20):
        wanted = TrainSpec("cifar-resnet-14x1", seed=seed)
        records.write_new(wanted.key, "train", dataclasses.asdict(wanted), "Its title", store, BELIEVED)
    page = open_page("train")
    assert labels(page).count("Take out of the queue") == 6 and "14 more wait." in said(page)


def test_the_trash_of_others_is_not_seen(store, in_class):
    (anns, ann), (bens, _) = someone(), someone()
    wanted = spec()
    keep(store, wanted)
    visitors.give(ann, wanted.key, store)
    keeping.remove("comparisons", wanted.key, "Ann's", store, ann)
    assert "Put back" not in labels(open_page("library", bens))
    page = open_page("library", anns)
    button(page, "Put back").click().run()
    assert store.has("comparisons", wanted.key)


# Limits


def test_a_limit_is_said_before_anything_is_asked_for(store, in_class, monkeypatch):
    monkeypatch.setenv("CKA_MAX_IMAGES", "64")
    key, _ = someone()
    page = open_page(key=key, a=spec().a.name, b=spec().b.name)
    assert "A comparison takes at most 64 images here. Choose fewer." in said(page)
    assert button(page, "Compare").disabled
    keep(store, spec())
    page = open_page(key=key, a=spec().a.name, b=spec().b.name)
    assert "A comparison takes" not in said(page), "it is there already"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"depth": "1202"}, "A network may have at most 400 layers here. Choose a less deep one."),
        ({"width": "64"}, "A network may have at most 100 million parameters here. Choose a less wide one."),
        ({"seeds": "0-10"}, "At most 10 jobs of yours may wait or be at work."),
    ],
)  # fmt: skip
def test_a_training_that_is_too_large_is_refused_beside_its_button(store, in_class, asked, told):
    page = open_page("train", visitors.new_key(), **asked)
    assert told in said(page) and button(page, "Train").disabled
    assert not button(open_page("train", visitors.new_key()), "Train").disabled


def test_the_form_has_no_more_epochs_than_a_training_may_take(store, in_class, monkeypatch):
    monkeypatch.setenv("CKA_MAX_EPOCHS", "12")
    page = open_page("train", visitors.new_key())
    epochs = page.number_input(key="epochs")
    assert epochs.value == 12 and "At most 12 epochs here." in epochs.help
    assert not button(page, "Train").disabled and "Edited" not in said(page)
    epochs.set_value(13).run()
    assert "Epochs: expected 1 to 12, got 13." in said(page) and button(page, "Train").disabled


def test_a_training_that_will_be_ended_says_so_before_it_begins(store, in_class, monkeypatch):
    assert "One job may take" not in said(open_page("train", visitors.new_key()))
    monkeypatch.setenv("CKA_MAX_MINUTES", "1")
    assert "One job may take at most 1 minute here." in said(open_page("train", visitors.new_key()))


def test_nothing_can_be_asked_for_before_the_browser_said_who_is_there(store, in_class):
    assert button(open_page(a=spec().a.name, b=spec().b.name), "Compare").disabled
    assert button(open_page("train"), "Train").disabled
    assert not button(open_page(key=visitors.new_key(), a=spec().a.name, b=spec().b.name), "Compare").disabled


def test_a_weights_file_counts_as_brought_in(store, in_class, monkeypatch):
    _, ann = someone()
    digest = training_state.keep_start_file(b"weights", store, ann)
    assert visitors.owners(digest, store) == [ann.owner] and belongings.uploads(ann, store) == 1


# To be looked at only


def test_where_it_is_to_be_looked_at_every_action_is_off(store, monkeypatch):
    keep(store, spec())
    keeping.remove("comparisons", spec().key, "it", store)
    job(Visitor(""), store, spec(n=64))
    monkeypatch.setenv("CKA_MODE", "read-only")
    page = open_page(a=spec().a.name, b=spec().b.name)
    assert button(page, "Compare").disabled and deployment.ONLY_TO_LOOK_AT in said(page) and "Stop" not in labels(page)
    page = open_page("train")
    assert button(page, "Train").disabled and deployment.ONLY_TO_LOOK_AT in said(page)
    assert not {"Measure", "Remove", "Resume"} & set(labels(page))
    page = open_page("library")
    assert not page.get("file_uploader") and deployment.ONLY_TO_LOOK_AT in said(page)
    assert not {"Put back", "Empty the trash", "Delete"} & set(labels(page))
    assert not [word for word in ("None yet", "rop an npz", "rename or delete") if word in said(page)]


# The teacher


def test_the_teachers_page_opens_with_the_key_only(store, in_class, monkeypatch):
    monkeypatch.setattr(visitor, "WRONG_KEY_SECONDS", 0.0)
    page = open_page("teacher", visitors.new_key())
    page.text_input(key="told").set_value("a wrong long key")
    button(page, "Open").click().run()
    assert "This is not the teacher’s key." in said(page) and "Stop all work" not in labels(page)
    assert "Stop all work" in labels(as_teacher())
    assert "Stop all work" not in labels(open_page("teacher", visitors.new_key()))


def test_the_teacher_sees_who_works_and_stops_it(store, in_class):
    _, ann = someone()
    key = job(ann, store)
    page = as_teacher()
    assert (
        "Its title" in said(page)
        and f"visitor {ann.owner[:6]}" in said(page)
        and "One has made or brought in something." in said(page)
    )
    assert "| images of one comparison | 1,024 images | `CKA_MAX_IMAGES` |" in said(page)
    assert page.code[0].value == "http://cka.school.example"
    button(page, "Stop").click().run()
    assert submit.status(key, store).state == "stopped"


def test_beginning_anew_asks_first(store, in_class):
    _, ann = someone()
    keep(store, spec())
    visitors.give(ann, spec().key, store)
    page = as_teacher()
    anew = [one for one in page.button if one.key == "begin anew"]
    assert anew[0].disabled
    page.checkbox(key="sure").check().run()
    next(one for one in page.button if one.key == "begin anew").click().run()
    assert not store.has("comparisons", spec().key) and len(keeping.trash(store)) == 1


def test_leaving_is_being_a_visitor_again(store, in_class):
    page = as_teacher()
    button(page, "Leave").click().run()
    assert "Stop all work" not in labels(page) and page.text_input(key="told")


# Another device


def test_a_link_carries_what_is_ones_own_to_another_device_once(store, in_class):
    key, _ = someone()
    page = open_page("library", key)
    button(page, "Make a link").click().run()
    link = page.code[0].value
    assert link.startswith("http://cka.school.example/?device=") and key not in link
    token = link.partition("=")[2]
    other = open_page(key=visitors.new_key(), device=token)
    assert "device" not in other.query_params
    assert other.session_state[visitor.KEY] != key  # it asks first
    button(other, "Take it").click().run()
    assert other.session_state[visitor.KEY] == key
    assert "used before" in said(open_page(key=visitors.new_key(), device=token))


def test_the_key_of_another_device_is_told_to_the_browser_until_it_says_that_it_has_it(store, in_class, monkeypatch):
    """A run may be cut off by the next one before the browser hears of it; what it then says is the key it had."""
    old, new = visitors.new_key(), visitors.new_key()
    page = open_page(key=old, device=visitor.LINKS.offer(new))
    button(page, "Take it").click().run()
    page.run()
    assert page.session_state[visitor.TAKEN] == page.session_state[visitor.KEY] == new
    state: dict[str, Any] = {visitor.KEY: new, visitor.TAKEN: new, "visitor": {"key": old}}
    monkeypatch.setattr(visitor.st, "session_state", state)
    visitor._heard()
    assert state[visitor.KEY] == new
    state["visitor"] = {"key": new}
    visitor._heard()
    assert state[visitor.KEY] == new


def test_a_link_that_is_not_taken_changes_nothing(store, in_class):
    own = visitors.new_key()
    page = open_page(key=own, device=visitor.LINKS.offer(visitors.new_key()))
    button(page, "Do not take it").click().run()
    assert page.session_state[visitor.KEY] == own and "Take it" not in labels(page)


@pytest.mark.parametrize("device", ["", "x", "<b>", "x" * 5000, "../../etc/passwd"])
def test_whatever_the_link_says(store, in_class, device):
    page = open_page(key=visitors.new_key(), device=device)
    assert "used before" in said(page) and "device" not in page.query_params


@pytest.mark.parametrize("what", ["images", "networks"])
def test_a_press_for_what_somebody_removed_meanwhile_computes_nothing_else(store, monkeypatch, tmp_path, what):
    submitted = []
    monkeypatch.setattr(submit, "submit", lambda *asked: submitted.append(asked))
    layers = [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "mine.keras")
    np.savez(tmp_path / "photos.npz", images=np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8))
    for name in ("mine.keras", "photos.npz"):
        with open(tmp_path / name, "rb") as file:
            arrivals.bring_in(file, name, store)
    page = open_page(a="mine", b="cifar-resnet-8x1", images="photos")
    assert not button(page, "Compare").disabled and not page.warning
    removed = {"images": "photos", "networks": "mine"}[what]
    keeping.remove(what, removed, removed, store)
    button(page, "Compare").click().run()
    assert submitted == [] and not page.exception
    assert f"{removed} meanwhile: " in said(page).replace("`", "")
    assert removed not in str(page.query_params)
    button(page, "Compare").click().run()
    assert len(submitted) == 1
