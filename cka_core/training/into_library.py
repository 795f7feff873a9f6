"""A trained network's way into the library: its name, its files, its record."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_core.base.store import Store
from cka_core.library import catalogue, keeping
from cka_core.training import state as training_state
from cka_core.training import work
from cka_core.training.epochs import without_optimizer
from cka_core.training.recipe import TrainSpec

if TYPE_CHECKING:
    import keras


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
    with tempfile.TemporaryDirectory(dir=store.scratch("scratch"), prefix=f"incoming-{os.getpid()}-") as folder:
        path = Path(folder) / "network.keras"
        without_optimizer(model).save(path)
        store.put("networks", name, path.read_bytes(), "keras")
    for epoch, data in (kept or {}).items():
        store.put("networks", f"{name}@{epoch}", data, "keras")
    store.write_record(f"networks/{name}.json", record)


def _record_of(name: str, store: Store) -> dict[str, Any] | None:
    """The library record of a trained or bundled network."""
    info = catalogue.networks(store).get(name)
    return info.record if info is not None and info.record else None


def finished_before(spec: TrainSpec, name: str, store: Store) -> dict[str, Any] | None:
    """The record of this very training, if its network is in the store already, whole, with what it kept on the way."""
    record = store.read_record(f"networks/{name}.json")
    if not record or record.get("training_key") != spec.key or store.get("networks", name) is None:
        return None
    if any(store.get("networks", f"{name}@{epoch}") is None for epoch in record.get("checkpoints", ())):
        return None
    work.finish(spec.key, record, store)  # it may have been killed just before that
    return dict(record)
