"""What a reader is warned of in the Gram matrices that a map is made of, from one minibatch to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cka_core.measures.grams import GramBatch

MOST = 10
"""Images and layers warned of one by one; the others are counted."""


class Warned:
    """Images far larger than the others: by image how many times, in which layer most, and in how many layers. And
    layers of which some minibatches say nothing, as where one image alone makes them vary, and are left out of their
    values: by side (0 is A) and layer, of how many minibatches there is something to be said, and of how many not."""

    def __init__(self) -> None:
        self.outliers: dict[int, tuple[float, str, int]] = {}
        self.minibatches: dict[tuple[int, str], tuple[int, int]] = {}

    def note(self, batch: GramBatch, side: int) -> None:
        for name, outlier, reason in zip(batch.names, batch.outliers, batch.reasons, strict=True):
            if outlier is not None:
                self._add_image(batch.first + outlier[0], outlier[1], name, 1)
            self._add_layer(side, name, reason is None, reason is not None)

    def _add_image(self, image: int, times: float, layer: str, count: int) -> None:
        before, known, known_count = self.outliers.get(image, (0.0, layer, 0))
        self.outliers[image] = (max(times, before), layer if times > before else known, count + known_count)

    def _add_layer(self, side: int, layer: str, taken: int, left_out: int) -> None:
        known = self.minibatches.get((side, layer), (0, 0))
        self.minibatches[side, layer] = (known[0] + taken, known[1] + left_out)

    def merge(self, other: Warned) -> None:
        """Add what was noted of other minibatches."""
        for image, (times, layer, count) in other.outliers.items():
            self._add_image(image, times, layer, count)
        for (side, layer), (taken, left_out) in other.minibatches.items():
            self._add_layer(side, layer, taken, left_out)

    def sentences(self) -> tuple[str, ...]:
        """A sentence for each image, the largest first, and one about the layers."""
        found = sorted(self.outliers.items(), key=lambda item: -item[1][0])
        sentences = [
            f"Image {image} is up to {times:,.0f} times further from the mean than the typical image (in layer {layer}"
            + (f" and {count - 1} more" if count > 1 else "")
            + "): this one image decides much of the similarity there."
            for image, (times, layer, count) in found[:MOST]
        ]
        if len(found) > MOST:
            sentences.append(f"The same is true of {len(found) - MOST} more images.")
        partly = [
            f"{left_out} of {taken + left_out} of {layer} of {'AB'[side]}"
            for (side, layer), (taken, left_out) in self.minibatches.items()
            if taken and left_out
        ]
        if partly:
            more = f", and some of {len(partly) - MOST} more layers" if len(partly) > MOST else ""
            sentences.append(
                "Minibatches in which a layer hardly varies, or no two images have anything in common, are left out of "
                f"its values: {', '.join(partly[:MOST])}{more}."
            )
        return tuple(sentences)

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays to store."""
        images = [(image, times, count) for image, (times, _, count) in self.outliers.items()]
        layers = [(side, taken, left_out) for (side, _), (taken, left_out) in self.minibatches.items()]
        return {
            "outlier_numbers": np.array(images).reshape(-1, 3),
            "outlier_layers": np.array([layer for _, layer, _ in self.outliers.values()], str),
            "minibatch_numbers": np.array(layers, np.int64).reshape(-1, 3),
            "minibatch_layers": np.array([layer for _, layer in self.minibatches], str),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Warned:
        """What `state` gave. Earlier versions kept nothing of layers."""
        warned = cls()
        for (image, times, count), layer in zip(state["outlier_numbers"], state["outlier_layers"], strict=True):
            warned._add_image(int(image), float(times), str(layer), int(count))
        numbers, layers = state.get("minibatch_numbers", ()), state.get("minibatch_layers", ())
        for (side, taken, left_out), layer in zip(numbers, layers, strict=True):
            warned._add_layer(int(side), str(layer), int(taken), int(left_out))
        return warned
