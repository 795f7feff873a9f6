"""``doctor`` finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cka_core.cli import app, doctor
from cka_core.cli.doctor import NOTE, OK, PROBLEM, Finding
from cka_core.jobs import cluster_files
from tests.test_project import README


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("CKA_") and name != "CKA_STORE"]:
        monkeypatch.delenv(name)


def told(check) -> dict[str, list[str]]:
    """What a check says, by how it is."""
    found: dict[str, list[str]] = {OK: [], NOTE: [], PROBLEM: []}
    for one in check:
        found[one.state].append(f"{one.told} {one.todo}")
    return found


def test_where_nothing_is_wrong_it_says_so_and_leaves_no_trace(store):
    answer = CliRunner().invoke(app, ["doctor", "--quick"])
    assert answer.exit_code == 0, answer.output
    assert answer.output.rstrip().rpartition("\n")[2].startswith("problems: 0, notes: ")
    for about in (
        "Python",
        "packages",
        "settings",
        "memory",
        "store",
        "permissions",
        "disk",
        "cluster",
        "data",
        "port",
    ):
        assert f" {about} " in answer.output
    assert store.names("") == []


def test_tensorflow_is_asked_in_another_process(store):
    assert "a training runs on CPU" in told(doctor.devices())[OK][0]


def test_a_problem_ends_with_1_and_the_others_are_looked_at_all_the_same(monkeypatch):
    monkeypatch.setenv("CKA_MODE", "school")
    answer = CliRunner().invoke(app, ["doctor", "--quick"])
    assert answer.exit_code == 1 and "problems: 0" not in answer.output
    assert "Expected CKA_MODE to be empty" in " ".join(answer.output.split()) and " port " in answer.output


def test_settings_that_are_none_and_a_class_without_its_key(monkeypatch):
    monkeypatch.setenv("CKA_STROE", "/somewhere")
    monkeypatch.setenv("CKA_MODE", "class")
    found = told(doctor.settings())
    assert "CKA_STROE: no such setting" in found[NOTE][0] and "make class" in found[PROBLEM][0]


def test_every_setting_is_known_to_it():
    assert {line.split("`")[1] for line in README.splitlines() if line.startswith("| `CKA_")} == doctor.SETTINGS


def test_a_store_that_cannot_be_written_to(store, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, "read-only", store.path("doctor.json"))

    monkeypatch.setattr(store, "write_record", refuse)
    assert "it is read-only" in told(doctor.place(store))[PROBLEM][0]
    monkeypatch.setenv("CKA_MODE", "read-only")
    assert not told(doctor.place(store))[PROBLEM]


def test_damage_is_counted(store):
    store.write_record("networks/lost.json", {})
    assert "lost: its file is missing" in told(doctor.place(store))[NOTE][0]


def test_loose_permissions(store):
    key = cluster_files.folder(store) / "private" / "cluster.pem"
    key.parent.mkdir(parents=True, mode=0o700)
    key.write_text("secret")
    key.chmod(0o644)
    Path(store.root).chmod(0o777)
    found = told(doctor.permissions(store))[PROBLEM]
    assert f"chmod o-w {store.root}" in found[0] and f"others may read {key}" in found[1]
    key.chmod(0o600)
    Path(store.root).chmod(0o700)
    assert not told(doctor.permissions(store))[PROBLEM]


def test_little_room_on_the_disk(store, monkeypatch):
    for free, state in ((10**8, PROBLEM), (10**9, NOTE), (10**12, OK)):
        monkeypatch.setattr(store, "free", lambda free=free: free)
        assert told(doctor.disk(store))[state]


def test_a_scheduler_that_is_not_there(store, monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        monkeypatch.setenv("CKA_SCHEDULER", f"tcp://127.0.0.1:{port}")
        assert "nothing answers" in told(doctor.cluster(store))[PROBLEM][0]
        listening.listen()
        assert told(doctor.cluster(store))[OK]
        monkeypatch.setattr(doctor, "FIRST_PORT", port)
        assert f"{port} is taken" in told(doctor.port())[NOTE][0]


def test_versions_are_held_to_their_ranges(monkeypatch):
    assert doctor._is_in("numpy", ">=1,<99") and not doctor._is_in("numpy", ">=99") and doctor._is_in("absent", ">=99")
    assert {"numpy", "streamlit", "tensorflow"} <= doctor._asked().keys()
    monkeypatch.setattr(doctor, "_version", lambda name: "" if name == "numpy" else "99999")
    found = told(doctor.packages())
    assert any("numpy missing" in line for line in found[PROBLEM])
    assert any("streamlit 99999, expected" in line for line in found[PROBLEM])


def test_the_table_is_aligned_and_says_what_to_do():
    lines = list(doctor.table([Finding(PROBLEM, "store", "word " * 60, "Do this."), Finding(OK, "port", "free")]))
    indent = lines[0].index("word")
    assert all(line[:indent].isspace() and len(line) <= 120 for line in lines[1:-1])
    assert lines[-2].strip() == "-> Do this." and lines[-1] == "ok       port         free"
