"""Train a network on an image set: one recipe, one seed, resumable after any epoch.

What is trained is a `recipe.TrainSpec`; its images come from `images`, what it runs on from `devices`, and
what it leaves to resume from is `state`. The finished network goes into the library.

It is plain Keras 3: with another backend (``KERAS_BACKEND=jax``) the same recipe trains the same networks on the same
minibatches, and the weights load here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import full_disk
from cka_core.base.locks import file_lock
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store, write_atomically
from cka_core.images.sets import load_images
from cka_core.library import catalogue
from cka_core.networks.architectures import build_network, weights_digest
from cka_core.training import devices as devices_module
from cka_core.training import state as training_state
from cka_core.training.devices import Devices
from cka_core.training.images import TrainingImages
from cka_core.training.measuring import AT_ONCE, NotFinite, measure
from cka_core.training.recipe import PRESETS, Diverged, TrainingFailed, TrainSpec, about_batch_norm, batch_norm_momentum
from cka_core.training.state import Work

if TYPE_CHECKING:
    import keras

__all__ = ["PRESETS", "TrainSpec", "TrainingFailed", "measure_speed", "put_into_library", "train"]

LOCK_SECONDS = 5.0
MEASURED_STEPS = 4
TELLING_STEPS = 10
"""An epoch of fewer says little of how fast the next ones are: what comes around its steps takes too much of it."""


def train(
    spec: TrainSpec,
    store: Store,
    *,
    name: str | None = None,
    start_path: str | os.PathLike[str] | None = None,
    history_path: str | os.PathLike[str] | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Train to the end, from the last finished epoch if there is one, and put the network into the library.

    Returns the network's library record: name, architecture, spec, history, accuracies, confusion matrix, weights
    digest. ``report`` gets a `Progress` after each minibatch, in epochs. ``history_path`` is written again after every
    epoch. ``start_path`` is the weights file to start from, if it is not in the store.

    Raises
    ------
    TrainingFailed
        If the loss is not finite, there is no room on the disk, another process trains the same, or what the training
        started from is gone.
    Stopped
        If ``report`` raised it; the last finished epoch is kept.
    """
    with _alone(spec, store), _room(store):
        name = checked_name(name, spec, store) if name else free_name(spec, store)
        finished = _finished(spec, name, store)
        if finished is not None:
            _write_history(history_path, spec, finished)
            return finished
        threads = (
            _make_deterministic(spec.seed, training_state.threads(spec.key, store)) if spec.deterministic else None
        )
        devices = devices_module.choose(xla=spec.xla, mixed_precision=spec.mixed_precision, force_cpu=spec.force_cpu)
        report(Progress("building", 0, spec.epochs, f"building {spec.architecture}"))
        data = TrainingImages(spec, store)
        work = Work(spec, name, len(data), devices.words, store)
        if threads is not None:
            work.check_threads(threads)
        try:
            with devices.scope():
                _fit(spec, store, work, data, devices, start_path, history_path, report)
            result = _finish(name, spec, work, data, devices, store, report)
        except BaseException as error:
            if isinstance(error, Diverged):
                work.note(lower_rate=error.lower_rate)
            work.say(f"Ended after epoch {work.record['epochs_done']}: {type(error).__name__}. {error}".rstrip(". "))
            raise
        finally:
            work.close()
        _write_history(history_path, spec, result)
        return result


def measure_speed(spec: TrainSpec, store: Store, report: Report = silent) -> float:
    """Training images a second on this machine, from a few steps after the first, which is traced."""
    import keras

    devices = devices_module.choose(xla=spec.xla, mixed_precision=spec.mixed_precision, force_cpu=spec.force_cpu)
    report(Progress("measuring", 0, MEASURED_STEPS + 1, f"building {spec.architecture}"))
    rng = np.random.default_rng(0)
    x = rng.random((spec.batch_size, 32, 32, 3), np.float32)
    y = rng.integers(0, 10, spec.batch_size)
    with devices.scope():
        model = build_network(spec.architecture)
        _compile(model, spec, 100, keras)
        _set_l2(model, spec.l2, keras)
        started = time.perf_counter()
        for step in range(MEASURED_STEPS + 1):
            model.train_on_batch(x, y)
            if step == 0:
                started = time.perf_counter()
            report(Progress("measuring", step + 1, MEASURED_STEPS + 1, f"step {step + 1} of {MEASURED_STEPS + 1}"))
    speed = MEASURED_STEPS * spec.batch_size / (time.perf_counter() - started)
    _remember_speed(spec, speed, store)
    return speed


def free_name(spec: TrainSpec, store: Store) -> str:
    """What a training's network is called where no name was given.

    A network of another recipe that has the default name keeps it; this one gets the start of its own key behind it.
    """
    plain, own = spec.default_name, f"{spec.default_name}-{spec.key[:6]}"
    record = _record_of(plain, store)
    if record is not None and record["training_key"] != spec.key:
        return own
    before = _record_of(own, store)  # from when the default name was taken
    return own if record is None and before is not None and before["training_key"] == spec.key else plain


def checked_name(name: str, spec: TrainSpec, store: Store) -> str:
    """A name that was asked for: safe, and not that of anything else. Raises ValueError."""
    from cka_core.library import keeping

    known = (_record_of(name, store), store.read_record(f"networks/{name}.json"))  # the file itself may be damaged
    if any(record and record.get("training_key") == spec.key for record in known):
        return name
    state = training_state.read(spec.key, store)
    half_written = state is not None and state.name == name and not any(known) and not store.has("activations", name)
    if not half_written:  # killed after the network's file, before its record
        keeping.check_name(name, store)
    return name


def put_into_library(
    record: dict[str, Any], model: keras.Model, store: Store, kept: dict[str, bytes] | None = None
) -> None:
    """Keep a network: its ``.keras`` file and those of its kept epochs first, then the record that makes it visible."""
    name = record["name"]
    with tempfile.TemporaryDirectory(dir=store.scratch("scratch")) as folder:
        path = Path(folder) / "network.keras"
        _without_optimizer(model).save(path)
        store.put("networks", name, path.read_bytes(), "keras")
    for epoch, data in (kept or {}).items():
        store.put("networks", f"{name}@{epoch}", data, "keras")
    store.write_record(f"networks/{name}.json", record)


def _fit(
    spec: TrainSpec,
    store: Store,
    work: Work,
    data: TrainingImages,
    devices: Devices,
    start_path: str | os.PathLike[str] | None,
    history_path: str | os.PathLike[str] | None,
    report: Report,
) -> None:
    """Train the epochs that are not done yet."""
    import keras

    model = _resume(work, keras)
    if model is None:
        work.start_again()
        model = build_network(spec.architecture, weights=_start(spec, start_path, work), seed=spec.seed)
        if not _finite(model):
            raise TrainingFailed("The weights this training starts from are not all numbers. Give another file.")
        _set_momentum(model, batch_norm_momentum(spec, len(data)), keras)
        _compile(model, spec, data.steps, keras)
    _set_l2(model, spec.l2, keras)
    done = work.record["epochs_done"]
    work.say(f"{'Goes on after epoch ' + str(done) if done else 'Begins'}. {devices.words}")
    if note := about_batch_norm(spec, len(data)):
        work.say(note)
    _write_history(history_path, spec, work.record)
    for epoch in range(done, spec.epochs):
        started = time.perf_counter()
        row = _run_epoch(model, spec, data, epoch, devices, report, keras)
        seconds = time.perf_counter() - started
        if not (all(map(math.isfinite, row.values())) and _finite(model)):  # which a step's own loss does not show
            raise Diverged(spec, f"epoch {epoch + 1}, after its last minibatch", _learning_rate(model))
        work.finish_epoch(epoch + 1, row, seconds, model.save, lambda path: _without_optimizer(model).save(path))
        work.say(f"Epoch {epoch + 1} of {spec.epochs}: {_describe(row)}, {len(data) / seconds:,.0f} images/s")
        if epoch > done and data.steps >= TELLING_STEPS:  # the first one is traced
            _remember_speed(spec, len(data) / seconds, store)
        _write_history(history_path, spec, work.record)
        report(Progress("training", epoch + 1, spec.epochs, f"epoch {epoch + 1} of {spec.epochs} · {_describe(row)}"))


def _resume(work: Work, keras: Any) -> keras.Model | None:
    """The network and its optimizer after the last epoch whose state can be read; None if there is none."""
    for epoch, path in work.saved_states():
        try:
            model = keras.models.load_model(path, safe_mode=True)
        except Exception as error:
            work.say(f"The state after epoch {epoch} cannot be read ({type(error).__name__}: {error}).")
            continue
        work.go_back_to(epoch)
        return model
    if work.record["epochs_done"]:
        work.say("No saved state can be read: starting again.")
    return None


def _run_epoch(
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
            raise Diverged(spec, f"epoch {epoch + 1}, minibatch {step + 1}", _learning_rate(model))
        images = min((step + 1) * spec.batch_size, len(data))
        speed = images / (time.perf_counter() - began)
        detail = f"epoch {epoch + 1} of {spec.epochs} · image {images:,} of {len(data):,} · {speed:,.0f} images/s"
        report(Progress("training", epoch + (step + 1) / data.steps, spec.epochs, f"{detail} · {_describe(logs)}"))

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, step: int, logs: dict[str, float] | None = None) -> None:
            after_step(step, logs or {})

    if devices.kind == "multi-worker":
        from cka_core.training import several_hosts

        return several_hosts.run_epoch(model, data, epoch, devices.strategy, after_step) | {
            "learning_rate": _learning_rate(model)
        }
    result = model.fit(data.epoch(epoch), epochs=1, verbose=0, shuffle=False, callbacks=[Watch()])
    row = {key: float(values[-1]) for key, values in result.history.items()}
    if len(data.held_x):
        held = model.evaluate(
            data.held_x.astype(np.float32) / 255, data.held_y, batch_size=AT_ONCE, verbose=0, return_dict=True
        )
        row |= {f"val_{key}": float(value) for key, value in held.items()}
    return row | {"learning_rate": _learning_rate(model)}


def _compile(model: keras.Model, spec: TrainSpec, steps: int, keras: Any) -> None:
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
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=compiled)


def _set_l2(model: keras.Model, l2: float, keras: Any) -> None:
    """L2 belongs to the recipe, not to the architecture, so it is put on the kernels here and not saved with them."""
    if l2:
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.regularizer = keras.regularizers.L2(l2)


def _set_momentum(model: keras.Model, momentum: float | None, keras: Any) -> None:
    for layer in model.layers:
        if momentum is not None and isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def _start(spec: TrainSpec, start_path: str | os.PathLike[str] | None, work: Work) -> str | os.PathLike[str] | None:
    if spec.start == "imagenet":
        return "imagenet"
    if spec.start == "random":
        return None
    if start_path is not None and not os.path.isfile(start_path):
        raise TrainingFailed(f"This training starts from a weights file; {start_path} does not exist.")
    if start_path is not None and training_state.file_digest(start_path) != spec.start_digest:
        raise TrainingFailed(f"{start_path} is not the weights file this training was asked to start from.")
    return work.start_file(start_path)


def _without_optimizer(model: keras.Model) -> keras.Model:
    import keras

    return keras.Model(model.inputs, model.outputs, name=model.name)


def _finite(model: keras.Model) -> bool:
    return all(bool(np.isfinite(weight).all()) for weight in model.get_weights())


def _make_deterministic(seed: int, threads: int | None) -> int | None:
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


def _learning_rate(model: keras.Model) -> float:
    import keras

    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _describe(row: dict[str, float]) -> str:
    words = [f"loss {row['loss']:.3f}", f"accuracy {row['accuracy']:.3f}"]
    if "val_accuracy" in row:
        words.append(f"held-out accuracy {row['val_accuracy']:.3f}")
    return " · ".join(words)


def _remember_speed(spec: TrainSpec, speed: float, store: Store) -> None:
    from cka_core.training import estimate as training_estimate

    with contextlib.suppress(OSError):  # a note of no importance ends no training
        training_estimate.remember_speed(spec.architecture, spec.batch_size, speed, store)


@contextlib.contextmanager
def _room(store: Store) -> Iterator[None]:
    """A full disk is said in words, wherever it shows."""
    try:
        yield
    except OSError as error:
        if not full_disk.is_disk_full(error):
            raise
        raise TrainingFailed(f"{full_disk.disk_full(error, store)} Finished epochs are kept.") from error


@contextlib.contextmanager
def _alone(spec: TrainSpec, store: Store) -> Iterator[None]:
    """One process trains a spec at a time; with a store of several machines their scheduler sees to it."""
    try:
        with file_lock(store.scratch("scratch") / f"training-{spec.key}.lock", LOCK_SECONDS):
            yield
    except TimeoutError as error:
        raise TrainingFailed(
            f"{spec.default_name} is being trained by another process in {store.root}. Wait for it, or stop it there; "
            "hosts that train it together need a store each."
        ) from error


def _record_of(name: str, store: Store) -> dict[str, Any] | None:
    """The library record of a trained or bundled network."""
    info = catalogue.networks(store).get(name)
    return info.record if info is not None and info.record else None


def _finished(spec: TrainSpec, name: str, store: Store) -> dict[str, Any] | None:
    """The record of this very training, if its network is in the store already, whole, with what it kept on the way."""
    record = store.read_record(f"networks/{name}.json")
    if not record or record.get("training_key") != spec.key or store.get("networks", name) is None:
        return None
    if any(store.get("networks", f"{name}@{epoch}") is None for epoch in record.get("checkpoints", ())):
        return None
    training_state.finish(spec.key, record, store)  # it may have been killed just before that
    return dict(record)


def _finish(
    name: str, spec: TrainSpec, work: Work, data: TrainingImages, devices: Devices, store: Store, report: Report
) -> dict[str, Any]:
    """Measure the weights that count, and put the network into the library."""
    best, path = work.best()
    kept, digests = {}, {}
    model = build_network(spec.architecture)
    for epoch, kept_path in work.kept():
        model.load_weights(kept_path)
        kept[str(epoch)], digests[str(epoch)] = kept_path.read_bytes(), weights_digest(model)
    model.load_weights(path)
    try:
        measured = measure(model, data, load_images(spec.images, "test", store=store), report)
    except NotFinite as error:
        rate = work.record["history"]["learning_rate"][-1]
        raise Diverged(spec, f"the network after epoch {best}", rate) from error
    record = {
        "name": name,
        "architecture": spec.architecture,
        "spec": dataclasses.asdict(spec),
        "training_key": spec.key,
        "history": work.record["history"],
        "seconds": work.record["seconds"],
        "kept_epoch": best,
        "checkpoints": digests,
        "device": devices.words,
        "note": about_batch_norm(spec, len(data)),
        "preprocessing": "uint8 / 255",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": _versions(),
        **measured,
    }
    put_into_library(record, model, store, kept)
    work.finish(record)
    work.say(
        f"Finished: {record['test_accuracy']:.3f} of {record['test_images']:,} test images right, epoch {best} kept."
    )
    return record


def _versions() -> dict[str, str]:
    import keras

    found = {}
    for package in ("keras", keras.backend.backend(), "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _write_history(path: str | os.PathLike[str] | None, spec: TrainSpec, record: dict[str, Any]) -> None:
    if path is None:
        return
    seconds = record["seconds"]
    content = {"spec": dataclasses.asdict(spec), "epochs_done": len(seconds)}
    content |= {"history": record["history"], "seconds": seconds}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
