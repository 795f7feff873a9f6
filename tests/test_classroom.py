"""What `make class` sets: for whom, under which names, with which key, and within which bounds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import classroom

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """A copy of the environment, which `settings` adds to."""
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if "CKA_" not in name})
    os.environ.pop("PORT", None)


def option(command: list[str], name: str) -> list[str]:
    return [value for before, value in zip(command, command[1:], strict=False) if before == name]


def test_a_class_has_an_address_a_key_and_its_own_names_only():
    environment, command = classroom.settings()
    assert environment["CKA_MODE"] == "class" and len(environment["CKA_TEACHER_KEY"]) * 6 >= 128
    [port] = option(command, "--server.port")
    assert environment["CKA_ADDRESS"] == f"http://{classroom.network_address()}:{port}"
    assert option(command, "--server.address") == ["0.0.0.0"] and "server.py" in command
    names = option(command, "--server.allowedHosts")
    assert {"localhost", "127.0.0.1", classroom.network_address()} <= set(names) and "*" not in names
    assert option(command, "--server.maxUploadSize") == ["50"]
    assert classroom.settings()[0]["CKA_TEACHER_KEY"] == environment["CKA_TEACHER_KEY"]  # it is kept where it is set


def test_what_is_set_is_taken():
    port = str(classroom.free_port(8600))
    os.environ |= {"PORT": port, "CKA_ADDRESS": "https://cka.school.example/", "CKA_TEACHER_KEY": "a key long enough"}
    os.environ["CKA_MAX_UPLOAD"] = "5"
    environment, command = classroom.settings()
    assert environment["CKA_ADDRESS"] == "https://cka.school.example"
    assert environment["CKA_TEACHER_KEY"] == "a key long enough"
    assert option(command, "--server.port") == [port] and option(command, "--server.maxUploadSize") == ["5"]
    assert "cka.school.example" in option(command, "--server.allowedHosts")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CKA_TEACHER_KEY", "short", "at least 12 characters"),
        ("CKA_MAX_JOBS", "many", "CKA_MAX_JOBS to be a number"),
        ("PORT", "80x", "Expected PORT to be a number from 1 to 65535, got '80x'."),
        ("PORT", "99999", "Expected PORT to be a number from 1 to 65535, got '99999'."),
        ("PORT", "0", "Expected PORT to be a number from 1 to 65535, got '0'."),
        ("CKA_ADDRESS", "cka.school.example", "Expected CKA_ADDRESS to be like http://cka.school.example"),
        ("CKA_ADDRESS", "http://[::1", "Expected CKA_ADDRESS to be like http://cka.school.example"),
    ],
)
def test_a_wrong_setting_is_told_where_it_is_started(name, value, said):
    answer = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "classroom.py")],
        env=os.environ | {name: value}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 1 and said in answer.stderr and "Traceback" not in answer.stderr
    assert answer.stdout == ""  # no address that leads nowhere


def test_a_port_that_somebody_has_is_told_before_the_class_is_given_its_address():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        os.environ["PORT"] = str(other.getsockname()[1])
        with pytest.raises(ValueError, match=f"Port {os.environ['PORT']} cannot be had"):
            classroom.settings()


@pytest.mark.parametrize("address", ["http://10.0.0.7:8600", "https://cka.school.example/sub", "http://[fd00::7]:8501"])
def test_an_address_that_a_browser_opens_is_taken(address):
    os.environ["CKA_ADDRESS"] = address
    assert classroom.settings()[0]["CKA_ADDRESS"] == address
