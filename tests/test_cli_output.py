"""What a command prints goes where it is sent: a closed output or a small alphabet ends no work."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("words", [("data", "list"), ("--help",)])
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_command_needs_no_open_output(words, closed):
    command = f"{shlex.join([sys.executable, '-m', 'cka_core', *words])} {closed}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed == "2>&-")


def test_a_letter_that_the_output_lacks_ends_no_command():
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "cka_core", "data", "list"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "32 \\xd7 32, colour" in done.stdout


@pytest.mark.parametrize(
    "words, status", [(("compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--samples", "64"), 0), (("train", "no"), 2)]
)
def test_what_is_told_beside_the_output_ends_no_work(words, status, tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "cka_core", *words, "--store", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True)
    assert done.returncode == status
    assert ("29 × 29 layers" in done.stdout) == (status == 0)
