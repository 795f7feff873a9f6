"""A file from a stranger is read in another process, within limits, and what is wrong with it is one sentence."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cka_core.base.npz import NotReadable
from cka_core.library import incoming, inventory, keeping
from tests.results.test_activation_sets import made
from tests.synthetic import comparison

FAULTS = Path(__file__).parent.parent / "data" / "faults"


def altered(**changes) -> io.BytesIO:
    """A saved comparison whose description says something else."""
    with np.load(io.BytesIO(comparison().to_bytes())) as arrays:
        matrix, about = arrays["matrix"], json.loads(arrays["about"].tobytes())
    text = json.dumps(about | changes).encode()
    file = io.BytesIO()
    np.savez_compressed(file, matrix=matrix, about=np.frombuffer(text, np.uint8))
    file.seek(0)
    return file


def unpacking_to(size: int, piece: bytes = b"[],") -> io.BytesIO:
    """A small comparison whose description unpacks to so many bytes of JSON."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}".ljust(117).encode() + b"\n"
        with archive.open("about.npy", "w", force_zip64=True) as member:
            member.write(b"\x93NUMPY\1\0v\0" + header)
            for _ in range(size // (len(piece) << 16)):
                member.write(piece * (1 << 16))
        archive.writestr("matrix.npy", b"")
    file.seek(0)
    return file


def test_what_is_taken_is_in_the_library(store, tmp_path):
    result = comparison()
    kind, key = incoming.take(io.BytesIO(result.to_bytes()), "r.npz", store)
    assert kind == "comparisons" and [row.key for row in inventory.comparisons(store) if not row.fixed] == [key]
    made(tmp_path / "s.npz", "acts")
    told = []
    with open(tmp_path / "s.npz", "rb") as file:
        assert incoming.take(file, "s.npz", store, told.append) == ("activations", "acts")
    assert [progress.detail for progress in told][-1] == "minibatch 3 of 3"
    assert store.names("scratch") == []


@pytest.mark.parametrize(
    "file, words",
    [
        (open(FAULTS / "poison.npz", "rb"), "at provenance.network_a"),
        (altered(provenance={"versions": "[" * 50}), "at provenance.versions"),
        (altered(provenance={"a": json.loads("[" * 40 + "]" * 40)}), "nested"),
        (altered(layers_a=[]), "not as many reasons_a"),
        (altered(warnings=[3]), "at warnings[0]"),
        (unpacking_to(1 << 28), "far more than its own"),
        (io.BytesIO(b"hello"), "first bytes"),
    ],
)
def test_what_is_not_taken_is_a_sentence_and_leaves_nothing(store, file, words):
    with pytest.raises(NotReadable) as refusal:
        incoming.take(file, "r.npz", store)
    assert words in str(refusal.value)
    assert store.names("comparisons") == store.names("activations") == store.names("scratch") == []


def test_the_wrong_kind_of_file_is_told_what_to_do_with_it(store):
    with pytest.raises(ValueError, match="activations convert FILE.pickle"):
        incoming.take(io.BytesIO(b""), "net.pickle", store)


@pytest.fixture
def slow(monkeypatch, tmp_path):
    """Another program in place of the one that reads files."""

    def instead(code: str) -> None:
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -c {json.dumps(code)}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return instead


def test_a_file_that_takes_too_long_is_ended(store, slow):
    slow("import time; time.sleep(60)")
    with pytest.raises(NotReadable, match="took more than 0 seconds"):
        incoming.take(io.BytesIO(b"x"), "r.npz", store, seconds=0.3)


def test_a_file_that_takes_too_much_memory_is_ended(store, slow):
    slow("import time; x = bytearray(300 << 20); time.sleep(60)")
    with pytest.raises(NotReadable, match="took more than 0.2 GB of memory"):
        incoming.take(io.BytesIO(b"x"), "r.npz", store, memory=200 << 20)


def test_a_process_that_dies_is_said_to_have_died(store, slow):
    slow("import os; os._exit(3)")
    with pytest.raises(NotReadable, match="ended the process that did"):
        incoming.take(io.BytesIO(b"x"), "r.npz", store)


def test_the_system_holds_the_reader_to_its_memory():
    if sys.platform == "linux":
        code = "from cka_core.library import incoming; incoming._confine(1 << 30); bytearray(2 << 30)"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert answer.returncode and "MemoryError" in answer.stderr


# What is in the store already


@pytest.mark.parametrize("changes", [{"provenance": 3}, {"layers_a": None}, {"provenance": {"network_a": "poison"}}])
def test_one_bad_comparison_is_one_row_that_says_so_and_hides_no_other(store, changes):
    store.put("comparisons", "good", comparison().to_bytes())
    store.put("comparisons", "uploaded-bad", altered(**changes).read())
    assert [row.key for row in inventory.comparisons(store) if not row.fixed] == ["good"]
    (damage,) = inventory.damaged(store)
    assert "cannot be read" in damage.what and "what it says of itself is wrong" in damage.advice
    keeping.discard(damage.file, store)
    assert inventory.damaged(store) == []


@pytest.mark.parametrize("wrong", [[], {"kind": 3}, {"when": "yesterday"}, {"files": "x"}, {"files": ["../../x"]}, "x"])
def test_a_bad_record_in_the_trash_hides_no_other_and_is_put_nowhere(store, wrong):
    store.put("comparisons", "good", comparison().to_bytes())
    good = keeping.remove("comparisons", "good", "a good one", store)
    store.write_record("trash/bad/about.json", wrong)
    if isinstance(wrong, dict) and "files" in wrong:
        about = store.read_record(f"trash/{good}/about.json")
        store.write_record("trash/bad/about.json", about | wrong)
    assert {one.title for one in keeping.trash(store)} >= {"a good one"}
    with pytest.raises(ValueError, match="not in the trash any more, or what it was is not known"):
        keeping.restore("bad", store)
    assert keeping.restore(good, store) == "a good one"
    keeping.empty_trash(store)
    assert keeping.trash(store) == []


@pytest.mark.parametrize("wrong", [[], "x", {"sample": 3}, {"layers": [{"name": 3}]}, {"batch_size": 0}])
def test_gram_matrices_with_a_bad_description_hide_no_other(store, wrong):
    store.put("grams", "bad/00000", b"data")
    store.write_record("grams/bad/about.json", wrong)
    (row,) = inventory.activation_sets(store)
    assert not row.whole and "did not say whose" in row.how


@pytest.mark.parametrize(
    "wrong",
    [[], {"spec": 3}, {"history": [1]}, {"checkpoints": {"x": "y"}}, {"architecture": 3}, {"test_accuracy": "1"}],
)
def test_a_bad_record_of_a_network_is_one_row(store, wrong):
    from tests.library.test_catalogue import trained

    trained(store, "good")
    trained(store, "bad")
    record = store.read_record("networks/bad.json")
    store.write_record("networks/bad.json", record | wrong if isinstance(wrong, dict) else wrong)
    names = [row.name for row in inventory.networks(store)]
    assert "good" in names and "bad" not in names
    (damage,) = inventory.damaged(store)
    assert damage.what == "bad: its description is damaged"


def test_a_name_that_turns_round_or_ends_a_text_is_shown_without_that(store):
    with pytest.raises(ValueError) as told:
        incoming.take(io.BytesIO(b"no file of ours"), "a\u202egpj\0.npz", store)
    assert "a?gpj?.npz" in str(told.value)
