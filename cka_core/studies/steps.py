"""The steps of a study, what each leaves in the store, and which are done.

Four kinds, each of which leaves a finished file, so that a study stopped anywhere goes on:

    train       a network of the study                         (`training.train`)
    network     its Gram matrices on every minibatch, its map against itself at each kept epoch, what explains it
                                                               (`look.look_at`)
    tried       linear probes on it, and its accuracy without residual blocks
                                                               (`trying.try_out`)
    minibatch   HSIC of all layers of all networks with each other: one matrix product  (`build`)

A study that grew begins with what its atlas so far knows of its networks (`take_over`).
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.atlas.result import UNREADABLE, Atlas
from cka_core.atlas.study import Study
from cka_core.base.keys import key_of
from cka_core.base.store import Store
from cka_core.comparing import sources
from cka_core.images.sets import image_set
from cka_core.library import catalogue
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches
from cka_core.networks.activations import Extractor
from cka_core.networks.architectures import architecture
from cka_core.training import fit
from cka_core.training.recipe import TrainSpec

LOOK = 2
TRIED = 1
"""The ways networks are looked at and tried out. Another number with every change to what is found, so that what was
found before is not taken for it."""
TRIED_OUT = f"tried-{TRIED}"
"""What a trial leaves, by its name."""


@dataclasses.dataclass(frozen=True)
class AtlasPart:
    """One step of a study that a worker can do: ``part`` "train", "network", "tried" or "minibatch", and its number."""

    study: Study
    part: str
    index: int

    @property
    def key(self) -> str:
        return key_of(self)

    @property
    def title(self) -> str:
        if self.part == "minibatch":
            return f"comparing all networks, minibatch {self.index + 1}"
        what = {"train": "training", "network": "looking at", "tried": "trying out"}[self.part]
        return f"{what} {self.study.names[self.index]}"

    @property
    def weight(self) -> float:
        """Roughly how long it takes, in seconds."""
        if self.part == "minibatch":
            return 5.0
        spec = self.study.trainings[self.index]
        work = architecture(spec.architecture).multiply_adds / 1e10
        if self.part == "train":
            return 1 + 3 * work * spec.epochs * image_set(spec.images, held=spec.held).sizes["train"] * spec.fraction
        if self.part == "tried":
            return 5 + 20 * work * self.study.probes
        return 5 + 8000 * work * (1 + len(looked_at(self.study, spec)))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AtlasPart:
        return cls(Study.from_json(values["study"]), values["part"], values["index"])


def parts(study: Study) -> list[AtlasPart]:
    """The steps of a study in their order: every training, every look at a network, every trial, every minibatch."""
    counts = {part: len(study.trainings) for part in ("train", "network", "tried")}
    counts["minibatch"] = len(minibatches(study.sample.n or 0, study.batch_size))
    return [AtlasPart(study, part, index) for part, count in counts.items() for index in range(count)]


def is_done(part: AtlasPart, store: Store) -> bool:
    if part.part == "train":
        return has_network(part.study, part.index, store) or is_known_only(part.study, part.index, store)
    if part.part == "network":
        return was_looked_at(part.study, part.index, store)
    if part.part == "tried":
        return was_tried(part.study, part.index, store)
    return store.has(sums_place(part.study, store), f"minibatch-{part.index}")


def has_network(study: Study, index: int, store: Store) -> bool:
    """Whether a study's network is there, trained by this very recipe, with the weights kept along its training, if
    they are still to be looked at."""
    name, spec = study.names[index], study.trainings[index]
    info = catalogue.networks(store).get(name)
    if info is None or info.record.get("training_key") != spec.key:
        return False
    if not spec.keep_every or was_looked_at(study, index, store):
        return True
    kept = {entry.key for entry in store.entries("networks")}
    return all(f"{name}@{epoch}" in kept for epoch in info.record["checkpoints"])


def is_known_only(study: Study, index: int, store: Store) -> bool:
    """Whether a network that ships as maps is known from an atlas and is not here: what is known of it stays, and it is
    compared with no network that came later."""
    if study.ships(index) != "maps" or study.names[index] in catalogue.networks(store):
        return False
    return was_looked_at(study, index, store) and was_tried(study, index, store)


def compared(study: Study, store: Store) -> list[int]:
    """The networks that can be compared: all but those `is_known_only`."""
    return [index for index in range(len(study.names)) if not is_known_only(study, index, store)]


def named(study: Study, store: Store) -> Study:
    """The study with names that are free: a network it gives no name of its own does not take another recipe's."""
    names = [
        fit.free_name(spec, store) if name == spec.default_name else name
        for name, spec in zip(study.names, study.trainings, strict=True)
    ]
    return dataclasses.replace(study, names=tuple(names))


def prepare(study: Study, store: Store, folder: Path) -> None:
    """Before a study is carried out, or goes on: damaged networks and steps are set aside, those of networks that are
    others now are forgotten, and what is known is taken over.

    Raises ValueError, before anything is trained, for a name that something else has.
    """
    for name, spec in zip(study.names, study.trainings, strict=True):
        fit.checked_name(name, spec, store)
    for entry in [
        *(e for e in store.entries("networks") if e.key.partition("@")[0] in study.names),
        *store.entries(sums_place(study, store)),
        *(e for i in range(len(study.names)) for e in store.entries(place(study, i))),
    ]:
        if not store.is_whole(entry):
            store.set_aside(entry.path, "its bytes do not have the checksum in its name")
    _forget_others(study, store)
    take_over(study, store, folder)


def _forget_others(study: Study, store: Store) -> None:
    """What was found of a network that is gone, or was trained again to other weights, is made again."""
    here = catalogue.networks(store)
    for index, name in enumerate(study.names):
        if not was_looked_at(study, index, store) or is_known_only(study, index, store):
            continue
        about, _ = read(store, place(study, index), "network")
        if name in here and here[name].spec.weights == about["weights"]:
            continue
        for entry in [*store.entries(place(study, index)), *store.entries(sums_place(study, store))]:
            store.remove(entry.path)


def take_over(study: Study, store: Store, folder: Path) -> None:
    """Begin with what the atlas in ``folder`` already knows of the study's networks, so that a study that grew costs
    its new networks only.

    What counts is the same recipe and weights, looked at on the same images, in the same way, by the same versions.
    """
    try:
        atlas = Atlas.load(folder)
    except ValueError:
        return  # none yet, or a damaged one: everything is made
    asked = [study.sample, study.batch_size, study.influential]
    before = [atlas.study.sample, atlas.study.batch_size, atlas.study.influential]
    if asked != before or atlas.facts["versions"] != sources.versions() or atlas.facts.get("look") != LOOK:
        return
    tried = atlas.study.probes == study.probes and atlas.facts.get("tried") == TRIED
    known = {member.name: member for member in atlas.members}
    here = catalogue.networks(store)
    for index, (name, spec) in enumerate(zip(study.names, study.trainings, strict=True)):
        member, info = known.get(name), here.get(name)
        if member is None or (info is None and study.ships(index) != "maps") or was_looked_at(study, index, store):
            continue
        same = info is None or member.weights == info.spec.weights
        if same and TrainSpec.from_json(member.recipe) == spec:
            try:
                about, arrays = atlas.alone(name)
            except (ValueError, OSError, *UNREADABLE):
                continue  # damaged: looked at again
            store.put(place(study, index), "network", packed(about, arrays))
            if tried:
                found = {what: about[what] for what in ("probes", "deletions")}
                store.put(place(study, index), TRIED_OUT, packed(found, {}))


def looked_at(study: Study, spec: TrainSpec) -> tuple[int, ...]:
    """The epochs before the last that a study looks at, of those whose weights a training keeps."""
    return tuple(epoch for epoch in spec.epochs_kept if not study.epochs or epoch in study.epochs)


def was_looked_at(study: Study, index: int, store: Store) -> bool:
    return store.has(place(study, index), "network")


def was_tried(study: Study, index: int, store: Store) -> bool:
    return store.has(place(study, index), TRIED_OUT)


def forget(study: Study, store: Store) -> None:
    """Remove the Gram matrices and sums of a finished study. What was found of each network stays, and it is small:
    a study with more networks, or another atlas of the same ones, begins with it."""
    for entry in store.entries(sums_place(study, store)):
        store.remove(entry.path)
    for index in range(len(study.trainings)):
        for entry in store.entries(place(study, index)):
            if entry.key.startswith("grams-"):
                store.remove(entry.path)


# What a step leaves.


def place(study: Study, index: int) -> str:
    """Where what is found of a network stands: whatever other networks the study has, it is the same."""
    asked: list[Any] = [study.trainings[index], study.names[index], study.sample, study.batch_size]
    asked += [study.probes, study.influential, LOOK]
    return f"atlas/{key_of([*asked, study.epochs] if study.epochs else asked)}"


def sums_place(study: Study, store: Store) -> str:
    """Where HSIC of all layers of the networks that can be compared stands."""
    asked, which = [study.key, LOOK], compared(study, store)
    return f"atlas/{key_of(asked if len(which) == len(study.names) else [*asked, which])}"


def packed(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    text = json.dumps(about, allow_nan=False).encode()
    buffer = io.BytesIO()
    named: dict[str, Any] = {**arrays, "about": np.frombuffer(text, np.uint8)}
    np.savez(buffer, **named)
    return buffer.getvalue()


def read(store: Store, kind: str, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data = store.get(kind, name)
    if data is None:
        raise ValueError(f"A step of the study, {name}, is missing or damaged. Build again: it is made again.")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key != "about"}
        return json.loads(file["about"].tobytes()), arrays


def stored_grams(study: Study, network: int, where: int, store: Store) -> GramBatch:
    """A network's Gram matrices on one minibatch: kept when it was looked at, or made again where they are gone."""
    kind, name = place(study, network), f"grams-{where}"
    data = store.get(kind, name)
    if data is not None:
        try:
            return GramBatch.from_bytes(data)
        except ValueError as error:
            store.set_aside_object(kind, name, str(error))
    model = catalogue.load_model(catalogue.find(study.names[network], store).spec, store)
    images = study.sample.load(store)
    part = minibatches(len(images), study.batch_size)[where]
    batch = Extractor(model).grams(images.x[part], part.start)
    store.put(kind, name, batch.to_bytes())
    return batch
