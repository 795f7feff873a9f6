"""A training's record and files, as the process that trains writes them: what it resumes from (`training.state`)."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cka_core.base import full_disk, words
from cka_core.base.keys import plain
from cka_core.base.store import Store
from cka_core.training.recipe import TrainingFailed, TrainSpec
from cka_core.training.state import read, read_log, record_of

Save = Callable[[Path], None]
"""Writes a network, or its weights, to a file ending in .keras."""

_NOTHING_YET: dict[str, Any] = {
    "epochs_done": 0, "history": {}, "seconds": [], "states": [], "best": None, "kept": {}, "result": None,
}  # fmt: skip

STATES = 2
"""Saved states: the last one, and the one before in case the last turns out damaged."""


class Work:
    """A training's record and files, as its process writes them. ``record`` is what record.json says."""

    def __init__(self, spec: TrainSpec, name: str, images: int, device: str, store: Store):
        self.key, self.spec, self.store = spec.key, spec, store
        self.scratch = store.scratch(f"scratch/training-{self.key}-{os.getpid()}")
        readable = read(self.key, store) is not None  # or it was set aside
        found = store.read_record(record_of(self.key)) if readable else None
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
            if not full_disk.is_disk_full(error):
                raise
            free = f", {words.size_text(shutil.disk_usage(self.scratch).free)} are free" if self.store.is_local else ""
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
        self.store.write_record(record_of(self.key), self.record)

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


def finish(key: str, result: dict[str, Any], store: Store) -> None:
    """Complete a training's record whose network is in the library, if it does not say so."""
    state = read(key, store)
    if state is not None and state.result is None:
        work = Work(state.spec, state.name, state.images, state.device, store)
        work.finish(result)
        work.close()


def _is_best(history: dict[str, list[float]]) -> bool:
    """Whether the last epoch is, by held-out accuracy, then loss; without held-out images it always is."""
    if "val_accuracy" not in history:
        return True
    score = list(zip(history["val_accuracy"], [-loss for loss in history["val_loss"]], strict=True))
    return score[-1] >= max(score)
