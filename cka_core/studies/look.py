"""Everything about one network of a study, from one forward pass over the sample at each of its kept epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.atlas.result import Member, Snapshot, member_json
from cka_core.atlas.study import Study
from cka_core.base.keys import plain
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.images.sets import Images
from cka_core.library import catalogue
from cka_core.measures import components
from cka_core.measures.behaviour import log_probabilities
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.matrices import doubly_centred_layer
from cka_core.networks.activations import Extractor
from cka_core.networks.architectures import architecture
from cka_core.networks.building import build_network
from cka_core.networks.layers import Layer
from cka_core.results.blocks import network_blocks
from cka_core.studies.falls import measured
from cka_core.studies.steps import packed, place
from cka_core.studies.trying import images_of, outputs
from cka_core.training.recipe import TrainSpec

if TYPE_CHECKING:
    import keras


def look_at(study: Study, index: int, store: Store, report: Report = silent) -> None:
    """Look at a network of a study; what is found, and its Gram matrices, go into the store."""
    spec, name = study.trainings[index], study.names[index]
    info = catalogue.find(name, store)
    model = catalogue.load_model(info.spec, store)
    extractor = Extractor(model)
    seen = _Seen(study, spec, store)
    described = architecture(spec.architecture)
    arrays: dict[str, np.ndarray] = {}
    snapshots = []
    moments = list(_moments(study, spec, name, model, store))
    for number, (epoch, load) in enumerate(moments):

        def tell(detail: str, epoch: int = epoch, number: int = number) -> None:
            report(Progress("looking", number, len(moments) + 1, f"epoch {epoch}, {detail}"))

        tell("extracting")
        load()
        final = number == len(moments) - 1
        layers = len(extractor.layers)
        sums, shares, causes = HsicSums(layers, layers), [], _Causes(layers)
        for where, part in enumerate(seen.slices):
            batch = extractor.grams(seen.sample.x[part], part.start)
            sums.add(batch, batch)
            stack = centred(batch)
            found = components.principal_components(stack)
            shares.append(found.shares[:, 0])
            if final:
                store.put(place(study, index), f"grams-{where}", batch.to_bytes())
                causes.add(batch, stack, found)
            tell(f"minibatch {where + 1} of {len(seen.slices)}")
        arrays[f"self/{name}/{epoch}/nothing"] = matrix = sums.matrix().astype(np.float32)
        snapshots.append(_snapshot(epoch, model, extractor.layers, matrix, _average(shares), seen))

    def kept(where: int) -> GramBatch:
        data = store.get(place(study, index), f"grams-{where}")
        if data is None:
            raise ValueError(f"The Gram matrices of {name} are gone from the store. Build again: they are made again.")
        return GramBatch.from_bytes(data)

    report(Progress("looking", len(moments), len(moments) + 1, "what explains its map"))
    facts = _explain(name, extractor.layers, causes, kept, study, seen, arrays, epoch)
    last: Any = model.layers[-1]
    logits = last.activation.__name__ != "softmax"
    arrays[f"outputs/{name}"] = log_probabilities(outputs(model, seen.test.x), logits=logits).astype(np.float32)
    member = Member(
        name=name,
        architecture=spec.architecture,
        title=f"{described.title}{_beside(study, spec)}",
        depth=described.depth,
        width=described.width,
        seed=spec.seed,
        parameters=described.parameters,
        recipe=plain(spec),
        weights=info.spec.weights,
        test_images=len(seen.test),
        train_images=len(seen.train.x),
        layers=extractor.layers,
        snapshots=tuple(snapshots),
        history=info.history,
        probes=(),  # those and the deletions are tried out by themselves
        deletions=(),
        **facts,
    )
    report(Progress("looking", len(moments), len(moments) + 1, "how sure its blocks are"))
    member = measured(member, lambda: (kept(where) for where in range(len(seen.slices))))
    store.put(place(study, index), "network", packed(member_json(member), arrays))


def _beside(study: Study, spec: TrainSpec) -> str:
    """What tells a network that stands beside the study from the others."""
    if spec.images == study.sample.images:
        return ""
    return f" on {spec.chosen_images:,} images" if spec.epoch_images else f" on {spec.images}"


class _Seen:
    """The images of a study that a network is looked at with."""

    def __init__(self, study: Study, spec: TrainSpec, store: Store):
        self.sample: Images = study.sample.load(store)
        self.slices = minibatches(len(self.sample), study.batch_size)
        self.train, self.test = images_of(study, spec, store)


def _moments(
    study: Study, spec: TrainSpec, name: str, model: keras.Model, store: Store
) -> Iterator[tuple[int, Callable[[], None]]]:
    """The epochs to look at, in their order, and what puts the network's weights of that time into ``model``.

    The last is the network itself, under the epoch whose weights were kept.
    """
    final = [np.array(weight) for weight in model.get_weights()]
    record = catalogue.find(name, store).record

    def start() -> None:
        model.set_weights(build_network(spec.architecture, seed=spec.seed).get_weights())

    def kept(epoch: int) -> Callable[[], None]:
        def load() -> None:
            info = catalogue.find(f"{name}@{epoch}", store)
            model.set_weights(catalogue.load_model(info.spec, store).get_weights())

        return load

    if spec.start == "random":
        yield 0, start
    for epoch in sorted(int(epoch) for epoch in record.get("checkpoints", {})):
        asked = not study.epochs or epoch in study.epochs
        if asked and epoch < record["kept_epoch"] and store.has("networks", f"{name}@{epoch}"):
            yield epoch, kept(epoch)
    yield record["kept_epoch"], lambda: model.set_weights(final)


def centred(batch: GramBatch) -> np.ndarray:
    """`doubly_centred` in float32 (layers, m, m), a layer at a time: half its memory, and what components need."""
    stack = np.zeros((len(batch.triangles), batch.m, batch.m), np.float32)
    for layer in range(len(stack)):
        stack[layer] = doubly_centred_layer(batch, layer)
    return stack


class _Causes:
    """What explains the map of a network, gathered minibatch by minibatch: the first principal component of each layer,
    and which images decide it.

    Minibatches of a layer are in units of their own, 2 ** exponent: whatever puts several of them together says so.
    """

    def __init__(self, layers: int):
        self.scores: list[np.ndarray] = []
        self.cosines: list[np.ndarray] = []
        self.influences: list[np.ndarray] = []
        self.norms: list[np.ndarray | None] = []
        self.without_component = HsicSums(layers, layers)

    def add(self, batch: GramBatch, stack: np.ndarray, found: components.Components) -> None:
        self.scores.append(found.scores[:, 0] * np.exp2(batch.exponents / 2)[:, None])
        self.cosines.append(components.component_cosines(found))
        self.influences.append(components.component_influence(found))
        self.norms.append(batch.norms)
        rest = components.gram_batch(components.without_components(stack, 1), batch.first, batch.exponents)
        self.without_component.add(rest, rest)


def _snapshot(
    epoch: int, model: keras.Model, layers: Sequence[Layer], matrix: np.ndarray, shares: np.ndarray, seen: _Seen
) -> Snapshot:
    train_right = float((outputs(model, seen.train.x).argmax(-1) == seen.train.y).mean())
    test_right = float((outputs(model, seen.test.x).argmax(-1) == seen.test.y).mean())
    blocks = network_blocks(matrix, layers)
    return Snapshot(epoch, test_right, train_right, blocks, tuple(float(s) for s in shares))


def _explain(
    name: str,
    layers: Sequence[Layer],
    causes: _Causes,
    kept: Callable[[int], GramBatch],
    study: Study,
    seen: _Seen,
    arrays: dict[str, np.ndarray],
    epoch: int,
) -> dict[str, Any]:
    """What explains a trained network's map: its components, its influential images, and the maps without them.

    ``kept`` reads a minibatch's Gram matrices back.
    """
    arrays[f"scores/{name}"] = np.concatenate(causes.scores, axis=1).astype(np.float32)
    arrays[f"cosines/{name}"] = _average(causes.cosines).astype(np.float32)
    without = {"component": causes.without_component.matrix()}
    influential: tuple[int, ...] = ()
    if study.influential:
        removed = components.largest(causes.influences, study.influential)
        influential = tuple(
            int(part.start + position)
            for part, positions in zip(seen.slices, removed, strict=True)
            for position in positions
        )
        sums = HsicSums(len(without["component"]), len(without["component"]))
        for where, positions in enumerate(removed):
            batch = dataclasses.replace(kept(where), norms=causes.norms[where])
            rest = components.gram_batch(components.without_images(centred(batch), positions), 0, batch.exponents)
            sums.add(rest, rest)
        without["images"] = sums.matrix()
    for what, matrix in without.items():
        arrays[f"self/{name}/{epoch}/{what}"] = without[what] = matrix.astype(np.float32)
    blocks_without = {what: network_blocks(matrix, layers) for what, matrix in without.items()}
    return {"blocks_without": blocks_without, "influential": influential}


def _average(parts: list[np.ndarray]) -> np.ndarray:
    """The mean over minibatches, of those in which the layer varies; NaN where it does in none."""
    values = np.array(parts)
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full_like(total, np.nan), where=known.any(axis=0))
