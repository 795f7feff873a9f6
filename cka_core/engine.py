"""Comparisons, end to end: two streams of Gram matrices in, one `Comparison` out.

`compare` takes Keras models, `run` a spec. `run` keeps each network's Gram matrices on a sample in the store, minibatch
by minibatch, so that a comparison with a third network costs one forward pass and a comparison that was killed goes on
where it was. Above the store's budget for them nothing is kept and both networks stream side by side.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cka_core import estimate, library
from cka_core.activations import Extractor, StepReport, check_patterns
from cka_core.arrays import check_memory, compare_activations
from cka_core.comparison import MEASURE, CompareSpec, Comparison, Layer
from cka_core.grams import GramBatch
from cka_core.images import Images, digest
from cka_core.networks import NetworkSpec, weights_digest
from cka_core.progress import Progress, Report, silent
from cka_core.similarity import HsicSums, minibatches
from cka_core.store import Store, key_of

if TYPE_CHECKING:
    import keras

__all__ = ["compare", "compare_activations", "run"]

GRAM_BUDGET = 4 << 30
"""Bytes of Gram matrices kept in a store; the environment variable CKA_GRAM_BUDGET changes it."""
SAVE_SUMS_EVERY = 30.0
"""Seconds between two savings of the sums of a comparison whose Gram matrices are not kept."""
WARM_NETWORKS = 3


def compare(
    model_a: keras.Model,
    model_b: keras.Model,
    images: np.ndarray | Images,
    *,
    batch_size: int = 256,
    layers: Sequence[str] | None = None,
    progress: Report | None = None,
) -> Comparison:
    """Compare every layer of two Keras models by unbiased minibatch CKA.

    Parameters
    ----------
    model_a, model_b : keras.Model
        Functional or sequential, one input. The same model twice is a self-comparison and runs once.
    images : (n, h, w, c) array, or `Images`
        uint8 is divided by 255, floats are taken as they are.
    batch_size : images in a minibatch, at least 4. A remainder of fewer than 4 joins the minibatch before it.
    layers : names, patterns (``*_add``) or kinds (``Conv2D``) to keep; None keeps every layer
    progress : called with a `Progress` after each group of layers; it may raise `Stopped`

    Raises
    ------
    ValueError
        For fewer than 4 images, a name that matches no layer, images of another shape, a model without a graph.
    NonFiniteActivation
        Naming the layer and the image.
    """
    started = time.perf_counter()
    x = images.x if isinstance(images, Images) else np.asarray(images)
    a = _Live(_extractor(str(id(model_a)), layers, lambda: model_a), x)
    b = a if model_b is model_a else _Live(_extractor(str(id(model_b)), layers, lambda: model_b), x)
    check_patterns(layers, {a.name: a.all_layers, b.name: b.all_layers})
    slices = minibatches(len(x), batch_size)
    sums = _stream(a, b, slices, progress or silent)
    provenance = {
        "network_a": a.provenance(),
        "network_b": b.provenance(),
        "images": {
            "images": "given as an array",
            "n": len(x),
            "digest": images.digest if isinstance(images, Images) else digest(x),
        },
        "preprocessing": _preprocessing(x),
        "batch_size": batch_size,
        "measure": MEASURE,
        "versions": _versions(),
        "seconds": round(time.perf_counter() - started, 3),
        "created": _now(),
    }
    return _result(sums, a, b, provenance)


def run(spec: CompareSpec, store: Store, report: Report = silent) -> Comparison:
    """Compute what a spec asks for, keep it in the store under ``spec.key`` and return it.

    ``report`` gets a `Progress` after each group of layers and minibatch; raising `Stopped` there keeps the minibatches
    finished so far. Errors about the request are ValueErrors that say what to do.
    """
    started = time.perf_counter()
    report(Progress("loading images", 0, 1, f"loading {spec.sample.images}"))
    images = spec.sample.load(store)
    slices = minibatches(len(images), spec.batch_size)
    a = _Stored(spec.a, spec, images, store, report)
    b = a if _identity(spec.b) == _identity(spec.a) else _Stored(spec.b, spec, images, store, report)
    check_patterns(spec.layers, {spec.a.name: a.all_layers, spec.b.name: b.all_layers})
    keep = _fits_budget(a, b, slices)
    a.keep = b.keep = keep
    partial = None if keep else _PartialSums(spec.key, store)
    sums = _stream(a, b, slices, report, partial)
    seconds = time.perf_counter() - started
    provenance = {
        "network_a": a.provenance(),
        "network_b": b.provenance() if b is not a else a.provenance() | {"name": spec.b.name},
        "images": dataclasses.asdict(spec.sample) | {"n": len(images), "digest": images.digest},
        "preprocessing": _preprocessing(images.x),
        "batch_size": spec.batch_size,
        "layers": list(spec.layers) if spec.layers else None,
        "measure": spec.measure,
        "versions": _versions(),
        "seconds": round(seconds, 3),
        "command": command(spec),
        "created": _now(),
    }
    result = _result(sums, a, b, provenance)
    store.put("comparisons", spec.key, result.to_bytes())
    if partial is not None:
        partial.forget()
    if keep:
        store.shrink("grams", gram_budget())
    if a.computed == len(slices) and b.computed == len(slices):
        names = [spec.a.architecture] if a is b else [spec.a.architecture, spec.b.architecture]
        estimate.remember(names, len(images), spec.batch_size, seconds, store)
    return result


def command(spec: CompareSpec) -> str:
    """The command line that computes a spec."""
    import shlex

    a, b = (side.path if side.source == "file" else side.name for side in (spec.a, spec.b))
    words = ["python", "-m", "cka_core", "compare", a, b, "--images", spec.sample.images, "--split", spec.sample.split]
    if spec.sample.n is not None:
        words += ["--samples", str(spec.sample.n)]
    words += ["--first"] if spec.sample.seed is None else ["--seed", str(spec.sample.seed)]
    words += ["--balanced"] if spec.sample.balanced else []
    words += ["--batch-size", str(spec.batch_size)]
    for pattern in spec.layers or ():
        words += ["--layers", pattern]
    return shlex.join([*words, "--out", "result.npz", "--figure", "result.png"])


class _Source(Protocol):
    """One network's Gram matrices, a minibatch at a time."""

    name: str
    layers: tuple[Layer, ...]
    steps: int

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch: ...

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]: ...


class _Live:
    """Gram matrices computed as they are asked for."""

    def __init__(self, extractor: Extractor, x: np.ndarray):
        extractor.check_images(x.shape)
        self.extractor, self.x = extractor, x
        self.name, self.layers, self.steps = extractor.name, extractor.layers, extractor.steps
        self.all_layers = extractor.all_layers

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        return self.extractor.grams(self.x[where], where.start, report)

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        return self.extractor.parts(self.x[where], where.start, report)

    def provenance(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "architecture": self.name,
            "weights": self.extractor.weights_digest(),
            "source": "given as a model",
            "seed": None,
            "layers": len(self.layers),
        }


class _Stored:
    """Gram matrices from the store, computed and kept there where missing. The network is loaded only if needed."""

    def __init__(self, network: NetworkSpec, spec: CompareSpec, images: Images, store: Store, report: Report):
        self.network, self.spec, self.images, self.store, self.report = network, spec, images, store, report
        self.name = library.find(network.name, store).title if network.source != "file" else network.name
        self.keep = True
        self.computed = 0
        self._extractor: Extractor | None = None
        self.key = key_of({
            "network": _identity(network), "sample": images.digest, "batch_size": spec.batch_size,
            "layers": spec.layers, "grams": 1,
        })  # fmt: skip
        self.about = store.read_record(f"grams/{self.key}/about.json")
        if self.about is None:
            extractor = self._load()
            extractor.check_images(images.x.shape)
            self.about = {
                "layers": [dataclasses.asdict(layer) for layer in extractor.layers],
                "steps": extractor.steps,
                "weights": extractor.weights_digest(),
            }
            store.write_record(f"grams/{self.key}/about.json", self.about)
        self.layers = tuple(Layer(**layer | {"shape": tuple(layer["shape"])}) for layer in self.about["layers"])
        self.all_layers = self.layers
        self.steps = int(self.about["steps"])

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        if self.keep:
            batch = self.batch(index, where, report)
            yield batch, range(len(batch.triangles))
        else:
            yield from self._load().parts(self.images.x[where], where.start, report)

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        key = f"{self.key}/{index:05d}"
        stored = self.store.get("grams", key) if self.keep else None
        if stored is not None:
            try:
                batch = GramBatch.from_bytes(stored)
            except ValueError as error:
                for entry in self.store.entries(f"grams/{self.key}"):
                    if entry.key == f"{index:05d}":
                        self.store.set_aside(entry.path, str(error))
            else:
                report(self.steps, 1, len(self.layers))
                return batch
        batch = self._load().grams(self.images.x[where], where.start, report)
        self.computed += 1
        if self.keep:
            self.store.put("grams", key, batch.to_bytes())
        return batch

    def _load(self) -> Extractor:
        if self._extractor is None:
            self.report(Progress("loading networks", 0, 1, f"loading {self.name}"))
            name = json.dumps(_identity(self.network))
            self._extractor = _extractor(name, self.spec.layers, self._load_model)
        return self._extractor

    def _load_model(self) -> keras.Model:
        model = library.load_model(self.network, self.store)
        if self.network.source in ("bundled", "trained") and weights_digest(model) != self.network.weights:
            raise ValueError(f"{self.network.name} has other weights than when it was chosen. Choose it again.")
        return model

    def provenance(self) -> dict[str, Any]:
        assert self.about is not None
        return {
            "name": self.network.name,
            "architecture": self.network.architecture or self.name,
            "weights": self.about["weights"],
            "source": self.network.source,
            "seed": self.network.seed,
            "layers": len(self.layers),
        }


class _PartialSums:
    """The sums of a comparison too large for the store's budget, saved now and then so that it can go on."""

    def __init__(self, key: str, store: Store):
        self.key, self.store = key, store
        self.saved = time.monotonic()

    def load(self) -> tuple[int, HsicSums] | None:
        data = self.store.get("partial", self.key)
        if data is None:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
        return int(state.pop("next_minibatch")), HsicSums.from_state(state)

    def save(self, next_minibatch: int, sums: HsicSums) -> None:
        if time.monotonic() - self.saved < SAVE_SUMS_EVERY:
            return
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"next_minibatch": next_minibatch, **sums.state()}
        np.savez(buffer, **arrays)
        kept = self.store.put("partial", self.key, buffer.getvalue())
        self.forget(but=kept)
        self.saved = time.monotonic()

    def forget(self, but: str = "") -> None:
        for entry in self.store.entries("partial"):
            if entry.key == self.key and entry.path != but:
                self.store.remove(entry.path)


def _stream(
    a: _Source, b: _Source, slices: Sequence[slice], report: Report, partial: _PartialSums | None = None
) -> HsicSums:
    """Minibatch by minibatch: the Gram matrices of both networks, then one matrix product."""
    sides = [a] if b is a else [a, b]
    largest = max(part.stop - part.start for part in slices)
    check_memory(largest, sum(len(side.layers) for side in sides))
    steps = sum(side.steps for side in sides)
    total = len(slices) * steps
    resumed = partial.load() if partial is not None else None
    start, sums = resumed if resumed is not None else (0, HsicSums(len(a.layers), len(b.layers)))
    for index in range(start, len(slices)):

        def teller(side: _Source, before: int, index: int = index) -> StepReport:
            def tell(step: int, low: int, high: int) -> None:
                layers = f"{side.name}, layers {low} to {high} of {len(side.layers)}"
                where = f"minibatch {index + 1} of {len(slices)} · {layers}"
                report(Progress("comparing", before + step, total, where))

            return tell

        batch = a.batch(index, slices[index], teller(a, index * steps))
        if b is a:
            sums.add(batch, batch)
        else:
            add_part = sums.start(batch)
            for part, positions in b.parts(index, slices[index], teller(b, index * steps + a.steps)):
                add_part(part, positions)
        if partial is not None:
            partial.save(index + 1, sums)
    return sums


def _result(sums: HsicSums, a: Any, b: Any, provenance: dict[str, Any]) -> Comparison:
    return Comparison(
        sums.matrix(), a.layers, b.layers, sums.reasons_a, sums.reasons_b, provenance, tuple(sums.warnings)
    )


def gram_budget() -> int:
    return int(os.environ.get("CKA_GRAM_BUDGET", GRAM_BUDGET))


def _fits_budget(a: _Stored, b: _Stored, slices: Sequence[slice]) -> bool:
    pairs = sum((part.stop - part.start) * (part.stop - part.start - 1) // 2 for part in slices)
    layers = len(a.layers) + (0 if b is a else len(b.layers))
    return layers * pairs * 4 <= gram_budget()


def _identity(network: NetworkSpec) -> list[Any]:
    """What makes two networks the same one, whatever they are called."""
    if network.weights:
        return [network.architecture, network.weights]
    return [network.architecture, network.seed, version("keras"), version("tensorflow")]


_warm: OrderedDict[str, Extractor] = OrderedDict()
"""The last few networks stay loaded and traced in this process."""


def _extractor(name: str, layers: Sequence[str] | None, load: Callable[[], keras.Model]) -> Extractor:
    key = json.dumps([name, None if layers is None else list(layers)])
    if key not in _warm:
        _warm[key] = Extractor(load(), layers)
        while len(_warm) > WARM_NETWORKS:
            _warm.popitem(last=False)
    _warm.move_to_end(key)
    return _warm[key]


def _preprocessing(x: np.ndarray) -> str:
    return "uint8 / 255" if x.dtype == np.uint8 else "as given"


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("keras", "tensorflow", "numpy")}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
