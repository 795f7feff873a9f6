"""One map less another."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cka_core import Comparison
from cka_core.results import figures, paper, trust, words
from cka_core.results.differences import difference, is_difference, same_axes
from tests.synthetic import comparison

ROOT = str(Path(__file__).parents[2])


def test_it_is_one_less_the_other_where_both_have_a_number():
    one, other = comparison(seed=0), comparison(seed=1)
    matrix = other.matrix.copy()
    matrix[2] = np.nan
    reasons = tuple("no variance" if i == 2 else None for i in range(len(matrix)))
    found = difference(one, dataclasses.replace(other, matrix=matrix, reasons_a=reasons), "untrained")
    assert np.allclose(found.matrix, one.matrix - matrix, equal_nan=True)
    assert found.reasons_a == reasons and found.jackknife is None
    assert is_difference(found) and not is_difference(one)
    assert words.value_text(found.provenance) == "CKA less untrained"
    assert words.command(found).startswith("# made in Python")


def test_its_commands_make_both_and_subtract_them(tmp_path):
    one, other = comparison(seed=0), comparison(seed=1)
    other = dataclasses.replace(other, provenance=other.provenance | {
        "command": "python -m cka_core compare x y --out 'a file.npz' --figure b.png"})  # fmt: skip
    found = difference(one, other, "untrained")
    told, first, second, less = words.command(found).splitlines()
    assert told == "# made in Python of two results, the first less the second"
    assert first == f"{one.provenance['command']} --out first.npz"
    assert second == "python -m cka_core compare x y --out second.npz"
    one.save(tmp_path / "first.npz")
    other.save(tmp_path / "second.npz")
    subprocess.run([sys.executable, *shlex.split(less)[1:]], check=True, cwd=tmp_path, env={"PYTHONPATH": ROOT})
    assert np.array_equal(Comparison.load(tmp_path / "result.npz").matrix, found.matrix, equal_nan=True)
    unknown = dataclasses.replace(other, provenance=other.provenance | {"command": None})
    assert words.command(difference(one, unknown, "x")) == "# made in Python: no command was kept with this result"


def test_its_colours_go_from_minus_one_to_one_and_are_white_at_zero():
    found = difference(comparison(seed=0), comparison(seed=1), "untrained")
    trace = figures.heatmap(found).data[0]
    assert (trace.zmin, trace.zmax) == (-1, 1) and trace.colorscale[5] == (0.5, "rgb(247,247,247)")
    usual = figures.heatmap(comparison()).data[0]
    assert (usual.zmin, usual.zmax) == (0, 1)
    assert paper.paper_figure(found, format="svg").startswith(b"<?xml")


def test_what_it_says_of_itself():
    facts = trust.line(difference(comparison(seed=0), comparison(seed=1), "untrained"))
    (fact,) = [fact for fact in facts if fact.text == "CKA less untrained"]
    assert "below 0 there" in fact.hint and not any("chance" in fact.text for fact in facts)


def test_what_batch_norm_did_in_the_map_taken_away_is_said_in_red_where_it_misleads():
    trained = {side: {"source": "bundled", "architecture": "cifar-resnet-8x1"} for side in ("network_a", "network_b")}
    one = dataclasses.replace(comparison(), provenance=comparison().provenance | trained)

    def told(**of_other: str) -> dict[str, bool]:
        other = dataclasses.replace(comparison(seed=1), provenance=comparison().provenance | of_other)
        facts = trust.line(difference(one, other, "untrained"))
        return {fact.text: fact.misleads for fact in facts if "batch norm" in fact.text}

    own = {"batch norm at inference": False}
    assert told() == own | {"untrained: batch norm idle before training": True}
    assert told(batch_norm="train") == own | {"untrained: batch norm in train mode": False}
    assert not any(
        "batch norm" in fact.text and fact.misleads for fact in trust.line(difference(one, one, "the other"))
    )


def test_other_axes_or_another_measure_are_refused():
    one, other = comparison(), comparison("cifar-resnet-14x1", "cifar-resnet-14x1")
    assert same_axes(one, one) and not same_axes(one, other)
    with pytest.raises(ValueError, match="two maps of the same layers"):
        difference(one, other, "x")
    by_another = dataclasses.replace(one, provenance=one.provenance | {"measure": "svcca"})
    with pytest.raises(ValueError, match="CKA and SVCCA"):
        difference(one, by_another, "x")
