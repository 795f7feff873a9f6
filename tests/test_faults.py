"""Malformed files, made from valid ones by seeded changes: every reader refuses them in a sentence, or uses them."""

from __future__ import annotations

import pytest

from benchmarks import faults


@pytest.mark.parametrize("reader", faults.READERS)
def test_a_malformed_file_is_refused_in_a_sentence_or_used(reader):
    found = faults.run(reader, 17, seed=1)
    assert found["others"] == []
    assert found.get("hangs", 0) == 0
    assert found.get("refused", 0) + found.get("taken", 0) == 17
