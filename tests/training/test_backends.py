"""The same recipe trains the same network with another Keras backend, and its weights load here.

What runs here is JAX on the CPU, and torch where it is installed, each in a process of its own: a process has one
backend.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cka_core.base.store import Store
from cka_core.images.sets import load_images
from cka_core.library import catalogue
from cka_core.networks.building import build_network, weights_digest
from cka_core.training.fit import train
from cka_core.training.recipe import TrainSpec
from cka_core.training.state import file_digest

ROOT = Path(__file__).parent.parent.parent
NAME, IMAGES = "short", 64
TRAIN = """
import json, sys
import numpy as np
from cka_core.library import catalogue as library
from cka_core.images.sets import load_images
from cka_core.training.recipe import TrainSpec
from cka_core.base.store import Store
from cka_core.training.fit import train

store = Store(sys.argv[1])
train(TrainSpec(**json.loads(sys.argv[2])), store, name="short", start_path=sys.argv[3])
network = library.load_model(library.find("short", store).spec, store)
np.save(sys.argv[4], network.predict_on_batch(load_images("cifar10-mini", "test", 64).x.astype("float32") / 255))
"""


BACKENDS = ["jax", "torch"] if importlib.util.find_spec("torch") else ["jax"]


@pytest.fixture(scope="module", params=BACKENDS)
def both(request, tmp_path_factory) -> dict[str, tuple[Store, np.ndarray]]:
    """Three steps with each backend from the same weights: the store, and what the network says of 64 images there."""
    folder = tmp_path_factory.mktemp("backends")
    start = folder / "start.weights.h5"
    build_network("cifar-resnet-8x1", seed=0).save_weights(start)
    recipe = {
        "architecture": "cifar-resnet-8x1", "fraction": 0.0625, "batch_size": 65, "epochs": 1, "held_out": 0.0,
        "start": "file", "start_digest": file_digest(start),
    }  # fmt: skip
    here, elsewhere = Store(folder / "tensorflow"), Store(folder / request.param)
    train(TrainSpec(**recipe), here, name=NAME, start_path=start)
    command = [sys.executable, "-c", TRAIN, str(elsewhere.root), json.dumps(recipe), str(start), str(folder / "x.npy")]
    environment = {**os.environ, "KERAS_BACKEND": request.param, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    backend = request.param
    return {"tensorflow": (here, outputs(here)), backend: (elsewhere, np.load(folder / "x.npy"))}


def outputs(store: Store) -> np.ndarray:
    network = catalogue.load_model(catalogue.find(NAME, store).spec, store)
    found: np.ndarray = network.predict_on_batch(load_images("cifar10-mini", "test", IMAGES).x.astype("float32") / 255)
    return found


def record(store: Store) -> dict:
    return catalogue.find(NAME, store).record


def test_a_network_trained_elsewhere_loads_here_and_says_the_same(both):
    _, backend = both
    store, there = both[backend]
    assert backend in record(store)["versions"] and "tensorflow" not in record(store)["versions"]
    np.testing.assert_allclose(outputs(store), there, rtol=1e-4, atol=1e-4)
    network = catalogue.load_model(catalogue.find(NAME, store).spec, store)
    assert weights_digest(network) == record(store)["weights"]


def test_both_saw_the_same_minibatches_and_learned_the_same(both):
    (here, ours), (elsewhere, theirs) = both.values()
    history, other = record(here)["history"], record(elsewhere)["history"]
    assert history.keys() == other.keys()
    assert history["accuracy"] == pytest.approx(other["accuracy"])  # of each minibatch before its step
    assert history["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert history["learning_rate"] == pytest.approx(other["learning_rate"])
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(ours).max()
    untrained = build_network("cifar-resnet-8x1", seed=0).predict_on_batch(
        load_images("cifar10-mini", "test", IMAGES).x.astype("float32") / 255
    )
    assert np.abs(ours - untrained).max() > 0.2 * np.abs(ours).max()  # three steps change far more than the backend


def test_another_backend_is_told_where_it_cannot_compare(tmp_path):
    words = ["-m", "cka_core", "compare", "cifar-resnet-8x1", "cifar-resnet-8x1:1", "--samples", "16"]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, *words, "--out", str(tmp_path / "never.npz")],
        env=environment, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "Unset KERAS_BACKEND" in done.stderr and "Traceback" not in done.stderr
