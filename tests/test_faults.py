"""Malformed files, kills and a machine of store and jobs: nothing raises but a sentence, nothing is lost or hidden.

A tenth of what ``python benchmarks/faults.py`` does whole; kills of trainings, atlases and workers are tested where
these are.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import faults, writes


@pytest.mark.parametrize("reader", faults.READERS)
def test_a_malformed_file_is_refused_in_a_sentence_or_used(reader):
    found = faults.run(reader, 17, seed=1)
    assert found["others"] == []
    assert found.get("hangs", 0) == 0
    assert found.get("refused", 0) + found.get("taken", 0) == 17


def in_a_process_of_its_own(*words: str) -> str:
    """What forks wants no threads of TensorFlow's or a test runner's."""
    answer = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=writes.ROOT)
    assert answer.returncode == 0, answer.stderr[-5000:]
    return answer.stdout


def test_killed_at_any_moment_of_a_write_it_goes_on_and_nothing_is_lost():
    found = json.loads(in_a_process_of_its_own("benchmarks/writes.py", "1", "1"))
    assert found.keys() == writes.WRITES.keys()
    for name, counts in found.items():
        assert counts["what"] == [] and counts["kills"] == 1, name
        assert not any(counts[kind] for kind in writes.COUNTS[1:])


def test_every_state_of_store_and_jobs_lists_opens_or_explains():
    in_a_process_of_its_own("-c", "from benchmarks import states; states.run(5, 25, seed=1)")
