"""Verify an atlas: a random share of it is computed again from its networks' weights and held against what it says."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from cka_core.atlas.packing import from_bytes, in_bytes
from cka_core.atlas.result import Atlas, Member
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.images.sets import Images, load_images
from cka_core.library import catalogue
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches, summed
from cka_core.networks.activations import Extractor
from cka_core.networks.building import build_network
from cka_core.results.blocks import network_blocks
from cka_core.studies.trying import outputs
from cka_core.training.images import TrainingImages

MAP, SHARE = 1e-4, 0.002
"""The largest difference of a map's values, and of an accuracy, that another machine's rounding may make."""
FEWEST = 2
"""Networks, so that there is a pair."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing computed again: its name, the largest difference, and the most that rounding explains."""

    what: str
    difference: float
    allowed: float

    @property
    def holds(self) -> bool:
        return self.difference <= self.allowed


def chosen(atlas: Atlas, store: Store, share: float, seed: int) -> tuple[list[Member], list[str]]:
    """A random share of the networks whose weights are here, in the study's order, at least two; and the names of those
    that are not here, which cannot be verified without training them again."""
    if not 0 < share <= 1:
        raise ValueError(f"Expected a share of the atlas above 0 and at most 1, got {share}.")
    networks = catalogue.networks(store)
    here = [m for m in atlas.members if m.name in networks and networks[m.name].spec.weights == m.weights]
    if not here:
        raise ValueError("None of this atlas's networks is here with the weights it knows. Build it: that trains them.")
    count = min(len(here), max(FEWEST, round(share * len(here))))
    picked = set(np.random.default_rng(seed).choice(len(here), count, replace=False).tolist())
    gone = [member.name for member in atlas.members if member not in here]
    return [member for index, member in enumerate(here) if index in picked], gone


def verify(atlas: Atlas, members: list[Member], store: Store, report: Report = silent) -> Iterator[Check]:
    """Compute the maps, before training and after it, the pairs and the accuracies of some of its networks again, and
    the blocks of all their maps as the atlas has them; see that the images are those it was made with.

    The accuracy on training images is that of networks which were trained on the study's own: a larger set may not be
    here.
    """
    images, test = atlas.sample.load(store), load_images(atlas.sample.images, "test", store=store)
    yield Check("the images", 0.0 if images.digest == atlas.facts["images"]["digest"] else float("inf"), 0.0)
    kept: dict[str, list[GramBatch]] = {}
    for number, member in enumerate(members):
        report(Progress("verifying", number, len(members), member.name))
        model = catalogue.load_model(catalogue.find(member.name, store).spec, store)
        kept[member.name] = list(_grams(model, images, atlas.study.batch_size))
        yield Check(f"{member.name}, its map", _apart(_map(kept[member.name]), atlas.map(member.name)), MAP)
        if member.epochs[0] == 0 and member.recipe.get("start", "random") == "random":
            untrained = build_network(member.architecture, seed=member.seed)
            again = from_bytes(in_bytes(_map(list(_grams(untrained, images, atlas.study.batch_size)))))
            before = from_bytes(in_bytes(atlas.map(member.name, 0)))
            yield Check(f"{member.name}, its map before training", _apart(again, before), 1 / 254 + MAP)
        yield Check(f"{member.name}, its blocks", _blocks_apart(atlas, member), MAP)
        off = abs(_accuracy(model, test) - member.final.test_accuracy)
        yield Check(f"{member.name}, its test accuracy", off, SHARE)
        if member.recipe["images"] == atlas.sample.images:
            spec = atlas.study.trainings[atlas.study.names.index(member.name)]
            off = abs(_accuracy(model, TrainingImages(spec, store)) - member.final.train_accuracy)
            yield Check(f"{member.name}, its training accuracy", off, SHARE)
    for one, other in itertools.combinations(members, 2):
        if atlas.has_pair(one.name, other.name):
            again = _map(kept[one.name], kept[other.name])
            yield Check(f"{one.name} × {other.name}", _apart(again, atlas.pair(one.name, other.name)), MAP)


def _accuracy(model: object, images: Images | TrainingImages) -> float:
    return float((outputs(model, images.x).argmax(-1) == images.y).mean())


def _blocks_apart(atlas: Atlas, member: Member) -> float:
    """The largest difference of a block's fall from that in the map; infinite where the blocks are others."""
    said = [(one.epoch, "nothing", one.blocks) for one in member.snapshots]
    said += [(member.final.epoch, removed, blocks) for removed, blocks in member.blocks_without.items()]
    off = 0.0
    for epoch, removed, blocks in said:
        matrix = atlas.map(member.name, epoch, removed)
        if matrix.shape != (len(member.layers), len(member.layers)):  # no map, which is told by itself
            continue
        found = network_blocks(matrix, member.layers)
        if [block.span for block in found] != [block.span for block in blocks]:
            return float("inf")
        off = max([off, *(abs(one.fall - other.fall) for one, other in zip(found, blocks, strict=True))])
    return off


def _grams(model: object, images: Images, batch_size: int) -> Iterator[GramBatch]:
    extractor = Extractor(model)
    for part in minibatches(len(images), batch_size):
        yield extractor.grams(images.x[part], part.start)


def _map(first: list[GramBatch], second: list[GramBatch] | None = None) -> np.ndarray:
    return summed(zip(first, first if second is None else second, strict=True)).matrix()


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; infinite where only one of the two has a number."""
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    return float(np.nanmax(np.abs(a - b), initial=0.0))
