"""What killed processes left half-written goes; what somebody is writing stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cka_core.base import leftovers

OLD = time.time() - 2 * leftovers.OLD


def left(folder, name: str, when: float = OLD):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (when, when))
    return path


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_old_one_of_a_process_that_is_gone_is_removed(tmp_path):
    own = left(tmp_path, f"grams/k/00000.tmp-{gone()}-0123abcd")
    nameless = left(tmp_path, "jobs/k/status.json.tmp-0123abcd")
    assert set(leftovers.sweep(tmp_path)) == {own, nameless}
    assert not own.exists() and not nameless.exists()


def test_what_is_being_written_or_is_no_temporary_file_stays(tmp_path):
    now = left(tmp_path, f"a.tmp-{gone()}-0123abcd", time.time())
    ours = left(tmp_path, f"b.tmp-{os.getpid()}-0123abcd", time.time() - 1)
    other = left(tmp_path, "comparisons/x.tmp-notes.npz")
    plain = left(tmp_path, "record.json")
    assert leftovers.sweep(tmp_path) == []
    assert leftovers.sweep(tmp_path, older_than=0.0) == [now]  # its process is gone; that of the next one is this
    assert ours.exists() and other.exists() and plain.exists()


def test_a_number_that_another_process_has_by_now_protects_nothing(tmp_path):
    path = left(tmp_path, f"a.tmp-{os.getpid()}-0123abcd")  # from before this process began
    assert leftovers.sweep(tmp_path) == [path]


def test_the_working_folders_of_killed_trainings_and_uploads_go(tmp_path):
    training = left(tmp_path, f"scratch/training-{'0' * 24}-{gone()}/state.keras").parent
    upload = left(tmp_path, f"scratch/incoming-{gone()}-abcd/file").parent
    lock = left(tmp_path, f"scratch/training-{'0' * 24}.lock")
    for folder in (training, upload):
        os.utime(folder, (OLD, OLD))
    assert set(leftovers.sweep(tmp_path)) == {training, upload}
    assert lock.exists()


def test_the_next_start_that_writes_does_it(store):
    path = left(store.scratch("grams"), "k.tmp-0123abcd")
    store.write_record("record.json", {})
    assert not path.exists() and store.read_record("record.json") == {}
