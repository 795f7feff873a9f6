"""The pages while work is under way and the store may take nothing: every press has an answer and a way on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st

from cka_core.base import visitors
from cka_core.base.store import Store
from cka_core.jobs import records, submit
from cka_core.library import keeping
from cka_core.training.recipe import TrainSpec
from tests.jobs.test_trainings import of_ones_own, trained
from tests.pages.test_compare import button, keep, spec
from tests.pages.test_many_people import in_class as in_class
from tests.pages.test_many_people import job, labels, open_page, said, someone

PAIR = {"a": spec().a.name, "b": spec().b.name}
TAKES_NOTHING = {errno.ENOSPC: "is full", errno.EROFS: "Nothing can be written to"}


@pytest.fixture(params=TAKES_NOTHING, ids=["full", "read-only"])
def takes_nothing(request, store, monkeypatch) -> Callable[[], str]:
    """From when it is called on, the store takes no record; returns what a reader is told of it."""

    def refuse(self: Store, name: str, value: Any) -> None:
        raise OSError(request.param, "no", self.path(name))

    def begin() -> str:
        monkeypatch.setattr(Store, "write_record", refuse)
        return TAKES_NOTHING[request.param]

    return begin


@pytest.mark.parametrize(("where", "name"), [("compare", "Compare"), ("train", "Train"), ("train", "Measure")])
def test_a_store_that_takes_nothing_is_said_at_the_button_which_stays(store, takes_nothing, where, name, monkeypatch):
    shown = open_page(where, **PAIR)
    monkeypatch.setattr(submit, "submit", lambda *what: store.write_record("jobs/1/status.json", {}))
    told = takes_nothing()
    button(shown, name).click().run()
    assert not shown.exception and told in said(shown)
    assert not button(shown, name).disabled


def test_stop_says_so_too(store, takes_nothing):
    key = job(visitors.Visitor(""), store)
    page = open_page(**PAIR)
    told = takes_nothing()
    button(page, "Stop").click().run()
    assert not page.exception and told in page.toast[0].value.replace("\\", "")
    assert submit.status(key, store).state == "queued"


def test_the_library_opens_though_the_trash_cannot_be_emptied(store, monkeypatch):
    keep(store, spec())
    keeping.remove("comparisons", spec().key, "it", store)
    monkeypatch.setattr(keeping, "TRASH_SECONDS", 0.0)

    def refuse(self: Store, name: str) -> None:
        raise OSError(errno.EROFS, "read-only", self.path(name))

    monkeypatch.setattr(Store, "remove_folder", refuse)
    page = open_page("library")
    assert "Networks" in said(page) and "Put back" in labels(page)


# What others asked for, too


@pytest.mark.parametrize("at_work", [False, True], ids=["waiting", "at work"])
def test_who_stops_what_others_asked_for_too_is_told_that_it_goes_on(store, in_class, at_work):
    (anns, ann), (_, ben) = someone(), someone()
    key = job(ann, store, TrainSpec("cifar-resnet-14x1"), "train")
    visitors.give(ben, key, store)
    if at_work:
        records.begin(key, 1, store)
    page = open_page("train", anns)
    button(page, "Stop" if at_work else "Take out of the queue").click().run()
    assert [toast.value for toast in page.toast] == [
        "Others asked for it, too: it goes on for them, and is yours no longer."
    ]
    assert visitors.owners(key, store) == [ben.owner] and not submit.status(key, store).stopping


def test_trainings_of_images_that_were_removed_are_told_and_kept(store):
    trained(of_ones_own(store), store, 2)
    removed = keeping.remove("images", "mine", "mine", store)
    page = open_page("train")
    assert "One training is of images that are not here any more: mine." in said(page).replace("`", "")
    assert store.damaged() == [] and "Resume" not in labels(page)
    keeping.restore(removed, store)
    assert "Resume" in labels(open_page("train"))


def test_who_stops_what_is_ones_own_is_told_nothing(store, in_class):
    anns, ann = someone()
    job(ann, store)
    page = open_page(key=anns, **PAIR)
    button(page, "Stop").click().run()
    assert not page.toast


def test_nothing_is_brought_in_before_the_browser_said_who_is_there(store, in_class):
    key, _ = someone()
    assert open_page("library").get("file_uploader")[0].proto.disabled
    assert not open_page("library", key).get("file_uploader")[0].proto.disabled
    assert button(open_page("train"), "Measure").disabled


def test_a_weights_file_is_not_sent_in_vain(store, in_class, monkeypatch):
    def largest() -> int:
        (uploader,) = open_page("train", key, start="file").get("file_uploader")
        return uploader.proto.max_upload_size_mb

    key, _ = someone()
    monkeypatch.setenv("CKA_MAX_UPLOAD", "7")
    assert largest() == 7
    monkeypatch.setenv("CKA_MAX_UPLOAD", "4000")
    assert largest() == st.get_option("server.maxUploadSize") == 400, "what the server takes"
