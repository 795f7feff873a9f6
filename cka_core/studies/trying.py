"""What a trained network of a study can do: linear probes on residual blocks, accuracy without some of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.atlas.result import Deletion, Probe
from cka_core.atlas.study import Study
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.images.sets import Images, choose, load_images
from cka_core.library import catalogue
from cka_core.measures.probes import ProbeResult, probe, probe_grams
from cka_core.networks.activations import Extractor, pixels
from cka_core.networks.surgery import residual_blocks, without_blocks
from cka_core.studies.steps import TRIED_OUT, packed, place, read
from cka_core.training.images import TrainingImages
from cka_core.training.measuring import AT_ONCE
from cka_core.training.recipe import TrainSpec

if TYPE_CHECKING:
    import keras

PROBE_SEED = 0
FEATURES_AT_ONCE = 1 << 28
"""Activations of training images that are held at once: 1 GiB in float32, or one layer, if that has more."""


def try_out(study: Study, index: int, store: Store, report: Report = silent) -> None:
    """Probe a network that was looked at, and delete its residual blocks; what is found goes into the store."""
    about, _ = read(store, place(study, index), "network")
    model = catalogue.load_model(catalogue.find(study.names[index], store).spec, store)
    extractor = Extractor(model)
    train, test = images_of(study, study.trainings[index], store)
    blocks = [(found["start"], found["stop"]) for found in about["snapshots"][-1]["blocks"]]
    found = {
        "probes": [dataclasses.asdict(one) for one in probes(model, extractor, study.probes, train, test, report)],
        "deletions": [dataclasses.asdict(one) for one in deletions(model, extractor, blocks, test, report)],
    }
    store.put(place(study, index), TRIED_OUT, packed(found, {}))


def images_of(study: Study, spec: TrainSpec, store: Store) -> tuple[Images | TrainingImages, Images]:
    """The training images of a network, and the test images of its study, all of them."""
    # All of a larger set hold the study's own training images, and those are here; a share of it is its own.
    own = spec.images == study.sample.images or spec.fraction < 1
    train = TrainingImages(spec, store) if own else load_images(study.sample.images, "train", store=store)
    return train, load_images(study.sample.images, "test", store=store)


def probes(
    model: keras.Model,
    extractor: Extractor,
    most: int,
    train: Images | TrainingImages,
    test: Images,
    report: Report = silent,
) -> Iterator[Probe]:
    """A linear probe on every residual block's output: trained on ``most`` training images, or as many of each class as
    the smallest has, and tried on all test images."""
    layers = extractor.layers
    found = [block.add for block in residual_blocks(layers)]
    if not found or not most:
        return
    classes = np.bincount(train.y)
    classes = classes[classes > 0]  # images held out may have left some larger than others
    count = min(most, len(classes) * int(classes.min()))
    chosen = choose(train.y, count, PROBE_SEED, balanced=True)
    x, y = train.x[chosen], train.y[chosen]
    for group in _groups(found, [math.prod(layers[position].shape) * count for position in found]):
        report(Progress("trying out", found.index(group[0]), 2 * len(found), "linear probes"))
        results = _probe_layers(model, [layers[position].name for position in group], x, y, test)
        for position, result in zip(group, results, strict=True):
            yield Probe(position, float(result.accuracy), float(result.train_accuracy))


def _groups(positions: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Positions in their order, as many together as have `FEATURES_AT_ONCE` activations."""
    group: list[int] = []
    held = 0
    for position, size in zip(positions, sizes, strict=True):
        if group and held + size > FEATURES_AT_ONCE:
            yield group
            group, held = [], 0
        group.append(position)
        held += size
    yield group


def _probe_layers(
    model: keras.Model, names: Sequence[str], x: np.ndarray, y: np.ndarray, test: Images
) -> Iterator[ProbeResult]:
    """`measures.probes.probe` of some layers. Where a layer has more features than there are training images, those of
    the test images are never held at once: products with the training images are all that it takes."""
    only = Extractor(model, names)
    features = [np.empty((len(x), math.prod(layer.shape)), np.float32) for layer in only.layers]
    for start, batch in _batches(only, x):
        for into, values in zip(features, batch, strict=True):
            into[start : start + len(values)] = values
    means = [values.mean(axis=0, dtype=np.float64).astype(np.float32) for values in features]
    for values, mean in zip(features, means, strict=True):
        values -= mean
    wide = [values.shape[1] >= len(values) for values in features]
    tried: list[list[np.ndarray]] = [[] for _ in features]
    for _, batch in _batches(only, test.x):
        for at, (values, mean) in enumerate(zip(batch, means, strict=True)):
            values -= mean
            tried[at].append(values @ features[at].T if wide[at] else values)
    for at, values in enumerate(features):
        others = np.concatenate(tried[at])
        if wide[at]:
            yield probe_grams(values @ values.T, others, y, test.y)
        else:
            yield probe(values, y, others, test.y)


def _batches(extractor: Extractor, x: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Activations of all of an extractor's layers, float32 (n, features), and the position of the first image."""
    for start in range(0, len(x), AT_ONCE):
        found: dict[int, np.ndarray] = {}
        for positions, arrays in extractor.activations(x[start : start + AT_ONCE]):
            found |= {p: np.array(a, np.float32).reshape(len(a), -1) for p, a in zip(positions, arrays, strict=True)}
        yield start, [found[position] for position in range(len(extractor.layers))]


def deletions(
    model: keras.Model,
    extractor: Extractor,
    blocks: Sequence[tuple[int, int]],
    test: Images,
    report: Report = silent,
) -> Iterator[Deletion]:
    """Accuracy on all test images without each residual block, and without all that lie inside a block of the map, of
    which ``blocks`` are starts and stops. The first is without none, to compare with."""
    found = residual_blocks(extractor.layers)
    if not found:
        return
    sets: list[tuple[str, ...]] = [(), *((block.name,) for block in found)]
    for start, stop in blocks:
        inside = tuple(one.name for one in found if start <= one.first and one.add < stop)
        if len(inside) > 1:
            sets.append(inside)
    for number, names in enumerate(sets):
        detail = f"deleting residual blocks, {number + 1} of {len(sets)}"
        report(Progress("trying out", len(sets) + number, 2 * len(sets), detail))
        with without_blocks(model, names):
            right = outputs(model, test.x).argmax(-1) == test.y
        yield Deletion(names, float(right.mean()))


def outputs(model: Any, x: np.ndarray) -> np.ndarray:
    """A network's outputs of images, uint8 (n, height, width, channels): float32 (n, classes)."""
    found = [model.predict_on_batch(pixels(x[start : start + AT_ONCE])) for start in range(0, len(x), AT_ONCE)]
    return np.concatenate(found)
