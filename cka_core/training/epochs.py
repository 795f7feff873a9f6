"""One epoch of a training, and the model it is trained with."""

from __future__ import annotations

import contextlib
import math
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base.progress import Progress, Report
from cka_core.training.devices import Devices
from cka_core.training.images import TrainingImages
from cka_core.training.measuring import AT_ONCE
from cka_core.training.recipe import Diverged, TrainSpec

if TYPE_CHECKING:
    import keras


def run_epoch(
    model: keras.Model,
    spec: TrainSpec,
    data: TrainingImages,
    epoch: int,
    devices: Devices,
    report: Report,
    keras: Any,
) -> dict[str, float]:
    """One epoch, then the held-out images; its line of the history."""
    began = time.perf_counter()

    def after_step(step: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs.get("loss", 0.0)):
            raise Diverged(spec, f"epoch {epoch + 1}, minibatch {step + 1}", learning_rate(model))
        images = min((step + 1) * spec.batch_size, data.an_epoch)
        speed = images / (time.perf_counter() - began)
        detail = f"epoch {epoch + 1} of {spec.epochs} · image {images:,} of {data.an_epoch:,} · {speed:,.0f} images/s"
        report(Progress("training", epoch + (step + 1) / data.steps, spec.epochs, f"{detail} · {describe(logs)}"))

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, step: int, logs: dict[str, float] | None = None) -> None:
            after_step(step, logs or {})

    if devices.kind == "multi-worker":
        from cka_core.training import several_hosts

        return several_hosts.run_epoch(model, data, epoch, devices.strategy, after_step) | {
            "learning_rate": learning_rate(model)
        }
    result = model.fit(data.epoch(epoch), epochs=1, verbose=0, shuffle=False, callbacks=[Watch()])
    row = {key: float(values[-1]) for key, values in result.history.items()}
    if len(data.held_x):
        held = model.evaluate(
            data.held_x.astype(np.float32) / 255, data.held_y, batch_size=AT_ONCE, verbose=0, return_dict=True
        )
        row |= {f"val_{key}": float(value) for key, value in held.items()}
    return row | {"learning_rate": learning_rate(model)}


def compile_model(model: keras.Model, spec: TrainSpec, steps: int, keras: Any) -> None:
    rate: Any = spec.learning_rate
    if spec.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(spec.learning_rate, spec.epochs * steps)
    if spec.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    else:
        optimizer = keras.optimizers.Adam(rate)
    probabilities = getattr(model.layers[-1], "activation", None) is keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
    # On a CPU, XLA compiles these networks for minutes and runs them slower than oneDNN does; JAX always compiles.
    compiled = True if spec.xla else "auto" if keras.backend.backend() == "jax" else False
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=compiled)
    # A step that makes variables, as Keras would have it do these, is traced twice.
    model.optimizer.build(model.trainable_variables)


def set_l2(model: keras.Model, l2: float, keras: Any) -> None:
    """L2 belongs to the recipe, not to the architecture, so it is put on the kernels here and not saved with them."""
    if l2:
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.regularizer = keras.regularizers.L2(l2)


def set_momentum(model: keras.Model, momentum: float | None, keras: Any) -> None:
    for layer in model.layers:
        if momentum is not None and isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def without_optimizer(model: keras.Model) -> keras.Model:
    import keras

    return keras.Model(model.inputs, model.outputs, name=model.name)


def is_finite(model: keras.Model) -> bool:
    return all(bool(np.isfinite(weight).all()) for weight in model.get_weights())


def make_deterministic(seed: int, threads: int | None) -> int | None:
    """The same digits each time; returns on how many threads, which they depend on, None where that is not known.

    ``threads`` are those the training began on, if it goes on: TensorFlow takes as many as it may use when it begins,
    and a shell or a container may allow another number now.
    """
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(RuntimeError):  # it has begun: with what it may use, or with what was asked for then
        tf.config.threading.set_intra_op_parallelism_threads(threads or usable)
    return int(tf.config.threading.get_intra_op_parallelism_threads()) or usable


def learning_rate(model: keras.Model) -> float:
    import keras

    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def describe(row: dict[str, float]) -> str:
    words = [f"loss {row['loss']:.3f}", f"accuracy {row['accuracy']:.3f}"]
    if "val_accuracy" in row:
        words.append(f"held-out accuracy {row['val_accuracy']:.3f}")
    return " · ".join(words)
