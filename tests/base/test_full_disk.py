"""A store that takes nothing more says which folder, how much, and what to do: on the page and on the command line."""

from __future__ import annotations

import errno
import shutil
import sys

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cka_core import cli
from cka_core.base import full_disk
from cka_core.base.atomic import write_atomically
from cka_core.base.store import Store
from tests.clusters import end
from tests.pages.test_compare import APP


@pytest.fixture(params=[errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
def stuck(request, monkeypatch):
    """Nothing can be written to the store any more."""

    local = type(Store("/").fs)
    usual = local.open

    def refuse(self, path, mode="rb", *rest, **options):
        if "w" in mode or "a" in mode:
            raise OSError(request.param, "it says")
        return usual(self, path, mode, *rest, **options)

    monkeypatch.setattr(local, "open", refuse)
    return {errno.ENOSPC: "is full", errno.EROFS: "Nothing can be written to"}[request.param]


def test_the_sentence_says_which_folder_how_much_and_what_to_do(store, stuck):
    with pytest.raises(OSError) as error:
        store.put("comparisons", "k", bytes(3_000_000))
    said = full_disk.in_words(error.value, store)
    assert stuck in said and "CKA_STORE" in said
    assert str(store.path("")).rstrip("/").rsplit("/", 1)[0] in said
    if "full" in stuck:
        assert "3 MB are to be written" in said and "GB are free" in said and "Make room on it" in said
    assert store.names("") == []


def test_a_class_is_not_told_the_folder(store, stuck, monkeypatch):
    monkeypatch.setenv("CKA_MODE", "class")
    with pytest.raises(OSError) as error:
        store.put("comparisons", "k", bytes(3_000_000))
    said = full_disk.in_words(error.value, store)
    assert "Tell whoever runs this." in said and "/" not in said


def test_a_file_copied_into_the_store_says_the_same(store, stuck, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OSError) as error:
        store.put_file("comparisons", "k", tmp_path / "file")
    assert stuck in full_disk.in_words(error.value, store)


@pytest.mark.parametrize(
    "needed, free, total, told",
    [
        (900, 0, 12_600_000, "(900 B are to be written, and 0 B of 13 MB are free)"),
        (17_800_000, 2_060_000, 252_000_000_000, "(18 MB are to be written, and 2.1 MB of 252 GB are free)"),
    ],
)
def test_room_is_told_in_the_unit_that_it_has(needed, free, total, told, store, monkeypatch):
    usage = type("Usage", (), {"free": free, "total": total})
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    error = OSError(errno.ENOSPC, "it says", store.path("comparisons"))
    error.needed = needed
    assert told in full_disk.in_words(error, store)


def test_a_file_that_the_user_named_is_on_another_disk(store, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "it says")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError) as error:
        write_atomically(tmp_path / "result.npz", b"x")
    said = full_disk.in_words(error.value, store)
    assert said.startswith(f"The disk with {tmp_path} is full (")
    assert said.endswith(" GB are free). Make room on it, or name another folder.")


def test_other_errors_are_left_alone(store):
    assert full_disk.in_words(FileNotFoundError(errno.ENOENT, "no", "f"), store) is None
    assert full_disk.in_words(PermissionError(errno.EACCES, "no", "/elsewhere/weights.h5"), store) is None


def test_the_command_line_says_it_in_one_sentence(store, stuck, monkeypatch, capsys, tmp_path):
    path = tmp_path / "c.npz"
    x, y = np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setattr(sys, "argv", ["cka_core", "data", "import", "cifar10", str(path)])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("error: ") and stuck in said and "Errno" not in said and "Traceback" not in said


@pytest.fixture
def ended(store):
    """Any cluster that the test started is."""
    yield
    end(store)


def test_the_compare_page_says_it_instead_of_breaking(store, ended, stuck):
    page = AppTest.from_file(APP, default_timeout=120)
    page.query_params["n"] = "64"
    page.run()
    next(button for button in page.button if button.label == "Compare").click().run()
    assert not page.exception
    assert any(stuck in error.value for error in page.error), [error.value for error in page.error]
