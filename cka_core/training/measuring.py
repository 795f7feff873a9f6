"""How good a trained network is: the images it gets right, of the test images and of those it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base.progress import Progress, Report, silent
from cka_core.images.sets import Images
from cka_core.networks.building import weights_digest
from cka_core.training.images import TrainingImages

if TYPE_CHECKING:
    import keras

AT_ONCE = 256
"""Images in a forward pass that nothing is learned from."""


class NotFinite(ValueError):
    """The network's outputs are not numbers, although its weights may be: their products are too large."""


def measure(model: keras.Model, data: TrainingImages, test: Images, report: Report = silent) -> dict[str, Any]:
    """What a library record says of a network's weights: its accuracies, confusion matrix and digest.

    ``report`` gets a `Progress` for each forward pass, with all epochs done.

    Raises
    ------
    NotFinite
    """
    epochs = data.spec.epochs

    def predict(x: np.ndarray, what: str) -> np.ndarray:
        found = []
        for start in range(0, len(x), AT_ONCE):
            report(Progress("testing", epochs, epochs, f"measuring {what}, image {start:,} of {len(x):,}"))
            outputs = np.asarray(model.predict_on_batch(x[start : start + AT_ONCE].astype(np.float32) / 255))
            if not np.isfinite(outputs).all():
                raise NotFinite(f"The outputs of {model.name} are not all numbers.")
            found.append(outputs.argmax(-1))
        return np.concatenate(found)

    predicted = predict(test.x, "test accuracy")
    return {
        "test_accuracy": float((predicted == test.y).mean()),
        "test_images": len(test),
        "train_accuracy": float((predict(data.x, "training accuracy") == data.y).mean()),
        "train_images": len(data),
        "classes": list(test.classes),
        "confusion": _confusion(test, predicted),
        "weights": weights_digest(model),
    }


def _confusion(images: Images, predicted: np.ndarray) -> list[list[int]]:
    """How many images of each class (row) were taken for each class (column)."""
    counts = np.zeros((len(images.classes), len(images.classes)), np.int64)
    np.add.at(counts, (images.y, predicted), 1)
    return [[int(count) for count in row] for row in counts]
