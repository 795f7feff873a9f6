"""The recipe of docs/activations.md for PyTorch writes a file that the library takes."""

from __future__ import annotations

import re
import types
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


class Said(dict):
    """What a tokenizer of Hugging Face returns: a mapping of tensors."""


def tokenizer(texts, padding, truncation, return_tensors):
    assert padding and truncation and return_tensors == "pt"
    words = [[1 + len(word) for word in text.split()] for text in texts]
    longest = max(map(len, words))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in words])
    return Said(input_ids=ids, attention_mask=(ids > 0).long())


def language_model(input_ids, attention_mask, output_hidden_states):
    """Hidden states (texts, tokens, features) as Hugging Face gives them, far off where nothing is said."""
    assert output_hidden_states
    first = torch.nn.functional.one_hot(input_ids, 12).float() + 100 * (1 - attention_mask[:, :, None])
    return types.SimpleNamespace(hidden_states=(first, first[:, :, :5] * 2))


def test_the_recipe_for_hidden_states_averages_the_tokens_that_are_there(tmp_path, monkeypatch):
    [recipe] = re.findall(r"^```python transformers\n(.*?)^```", TEXT, re.M | re.S)
    texts = [" ".join("x" * (1 + (i * k) % 9) for k in range(1, 2 + i % 4)) for i in range(70)]
    monkeypatch.chdir(tmp_path)
    given = {"tokenizer": tokenizer, "model": language_model, "texts": texts}
    exec(recipe, given)
    counts = torch.stack(
        [torch.bincount(tokenizer([text], True, True, "pt")["input_ids"][0], minlength=12) for text in texts]
    )
    expected = counts / counts.sum(1, keepdim=True)
    written = torch.cat(given["acts"]["hidden_00"])
    assert torch.allclose(written, expected, atol=1e-6)
    made = arrivals.import_file(tmp_path / "acts.safetensors", Store(tmp_path / "store"))
    assert [(layer.name, layer.shape) for layer in made.layers] == [("hidden_00", (12,)), ("hidden_01", (5,))]
    assert made.sample.n == 70


def test_the_notebook_of_two_models_runs(tmp_path, monkeypatch):
    from tests.test_examples import cells, run

    monkeypatch.chdir(tmp_path)
    found = run(
        cells("two_pytorch_models.ipynb", {"torch.rand(512": "torch.rand(40", "batch_size=128": "batch_size=20"})
    )
    assert found["result"].matrix.shape == (8, 8) and (tmp_path / "two-models.svg").is_file()
