"""Where a comparison's Gram matrices come from: a model at hand, a network by its spec, or an activation set.

A network by its spec keeps its Gram matrices in the store, minibatch by minibatch, and is loaded only where one is
missing. An activation set needs neither its network nor the images.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cka_core.base import records
from cka_core.base.keys import key_of
from cka_core.base.progress import Progress, Report
from cka_core.base.store import Store, gram_budget
from cka_core.base.words import now
from cka_core.comparing.warm import warm_extractor
from cka_core.images.sets import Images, SampleSpec
from cka_core.library import catalogue
from cka_core.measures.grams import GramBatch
from cka_core.networks import fitting, inputs
from cka_core.networks.activations import Extractor, StepReport
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.building import weights_digest
from cka_core.networks.layer_graph import INFERENCE
from cka_core.networks.layers import Layer, matching
from cka_core.networks.layouts import shape_text
from cka_core.networks.preprocessing import AUTO, DIVIDE, NONE, Pixels
from cka_core.results.activation_sets import ActivationSet, Sample
from cka_core.results.schemas import GramsAbout

if TYPE_CHECKING:
    import keras


class Source(Protocol):
    """One network's Gram matrices, a minibatch at a time. ``all_layers`` are those a pattern may name."""

    name: str
    layers: tuple[Layer, ...]
    all_layers: tuple[Layer, ...]
    steps: int
    preprocessing: str

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch: ...

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]: ...

    def provenance(self) -> dict[str, Any]: ...


class Live:
    """Gram matrices computed as they are asked for."""

    def __init__(self, extractor: Extractor, images: Any):
        x = inputs.of_network(images, extractor.input_names, extractor.name)
        extractor.check_images(x)
        self.extractor, self.x = extractor, inputs.with_mask(x, extractor.input_names, images)
        self.pixels = extractor.pixels(x)
        self.preprocessing = in_words(self.pixels, x)
        self.name, self.layers, self.steps = extractor.name, extractor.layers, extractor.steps
        self.all_layers = extractor.all_layers

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        return self.extractor.grams(inputs.rows(self.x, where), where.start, report)

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        return self.extractor.parts(inputs.rows(self.x, where), where.start, report)

    def provenance(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "architecture": self.name,
            "weights": self.extractor.weights_digest(),
            "source": "given as a model",
            "seed": None,
            "layers": len(self.layers),
            "preprocessing": dataclasses.asdict(self.pixels),
        }


class Stored:
    """Gram matrices from the store, computed and kept there where missing. The network is loaded only if needed.

    ``keep`` says whether they are kept, ``computed`` counts the minibatches that were missing. With ``needs_norms``
    those that an earlier version kept without norms count as missing.
    """

    def __init__(
        self,
        network: NetworkSpec,
        sample: SampleSpec,
        images: Images,
        batch_size: int,
        layers: Sequence[str] | None,
        store: Store,
        report: Report,
        preprocessing: str = AUTO,
        batch_norm: str = INFERENCE,
        fit: bool = False,
    ):
        self.network, self.images, self.patterns = network, images, layers
        self.asked, self.batch_norm, self.may_fit = preprocessing, batch_norm, fit
        self._x: np.ndarray | None = None
        self.store, self.report = store, report
        self.name = network.name if network.source == "file" else catalogue.find(network.name, store).title
        self.keep, self.needs_norms = True, False
        self.computed = 0
        self._extractor: Extractor | None = None
        self.key = grams_key(network, images.digest, batch_size, layers, preprocessing, batch_norm, fit)
        self._record = f"grams/{self.key}/about.json"
        about: Any = records.kept(self._record, GramsAbout, store)
        if about is None:
            extractor = self._load()
            x = self._entering()
            about = {
                "layers": [dataclasses.asdict(layer) for layer in extractor.layers],
                "steps": extractor.steps,
                "weights": extractor.weights_digest(),
                "pixels": dataclasses.asdict(extractor.pixels(x)),
            } | ({"fit": self._fit.words} if self._fit.words else {})
        self.weights = about["weights"]
        self.layers = tuple(Layer.from_json(layer) for layer in about["layers"])
        self.all_layers = self.layers
        self.steps = int(about["steps"])
        # Kept by a version that divided all images by 255; only networks for which that was right keep their key.
        self.pixels = Pixels(**about["pixels"]) if "pixels" in about else Pixels(DIVIDE, "")
        self.preprocessing = in_words(self.pixels, images.x)
        self.fitted = str(about.get("fit") or "")
        if "network" not in about:  # new, or kept by a version that did not say whose these are
            about |= {
                "network": self.provenance(), "sample": Sample.of(sample, images).to_json(),
                "batch_size": batch_size, "patterns": layers, "preprocessing": self.preprocessing,
                "versions": versions(), "created": now(),
            }  # fmt: skip
        self.about: dict[str, Any] = about

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        if self.keep:
            batch = self.batch(index, where, report)
            yield batch, range(len(batch.triangles))
        else:
            yield from self._load().parts(self._entering()[where], where.start, report)

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        key = f"{self.key}/{index:05d}"
        if self.keep:
            self._describe()
            batch = stored_batch(key, self.store)
            if batch is not None and not (self.needs_norms and batch.norms is None):
                report(self.steps, 1, len(self.layers))
                return batch
        batch = self._load().grams(self._entering()[where], where.start, report)
        self.computed += 1
        if self.keep:
            self.store.put("grams", key, batch.to_bytes())
        return batch

    @property
    def takes_ids(self) -> bool:
        """Whether an `Embedding` looks up what enters; pictures none does, and of them nothing is loaded."""
        return self.images.x.ndim != 4 and self._load().takes_ids

    def _describe(self) -> None:
        """Say in the store whose Gram matrices these are, once."""
        if self.store.read_record(self._record) != self.about:
            self.store.write_record(self._record, self.about)

    def _entering(self) -> np.ndarray:
        """The images as the network takes them; ValueError where that changes them and nobody asked for it."""
        if self._x is None:
            shape, expected = self.images.x.shape[1:], self._load().input_shape[1:]
            self._fit = fitting.plan(shape, expected, self.name, ids=self._load().takes_ids)
            if self._fit.words and not self.may_fit:
                raise ValueError(
                    f"{self.name} takes {shape_text(expected)}, and the images are {shape_text(shape)}. They would be "
                    f"{self._fit.words}. Say so with --fit-images, or choose other images."
                )
            x = fitting.fitted(self.images.x, self._fit)
            self._load().check_images(x, self.name)
            self._x = x
        return self._x

    def _load(self) -> Extractor:
        if self._extractor is None:
            self.report(Progress("loading networks", 0, 1, f"loading {self.name}"))
            name = json.dumps(identity(self.network))
            self._extractor = warm_extractor(name, self.patterns, self._load_model, self.asked, self.batch_norm)
        return self._extractor

    def _load_model(self) -> keras.Model:
        model = catalogue.load_model(self.network, self.store)
        if self.network.source in ("bundled", "trained") and weights_digest(model) != self.network.weights:
            raise ValueError(f"{self.network.name} has other weights than when it was chosen. Choose it again.")
        return model

    def provenance(self) -> dict[str, Any]:
        return {
            "name": self.network.name,
            "architecture": self.network.architecture or self.name,
            "weights": self.weights,
            "source": self.network.source,
            "seed": self.network.seed,
            "layers": len(self.layers),
            "preprocessing": dataclasses.asdict(self.pixels),
        } | ({"fit": self.fitted} if self.fitted else {})


class FromSet:
    """Gram matrices of an activation set: its network is not needed, nor are its images."""

    steps = 1

    def __init__(self, found: ActivationSet, patterns: Sequence[str] | None):
        self.set, self.name = found, found.name
        self.preprocessing = found.preprocessing
        self.all_layers = found.layers
        self._chosen = matching(found.layers, patterns)
        self.layers = tuple(found.layers[position] for position in self._chosen)

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        batch = self.set.minibatch(index)
        report(1, 1, len(self.layers))
        return batch if len(self._chosen) == len(self.all_layers) else batch.select(self._chosen)

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        batch = self.batch(index, where, report)
        yield batch, range(len(self.layers))

    def provenance(self) -> dict[str, Any]:
        return self.set.network | {
            "name": self.name,
            "source": "activations",
            "layers": len(self.layers),
            "set": self.set.digest,
            "made_with": self.set.versions,
        }


class Some:
    """Some layers of another source, by patterns; its Gram matrices are computed and kept of all."""

    def __init__(self, source: Source, patterns: Sequence[str] | None):
        self.source, self.name, self.steps, self.all_layers = source, source.name, source.steps, source.all_layers
        self.preprocessing = source.preprocessing
        self._chosen = matching(source.layers, patterns)
        self.layers = tuple(source.layers[position] for position in self._chosen)

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        return self.source.batch(index, where, report).select(self._chosen)

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        yield self.batch(index, where, report), range(len(self.layers))

    def provenance(self) -> dict[str, Any]:
        return self.source.provenance() | {"layers": len(self.layers)}


def check_made_so(found: ActivationSet, preprocessing: str, batch_norm: str) -> None:
    """Refuse an activation set that was made otherwise than asked for now."""
    form = {DIVIDE: "uint8 / 255", NONE: "as given"}.get(preprocessing, preprocessing)
    other = preprocessing if form not in (AUTO, found.preprocessing) else ""
    if batch_norm != INFERENCE:
        other = "batch norm in train mode"
    if other:
        raise ValueError(
            f"{found.name} was made with preprocessing {found.preprocessing!r} and batch norm at inference, and "
            f"refuses {other}. Leave it to the set, or compare the network itself."
        )


def stored_batch(key: str, store: Store) -> GramBatch | None:
    """A minibatch of Gram matrices from the store; None if it is missing or damaged, which then is set aside."""
    data = store.get("grams", key)
    if data is None:
        return None
    try:
        return GramBatch.from_bytes(data)
    except ValueError as error:
        store.set_aside_object("grams", key, str(error))
        return None


def fits_budget(layers: int, slices: Sequence[slice]) -> bool:
    """Whether the store may keep the Gram matrices, triangles in float32, of so many layers on these minibatches."""
    pairs = sum((part.stop - part.start) * (part.stop - part.start - 1) // 2 for part in slices)
    return layers * pairs * 4 <= gram_budget()


def grams_key(
    network: NetworkSpec, digest: str, batch_size: int, layers: Any, preprocessing: str = AUTO, norm: str = INFERENCE,
    fit: bool = False,
) -> str:  # fmt: skip
    """Under which name the store keeps a network's Gram matrices on the images of a digest."""
    asked: dict[str, Any] = {} if preprocessing == AUTO else {"preprocessing": preprocessing}
    asked |= {} if norm == INFERENCE else {"batch_norm": norm}
    asked |= {"fit": True} if fit else {}
    sample = {"sample": digest, "batch_size": batch_size, "layers": layers, "grams": 1}
    return key_of({"network": identity(network)} | sample | asked)


def identity(network: NetworkSpec) -> list[Any]:
    """What makes two networks the same one here: random weights are drawn by Keras, which may change."""
    if network.weights:
        return network.identity
    return [*network.identity, version("keras"), version("tensorflow")]


def in_words(pixels: Pixels, x: inputs.Entering) -> str:
    """How a provenance says in what form images entered a network."""
    if isinstance(x, dict):
        return pixels.form
    if pixels.form == NONE:
        return "as given"
    return "uint8 / 255" if pixels.form == DIVIDE and x.dtype == np.uint8 else pixels.form


def versions(*packages: str) -> dict[str, str]:
    """Of the packages that decide about the last digits, Keras' if none are named; those that are here."""
    found = {}
    for package in packages or ("keras", "tensorflow", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
