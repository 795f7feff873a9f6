"""``compare mine.py:build_model``: what goes wrong in somebody's own file is said in one sentence, with its line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cka_core import Comparison
from cka_core.base.store import Store
from cka_core.cli import app, factory

ROOT = Path(__file__).parent.parent

MINE = """
def needs(size, depth=3, *more, kind):
    return size


def broken():
    return {}["a layer"]


def far():
    return import_later()


def import_later():
    import torchvision_of_nobody.models


def ends():
    raise SystemExit(0)


def nothing():
    return None
"""


@pytest.mark.parametrize(
    "function, message",
    [
        ("needs", "{path}:needs is called without arguments, and it needs size, kind. Give them defaults, or name a "
                  "function beside it that calls it with them."),
        ("broken", "{path}, line 7: KeyError: 'a layer'"),
        ("far", "{path}, line 15 imports torchvision_of_nobody, which is not here. Install it: python -m pip "
                "install torchvision_of_nobody."),
        ("ends", "{path}, line 19: SystemExit: 0"),
        ("missing", "{path} has no function 'missing'."),
        ("nothing", "Expected {path}:nothing to return a PyTorch or Keras model, got NoneType. The function is called "
                    "without arguments."),
    ],
)  # fmt: skip
def test_a_function_that_fails_is_told_of_with_its_line(tmp_path, function, message):
    path = tmp_path / "mine_of_test.py"
    path.write_text(MINE)
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(path=path))}$"):
        factory.built(f"{path}:{function}", Store())


def test_so_is_one_that_is_named_from_where_one_stands(tmp_path, monkeypatch):
    (tmp_path / "mine_of_test.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="^mine_of_test.py, line 7: KeyError"):
        factory.built("mine_of_test.py:broken", Store())


@pytest.mark.parametrize(
    "code, message",
    [
        ("x = 1\n\ndef f(:\n", "line 3: SyntaxError: "),
        ("import keras_of_nobody", "line 1 imports keras_of_nobody, which is not here. Install it: python -m pip "),
        ("raise RuntimeError('no graphics card')", "line 1: RuntimeError: no graphics card"),
    ],
)
def test_so_is_a_file_that_fails(tmp_path, code, message):
    path = tmp_path / "failing_of_test.py"
    path.write_text(code)
    with pytest.raises(ValueError, match=re.escape(f"{path}, {message}")):
        factory.built(f"{path}:f", Store())


def test_a_package_that_is_an_extra_of_this_one_is_installed_with_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    path = tmp_path / "torch_of_test.py"
    path.write_text("import torch")
    with pytest.raises(ValueError, match=re.escape('python -m pip install ".[torch]".')):
        factory.built(f"{path}:f", Store())


def test_a_result_is_called_after_the_file_and_not_its_folders(tmp_path):
    path = tmp_path / "mine_of_test.py"
    path.write_text(
        "from cka_core import build_network\n\ndef build():\n    return build_network('cifar-resnet-8x1')\n"
    )
    words = ["compare", f"{path}:build", "cifar-resnet-8x1", "--samples", "8", "--layers", "*_add", "--bundle"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "r.zip")])
    assert done.exit_code == 0, str(done.exception)
    result = Comparison.load(tmp_path / "r.zip")
    assert result.name_a == "mine_of_test.py:build" and str(tmp_path) not in result.provenance["command"]
    assert str(path.parent) not in str(result.provenance)


@pytest.mark.parametrize("option", [("--passes", "2"), ("--without", "pixels"), ("--fit-images",)])
def test_what_is_for_networks_by_name_is_refused_before_any_code_runs(tmp_path, option):
    path = tmp_path / "mine_of_test.py"
    path.write_text("raise SystemExit('it ran')")
    done = CliRunner().invoke(app, ["compare", f"{path}:build", "cifar-resnet-8x1", *option])
    assert str(done.exception) == (
        "--passes, --without and --fit-images are for networks by name or file, not for those built by code."
    )
    assert "Running" not in done.output


INTERRUPTED = """
import runpy, sys

class Pressed:
    def find_spec(self, name, *rest):
        if name == "cka_core.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Pressed())
runpy.run_module("cka_core", run_name="__main__")
"""


def test_a_key_pressed_while_it_imports_ends_it_without_a_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 130 and done.stderr.strip() == "Stopped."


def test_a_file_that_is_not_there_is_told_of_before_any_code_is_said_to_run(tmp_path):
    there, missing = tmp_path / "mine_of_test.py", tmp_path / "other_of_test.py"
    there.write_text(MINE)
    for words in ((f"{there}:nothing", f"{missing}:nothing"), (f"{missing}:nothing", f"{there}:nothing")):
        done = CliRunner().invoke(app, ["compare", *words, "--samples", "16"])
        assert str(done.exception) == (
            f"{missing} does not exist. Expected a Python file and a function of it: mine.py:build_model."
        )
        assert "Running the code" not in done.output
