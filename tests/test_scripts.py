"""The scripts for maintainers: which versions are tried, and that what was not audited is no clean bill."""

from __future__ import annotations

import sys

from packaging.requirements import Requirement

from scripts import audit, test_pythons


def test_every_requirement_has_its_lowest_version_tried():
    for line in test_pythons.lowest(test_pythons.requirements(whole=True)):
        (only,) = Requirement(line).specifier
        assert only.operator == "==", line


def test_the_quick_tests_go_without_tensorflow_and_a_browser():
    names = {test_pythons.name_of(line) for line in test_pythons.requirements(whole=False)}
    assert {"numpy", "streamlit", "pytest", "hypothesis"} <= names and not names & set(test_pythons.HEAVY)
    assert set(test_pythons.HEAVY) <= {test_pythons.name_of(line) for line in test_pythons.requirements(whole=True)}
    assert test_pythons.tests(whole=False)[:6] == ["-n", "2", "--dist", "loadfile", "-m", "pure"]


def test_this_python_is_found_and_every_one_is_tried_with_its_pins():
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert test_pythons.find(own) and test_pythons.find("3.99") is None
    tried = list(test_pythons.runs({"3.10": "a", "3.12": "b"}))
    assert [name for name, *_ in tried] == ["3.10, pinned", "3.12, pinned", "3.10, lowest", "3.12, highest"]


def test_what_no_database_knows_was_not_audited():
    packages = [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]},
        {"name": "c", "skip_reason": "not found"},
    ]
    assert audit.outcome({"dependencies": packages}) == (["b 2: X-1, mended in 3"], 2, 1)
    assert audit.outcome(None) == ([], 0, 0)
