"""The images of a training: which are trained on, which are held out, and the minibatches of an epoch.

Order and augmentation of a minibatch depend on seed, epoch and step alone, not on what ran before, so that a training
that was interrupted sees the same minibatches as one that was not; and they are the same with any Keras backend.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cka_core.base.store import Store
from cka_core.images.sets import Images, choose, load_images
from cka_core.networks import fitting
from cka_core.training.recipe import CLASSES, INPUT, TrainSpec, minibatches

PADDING = 4
SUBSET_SEED = 0
"""Of the share of the images: the same images for every seed of a training, so that seeds differ in nothing else."""


def of_part(name: str, part: str, store: Store, held: str = "") -> Images:
    """A part of an image set in the form in which networks are trained here: colour, 32 × 32, ten classes.

    Images of another form are resized, and grey ones get three channels; classes that a set does not have stay empty.
    """
    images = load_images(name, part, held=held, store=store)
    how = fitting.plan(images.x.shape[1:], INPUT, "A network trained here")
    names = (*images.classes, *(f"(no class {number})" for number in range(len(images.classes), CLASSES)))
    return dataclasses.replace(images, x=fitting.fitted(images.x, how), classes=names)


class TrainingImages:
    """The training and held-out images of a spec; the same ones for the same seed.

    Attributes
    ----------
    x, held_x : uint8 (n, 32, 32, 3)
    y, held_y : int64 (n,)
    """

    def __init__(self, spec: TrainSpec, store: Store):
        images = of_part(spec.images, "train", store, spec.held)
        x, y = images.x, images.y
        if spec.fraction < 1:
            subset = np.sort(choose(y, max(10, round(len(y) * spec.fraction)), SUBSET_SEED, balanced=True))
            x, y = x[subset], y[subset]
        order = np.random.default_rng([spec.seed, 1]).permutation(len(x))
        held = round(len(x) * spec.held_out)
        kept_back = order[choose(y[order], held, None, balanced=True)] if held else order[:0]
        fit = np.setdiff1d(np.arange(len(x)), kept_back)
        self.x, self.y = x[fit], y[fit]
        self.held_x, self.held_y = x[kept_back], y[kept_back]
        if spec.augment:
            self.padded = np.pad(self.x, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="reflect")
        self.spec = spec

    def __len__(self) -> int:
        return len(self.x)

    @property
    def an_epoch(self) -> int:
        """Images in an epoch."""
        return self.spec.epoch_images or len(self.x)

    @property
    def steps(self) -> int:
        """Minibatches in an epoch; the last may be smaller."""
        return minibatches(self.an_epoch, self.spec.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """The images of an epoch (the first is 0) in their order: int64 (an_epoch,). Every image comes once before any
        comes again."""
        first, last = epoch * self.an_epoch, (epoch + 1) * self.an_epoch
        passes = range(first // len(self.x), (last - 1) // len(self.x) + 1)
        orders = [np.random.default_rng([self.spec.seed, 2, one]).permutation(len(self.x)) for one in passes]
        start = first - passes[0] * len(self.x)
        return np.concatenate(orders)[start : start + self.an_epoch]

    def minibatch(self, order: np.ndarray, epoch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 in [0, 1], flipped and cropped if the recipe says so, and their classes."""
        index = order[step * self.spec.batch_size : (step + 1) * self.spec.batch_size]
        if not self.spec.augment:
            return self.x[index].astype(np.float32) / 255, self.y[index]
        rng = np.random.default_rng([self.spec.seed, 3, epoch, step])
        top, left = rng.integers(0, 2 * PADDING + 1, (2, len(index), 1, 1))
        flip = rng.random((len(index), 1, 1)) < 0.5
        rows, columns = np.arange(32)[None, :, None] + top, np.arange(32)[None, None, :]
        columns = np.where(flip, 31 - columns, columns) + left
        x = self.padded[index[:, None, None], rows, columns]
        return x.astype(np.float32) / 255, self.y[index]

    def epoch(self, epoch: int) -> Any:
        """The minibatches of an epoch for ``model.fit``, made ahead of their use, beside the step before.

        With TensorFlow a tf.data.Dataset, which every distribution strategy understands; with another backend a
        `keras.utils.PyDataset` of the same minibatches.
        """
        import keras

        return self._dataset(epoch) if keras.backend.backend() == "tensorflow" else self._sequence(epoch, keras)

    def _dataset(self, epoch: int) -> Any:
        import tensorflow as tf

        order = self.order(epoch)

        def load(step: Any) -> Any:
            x, y = tf.numpy_function(
                lambda step: self.minibatch(order, epoch, int(step)), [step], (tf.float32, tf.int64), stateful=False
            )
            return tf.ensure_shape(x, (None, 32, 32, 3)), tf.ensure_shape(y, (None,))

        options = tf.data.Options()
        options.deterministic = True  # the order of the minibatches, not their making
        # There is nothing to tune, and an epoch would end only when the tuning thread wakes: up to a minute later.
        options.autotune.enabled = False
        dataset = tf.data.Dataset.range(self.steps).map(load, num_parallel_calls=2)
        # A minibatch is an element here, so hosts that share the work take turns at them.
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        known = dataset.apply(tf.data.experimental.assert_cardinality(self.steps))
        return known.prefetch(2).with_options(options)

    def _sequence(self, epoch: int, keras: Any) -> Any:
        order = self.order(epoch)

        class Minibatches(keras.utils.PyDataset):
            def __len__(inner) -> int:  # noqa: N805
                return self.steps

            def __getitem__(inner, step: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: N805
                return self.minibatch(order, epoch, step)

        return Minibatches()
