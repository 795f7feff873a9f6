"""The scripts for maintainers and deployers: which versions are tried, what is audited, what a proxy and a host get."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import tomli
from packaging.requirements import Requirement

from cka_core.base.deployment import LIMITS
from scripts import audit, hosting, test_pythons, try_nginx

ROOT = Path(__file__).resolve().parent.parent


def test_every_requirement_has_its_lowest_version_tried():
    for line in test_pythons.lowest(test_pythons.requirements(whole=True)):  # every one but what TensorFlow brings
        (only,) = Requirement(line).specifier
        assert only.operator == "==", line


def test_the_quick_tests_go_without_tensorflow_and_a_browser():
    names = {test_pythons.name_of(line) for line in test_pythons.requirements(whole=False)}
    assert {"numpy", "streamlit", "pytest", "hypothesis"} <= names and not names & set(test_pythons.HEAVY)
    assert set(test_pythons.HEAVY) <= {test_pythons.name_of(line) for line in test_pythons.requirements(whole=True)}
    words = test_pythons.tests(whole=False)
    assert words[:8] == ["-n", "2", "--dist", "loadfile", "-p", "no:playwright", "-m", "pure"]


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


def test_the_proxys_configuration_is_the_one_that_is_tried(tmp_path):
    tried = try_nginx.configuration(tmp_path, 1001, 1002, 1003)
    assert "server 127.0.0.1:1001;" in tried and "listen 127.0.0.1:1003 ssl" in tried
    assert (
        not re.search(r"listen (80|443)\b", tried) and "/etc/ssl" not in tried and tried.count("{") == tried.count("}")
    )
    limit = re.search(r"client_max_body_size (\d+)m;", tried)
    assert limit and int(limit[1]) == LIMITS["upload"].classroom
    assert set(re.findall(r"(?:https://|server_name )([a-z][a-z.]+)", tried)) == {try_nginx.NAME}


HOSTED = """
import sys
for name in {not_needed!r}:
    sys.modules[name] = None  # as if it were not installed
from streamlit.testing.v1 import AppTest
at = AppTest.from_file("app.py", default_timeout=120).run()
for page in (None, "train", "atlas", "learn", "library"):
    if page:
        at.switch_page(f"pages/{{page}}.py").run()
    assert not at.exception, (page, at.exception[0].message)
assert not [button.label for button in at.button if button.label == "Compare" and not button.disabled]
"""


def test_a_host_gets_all_that_looking_needs_and_nothing_that_computes(tmp_path):
    folder = tmp_path / "hosted"
    assert hosting.main([str(folder), "my-maps.example"]) == 0
    settings = tomli.loads((folder / ".streamlit" / "config.toml").read_text())
    assert not [section for section in settings.values() if "address" in section]
    assert "my-maps.example" in settings["server"]["allowedHosts"]
    asked = (folder / "requirements.txt").read_text()
    assert "streamlit" in asked and not any(re.search(rf"^{name}\b", asked, re.M) for name in hosting.NOT_NEEDED)
    store = tmp_path / "store"
    environment = {**os.environ, "CKA_MODE": "read-only", "CKA_STORE": str(store)}
    code = HOSTED.format(not_needed=hosting.NOT_NEEDED)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert not store.exists()
    assert hosting.main([str(folder), "my-maps.example"]) == 2, "what is there is not written over"


def test_a_container_is_made_of_files_that_are_here():
    text = (ROOT / "Containerfile").read_text()
    python = re.search(r"^FROM python:(3\.\d+)", text, re.M)
    assert python and f"constraints/python{python[1]}.txt" in text
    copied = re.findall(r"^COPY (\S+) \S+$", text, re.M)
    assert copied and all((ROOT / name).exists() for name in copied)
