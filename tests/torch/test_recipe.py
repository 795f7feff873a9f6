"""The recipe of docs/activations.md for PyTorch writes a file that the library takes."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from cka_core.base.store import Store
from cka_core.library import arrivals

TEXT = (Path(__file__).parents[2] / "docs" / "activations.md").read_text()


def test_what_the_recipe_writes_is_taken(tmp_path, monkeypatch):
    [recipe] = re.findall(r"^```python torch\n(.*?)^```", TEXT, re.M | re.S)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
    monkeypatch.chdir(tmp_path)
    exec(recipe, {"model": model, "images": torch.rand(100, 3, 6, 6)})
    made = arrivals.import_file(tmp_path / "acts.npz", Store(tmp_path / "store"))
    assert [layer.name for layer in made.layers] == ["0", "1", "2"] and made.sample.n == 100
    assert not any(module._forward_hooks for module in model.modules())


def test_the_notebook_of_two_models_runs(tmp_path, monkeypatch):
    from tests.test_examples import cells, run

    monkeypatch.chdir(tmp_path)
    found = run(
        cells("two_pytorch_models.ipynb", {"torch.rand(512": "torch.rand(40", "batch_size=128": "batch_size=20"})
    )
    assert found["result"].matrix.shape == (8, 8) and (tmp_path / "two-models.svg").is_file()
