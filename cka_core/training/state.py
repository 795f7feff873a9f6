"""What a training leaves in the store while it runs, for itself to resume from and for pages to read.

    trainings/<key>/record.json           how far it is, its history and the device; replaced in one step
    trainings/<key>/state-<epoch>.*       network and optimizer after the last two finished epochs
    trainings/<key>/best-<epoch>.*        the weights that count so far
    trainings/<key>/kept-<epoch>.*        weights kept along the way
    trainings/<key>/log.txt               what happened, a line each
    weights/<digest>.*                    weights files that trainings start from

States are checked when read; a damaged one is set aside and the one before it taken. The record is written after the
files it names are complete, so a process killed at any moment leaves a training that goes on from its last epoch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from cka_core.base import records, visitors
from cka_core.base.keys import plain
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.images.image_set import ImagesUnavailable
from cka_core.library import belongings
from cka_core.training.recipe import TrainingFailed, TrainSpec
from cka_core.training.schemas import TrainingRecord

Save = Callable[[Path], None]
"""Writes a network, or its weights, to a file ending in .keras."""

_NOTHING_YET: dict[str, Any] = {
    "epochs_done": 0, "history": {}, "seconds": [], "states": [], "best": None, "kept": {}, "result": None,
}  # fmt: skip

STATES = 2
"""Saved states: the last one, and the one before in case the last turns out damaged."""


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """How far a training is.

    ``history`` holds a value an epoch of loss, accuracy, learning_rate and, with held-out images, val_loss and
    val_accuracy; ``seconds`` the time of each epoch; ``images`` the training images of one. ``device`` says what it
    runs on and why. Times are in seconds since 1970. ``result`` is the network's library record, None until then.
    ``lower_rate`` is a learning rate to start again with, where this one made the loss infinite.
    """

    key: str
    spec: TrainSpec
    name: str
    epochs_done: int
    history: dict[str, list[float]]
    seconds: list[float]
    images: int
    device: str
    created: float
    updated: float
    result: dict[str, Any] | None
    lower_rate: float | None = None


def read(key: str, store: Store) -> TrainingState | None:
    """How far a training is; None if it has not begun, or the images it is of are not here any more: its record stays
    for when they are back (`of_images_gone`)."""
    record = records.kept(_record(key), TrainingRecord, store)
    if record is None:
        return None
    try:
        return TrainingState(
            key,
            TrainSpec.from_json(record["spec"]),
            record["name"],
            record["epochs_done"],
            record["history"],
            record["seconds"],
            record["images"],
            record["device"],
            record["created"],
            record["updated"],
            record["result"],
            record.get("lower_rate"),
        )
    except ImagesUnavailable:
        return None
    except (KeyError, TypeError, ValueError) as error:
        store.set_aside(store.path(_record(key)), f"it is no training's record ({type(error).__name__}: {error})")
        return None


def threads(key: str, store: Store) -> int | None:
    """On how many threads a deterministic training began that has epochs to go on from."""
    state = read(key, store)
    record = (store.read_record(_record(key)) or {}) if state is not None and state.epochs_done else {}
    found = record.get("threads")
    return found if isinstance(found, int) and found > 0 else None


def all_states(store: Store, only: Collection[str] | None = None) -> list[TrainingState]:
    """Every training of the store, the last one begun first; ``only`` those with certain keys."""
    states = (read(key, store) for key in _keys(store, only))
    return sorted((state for state in states if state), key=lambda state: -state.created)


def of_images_gone(store: Store, only: Collection[str] | None = None) -> list[str]:
    """What the images of each training were called that cannot be shown or gone on with, as they are not here any
    more; ``only`` of trainings with certain keys."""
    gone = []
    for key in _keys(store, only):
        record: dict[str, Any] = records.kept(_record(key), TrainingRecord, store) or {"spec": {}}
        try:
            TrainSpec.from_json(record["spec"])
        except ImagesUnavailable:
            gone.append(str(record["spec"]["images"]))
        except (TypeError, ValueError):
            continue  # `read` sees to it
    return gone


def _keys(store: Store, only: Collection[str] | None) -> list[str]:
    folder = store.path("trainings")
    store.fs.invalidate_cache(folder)
    try:
        found = [path.rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [key for key in found if only is None or key in only]


def read_log(key: str, store: Store) -> str:
    """What happened in a training, a line each; empty if nothing did."""
    try:
        return bytes(store.fs.cat_file(store.path(f"trainings/{key}/log.txt"))).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def forget(key: str, store: Store) -> None:
    """Remove all a training left, but not the network it put into the library."""
    with contextlib.suppress(FileNotFoundError):
        store.fs.rm(store.path(f"trainings/{key}"), recursive=True)


def finish(key: str, result: dict[str, Any], store: Store) -> None:
    """Complete a training's record whose network is in the library, if it does not say so."""
    state = read(key, store)
    if state is not None and state.result is None:
        work = Work(state.spec, state.name, state.images, state.device, store)
        work.finish(result)
        work.close()


def keep_start_file(source: str | os.PathLike[str] | bytes, store: Store, by: Visitor | None = None) -> str:
    """Put a weights file into the store, to start trainings from; returns its SHA-256.

    Raises `NotAllowed` or `LimitReached` where ``by`` may not bring it in.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if not store.has("weights", digest):
        belongings.check_upload(by, len(data), store)
        store.put("weights", digest, data, "h5")
    visitors.give(by, digest, store)
    return digest


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Work:
    """A training's record and files, as its process writes them. ``record`` is what record.json says."""

    def __init__(self, spec: TrainSpec, name: str, images: int, device: str, store: Store):
        self.key, self.spec, self.store = spec.key, spec, store
        self.scratch = store.scratch(f"scratch/training-{self.key}-{os.getpid()}")
        readable = read(self.key, store) is not None  # or it was set aside
        found = store.read_record(_record(self.key)) if readable else None
        self.record: dict[str, Any] = found or {"spec": plain(spec)} | _NOTHING_YET | {"created": time.time()}
        self.record |= {"name": name, "images": images, "device": device}
        self._write()

    def start_again(self) -> None:
        """Forget every epoch."""
        self.record |= _NOTHING_YET | {"created": time.time()}
        self.record.pop("lower_rate", None)
        self._write()
        self._remove_unnamed()

    def note(self, **facts: Any) -> None:
        """Add facts to the record."""
        self.record |= facts
        self._write()

    def check_threads(self, threads: int) -> None:
        """Say so where a training that is to end with the same digits goes on with another number of threads."""
        before = self.record.get("threads", threads)
        if self.record["epochs_done"] and before != threads:
            self.say(
                f"It began on {before} threads and goes on with {threads}: its last digits will not be those of an "
                "uninterrupted training."
            )
        self.note(threads=before if self.record["epochs_done"] else threads)

    def close(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)

    def say(self, text: str) -> None:
        """Add a line to the log."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n"
        path = self.store.path(f"trainings/{self.key}/log.txt")
        with contextlib.suppress(OSError):  # a full disk is told by what could not be saved
            if self.store.is_local:
                with open(path, "a", encoding="utf-8") as file:
                    file.write(line)
            else:  # object storage has no end to add to
                self.store.fs.pipe_file(path, (read_log(self.key, self.store) + line).encode())

    def saved_states(self) -> Iterator[tuple[int, Path]]:
        """The states to go on from, latest first: the number of epochs done and a file to load."""
        for epoch in sorted(self.record["states"], reverse=True):
            path = self._fetch(f"state-{epoch:05d}")
            if path is None:
                self.say(f"The state after epoch {epoch} is missing or damaged: going back by one epoch.")
            else:
                yield epoch, path

    def go_back_to(self, epoch: int) -> None:
        """Forget what came after an epoch, if anything did."""
        record = self.record
        if epoch < record["epochs_done"]:
            record["history"] = {key: values[:epoch] for key, values in record["history"].items()}
            record["seconds"], record["epochs_done"] = record["seconds"][:epoch], epoch
            record["states"] = [kept for kept in record["states"] if kept <= epoch]
            record["kept"] = {kept: digest for kept, digest in record["kept"].items() if int(kept) <= epoch}
            if record["best"] and record["best"] > epoch:
                record["best"] = None
            self._write()

    def finish_epoch(self, epoch: int, row: dict[str, float], seconds: float, save: Save, weights: Save) -> None:
        """Keep an epoch (the first is 1): its state, its weights if they are the best or to be kept, then the record.

        Raises TrainingFailed if there is no room for them; what was kept before stays.
        """
        try:
            self._keep_epoch(epoch, row, seconds, save, weights)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = f", {shutil.disk_usage(self.scratch).free:,} bytes are free" if self.store.is_local else ""
            raise TrainingFailed(
                f"There is no room to keep epoch {epoch} in {self.store.root}{free}. Make room, in the Library or "
                f"elsewhere, and resume: it goes on from epoch {self.record['epochs_done']}."
            ) from error

    def _keep_epoch(self, epoch: int, row: dict[str, float], seconds: float, save: Save, weights: Save) -> None:
        record = self.record
        history = {key: [*values] for key, values in record["history"].items()}
        for key, value in row.items():
            history.setdefault(key, []).append(value)
        self._save(f"state-{epoch:05d}", save)
        states = [*record["states"], epoch][-STATES:]
        best = record["best"]
        if best is None or _is_best(history):
            best = epoch
            self._save(f"best-{epoch:05d}", weights)
        kept = record["kept"]
        if self.spec.keep_every and epoch % self.spec.keep_every == 0:
            self._save(f"kept-{epoch:05d}", weights)
            kept = kept | {str(epoch): True}
        self.record = record | {
            "history": history, "seconds": [*record["seconds"], round(seconds, 3)], "epochs_done": epoch,
            "states": states, "best": best, "kept": kept,
        }  # fmt: skip
        self._write()
        self._remove_unnamed()

    def start_file(self, given: str | os.PathLike[str] | None = None) -> Path:
        """The weights file that the training starts from, the one in the store if none is given, named as Keras tells
        its forms apart."""
        data = self.store.get("weights", self.spec.start_digest) if given is None else Path(given).read_bytes()
        if data is None:
            raise TrainingFailed(
                "The weights file this training starts from is not in the store any more, or is damaged. Give it again."
            )
        import h5py

        try:
            with h5py.File(io.BytesIO(data)) as file:  # Keras tells its own form from the older one by the file's name
                name = "start.weights.h5" if "layers" in file else "start.h5"
        except OSError as error:
            raise TrainingFailed(
                "Expected a weights file in HDF5 form (.h5) to start from, got something else. Give Keras' 'notop' "
                "weights of this architecture, or what model.save_weights('name.weights.h5') wrote."
            ) from error
        path = self.scratch / name
        path.write_bytes(data)
        return path

    def best(self) -> tuple[int, Path]:
        """The epoch whose weights count, and a file with them."""
        epoch = int(self.record["best"])
        path = self._fetch(f"best-{epoch:05d}")
        if path is None:
            raise TrainingFailed(
                f"The best weights of this training, of epoch {epoch}, are missing or damaged. Remove the training "
                "and start it again; with its seed it ends the same."
            )
        return epoch, path

    def kept(self) -> Iterator[tuple[int, Path]]:
        """The epochs whose weights were kept along the way, and files with them; damaged ones are left out."""
        for text in sorted(self.record["kept"], key=int):
            path = self._fetch(f"kept-{int(text):05d}")
            if path is None:
                self.say(f"The weights kept after epoch {text} are missing or damaged: left out.")
            else:
                yield int(text), path

    def finish(self, result: dict[str, Any]) -> None:
        """The network is in the library: keep the record, and drop the states."""
        self.record = self.record | {"result": result, "states": [], "best": None, "kept": {}}
        self._write()
        self._remove_unnamed()

    def _write(self) -> None:
        self.record["updated"] = time.time()
        self.store.write_record(_record(self.key), self.record)

    def _save(self, name: str, save: Save) -> None:
        path = self.scratch / f"{name}.keras"
        save(path)
        written = self.store.put(f"trainings/{self.key}", name, path.read_bytes(), "keras")
        path.unlink()
        for entry in self.store.entries(f"trainings/{self.key}"):
            if entry.key == name and entry.path != written:
                self.store.remove(entry.path)

    def _fetch(self, name: str) -> Path | None:
        data = self.store.get(f"trainings/{self.key}", name)
        if data is None:
            return None
        path = self.scratch / f"{name}.keras"
        path.write_bytes(data)
        return path

    def _remove_unnamed(self) -> None:
        record = self.record
        named = {f"state-{epoch:05d}" for epoch in record["states"]} | {f"kept-{int(k):05d}" for k in record["kept"]}
        named |= {f"best-{record['best']:05d}"} if record["best"] else set()
        for entry in self.store.entries(f"trainings/{self.key}"):
            if entry.key not in named:
                self.store.remove(entry.path)


def _record(key: str) -> str:
    return f"trainings/{key}/record.json"


def _is_best(history: dict[str, list[float]]) -> bool:
    """Whether the last epoch is, by held-out accuracy, then loss; without held-out images it always is."""
    if "val_accuracy" not in history:
        return True
    score = list(zip(history["val_accuracy"], [-loss for loss in history["val_loss"]], strict=True))
    return score[-1] >= max(score)
