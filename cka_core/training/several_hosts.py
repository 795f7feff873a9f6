"""An epoch on several hosts, which Keras 3's ``fit`` does not do: it cannot average what the hosts report.

The steps are Keras' own; only the loop around them stands here. Every host runs this at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.training.images import TrainingImages
from cka_core.training.measuring import AT_ONCE

if TYPE_CHECKING:
    import keras


def run_epoch(
    model: keras.Model,
    data: TrainingImages,
    epoch: int,
    strategy: Any,
    after_step: Callable[[int, dict[str, float]], None],
) -> dict[str, float]:
    """Train an epoch under a `tf.distribute.MultiWorkerMirroredStrategy`; returns its line of the history."""
    train, average = _steps(model, data, strategy)
    minibatches = iter(strategy.experimental_distribute_dataset(data.epoch(epoch)))
    model.reset_metrics()
    for step in range(data.steps):
        train(next(minibatches))
        after_step(step, _results(model))
    average()
    row = _results(model)
    model.reset_metrics()
    if len(data.held_x):
        output = np.concatenate(
            [
                np.asarray(model(data.held_x[i : i + AT_ONCE].astype(np.float32) / 255, training=False))
                for i in range(0, len(data.held_x), AT_ONCE)
            ]
        )
        row["val_loss"] = float(model.loss(data.held_y, output)) + sum(float(extra) for extra in model.losses)
        row["val_accuracy"] = float((output.argmax(-1) == data.held_y).mean())
    return row


def _steps(model: keras.Model, data: TrainingImages, strategy: Any) -> tuple[Callable[[Any], None], Callable[[], None]]:
    """Keras' training step on every host's share of a minibatch, and the mean over the hosts of what each host keeps
    for itself (the moving averages of batch norm); traced once for each network."""
    import tensorflow as tf

    private: Any = model
    if not hasattr(model, "_steps_on_all_hosts"):
        private._symbolic_build(data_batch=data.minibatch(data.order(0), 0, 0))  # the metrics' variables

        @tf.function(reduce_retracing=True)
        def train(minibatch: Any) -> None:
            strategy.run(model.train_step, args=(minibatch,))

        def average() -> None:
            for variable in model.non_trainable_variables:
                if variable.dtype.startswith("float"):
                    here = strategy.run(lambda variable=variable: tf.identity(variable.value))
                    variable.assign(strategy.reduce(tf.distribute.ReduceOp.MEAN, here, axis=None))

        private._steps_on_all_hosts = train, average
    return private._steps_on_all_hosts


def _results(model: keras.Model) -> dict[str, float]:
    return {name: float(value) for name, value in model.get_metrics_result().items()}
