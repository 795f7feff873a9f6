"""Train a network on an image set: one recipe, one seed, resumable after any epoch.

A training is named by its spec; its work folder in the store holds the state after the last finished epoch (network and
optimizer), the best weights so far and a small record that points at both. The record is replaced in one step after
the files it names are complete, so that a process killed at any moment leaves a training that continues from its last
epoch. Shuffling and augmentation depend on seed and epoch alone, not on what ran before.

The recipes: "paper" is Nguyen, Raghu & Kornblith (2021), appendix: SGD with momentum 0.9, cosine decay, L2 1e-4, flip
and pad-crop, batch 128 (the starting rate is higher here, since trainings are much shorter than 300 epochs). "seed" is
the original notebook: Adam, ImageNet start, batch 256, 10 epochs, every training image, last epoch kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.images import Images, choose, image_set, load_images
from cka_core.networks import architecture, build_network, weights_digest
from cka_core.progress import Progress, Report, silent
from cka_core.store import Store, key_of, write_atomically

if TYPE_CHECKING:
    import keras

OPTIMIZERS = ("sgd", "adam")
PADDING = 4


@dataclasses.dataclass(frozen=True)
class TrainSpec:
    """A training in plain values.

    ``start`` is "random", "imagenet" or "file" (then ``start_digest`` is the SHA-256 of the weights file). ``held_out``
    is the part of the training images kept back to choose the best epoch; with 0 the last epoch is kept. ``l2`` adds
    l2 * sum(w**2) over all convolution and dense kernels to the loss.
    """

    architecture: str
    images: str = "cifar10-mini"
    epochs: int = 40
    batch_size: int = 128
    seed: int = 0
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    schedule: str = "cosine"
    l2: float = 1e-4
    augment: bool = True
    held_out: float = 0.1
    start: str = "random"
    start_digest: str = ""
    deterministic: bool = False

    def __post_init__(self) -> None:
        architecture(self.architecture)
        image_set(self.images)
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"Expected at least 1 epoch and batch size 1, got {self.epochs} and {self.batch_size}.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"Unknown optimizer {self.optimizer!r}. Valid: {', '.join(OPTIMIZERS)}.")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"Unknown schedule {self.schedule!r}. Valid: cosine, constant.")
        if not self.learning_rate > 0 or not 0 <= self.held_out < 1 or self.l2 < 0:
            raise ValueError(
                "Expected learning_rate > 0, 0 <= held_out < 1 and l2 >= 0, "
                f"got {self.learning_rate}, {self.held_out} and {self.l2}."
            )

    @property
    def key(self) -> str:
        return key_of(self)

    @property
    def default_name(self) -> str:
        return f"{self.architecture}-{self.images}-s{self.seed}"


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "seed": {
        "epochs": 10, "batch_size": 256, "optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant", "l2": 0.0,
        "augment": False, "held_out": 0.0, "start": "imagenet",
    },
}  # fmt: skip
"""What each preset changes of `TrainSpec`'s defaults."""


class TrainingFailed(ValueError):
    """The training cannot go on as specified; the message says why and what to change."""


def file_digest(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


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

    Returns the network's library record: name, architecture, spec, history, accuracies, weights digest. ``report`` gets
    a `Progress` after each minibatch, in epochs. ``history_path`` is written again after every epoch.

    Raises
    ------
    TrainingFailed
        If the loss is not finite, or the state on disk belongs to a file that is gone.
    Stopped
        If ``report`` raised it; the last finished epoch is kept.
    """
    import keras

    if spec.deterministic:
        _make_deterministic(spec.seed)
    name = name or spec.default_name
    work = _Work(store.scratch(f"training/{spec.key}"), spec)
    data = _TrainingImages(spec, store)
    done, model = work.resume(keras)
    if model is None:
        report(Progress("building", 0, spec.epochs, f"building {spec.architecture}"))
        model = build_network(spec.architecture, weights=_start(spec, start_path), seed=spec.seed)
        _compile(model, spec, data.steps, keras)
    _set_l2(model, spec.l2, keras)
    work.write_history(history_path)
    for epoch in range(done, spec.epochs):
        started = time.perf_counter()
        row = _run_epoch(model, spec, data, epoch, report, keras)
        work.finish_epoch(epoch, row, time.perf_counter() - started, model)
        work.write_history(history_path)
        report(Progress("training", epoch + 1, spec.epochs, _describe(row)))
    report(Progress("testing", spec.epochs, spec.epochs, "measuring accuracy"))
    work.load_best(model)
    record = _record(name, spec, work, model, store)
    put_into_library(record, model, store)
    return record


def put_into_library(record: dict[str, Any], model: keras.Model, store: Store) -> None:
    """Keep a network: its ``.keras`` file first, then the record that makes it visible."""
    path = store.scratch("training") / f"{record['name']}.{os.getpid()}.keras"
    bare = _without_optimizer(model)
    bare.save(path)
    try:
        store.put("networks", record["name"], path.read_bytes(), "keras")
    finally:
        path.unlink()
    store.write_record(f"networks/{record['name']}.json", record)


def _without_optimizer(model: keras.Model) -> keras.Model:
    import keras

    return keras.Model(model.inputs, model.outputs, name=model.name)


class _TrainingImages:
    """The training and held-out images of a spec; the same ones for the same seed."""

    def __init__(self, spec: TrainSpec, store: Store):
        images = load_images(spec.images, "train", store=store)
        order = np.random.default_rng([spec.seed, 1]).permutation(len(images))
        held = round(len(images) * spec.held_out)
        kept_back = order[choose(images.y[order], held, None, balanced=True)] if held else order[:0]
        fit = np.setdiff1d(np.arange(len(images)), kept_back)
        self.x, self.y = images.x[fit], images.y[fit]
        self.held_x, self.held_y = images.x[kept_back], images.y[kept_back]
        if spec.augment:
            self.padded = np.pad(self.x, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="reflect")
        self.spec = spec

    @property
    def steps(self) -> int:
        return math.ceil(len(self.x) / self.spec.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.spec.seed, 2, epoch]).permutation(len(self.x))

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


def _run_epoch(
    model: keras.Model, spec: TrainSpec, data: _TrainingImages, epoch: int, report: Report, keras: Any
) -> dict[str, float]:
    order = data.order(epoch)

    class Minibatches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return data.steps

        def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
            return data.minibatch(order, epoch, step)

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, step: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            if not math.isfinite(logs.get("loss", 0.0)):
                raise TrainingFailed(
                    f"The loss is not finite in epoch {epoch + 1}, minibatch {step + 1}, at learning rate "
                    f"{_learning_rate(model):.3g}. Start again with a lower one: "
                    f"--learning-rate {spec.learning_rate / 5:.2g}."
                )
            detail = f"epoch {epoch + 1} of {spec.epochs} · {_describe(logs)}"
            report(Progress("training", epoch + (step + 1) / data.steps, spec.epochs, detail))

    result = model.fit(Minibatches(), epochs=1, verbose=0, shuffle=False, callbacks=[Watch()])
    row = {key: float(values[-1]) for key, values in result.history.items()}
    if len(data.held_x):
        held = model.evaluate(
            data.held_x.astype(np.float32) / 255, data.held_y, batch_size=256, verbose=0, return_dict=True
        )
        row |= {f"val_{key}": float(value) for key, value in held.items()}
    return row | {"learning_rate": _learning_rate(model)}


class _Work:
    """The work folder of one training: its record, the state after the last epoch, the best weights."""

    def __init__(self, folder: Path, spec: TrainSpec):
        self.folder = folder
        self.spec = spec
        self.record: dict[str, Any] = {"epochs_done": 0, "history": {}, "seconds": [], "state": None, "best": None}

    def resume(self, keras: Any) -> tuple[int, keras.Model | None]:
        path = self.folder / "record.json"
        if not path.exists():
            return 0, None
        self.record = json.loads(path.read_text())
        state = self.folder / self.record["state"]
        try:
            model = keras.models.load_model(state, safe_mode=True)
        except Exception as error:
            raise TrainingFailed(
                f"The training cannot be resumed: {state} cannot be read ({type(error).__name__}: {error}). "
                f"Delete the folder {self.folder} to start it again."
            ) from error
        return self.record["epochs_done"], model

    def finish_epoch(self, epoch: int, row: dict[str, float], seconds: float, model: keras.Model) -> None:
        record = json.loads(json.dumps(self.record))
        for key, value in row.items():
            record["history"].setdefault(key, []).append(value)
        record["seconds"].append(round(seconds, 3))
        record["epochs_done"] = epoch + 1
        record["state"] = self._save(model.save, f"state-{epoch + 1}.keras")
        if self._is_best(record["history"]):
            record["best"] = {
                "epoch": epoch + 1,
                "file": self._save(model.save_weights, f"best-{epoch + 1}.weights.h5"),
            }
        old = {self.record["state"], (self.record["best"] or {}).get("file")}
        temporary = self.folder / "record.json.tmp"
        temporary.write_text(json.dumps(record, indent=1))
        os.replace(temporary, self.folder / "record.json")
        self.record = record
        for name in old - {None, record["state"], record["best"]["file"]}:
            (self.folder / str(name)).unlink(missing_ok=True)

    def _is_best(self, history: dict[str, list[float]]) -> bool:
        """By held-out accuracy, then loss; without held-out images the last epoch is kept."""
        if "val_accuracy" not in history:
            return True
        score = list(zip(history["val_accuracy"], [-loss for loss in history["val_loss"]], strict=False))
        return score[-1] >= max(score)

    def _save(self, save: Any, name: str) -> str:
        temporary = self.folder / f"tmp-{name}"
        save(temporary)
        os.replace(temporary, self.folder / name)
        return name

    def load_best(self, model: keras.Model) -> None:
        model.load_weights(self.folder / self.record["best"]["file"])

    def write_history(self, path: str | os.PathLike[str] | None) -> None:
        if path is None:
            return
        content = {"spec": dataclasses.asdict(self.spec)} | {
            key: self.record[key] for key in ("epochs_done", "history", "seconds")
        }
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


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
    # XLA compiles these networks for minutes on a CPU and runs them slower than oneDNN does.
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)


def _set_l2(model: keras.Model, l2: float, keras: Any) -> None:
    """L2 belongs to the recipe, not to the architecture, so it is put on the kernels here and not saved with them."""
    if l2:
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.regularizer = keras.regularizers.L2(l2)


def _start(spec: TrainSpec, start_path: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    if spec.start == "file":
        if start_path is None or not os.path.isfile(start_path):
            raise TrainingFailed(f"This training starts from a weights file; {start_path} does not exist.")
        if file_digest(start_path) != spec.start_digest:
            raise TrainingFailed(f"{start_path} is not the weights file this training was asked to start from.")
        return start_path
    return "imagenet" if spec.start == "imagenet" else None


def _make_deterministic(seed: int) -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _learning_rate(model: keras.Model) -> float:
    import keras

    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _describe(row: dict[str, float]) -> str:
    words = [f"loss {row['loss']:.3f}", f"accuracy {row['accuracy']:.3f}"]
    if "val_accuracy" in row:
        words.append(f"held-out accuracy {row['val_accuracy']:.3f}")
    return " · ".join(words)


def _accuracy(model: keras.Model, images: Images) -> float:
    correct = 0
    for start in range(0, len(images), 256):
        x = images.x[start : start + 256].astype(np.float32) / 255
        correct += int((model.predict_on_batch(x).argmax(-1) == images.y[start : start + 256]).sum())
    return correct / len(images)


def _record(name: str, spec: TrainSpec, work: _Work, model: keras.Model, store: Store) -> dict[str, Any]:
    test = load_images(spec.images, "test", store=store)
    return {
        "name": name,
        "architecture": spec.architecture,
        "spec": dataclasses.asdict(spec),
        "training_key": spec.key,
        "history": work.record["history"],
        "seconds": work.record["seconds"],
        "kept_epoch": work.record["best"]["epoch"],
        "test_accuracy": _accuracy(model, test),
        "test_images": len(test),
        "train_accuracy": _accuracy(model, load_images(spec.images, "train", store=store)),
        "weights": weights_digest(model),
        "preprocessing": "uint8 / 255",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {package: version(package) for package in ("keras", "tensorflow", "numpy")},
    }
