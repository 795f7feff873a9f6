"""For whom this runs, and the limits a deployer sets: said in one table, and that table in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cka_core.base import deployment
from cka_core.base.deployment import LIMITS, LimitReached

ROOT = Path(__file__).resolve().parent.parent.parent


def test_nothing_set_is_one_persons_own_machine():
    assert deployment.mode() == ""
    assert {name: deployment.most(name) for name in LIMITS if deployment.most(name)} == {"upload": 400}
    deployment.check("jobs", 10**9)
    assert deployment.rules() == ""


def test_a_class_is_limited_in_everything(monkeypatch):
    monkeypatch.setenv("CKA_MODE", "class")
    for name, limit in LIMITS.items():
        assert deployment.most(name) == limit.classroom and limit.classroom
        deployment.check(name, limit.classroom)
        with pytest.raises(LimitReached) as told:
            deployment.check(name, limit.classroom + 0.1)
        assert f"{limit.classroom:,} {limit.unit}" in str(told.value)


@pytest.mark.parametrize("mode", ["clas", "Class", "open", "readonly"])
def test_another_mode_names_the_valid_ones(monkeypatch, mode):
    monkeypatch.setenv("CKA_MODE", mode)
    with pytest.raises(ValueError, match='empty, "class" or "read-only"'):
        deployment.mode()


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_set_by_its_variable(monkeypatch, name):
    variable = LIMITS[name].variable
    monkeypatch.setenv(variable, "1")
    assert deployment.most(name) == 1 and deployment.rules() == f"{variable}=1"
    with pytest.raises(LimitReached, match="1"):
        deployment.check(name, 2)
    monkeypatch.setenv(variable, "none")
    deployment.check(name, 10**12)
    for wrong in ("0", "-3", "1e3", "many"):
        monkeypatch.setenv(variable, wrong)
        with pytest.raises(ValueError, match=variable):
            deployment.most(name)


def test_what_is_said_is_one_or_two_sentences_with_what_to_do():
    for limit in LIMITS.values():
        assert re.fullmatch(r"[A-Z][^{}]*\{\}[^.:]*[.:] .+\.", limit.reached), limit.reached


def test_the_table_is_in_the_documents():
    readme, deploy = (ROOT / "README.md").read_text(), (ROOT / "docs" / "deploy.md").read_text()
    rows = re.findall(r"^\| `(CKA_MAX_\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", deploy, re.M)
    said = {variable: (what, opened, classroom) for variable, what, opened, classroom in rows}
    expected = {
        limit.variable: (limit.what, *(_amount(value, limit.unit) for value in (limit.open, limit.classroom)))
        for limit in LIMITS.values()
    }
    assert said == expected
    assert all(f"| `{limit.variable}` |" in readme for limit in LIMITS.values())


def _amount(value: int | None, unit: str) -> str:
    return f"{value:,} {unit}" if value else "none"
