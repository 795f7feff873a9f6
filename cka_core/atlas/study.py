"""A study in plain values: which networks to train, on which images to compare them, and what to look at.

A study is a small TOML file:

    name = "wide and deep"        # of the atlas; the file's name if not given
    samples = 512                 # test images compared on; batch_size of them in a minibatch
    probes = 512                  # training images for the linear probes; 0 for none
    epochs = [1, 2, 5, 10]        # of those kept, which are looked at; all if not given

    [recipe]                      # any field of a training's recipe
    epochs = 25
    learning_rate = 0.02
    keep_every = 5                # so that blocks can be watched forming

    [[networks]]                  # depths x widths x seeds
    depths = [14, 38]
    widths = [1, 2]
    seeds = [0, 1]

    [[networks]]                  # or by name, with a recipe of their own
    architectures = ["resnet50"]
    recipe = { epochs = 5 }

    [[networks]]                  # beside the study: trained on the larger set that the study's images are part of
    depths = [20]
    widths = [1]
    images = "cifar10"
    ship = "maps"                 # of the bundled study: "whole" or "half" precision of weights, or "maps" only
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cka_core.base import shipped
from cka_core.base.keys import LATER, check_file_name, key_of
from cka_core.base.records import DEEPEST, NotReadable, depth_of
from cka_core.images.sets import SampleSpec, image_set
from cka_core.measures.hsic import MIN_IMAGES, minibatches
from cka_core.training.recipe import TrainSpec

LARGEST_STUDY = 1 << 20
MOST_NETWORKS = 10_000
SHIP = ("whole", "half", "maps")
FITTED = 0.9
"""A network that gets fewer of its training images right is called not fitted."""


@dataclasses.dataclass(frozen=True)
class Study:
    """A study.

    Attributes
    ----------
    trainings : the networks' recipes, in the order of the grid; ``names`` what each is called. Those trained on the
        larger set that the sample's images are part of stand beside the grid, to compare with
    sample : the test images that are compared on, in minibatches of ``batch_size``
    probes : training images for the linear probes; 0 for none
    influential : images removed for the map "without the most influential images"
    epochs : which of the kept epochs are looked at, besides the start and the end; empty for all of them
    ship : how each network's weights ship, if the study is the bundled one (`SHIP`); empty for all of them whole
    """

    name: str
    trainings: tuple[TrainSpec, ...]
    names: tuple[str, ...]
    sample: SampleSpec
    batch_size: int = 256
    probes: int = 512
    influential: int = 5
    epochs: tuple[int, ...] = dataclasses.field(default=(), metadata=LATER)
    ship: tuple[str, ...] = dataclasses.field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w][\w .-]{0,60}", self.name):
            raise ValueError(f"Expected a study's name of letters, digits, spaces and - _ . only, got {self.name!r}.")
        if self.name == "bundled":
            raise ValueError('"bundled" is the study that comes with CKA Explorer. Give this one another name.')
        if not self.trainings:
            raise ValueError("Expected at least one network in the study, got none: add [[networks]] to it.")
        for name in self.names:
            check_file_name(name)
        if not set(self.ship) <= set(SHIP):
            raise ValueError(f"Expected ship to be {', '.join(SHIP)}, got {', '.join(sorted(set(self.ship)))}.")
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"Expected each network once, got {', '.join(twice)} more than once.")
        trained_on = {spec.images for spec in self.trainings}
        if self.sample.images not in trained_on or trained_on - {self.sample.images, self._larger}:
            also = f", or some of them on {self._larger}" if self._larger else ""
            raise ValueError(
                f"Expected the networks of a study to be trained on the images it compares them on, "
                f"{self.sample.images}{also}, got {', '.join(sorted(trained_on))}."
            )
        if self.influential < 0 or self.probes < 0:
            raise ValueError(f"Expected influential and probes from 0, got {self.influential} and {self.probes}.")
        parts = minibatches(self.sample.n or image_set(self.sample.images).sizes["test"], self.batch_size)
        least, smallest = MIN_IMAGES + self.influential, min(part.stop - part.start for part in parts)
        if smallest < least:
            raise ValueError(
                f"Expected at least {least} images in each minibatch ({MIN_IMAGES}, and the {self.influential} "
                f"influential ones to be removed), got {smallest} in one. Change samples, batch_size or influential."
            )

    @property
    def key(self) -> str:
        return key_of(self)

    def ships(self, index: int) -> str:
        """How a network's weights ship, one of `SHIP`."""
        return self.ship[index] if self.ship else SHIP[0]

    @property
    def _larger(self) -> str:
        return image_set(self.sample.images).part_of

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Study:
        """The study whose `to_json` is ``values``."""
        trainings = tuple(TrainSpec.from_json(spec) for spec in values["trainings"])
        sample = SampleSpec(**values["sample"])
        lists = {name: tuple(values.get(name, ())) for name in ("names", "epochs", "ship")}
        return cls(**{**values, **lists, "trainings": trainings, "sample": sample})


def read_study(path: str | os.PathLike[str]) -> Study:
    """Read a study from a TOML file; ValueError, in words, for one that makes no sense."""
    import tomli

    source = Path(path).expanduser()
    if not source.is_file():
        what = "is a folder" if source.is_dir() else "is no file" if source.exists() else "does not exist"
        raise ValueError(f"Expected a study as a TOML file, got {source}, which {what}.")
    if source.stat().st_size > LARGEST_STUDY:
        raise NotReadable(f"{source.name} has more than {LARGEST_STUDY:,} bytes: no study is as long.")
    data = source.read_bytes()
    if depth_of(data) > DEEPEST:
        raise NotReadable(f"{source.name} is nested {depth_of(data):,} deep: no study is more than {DEEPEST}.")
    try:
        values = tomli.loads(data.decode("utf-8-sig"))  # an editor may begin a file with a mark
    except (ValueError, RecursionError) as error:  # both of its own and what it hands on of Python's
        raise NotReadable(f"{source.name} is not TOML: {error}.") from error
    return study_of({"name": re.sub(r"[^\w .-]|^\W", "-", source.stem)[:60], **values})


def bundled() -> Study:
    """The study whose atlas comes with the package."""
    return read_study(shipped.STUDY)


def study_of(values: Mapping[str, Any]) -> Study:
    """A study from what its TOML file says."""
    _check(values, STUDY, "a study")
    images = values.get("images", "cifar10-mini")
    total = image_set(images).sizes["test"]
    n = values.get("samples", min(512, total))
    if not MIN_IMAGES <= n <= total:
        raise ValueError(f"Expected samples from {MIN_IMAGES} to {total:,} of {images}'s test images, got {n!r}.")
    trainings: list[TrainSpec] = []
    names: list[str] = []
    ship: list[str] = []
    for group in values.get("networks", ()):
        _check(group, NETWORKS, "[[networks]]")
        recipe = {**values.get("recipe", {}), **group.get("recipe", {})}
        architectures = list(group.get("architectures", ()))
        depths, widths = group.get("depths", ()), group.get("widths", ())
        if len(depths) * len(widths) > MOST_NETWORKS:
            raise ValueError(f"Expected at most {MOST_NETWORKS:,} networks in a study.")
        architectures += [f"cifar-resnet-{d}x{w}" for w in widths for d in depths]
        if not architectures:
            raise ValueError("Expected depths and widths, or architectures, in each [[networks]] of the study.")
        if len(trainings) + len(architectures) * len(group.get("seeds", (0,))) > MOST_NETWORKS:
            raise ValueError(f"Expected at most {MOST_NETWORKS:,} networks in a study.")
        own = group.get("images", images)
        specs = [_spec(name, own, seed, recipe) for name in architectures for seed in group.get("seeds", (0,))]
        given = list(group.get("names", ()))
        if given and len(given) != len(specs):
            raise ValueError(f"Expected {len(specs)} names, one a network and seed, got {len(given)}.")
        trainings += specs
        names += given or [spec.default_name for spec in specs]
        ship += [group.get("ship", SHIP[0])] * len(specs)
    epochs, probes = tuple(values.get("epochs", ())), values.get("probes", 512)
    _check_epochs(epochs, trainings)
    classes = len(image_set(images).classes)
    if 0 < probes < classes:
        raise ValueError(f"Expected probes of {images} to be 0, for none, or from its {classes} classes, got {probes}.")
    return Study(
        name=values.get("name", "study"),
        trainings=tuple(trainings),
        names=tuple(names),
        sample=SampleSpec(images, "test", n, values.get("sample_seed", 0)),
        batch_size=values.get("batch_size", 256),
        probes=probes,
        influential=values.get("influential", 5),
        epochs=epochs,
        ship=tuple(ship) if set(ship) - {SHIP[0]} else (),
    )


def _check_epochs(epochs: Sequence[int], trainings: Sequence[TrainSpec]) -> None:
    """Refuse to look at epochs after which no network's weights are kept."""
    kept = {epoch for spec in trainings for epoch in spec.epochs_kept}
    missing = sorted(set(epochs) - kept - {spec.epochs for spec in trainings})
    if missing:
        found = ", ".join(map(str, sorted(kept))) or "none, for which a recipe wants keep_every"
        raise ValueError(
            f"Expected epochs after which a network's weights are kept, got {', '.join(map(str, missing))}. Kept "
            f"before the last: {found}."
        )


def _spec(architecture: str, images: str, seed: int, recipe: dict[str, Any]) -> TrainSpec:
    fields = {field.name for field in dataclasses.fields(TrainSpec)} - {"architecture", "images", "seed"}
    _check_keys(recipe, fields, "a recipe")
    return TrainSpec(architecture, images, seed=seed, **recipe)


STUDY = {
    "name": "a text", "images": "a text", "samples": "a whole number", "sample_seed": "a whole number",
    "batch_size": "a whole number", "probes": "a whole number", "influential": "a whole number",
    "epochs": "a list of whole numbers", "recipe": "a table, [recipe]", "networks": "tables, [[networks]]",
}  # fmt: skip
NETWORKS = {
    "architectures": "a list of texts", "depths": "a list of whole numbers", "widths": "a list of whole numbers",
    "seeds": "a list of whole numbers", "images": "a text", "recipe": "a table", "names": "a list of texts",
    "ship": "a text",
}  # fmt: skip
"""What each key of the file is."""


def _check(values: Any, kinds: Mapping[str, str], what: str) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"Expected {what} to be a table of the file, got {values!r:.80}.")
    _check_keys(values, set(kinds), what)
    for key, value in values.items():
        if not _is(value, kinds[key]):
            raise ValueError(f"Expected {key} in {what} to be {kinds[key]}, got {value!r:.80}.")


def _is(value: Any, kind: str) -> bool:
    if kind.startswith("a list of "):
        one = {"texts": "a text", "whole numbers": "a whole number"}[kind.removeprefix("a list of ")]
        return isinstance(value, list | tuple) and all(_is(item, one) for item in value)
    if kind == "a whole number":
        return type(value) is int and value >= 0
    if kind == "a text":
        return isinstance(value, str)
    return isinstance(value, list | tuple if kind.startswith("tables") else Mapping)


def _check_keys(values: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"Unknown in {what}: {', '.join(unknown)}. Valid: {', '.join(sorted(known))}.")
