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
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import full_disk, words
from cka_core.base.atomic import write_atomically
from cka_core.base.keys import plain
from cka_core.base.locks import file_lock
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.comparing.sources import versions
from cka_core.networks.building import build_network, weights_digest
from cka_core.training import devices as devices_module
from cka_core.training import state as training_state
from cka_core.training.devices import Devices
from cka_core.training.epochs import (
    compile_model,
    describe,
    is_finite,
    learning_rate,
    make_deterministic,
    run_epoch,
    set_l2,
    set_momentum,
    without_optimizer,
)
from cka_core.training.images import TrainingImages, of_part
from cka_core.training.into_library import checked_name, finished_before, free_name, put_into_library
from cka_core.training.measuring import NotFinite, measure
from cka_core.training.recipe import (
    PRESETS,
    Diverged,
    TrainingFailed,
    TrainSpec,
    about_batch_norm,
    batch_norm_momentum,
    fit_words,
)
from cka_core.training.work import Work

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
        finished = finished_before(spec, name, store)
        if finished is not None:
            _write_history(history_path, spec, finished)
            return finished
        threads = make_deterministic(spec.seed, training_state.threads(spec.key, store)) if spec.deterministic else None
        devices = devices_module.choose(xla=spec.xla, mixed_precision=spec.mixed_precision, force_cpu=spec.force_cpu)
        report(Progress("building", 0, spec.epochs, f"building {spec.architecture}"))
        data = TrainingImages(spec, store)
        work = Work(spec, name, data.an_epoch, devices.words, store)
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
        compile_model(model, spec, 100, keras)
        set_l2(model, spec.l2, keras)
        started = time.perf_counter()
        for step in range(MEASURED_STEPS + 1):
            model.train_on_batch(x, y)
            if step == 0:
                started = time.perf_counter()
            report(Progress("measuring", step + 1, MEASURED_STEPS + 1, f"step {step + 1} of {MEASURED_STEPS + 1}"))
    speed = MEASURED_STEPS * spec.batch_size / (time.perf_counter() - started)
    _remember_speed(spec, speed, store)
    return speed


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
        if not is_finite(model):
            raise TrainingFailed("The weights this training starts from are not all numbers. Give another file.")
        set_momentum(model, batch_norm_momentum(spec, data.an_epoch), keras)
        compile_model(model, spec, data.steps, keras)
    set_l2(model, spec.l2, keras)
    done = work.record["epochs_done"]
    work.say(f"{'Goes on after epoch ' + str(done) if done else 'Begins'}. {devices.words}")
    if note := about_batch_norm(spec, data.an_epoch):
        work.say(note)
    _write_history(history_path, spec, work.record)
    for epoch in range(done, spec.epochs):
        started = time.perf_counter()
        row = run_epoch(model, spec, data, epoch, devices, report, keras)
        seconds = time.perf_counter() - started
        if not (all(map(math.isfinite, row.values())) and is_finite(model)):  # which a step's own loss does not show
            raise Diverged(spec, f"epoch {epoch + 1}, after its last minibatch", learning_rate(model))
        work.finish_epoch(epoch + 1, row, seconds, model.save, lambda path: without_optimizer(model).save(path))
        work.say(f"Epoch {epoch + 1} of {spec.epochs}: {describe(row)}, {data.an_epoch / seconds:,.0f} images/s")
        if epoch > done and data.steps >= TELLING_STEPS:  # the first one is traced
            _remember_speed(spec, data.an_epoch / seconds, store)
        _write_history(history_path, spec, work.record)
        report(Progress("training", epoch + 1, spec.epochs, f"epoch {epoch + 1} of {spec.epochs} · {describe(row)}"))


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
            training_state.sweep_folders(spec.key, store)
            yield
    except TimeoutError as error:
        raise TrainingFailed(
            f"{spec.default_name} is being trained by another process in {store.root}. Wait for it, or stop it there; "
            "hosts that train it together need a store each."
        ) from error


def _finish(
    name: str, spec: TrainSpec, work: Work, data: TrainingImages, devices: Devices, store: Store, report: Report
) -> dict[str, Any]:
    """Measure the weights that count, and put the network into the library."""
    import keras

    best, path = work.best()
    kept, digests = {}, {}
    model = build_network(spec.architecture)
    for epoch, kept_path in work.kept():
        model.load_weights(kept_path)
        kept[str(epoch)], digests[str(epoch)] = kept_path.read_bytes(), weights_digest(model)
    model.load_weights(path)
    try:
        measured = measure(model, data, of_part(spec.images, "test", store, spec.held), report)
    except NotFinite as error:
        rate = work.record["history"]["learning_rate"][-1]
        raise Diverged(spec, f"the network after epoch {best}", rate) from error
    record = {
        "name": name,
        "architecture": spec.architecture,
        "spec": plain(spec),
        "training_key": spec.key,
        "history": work.record["history"],
        "seconds": work.record["seconds"],
        "kept_epoch": best,
        "checkpoints": digests,
        "device": devices.words,
        "note": about_batch_norm(spec, data.an_epoch),
        "preprocessing": "uint8 / 255",
        "fit": fit_words(spec.images, store, held=spec.held),
        "created": words.now(),
        "versions": versions("keras", keras.backend.backend(), "numpy"),
        **measured,
    }
    put_into_library(record, model, store, kept)
    work.finish(record)
    work.say(
        f"Finished: {record['test_accuracy']:.3f} of {record['test_images']:,} test images right, epoch {best} kept."
    )
    return record


def _write_history(path: str | os.PathLike[str] | None, spec: TrainSpec, record: dict[str, Any]) -> None:
    if path is None:
        return
    seconds = record["seconds"]
    content = {"spec": dataclasses.asdict(spec), "epochs_done": len(seconds)}
    content |= {"history": record["history"], "seconds": seconds}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
