"""Carry out a study: train what is missing, look at each network once, compare all of them in one product a minibatch.

Three kinds of steps, each of which leaves a finished file in the store, so that a study stopped anywhere goes on:

    train       a network of the study                         (`training.train`)
    network     its Gram matrices on every minibatch, its map against itself at each kept epoch, what explains it
    minibatch   HSIC of all layers of all networks with each other: one matrix product

They may run on different machines (`atlas_cluster`): HSIC sums of minibatches add up. `finish` then writes the atlas.
"""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core import analysis, library, sources
from cka_core.activations import Extractor, pixels
from cka_core.atlas import FORMAT, Atlas, Deletion, Member, Probe, Snapshot, member_json
from cka_core.behaviour import log_probabilities, probe
from cka_core.blocks import find_blocks
from cka_core.grams import GramBatch
from cka_core.images import Images, choose, image_set, load_images
from cka_core.networks import architecture, build_network
from cka_core.progress import Progress, Report, silent
from cka_core.recipe import TrainSpec
from cka_core.similarity import HsicSums, minibatches
from cka_core.store import Store, key_of
from cka_core.study import Study
from cka_core.surgery import residual_blocks, without_blocks
from cka_core.training import train
from cka_core.training_images import TrainingImages

if TYPE_CHECKING:
    import keras

AT_ONCE = 256
PROBE_SEED = 0


@dataclasses.dataclass(frozen=True)
class AtlasPart:
    """One step of a study that a worker can do: ``part`` "train", "network" or "minibatch", and its number."""

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
        return f"{'training' if self.part == 'train' else 'looking at'} {self.study.names[self.index]}"

    @property
    def weight(self) -> float:
        """Roughly how long it takes, in seconds."""
        if self.part == "minibatch":
            return 5.0
        spec = self.study.trainings[self.index]
        work = architecture(spec.architecture).multiply_adds / 1e10
        if self.part == "train":
            return 1 + 3 * work * spec.epochs * image_set(spec.images).sizes["train"] * spec.fraction
        return 5 + 8000 * work * (2 + (spec.epochs // spec.keep_every if spec.keep_every else 0))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AtlasPart:
        return cls(Study.from_json(values["study"]), values["part"], values["index"])


def parts(study: Study) -> list[AtlasPart]:
    """The steps of a study in their order: every training, every network, every minibatch."""
    counts = {part: len(study.trainings) for part in ("train", "network")}
    counts["minibatch"] = len(minibatches(study.sample.n or 0, study.batch_size))
    return [AtlasPart(study, part, index) for part, count in counts.items() for index in range(count)]


def is_done(part: AtlasPart, store: Store) -> bool:
    if part.part == "train":
        return has_network(part.study, part.index, store)
    if part.part == "network":
        return store.has(_place(part.study, part.index), "network")
    return store.has(_sums(part.study), f"minibatch-{part.index}")


def do(part: AtlasPart, store: Store, report: Report = silent) -> None:
    """Do a step, unless it is done."""
    if is_done(part, store):
        return
    if part.part == "train":
        train(part.study.trainings[part.index], store, name=part.study.names[part.index], report=report)
    elif part.part == "network":
        _look_at(part.study, part.index, store, report)
    else:
        _compare(part.study, part.index, store, report)


def build(study: Study, store: Store, folder: Path, report: Report = silent) -> Atlas:
    """Carry out a study in this process and write its atlas into ``folder``. Goes on where it was stopped."""
    started = time.perf_counter()
    steps = parts(study)
    left = [part for part in steps if not is_done(part, store)]
    total = sum(part.weight for part in steps)
    done = total - sum(part.weight for part in left)
    for part in left:

        def inner(progress: Progress, part: AtlasPart = part, done: float = done) -> None:
            detail = f"{part.title} · {progress.detail or progress.phase}"
            report(Progress(progress.phase, done + part.weight * progress.fraction, total, detail))

        do(part, store, inner)
        done += part.weight
        report(Progress("study", done, total, f"{part.title} · done"))
    return finish(study, store, folder, time.perf_counter() - started)


def has_network(study: Study, index: int, store: Store) -> bool:
    """Whether a study's network is there, trained by this very recipe, with the weights kept along its training."""
    name, spec = study.names[index], study.trainings[index]
    info = library.networks(store).get(name)
    if info is None or info.record.get("training_key") != spec.key:
        return False
    kept = {entry.key for entry in store.entries("networks")} if spec.keep_every else set()
    return all(f"{name}@{epoch}" in kept for epoch in info.record["checkpoints"])


def finish(study: Study, store: Store, folder: Path, seconds: float | None = None) -> Atlas:
    """Put the finished steps together and write the atlas."""
    members: list[dict[str, Any]] = []
    maps: dict[str, np.ndarray] = {}
    for index in range(len(study.names)):
        about, arrays = _read(store, _place(study, index), "network")
        members.append(about)
        maps |= arrays
    sums: HsicSums | None = None
    for part in parts(study):
        if part.part == "minibatch":
            _, state = _read(store, _sums(study), f"minibatch-{part.index}")
            found = HsicSums.from_state(state)
            if sums is None:
                sums = found
            else:
                sums.merge(found)
    assert sums is not None
    matrix = sums.matrix()
    edges = np.cumsum([0, *(len(member["layers"]) for member in members)])
    for i, a in enumerate(study.names):
        for j in range(i + 1, len(study.names)):
            block = matrix[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
            maps[f"pair/{a}/{study.names[j]}"] = block.astype(np.float32)
    images = study.sample.load(store)
    maps["labels"] = load_images(study.sample.images, "test", store=store).y.astype(np.uint8)
    about = {
        "format": FORMAT,
        "study": study.to_json(),
        "facts": {
            "images": dataclasses.asdict(study.sample) | {"n": len(images), "digest": images.digest},
            "batch_size": study.batch_size,
            "versions": sources.versions(),
            "created": sources.now(),
            "seconds": round(seconds, 1) if seconds is not None else None,
        },
        "members": members,
    }
    atlas = Atlas(json.loads(json.dumps(about, allow_nan=False)), maps)
    atlas.save(folder)
    return Atlas.load(folder)


def forget(study: Study, store: Store) -> None:
    """Remove the Gram matrices and sums of a finished study. What was found of each network stays, and it is small:
    a study with more networks, or another atlas of the same ones, begins with it."""
    for entry in store.entries(_sums(study)):
        store.remove(entry.path)
    for index in range(len(study.trainings)):
        for entry in store.entries(_place(study, index)):
            if entry.key.startswith("grams-"):
                store.remove(entry.path)


# A network.


def _look_at(study: Study, index: int, store: Store, report: Report) -> None:
    """Everything about one network of a study, from one forward pass over the sample at each of its kept epochs."""
    spec, name = study.trainings[index], study.names[index]
    info = library.find(name, store)
    model = library.load_model(info.spec, store)
    extractor = Extractor(model)
    seen = _Seen(study, spec, store)
    described = architecture(spec.architecture)
    arrays: dict[str, np.ndarray] = {}
    snapshots = []
    moments = list(_moments(spec, name, model, store))
    for number, (epoch, load) in enumerate(moments):

        def tell(detail: str, epoch: int = epoch, number: int = number) -> None:
            report(Progress("looking", number, len(moments) + 1, f"epoch {epoch}, {detail}"))

        tell("extracting")
        load()
        final = number == len(moments) - 1
        stacks = []
        for where, part in enumerate(seen.slices):
            batch = extractor.grams(seen.sample.x[part], part.start)
            if final:
                store.put(_place(study, index), f"grams-{where}", batch.to_bytes())
            stacks.append(centred(batch))
            tell(f"minibatch {where + 1} of {len(seen.slices)}")
        snapshots.append(_snapshot(name, epoch, model, stacks, seen, arrays))
    facts = _explain(name, model, extractor, stacks, study, seen, arrays, snapshots[-1], report)
    member = Member(
        name=name,
        architecture=spec.architecture,
        title=described.title if spec.images == study.sample.images else f"{described.title} on {spec.images}",
        depth=described.depth,
        width=described.width,
        seed=spec.seed,
        parameters=described.parameters,
        recipe=dataclasses.asdict(spec),
        weights=info.spec.weights,
        test_images=len(seen.test),
        train_images=len(seen.train.x),
        layers=extractor.layers,
        snapshots=tuple(snapshots),
        history=info.history,
        **facts,
    )
    store.put(_place(study, index), "network", _bytes(member_json(member), arrays))


class _Seen:
    """The images of a study that a network is looked at with."""

    def __init__(self, study: Study, spec: TrainSpec, store: Store):
        self.sample: Images = study.sample.load(store)
        self.slices = minibatches(len(self.sample), study.batch_size)
        self.test = load_images(study.sample.images, "test", store=store)
        # Of a network trained on a larger set, what the study's own training images show: the set may not be here.
        own = spec.images == study.sample.images
        self.train = TrainingImages(spec, store) if own else load_images(study.sample.images, "train", store=store)


def _moments(spec: TrainSpec, name: str, model: keras.Model, store: Store) -> Iterator[tuple[int, Callable[[], None]]]:
    """The epochs to look at, in their order, and what puts the network's weights of that time into ``model``.

    The last is the network itself, under the epoch whose weights were kept.
    """
    final = [np.array(weight) for weight in model.get_weights()]
    record = library.find(name, store).record

    def start() -> None:
        model.set_weights(build_network(spec.architecture, seed=spec.seed).get_weights())

    def kept(epoch: int) -> Callable[[], None]:
        def load() -> None:
            info = library.find(f"{name}@{epoch}", store)
            model.set_weights(library.load_model(info.spec, store).get_weights())

        return load

    if spec.start == "random":
        yield 0, start
    for epoch in sorted(int(epoch) for epoch in record.get("checkpoints", {})):
        if epoch != record["kept_epoch"] and store.has("networks", f"{name}@{epoch}"):
            yield epoch, kept(epoch)
    yield record["kept_epoch"], lambda: model.set_weights(final)


def centred(batch: GramBatch) -> np.ndarray:
    """HKH of every layer, float32 (layers, m, m), in the units of the batch's exponents.

    U-centring (Székely & Rizzo 2014) takes from K = HKH, whose rows sum to 0, its diagonal d: off the diagonal
    u_ij = k_ij + (d_i + d_j) / (m-2) - sum(d) / ((m-1)(m-2)). Here that is turned round, with d from ``batch.norms``.
    """
    assert batch.norms is not None
    m = batch.m
    rows, columns = np.triu_indices(m, 1)
    stack = np.zeros((len(batch.triangles), m, m), np.float32)
    for layer, (triangle, d) in enumerate(zip(batch.triangles, batch.norms, strict=True)):
        if batch.reasons[layer] is not None:
            continue
        values = triangle - (d[rows] + d[columns]) / (m - 2) + d.sum() / ((m - 1) * (m - 2))
        stack[layer, rows, columns] = stack[layer, columns, rows] = values
        stack[layer, range(m), range(m)] = d
    return stack


def _snapshot(
    name: str, epoch: int, model: keras.Model, stacks: list[np.ndarray], seen: _Seen, arrays: dict[str, np.ndarray]
) -> Snapshot:
    matrix = analysis.cka_matrix(stacks)
    arrays[f"self/{name}/{epoch}/nothing"] = matrix.astype(np.float32)
    shares = np.mean([analysis.principal_components(stack).shares[:, 0] for stack in stacks], axis=0)
    train_right = float((_outputs(model, seen.train.x).argmax(-1) == seen.train.y).mean())
    test_right = float((_outputs(model, seen.test.x).argmax(-1) == seen.test.y).mean())
    return Snapshot(epoch, test_right, train_right, tuple(find_blocks(matrix)), tuple(float(s) for s in shares))


def _explain(
    name: str,
    model: keras.Model,
    extractor: Extractor,
    stacks: list[np.ndarray],
    study: Study,
    seen: _Seen,
    arrays: dict[str, np.ndarray],
    final: Snapshot,
    report: Report,
) -> dict[str, Any]:
    """What explains a trained network's map: components, influential images, probes, deletions, its outputs."""

    def tell(detail: str) -> None:
        report(Progress("looking", 9, 10, detail))

    tell("principal components")
    components = [analysis.principal_components(stack) for stack in stacks]
    cosines = [analysis.component_cosines(found) for found in components]
    arrays[f"scores/{name}"] = np.concatenate([found.scores[:, 0] for found in components], axis=1).astype(np.float32)
    arrays[f"cosines/{name}"] = np.mean(cosines, axis=0).astype(np.float32)
    blocks_without: dict[str, Any] = {}
    influential: tuple[int, ...] = ()
    without = {"component": [analysis.without_components(stack, 1) for stack in stacks]}
    if study.influential:
        removed = analysis.most_influential(stacks, study.influential)
        influential = tuple(
            int(part.start + position)
            for part, positions in zip(seen.slices, removed, strict=True)
            for position in positions
        )
        without["images"] = [analysis.without_images(s, r) for s, r in zip(stacks, removed, strict=True)]
    for what, found in without.items():
        matrix = analysis.cka_matrix(found)
        arrays[f"self/{name}/{final.epoch}/{what}"] = matrix.astype(np.float32)
        blocks_without[what] = tuple(find_blocks(matrix))
    last: Any = model.layers[-1]
    logits = last.activation.__name__ != "softmax"
    arrays[f"outputs/{name}"] = log_probabilities(_outputs(model, seen.test.x), logits=logits).astype(np.float32)
    return {
        "blocks_without": blocks_without,
        "influential": influential,
        "probes": tuple(_probes(model, extractor, study, seen, tell)),
        "deletions": tuple(_deletions(model, extractor, final, seen, tell)),
    }


def _probes(
    model: keras.Model, extractor: Extractor, study: Study, seen: _Seen, tell: Callable[[str], None]
) -> Iterator[Probe]:
    """A linear probe on every residual block's output, trained on training images, tried on the sample."""
    outputs = [block.add for block in residual_blocks(extractor.layers)]
    if not outputs or not study.probes:
        return
    count = min(study.probes, len(seen.train.x))
    chosen = choose(seen.train.y, count, PROBE_SEED, balanced=True)
    x = np.concatenate([seen.train.x[chosen], seen.sample.x])
    only = Extractor(model, [extractor.layers[position].name for position in outputs])
    for positions, arrays in only.activations(x):
        for position, features in zip(positions, arrays, strict=True):
            tell(f"linear probe {position + 1} of {len(outputs)}")
            found = probe(features[:count], seen.train.y[chosen], features[count:], seen.sample.y)
            yield Probe(outputs[position], float(found.accuracy), float(found.train_accuracy))


def _deletions(
    model: keras.Model, extractor: Extractor, final: Snapshot, seen: _Seen, tell: Callable[[str], None]
) -> Iterator[Deletion]:
    """Accuracy on the sample without each residual block, and without all that lie inside a block of the map.

    The first is without none, to compare with.
    """
    found = residual_blocks(extractor.layers)
    if not found:
        return
    sets: list[tuple[str, ...]] = [(), *((block.name,) for block in found)]
    for block in final.blocks:
        inside = tuple(one.name for one in found if block.start <= one.first and one.add < block.stop)
        if len(inside) > 1:
            sets.append(inside)
    for number, names in enumerate(sets):
        tell(f"deleting residual blocks, {number + 1} of {len(sets)}")
        with without_blocks(model, names):
            right = _outputs(model, seen.sample.x).argmax(-1) == seen.sample.y
        yield Deletion(names, float(right.mean()))


def _outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    found = [model.predict_on_batch(pixels(x[start : start + AT_ONCE])) for start in range(0, len(x), AT_ONCE)]
    return np.concatenate(found)


# A minibatch.


def _compare(study: Study, index: int, store: Store, report: Report) -> None:
    """HSIC of all layers of all networks with each other on one minibatch: one matrix product."""
    batches = []
    for network, name in enumerate(study.names):
        report(Progress("comparing", network, len(study.names) + 1, f"reading {name}"))
        batches.append(_stored_grams(study, network, index, store))
    report(Progress("comparing", len(study.names), len(study.names) + 1, "one product of all layers"))
    sums = all_pairs(batches)
    store.put(_sums(study), f"minibatch-{index}", _bytes({}, sums.state()))


def all_pairs(batches: Sequence[GramBatch]) -> HsicSums:
    """HSIC of all layers of several networks with each other on one minibatch, in one matrix product."""
    joined = GramBatch(
        names=tuple(name for batch in batches for name in batch.names),
        m=batches[0].m,
        first=batches[0].first,
        triangles=np.concatenate([batch.triangles for batch in batches]),
        exponents=np.concatenate([batch.exponents for batch in batches]),
        squares=np.concatenate([batch.squares for batch in batches]),
        reasons=[reason for batch in batches for reason in batch.reasons],
        outliers=[outlier for batch in batches for outlier in batch.outliers],
    )
    sums = HsicSums(len(joined.names), len(joined.names))
    sums.add(joined, joined)
    return sums


def _stored_grams(study: Study, network: int, where: int, store: Store) -> GramBatch:
    """A network's Gram matrices on one minibatch: kept when it was looked at, or made again where they are gone."""
    kind, name = _place(study, network), f"grams-{where}"
    data = store.get(kind, name)
    if data is not None:
        try:
            return GramBatch.from_bytes(data)
        except ValueError as error:
            store.set_aside_object(kind, name, str(error))
    model = library.load_model(library.find(study.names[network], store).spec, store)
    images = study.sample.load(store)
    part = minibatches(len(images), study.batch_size)[where]
    batch = Extractor(model).grams(images.x[part], part.start)
    store.put(kind, name, batch.to_bytes())
    return batch


def _place(study: Study, index: int) -> str:
    """Where what is found of a network stands: whatever other networks the study has, it is the same."""
    asked = [study.trainings[index], study.names[index], study.sample, study.batch_size]
    values = [dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value for value in asked]  # type: ignore[arg-type]
    return f"atlas/{key_of([*values, study.probes, study.influential])}"


def _sums(study: Study) -> str:
    return f"atlas/{study.key}"


def _bytes(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    text = json.dumps(about, allow_nan=False).encode()
    buffer = io.BytesIO()
    named: dict[str, Any] = {**arrays, "about": np.frombuffer(text, np.uint8)}
    np.savez(buffer, **named)
    return buffer.getvalue()


def _read(store: Store, kind: str, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data = store.get(kind, name)
    if data is None:
        raise ValueError(f"A step of the study, {name}, is missing or damaged. Build again: it is made again.")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key != "about"}
        return json.loads(file["about"].tobytes()), arrays
