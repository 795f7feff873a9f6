"""What a training leaves in the store while it runs (`training.work`), as pages and the next run read it.

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

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cka_core.base import records, visitors
from cka_core.base.store import Store
from cka_core.base.visitors import Visitor
from cka_core.images.image_set import ImagesUnavailable
from cka_core.library import belongings
from cka_core.training.recipe import TrainSpec
from cka_core.training.schemas import TrainingRecord


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
    record = records.kept(record_of(key), TrainingRecord, store)
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
        store.set_aside(store.path(record_of(key)), f"it is no training's record ({type(error).__name__}: {error})")
        return None


def threads(key: str, store: Store) -> int | None:
    """On how many threads a deterministic training began that has epochs to go on from."""
    state = read(key, store)
    record = (store.read_record(record_of(key)) or {}) if state is not None and state.epochs_done else {}
    found = record.get("threads")
    return found if isinstance(found, int) and found > 0 else None


def all_states(store: Store, only: Collection[str] | None = None) -> list[TrainingState]:
    """Every training of the store, the last one begun first; ``only`` those with certain keys."""
    states = (read(key, store) for key in _keys(store, only))
    return sorted((state for state in states if state), key=lambda state: -state.created)


def of_images_gone(store: Store, only: Collection[str] | None = None, shown: Collection[str] = ()) -> list[str]:
    """What the images of each training were called that cannot be shown or gone on with, as they are not here any
    more; ``only`` of trainings with certain keys. Those ``shown`` have theirs, and are not read again."""
    gone = []
    for key in _keys(store, only):
        if key in shown:
            continue
        record: dict[str, Any] = records.kept(record_of(key), TrainingRecord, store) or {"spec": {}}
        try:
            TrainSpec.from_json(record["spec"])
        except ImagesUnavailable:
            gone.append(str(record["spec"]["images"]))
        except (TypeError, ValueError):
            continue  # `read` sees to it
    return gone


def _keys(store: Store, only: Collection[str] | None) -> list[str]:
    return [key for key in store.listed("trainings") if only is None or key in only]


def read_log(key: str, store: Store) -> str:
    """What happened in a training, a line each; empty if nothing did."""
    try:
        return bytes(store.fs.cat_file(store.path(f"trainings/{key}/log.txt"))).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def forget(key: str, store: Store) -> None:
    """Remove all a training left, but not the network it put into the library."""
    store.remove_folder(f"trainings/{key}")


def sweep_folders(key: str, store: Store) -> None:
    """Remove the working folders that killed processes left of a training that nobody else is at."""
    for left in store.scratch("scratch").glob(f"training-{key}-*"):
        shutil.rmtree(left, ignore_errors=True)


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


def record_of(key: str) -> str:
    """What a training's record is called in the store."""
    return f"trainings/{key}/record.json"
