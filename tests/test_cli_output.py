"""What a command prints goes where it is sent: a closed output or a small alphabet ends no work."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cka_core.base.progress import Progress
from cka_core.cli import options, quiet

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


SPEAKS = """
import os
os.write(2, b"I0000 of the drivers of this machine")
FAILS
"""


@pytest.mark.parametrize(
    "fails, setting, told",
    [
        ("", None, b"None"),
        ("", "0", b"I0000 of the drivers of this machineNone"),
        ("raise ImportError('no AVX')", None, b"I0000 of the drivers of this machineno AVX"),
    ],
    ids=["by itself", "asked to speak", "an import that fails"],
)
def test_what_tensorflow_says_of_the_machine_is_shown_where_it_fails_or_is_asked_to(fails, setting, told, tmp_path):
    (tmp_path / "tensorflow.py").write_text(SPEAKS.replace("FAILS", fails))
    code = """
import os
from cka_core.cli import quiet
quiet.of_tensorflow()
error = None
try:
    import tensorflow
except ImportError as error_:
    error = error_
os.write(2, str(error).encode())
"""
    environment = {key: value for key, value in os.environ.items() if key != quiet.SETTING}
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])} | (
        {quiet.SETTING: setting} if setting else {}
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, told)


def test_beside_its_output_a_command_shows_its_progress_alone(tmp_path):
    command = [sys.executable, "-m", "cka_core", "compare", "cifar-resnet-8x1", "cifar-resnet-8x1", "--samples", "8"]
    environment = {key: value for key, value in os.environ.items() if key != quiet.SETTING}
    done = subprocess.run(
        [*command, "--store", str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert all(re.match(r" *\d+%\|", line) for line in done.stderr.splitlines() if line), done.stderr


@pytest.fixture
def keys() -> Iterator[None]:
    """The key that stops is Python's own to hear, as in a command: a browser's loop may hear it here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keys")
def test_a_key_that_a_library_swallowed_stops_the_work_at_its_next_report(capsys):
    with pytest.raises(SystemExit) as ended:
        with options.stoppable("What is finished is kept."), options.progress_bar() as report:
            report(Progress("building", 0, 2))
            with contextlib.suppress(BaseException):
                signal.raise_signal(signal.SIGINT)
            report(Progress("training", 1, 2))
    assert ended.value.code == 130 and "Stopped. What is finished is kept." in capsys.readouterr().err
    with options.progress_bar() as report:
        report(Progress("another", 1, 2))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
