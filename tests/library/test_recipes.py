"""The recipes of docs/activations.md write files that the library takes."""

from __future__ import annotations

import re
from pathlib import Path

import jax.numpy as jnp
import keras
import numpy as np

from cka_core.library import arrivals

TEXT = (Path(__file__).parents[2] / "docs" / "activations.md").read_text()
RECIPES = dict(re.findall(r"^```python (\w+)\n(.*?)^```", TEXT, re.M | re.S))


def test_each_framework_has_a_recipe_of_about_ten_lines():
    assert set(RECIPES) == {"torch", "transformers", "jax", "flax", "sklearn", "keras"}
    assert max(len(code.splitlines()) for code in RECIPES.values()) <= 15
    for name, code in RECIPES.items():
        compile(code, name, "exec")


def written(framework: str, tmp_path, monkeypatch, store, **given):
    """What the library makes of the file that a recipe writes."""
    monkeypatch.chdir(tmp_path)
    exec(RECIPES[framework], given)
    (file,) = tmp_path.glob("acts.*")
    return arrivals.import_file(file, store)


def test_keras(tmp_path, monkeypatch, store):
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(3, 3), keras.layers.Flatten()])
    made = written("keras", tmp_path, monkeypatch, store, model=model, images=np.random.rand(12, 6, 6, 1))
    assert [layer.shape for layer in made.layers] == [(4, 4, 3), (48,)] and made.sample.ids


def test_keras_with_several_inputs(tmp_path, monkeypatch, store):
    image, tokens = keras.Input((4, 4, 1), name="image"), keras.Input((3,), name="tokens")
    both = keras.layers.Concatenate(name="both")([keras.layers.Flatten(name="flat")(image), tokens])
    model = keras.Model({"image": image, "tokens": tokens}, both)
    images = {"image": np.random.rand(12, 4, 4, 1), "tokens": np.random.rand(12, 3)}
    made = written("keras", tmp_path, monkeypatch, store, model=model, images=images)
    assert [(layer.name, layer.shape) for layer in made.layers] == [("both", (19,)), ("flat", (16,))]


def test_jax(tmp_path, monkeypatch, store):
    layers = [lambda x: jnp.tanh(x) * 2, lambda x: x.reshape(len(x), -1)]
    made = written("jax", tmp_path, monkeypatch, store, layers=layers, images=np.random.rand(12, 3, 4))
    assert [layer.name for layer in made.layers] == ["layer_00", "layer_01"]


class Module:
    """A module of Flax, as far as the recipe calls it: outputs by the path of their layer, in tuples, one a call."""

    def apply(self, variables, x, capture_intermediates=False):
        assert capture_intermediates
        hidden = jnp.tanh(x @ variables["params"])
        return hidden, {"intermediates": {"Dense_0": {"__call__": (hidden,)}, "__call__": (hidden[:, :2],)}}


def test_flax_by_its_interface(tmp_path, monkeypatch, store):
    given = {"model": Module(), "variables": {"params": jnp.ones((4, 5))}, "images": np.random.rand(12, 4)}
    made = written("flax", tmp_path, monkeypatch, store, **given)
    shapes = {layer.name: layer.shape for layer in made.layers}
    assert shapes == {"Dense_0/__call__/0": (5,), "__call__/0": (2,)}


class Halves:
    """A step of a pipeline, as scikit-learn calls one."""

    def transform(self, x):
        return x / 2


class Decides:
    def predict_proba(self, x):
        return np.stack([x.mean(1), 1 - x.mean(1)], 1)


def test_scikit_learn_by_its_interface(tmp_path, monkeypatch, store):
    steps = [("scale", Halves()), ("classify", Decides())]
    pipeline = type("Pipeline", (), {"steps": steps})()
    made = written("sklearn", tmp_path, monkeypatch, store, pipeline=pipeline, X=np.random.rand(12, 5))
    assert [(layer.name, layer.shape) for layer in made.layers] == [("scale", (5,)), ("classify", (2,))]
