"""A network that a Python file builds, on the command line: said plainly, right, and refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cka_core import Comparison, compare, load_images

ROOT = Path(__file__).resolve().parent.parent.parent
MINE = """
import torch
from beside import WIDTH

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, WIDTH, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten())

def number():
    return 3

MODEL = build()
"""


def run(folder, *words, code=0):
    (folder / "mine.py").write_text(MINE)
    (folder / "beside.py").write_text("WIDTH = 4\n")
    answer = subprocess.run(
        [sys.executable, "-m", "cka_core", "compare", *words, "--samples", "16"], capture_output=True, text=True,
        cwd=folder, env={"PYTHONPATH": str(ROOT), "CKA_STORE": str(folder / "store"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert answer.returncode == code, answer.stderr
    return answer.stdout + answer.stderr


def test_a_file_of_ones_own_against_a_keras_network(tmp_path):
    said = run(tmp_path, "mine.py:build", "cifar-resnet-8x1", "--out", "r.npz", "--layers", "*conv*", "--layers", "0",
               "--layers", "ReLU")  # fmt: skip
    assert "Running the code of mine.py:build, in this process." in said
    result = Comparison.load(tmp_path / "r.npz")
    assert [layer.name for layer in result.layers_a] == ["0", "1"]
    assert (result.name_a, result.name_b) == ("mine.py:build", "cifar-resnet-8x1")
    assert result.provenance["images"]["images"] == "cifar10-mini" and result.provenance["images"]["n"] == 16
    assert "mine.py:build cifar-resnet-8x1 --samples 16" in result.provenance["command"]


def test_a_model_in_the_file_stands_for_a_network_as_its_function_does(tmp_path):
    results = []
    for name in ("MODEL", "build"):
        run(tmp_path, f"mine.py:{name}", "mine.py:build", "--out", "r.npz")
        results.append(Comparison.load(tmp_path / "r.npz"))
    assert results[0].name_a == "mine.py:MODEL"
    assert np.abs(results[0].matrix - results[1].matrix).max() < 1e-6


def test_images_that_do_not_fit_are_told_with_the_network(tmp_path):
    grey = "import torch\n\ndef build():\n    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3))\n"
    (tmp_path / "grey.py").write_text(grey)
    said = run(tmp_path, "mine.py:build", "grey.py:build", code=2)
    assert "error: Network B: Sequential does not run on images (16, 3, 32, 32) of float32, in layer '0'" in said
    assert "Traceback" not in said


def test_it_is_what_python_gives(tmp_path):
    run(tmp_path, "mine.py:build", "mine.py:build", "--out", "r.npz")
    scope: dict = {}
    exec(MINE.replace("from beside import WIDTH", "WIDTH = 4"), scope)
    model = scope["build"]()
    wanted = compare(model, model, load_images("cifar10-mini", "test", 16, 0))
    assert np.abs(Comparison.load(tmp_path / "r.npz").matrix - wanted.matrix).max() < 1e-6


@pytest.mark.parametrize("network, reason", [
    ("mine.py:nothing", "has no function 'nothing'"), ("yours.py:build", "does not exist"),
    ("mine.py:number", "PyTorch or Keras model, got int"),
])  # fmt: skip
def test_what_is_no_factory_is_refused(tmp_path, network, reason):
    assert reason in run(tmp_path, network, "mine.py:build", code=2)
