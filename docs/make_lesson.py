"""Make the numbers of the Learn page's first chapter again: ``python docs/make_lesson.py`` (half a minute).

Eight bundled test images at a time, what a few layers of a bundled network and of its untrained self make of them.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from cka_core.images.sets import CIFAR10_CLASSES, load_images
from cka_core.library import catalogue
from cka_core.measures.kernels import linear_gram
from cka_core.networks.activations import pixels

TARGET = Path(__file__).parent.parent / "pages" / "parts" / "learn" / "lesson.json"
TRAINED, UNTRAINED = "cifar-resnet-14x4-cifar10-mini-s0", "cifar-resnet-14x4"
LAYERS = {
    "stage1_block2_relu2": "stage 1",
    "stage2_block2_relu2": "stage 2",
    "stage3_block2_relu2": "stage 3",
    "head_logits": "output",
}
"""The last layer of each stage, and the ten outputs."""
SETS = {
    "pairs": ("four ships, four horses", ("ship",) * 4 + ("horse",) * 4),
    "kinds": ("eight classes", ("airplane", "automobile", "bird", "cat", "deer", "frog", "horse", "ship")),
    "cars": ("eight cars", ("automobile",) * 8),
}
SHOWN = 24
"""Features drawn of each layer."""


def chosen(right: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> list[int]:
    """For each class asked for, the first image not yet taken that the network gets right."""
    taken: list[int] = []
    for name in classes:
        found = np.flatnonzero(right & (y == CIFAR10_CLASSES.index(name)))
        taken.append(int(next(i for i in found if i not in taken)))
    return taken


def png(x: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(x).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def shown(x: np.ndarray) -> list[int]:
    """Features to draw: of ``SHOWN`` equal runs of the layer, in each the one that differs most between the images."""
    runs = np.array_split(np.arange(x.shape[1]), min(SHOWN, x.shape[1]))
    variance = x.var(axis=0)
    return [int(run[variance[run].argmax()]) for run in runs]


def representation(x: np.ndarray) -> dict[str, Any]:
    """What the page needs of one layer: the Gram matrix over all features, and a few of them.

    The values are scaled so that their square is 1 on average, and the Gram matrix is divided by the number of
    features: its diagonal is then 1 on average. CKA does not see either.
    """
    x = x.reshape(len(x), -1).astype(np.float64)
    x = x / np.sqrt(np.square(x).mean())
    gram = linear_gram(x) / x.shape[1]
    features = shown(x)
    return {
        "count": x.shape[1],
        "features": [feature + 1 for feature in features],
        "values": [[float(f"{value:.3g}") for value in row] for row in x[:, features]],
        "gram": [float(f"{value:.12g}") for value in gram[np.triu_indices(len(x))]],
    }


def main() -> None:
    import keras

    images = load_images("cifar10-mini", "test")
    models = {name: catalogue.load_model(catalogue.find(name).spec) for name in (TRAINED, UNTRAINED)}
    right = models[TRAINED].predict(pixels(images.x), verbose=0).argmax(axis=1) == images.y
    sets = []
    for name, (title, classes) in SETS.items():
        at = chosen(right, images.y, classes)
        x = pixels(images.x[at])
        found = {"pixels": representation(x)}
        for state, model in zip(("trained", "untrained"), models.values(), strict=True):
            outputs = keras.Model(model.inputs, [model.get_layer(layer).output for layer in LAYERS])
            for layer, output in zip(LAYERS, outputs.predict(x, verbose=0), strict=True):
                found[f"{layer} {state}"] = representation(np.asarray(output))
        pictures = [{"class": CIFAR10_CLASSES[images.y[i]], "number": i, "png": png(images.x[i])} for i in at]
        sets.append({"name": name, "title": title, "images": pictures, "representations": found})
    layers = [{"key": "pixels", "title": "the pixels", "layer": "", "state": ""}]
    for state in ("trained", "untrained"):
        layers += [
            {"key": f"{layer} {state}", "title": f"{title}, {state}", "layer": layer, "state": state}
            for layer, title in LAYERS.items()
        ]
    about = {"network": TRAINED, "untrained": UNTRAINED, "title": "ResNet 14x4"}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps({**about, "layers": layers, "sets": sets}, separators=(",", ":")) + "\n")
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
