"""Records from outside: bounded, strict, and held against their types before anything is done with them."""

from __future__ import annotations

import json

import pytest
from typing_extensions import TypedDict

from cka_core.base import records
from cka_core.base.records import Count, NotReadable, Text


class Pet(TypedDict):
    name: Text
    legs: Count


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "ä[["]}, [], "x", 3, None, [[[]]]])
def test_json_is_read_as_python_reads_it(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert records.parse(text.encode()) == value


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"[Infinity]", b"1e999", b'"\\ud800"', b"\xff", b'{"a": 1,}', b"[" * 100_000, b"nul", b"1 2"],
    ids=lambda text: repr(text[:8]),
)
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        records.parse(text)


def test_length_and_depth_are_bounded_before_it_is_read():
    with pytest.raises(ValueError, match="itself in 101 bytes, at most 100"):
        records.parse(b" " * 101, most=100)
    with pytest.raises(ValueError, match="nested 33 deep, at most 32"):
        records.parse(b"[" * 33 + b"]" * 33)
    assert records.depth_of(rb'{"[[[[": "\"[[[", "b": [{}]}') == 3


@pytest.mark.parametrize(
    "value, words",
    [
        ({"name": "Rex"}, "legs"), ({"name": 3, "legs": 4}, "got int - at name"),
        ({"name": "Rex", "legs": "4"}, "got str - at legs"), ({"name": "Rex", "legs": True}, "got bool"),
        ({"name": "Rex", "legs": -1}, "at legs"), ({"name": "x" * 1001, "legs": 4}, "at name"), ([], "got array"),
        (None, "got null"), ({"name": "Rex", "legs": 10**30}, "legs"),
    ],
)  # fmt: skip
def test_a_value_of_other_types_says_which_and_where(value, words):
    assert words in records.wrong(value, Pet)
    with pytest.raises(NotReadable, match="Expected a pet, got a record with something wrong in it"):
        records.checked(value, Pet, "a pet")


def test_what_a_later_version_adds_is_kept():
    value = {"name": "Rex", "legs": 4, "wings": [2]}
    assert records.checked(value, Pet, "a pet") is value


def test_a_record_of_the_store_with_other_types_is_set_aside_and_counts_as_missing(store):
    store.write_record("pets/rex.json", {"name": "Rex", "legs": 4})
    store.write_record("pets/tom.json", {"name": "Tom", "legs": "four"})
    (store.scratch("pets") / "deep.json").write_bytes(b"[" * 100_000)
    assert records.kept("pets/rex.json", Pet, store)["legs"] == 4
    assert records.kept("pets/tom.json", Pet, store) is None
    assert records.kept("pets/deep.json", Pet, store) is None
    assert records.kept("pets/none.json", Pet, store) is None
    assert len(store.damaged()) == 2 and store.names("pets") == ["pets/rex.json"]
