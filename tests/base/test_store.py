"""Files in the store are whole, checked, and found again; damage is noticed, set aside and reported."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import pytest

from cka_core.base.atomic import write_atomically
from cka_core.base.keys import canonical_json, key_of
from cka_core.base.store import Store, nearest_folder
from cka_core.images.sets import SampleSpec


def test_an_object_is_whole_until_its_bytes_change(store):
    path = Path(store.put("kind", "key", b"some bytes"))
    (entry,) = store.entries("kind")
    assert store.is_whole(entry)
    path.write_bytes(b"some byte")
    assert not store.is_whole(entry)
    path.write_bytes(b"some bytes")
    assert store.is_whole(entry)
    path.unlink()
    assert not store.is_whole(entry)


def test_what_is_put_is_what_comes_back(store):
    store.put("things", "a", b"one")
    assert store.get("things", "a") == b"one"
    assert store.get("things", "b") is None
    assert [entry.key for entry in store.entries("things")] == ["a"]


def test_keys_in_folders(store):
    store.put("grams", "stack/00001", b"x")
    assert store.get("grams", "stack/00001") == b"x"
    assert [entry.key for entry in store.entries("grams")] == ["stack/00001"]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:3] + b"?" + data[4:], lambda data: b""])
def test_a_damaged_object_is_set_aside_reported_and_counts_as_missing(store, damage, caplog):
    path = store.put("things", "a", b"some bytes")
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(damage(data))
    with caplog.at_level(logging.WARNING):
        assert store.get("things", "a") is None
    assert "damaged" in caplog.text
    assert len(store.damaged()) == 1
    store.put("things", "a", b"again")
    assert store.get("things", "a") == b"again"


def test_where_there_is_only_something_to_look_at_reading_changes_nothing(store, monkeypatch, caplog):
    whole, damaged = Path(store.put("kind", "whole", b"some bytes")), Path(store.put("kind", "damaged", b"some bytes"))
    record = Path(store.path("records/one.json"))
    record.parent.mkdir()
    for file in (damaged, record):
        file.write_bytes(b"{")
    os.utime(whole, (1000, 1000))
    monkeypatch.setenv("CKA_MODE", "read-only")
    assert store.get("kind", "whole") == b"some bytes"
    assert store.get("kind", "damaged") is None and store.read_record("records/one.json") is None
    assert whole.stat().st_mtime == 1000 and damaged.exists() and record.exists() and store.damaged() == []
    assert caplog.text.count("is damaged") == 2


def test_an_unfinished_write_leaves_nothing(store, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        store.put("things", "a", b"one")
    monkeypatch.undo()
    assert store.get("things", "a") is None
    assert [name for _, _, names in os.walk(store.root) for name in names] == []


def test_shrink_removes_the_least_recently_used_first(store):
    for index, key in enumerate(("old", "middle", "new")):
        path = store.put("grams", f"{key}/0", bytes(100) + key.encode())
        os.utime(path, (time.time() - 100 + index,) * 2)
    store.get("grams", "old/0")
    assert store.shrink("grams", 220) > 0
    assert {entry.key for entry in store.entries("grams")} == {"old/0", "new/0"}


def test_records_change_and_damaged_ones_are_set_aside(store):
    store.write_record("jobs/x/status.json", {"state": "queued"})
    store.write_record("jobs/x/status.json", {"state": "running"})
    assert store.read_record("jobs/x/status.json") == {"state": "running"}
    with open(store.path("jobs/x/status.json"), "w") as file:
        file.write('{"state": "run')
    assert store.read_record("jobs/x/status.json") is None
    assert len(store.damaged()) == 1


def test_key_depends_on_every_value_and_on_nothing_else():
    assert key_of(SampleSpec(n=5)) == key_of(SampleSpec(n=5))
    assert key_of(SampleSpec(n=5)) != key_of(SampleSpec(n=6))
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert canonical_json({"b": None, "a": 1}) == '{"a":1,"b":null}'


def test_any_fsspec_url_is_a_root():
    store = Store("memory://cka-test")
    store.put("things", "a", b"one")
    store.write_record("record.json", [1])
    assert Store("memory://cka-test").get("things", "a") == b"one"
    assert store.read_record("record.json") == [1]
    assert not store.is_local


def test_write_atomically_replaces_and_leaves_no_temporary_file(tmp_path):
    target = tmp_path / "new folder" / "file.txt"
    write_atomically(target, b"one")
    write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert os.listdir(target.parent) == ["file.txt"]


@pytest.mark.parametrize("name", ["folder", "folder/", "link"])
def test_a_folder_is_refused_by_the_name_that_was_given_before_anything_is_made(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(IsADirectoryError, match="It is a folder; name a file, which may be in it") as refusal:
        write_atomically(f"{tmp_path}/{name}", b"x")
    assert refusal.value.filename == f"{tmp_path}/{name}" and refusal.value.filename2 is None
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "link"}


def test_what_a_link_leads_to_is_written(tmp_path):
    (link := tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    for data in (b"new", b"other"):
        write_atomically(link, data)
        assert link.is_symlink() and (tmp_path / "elsewhere" / "file").read_bytes() == data
    assert {path.name for path in tmp_path.rglob("*")} == {"link", "elsewhere", "file"}


def test_a_file_is_put_piece_by_piece_and_is_the_same_object(store, tmp_path):
    data = os.urandom(9 << 20)
    (tmp_path / "large").write_bytes(data)
    path = store.put_file("things", "a", tmp_path / "large", "bin")
    assert path == store.put("things", "a", data, "bin")
    assert store.get("things", "a") == data
    with open(tmp_path / "large", "rb") as file:
        assert store.put_file("things", "b", file) and store.get("things", "b") == data
    with store.open("things", "a") as opened:
        assert opened.read(10) == data[:10]
    assert store.open("things", "c") is None


def test_a_file_that_cannot_be_read_leaves_nothing(store):
    class Broken:
        def read(self, size):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        store.put_file("things", "a", Broken())
    assert store.names("") == []


def test_shrinking_takes_what_describes_a_folder_along(store):
    store.put("grams", "old/00000", bytes(100))
    store.write_record("grams/old/about.json", {"layers": []})
    store.shrink("grams", 50)
    assert store.names("grams") == []


def test_objects_and_records_are_renamed_moved_and_measured(store):
    store.put("things", "a", b"one")
    store.write_record("things/a.json", {})
    store.rename("things", "a", "b")
    store.move("things/a.json", "elsewhere/b.json")
    store.move("things/nothing", "elsewhere/nothing")
    assert store.get("things", "b") == b"one" and not store.has("things", "a")
    assert store.names("elsewhere") == ["elsewhere/b.json"]
    assert store.size("things") == 3 and store.size("nothing") == 0
    assert store.free() > 0 and Store("memory://cka-free").free() is None


def test_a_store_that_nothing_here_reads_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as where it is not installed
    for root, why in (("s3://nosuch/bucket", "Install s3fs to access S3"), ("nowhere://x", "Protocol not known")):
        with pytest.raises(ValueError, match=f"^The store {root} cannot be opened: {why}.* Or name a folder.$"):
            Store(root)


def test_what_is_free_is_known_before_the_store_is_there(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    there = Store(tmp_path).free()
    for place in (tmp_path / "no" / "store", tmp_path / "file" / "store"):  # a file is in the way of the second
        assert nearest_folder(place) == tmp_path
        assert Store(place).free() == pytest.approx(there, rel=0.1)


def test_what_lies_in_a_folder_is_listed_as_it_is_now(store):
    assert store.listed("jobs") == []
    store.write_record("jobs/b/status.json", {})
    store.write_record("jobs/a.json", {})
    Path(store.path("jobs/c.json.tmp-1-00000000")).write_bytes(b"half-written")
    assert sorted(store.listed("jobs")) == ["a.json", "b"]
    store.remove_folder("jobs")
    assert store.listed("jobs") == []
