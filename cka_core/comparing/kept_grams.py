"""The Gram matrices that a finished comparison left: in the store, in its activation sets, or shipped with the package.

Nothing is computed here, and no network is loaded. Where those of all its images are not there any more, or never were,
those of the first 64 images of the same draw may be.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

from cka_core.base import npz, shipped
from cka_core.base.store import Store
from cka_core.comparing.sources import fits_budget, grams_key, stored_batch
from cka_core.images.sets import Images, SampleSpec, image_set, is_available
from cka_core.library import catalogue
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.layer_graph import INFERENCE
from cka_core.results import activation_sets
from cka_core.results.activation_sets import ActivationSet
from cka_core.results.comparison import CompareSpec, Comparison

PREDICTED = "predicted.json"
"""Beside the bundled Gram matrices: by name of a network the class that it gives each of their images."""

FEW = 64
"""Images of which the Gram matrices of bundled networks ship, and of which they are made where all are too many."""

Minibatch = Callable[[int], GramBatch | None]


@dataclasses.dataclass(frozen=True, eq=False)
class KeptGrams:
    """Gram matrices of both networks of a comparison, read a minibatch at a time.

    ``n`` images in minibatches at ``slices``; ``whole`` says whether these are all images of the comparison. ``sample``
    says which they are, None where that is not known. ``predicted``: the class that each network gives each of the
    first images, None where that is not known. ``passes``: how many passes over the images the map was made of; these
    are the minibatches of the first.
    """

    n: int
    slices: list[slice]
    whole: bool
    sample: SampleSpec | None
    digest: str
    is_self: bool
    a: Minibatch
    b: Minibatch
    predicted: tuple[list[int] | None, list[int] | None] = (None, None)
    passes: int = 1

    def minibatch(self, index: int) -> tuple[GramBatch, GramBatch]:
        """Both networks' Gram matrices of one minibatch; of a network with itself the same object twice.

        LookupError where they were removed since, or are of other layers.
        """
        a = self.a(index)
        b = a if self.is_self else self.b(index)
        if a is None or b is None:
            raise LookupError("The Gram matrices of this map are not in the store any more. Look once more.")
        return a, b

    def minibatches(self) -> Iterator[tuple[GramBatch, GramBatch]]:
        return (self.minibatch(index) for index in range(len(self.slices)))

    def images(self, store: Store) -> Images | None:
        """The images themselves, where they are here; nothing is fetched."""
        found = None if self.sample is None else _loaded(self.sample, store)
        return found if found is not None and len(found) == self.n and self.digest in ("", found.digest) else None


def find(a: NetworkSpec, b: NetworkSpec, comparison: Comparison, store: Store) -> KeptGrams | None:
    """The Gram matrices of the comparison of two networks: of all its images, else of few; None where none are."""
    found, passes = _found(a, b, comparison, store), comparison.provenance.get("passes")
    if found is None or not isinstance(passes, int) or passes == 1:
        return found
    return dataclasses.replace(found, passes=passes)


def _found(a: NetworkSpec, b: NetworkSpec, comparison: Comparison, store: Store) -> KeptGrams | None:
    told = comparison.provenance.get("images") or {}
    n, size = told.get("n"), comparison.provenance.get("batch_size")
    if not isinstance(n, int) or not isinstance(size, int) or not isinstance(told.get("digest"), str):
        return None
    sample = _sample(told, store)
    whole = _of(a, b, comparison, n, told["digest"], store)
    if whole is not None:
        predicted = _predicted(a, sample), _predicted(b, sample)
        slices = minibatches(n, size)
        return KeptGrams(n, slices, True, sample, told["digest"], comparison.is_self, *whole, predicted)
    if sample is None or n <= FEW or "activations" in (a.source, b.source):
        return None
    few = dataclasses.replace(sample, n=FEW)
    shipped_ones = [_shipped(side, few, comparison) for side in (a, b)]
    if shipped_ones[0] is not None and shipped_ones[1] is not None:
        one, other = shipped_ones[0], shipped_ones[1]
        digest, predicted = one.sample.digest, (_predicted(a, few), _predicted(b, few))
        reads = [
            functools.partial(_of_layers, made.minibatch, tuple(layer.name for layer in layers))
            for made, layers in ((one, comparison.layers_a), (other, comparison.layers_b))
        ]
        return KeptGrams(FEW, one.slices, False, few, digest, comparison.is_self, reads[0], reads[1], predicted)
    images = _loaded(few, store)
    if images is None:
        return None
    kept = _of(a, b, comparison, FEW, images.digest, store)
    return kept and KeptGrams(FEW, minibatches(FEW, size), False, few, images.digest, comparison.is_self, *kept)


def asking(a: NetworkSpec, b: NetworkSpec, comparison: Comparison, store: Store | None = None) -> CompareSpec | None:
    """The comparison to be run so that `find` finds something: this one once more, or that of few of its images where
    the store would not keep so many Gram matrices. None where no run can make them: these are activation sets, or it is
    not known which images they were."""
    told, size = comparison.provenance.get("images") or {}, comparison.provenance.get("batch_size")
    sample = _sample(told, store)
    if {a.source, b.source} == {"activations"} or sample is None or not isinstance(size, int):
        return None
    layers = len(comparison.layers_a) + (0 if comparison.is_self else len(comparison.layers_b))
    if not fits_budget(layers, minibatches(told["n"], size)):
        if "activations" in (a.source, b.source):  # made of all of its images, and of no others
            return None
        sample = dataclasses.replace(sample, n=FEW)
    norm = comparison.provenance.get("batch_norm") or INFERENCE
    return CompareSpec(a, b, sample, size, batch_norm=norm, fit=_is_fitted(comparison))


def _sample(told: dict[str, Any], store: Store | None) -> SampleSpec | None:
    """Which images a provenance names, whatever their set is called now; None where it does not say, or no set is here
    that has them."""
    try:
        found, n = image_set(str(told.get("images")), store, held=str(told.get("held") or "")), told.get("n")
    except ValueError:
        return None
    if not isinstance(n, int) or n > found.sizes.get(str(told.get("split")), 0):
        return None
    return SampleSpec(found.name, told["split"], n, told.get("seed"), bool(told.get("balanced")))


def _loaded(sample: SampleSpec, store: Store) -> Images | None:
    """Images that are here; None where they are not, or not any more. Nothing is fetched."""
    try:
        return sample.load(store) if is_available(sample.images, store) else None
    except ValueError:  # removed, damaged, or another set is called so now
        return None


def _is_fitted(comparison: Comparison) -> bool:
    """Whether images were changed for one of the networks."""
    return any((comparison.provenance.get(one) or {}).get("fit") for one in ("network_a", "network_b"))


def _of(
    a: NetworkSpec, b: NetworkSpec, comparison: Comparison, n: int, digest: str, store: Store
) -> tuple[Minibatch, Minibatch] | None:
    """Where to read the minibatches of both networks on ``n`` images; None if one of them is missing."""
    size = comparison.provenance["batch_size"]
    norm = comparison.provenance.get("batch_norm") or INFERENCE
    fit = _is_fitted(comparison)
    found = []
    for side, layers in ((a, comparison.layers_a), (b, comparison.layers_b)):
        if side.source == "activations":
            try:
                made = catalogue.load_set(side, store)
            except (ValueError, OSError):  # deleted, or another one is called so now
                return None
            if (made.sample.n, made.batch_size) != (n, size):
                return None
            read: Minibatch = made.minibatch
        else:
            key = grams_key(side, digest, size, None, norm=norm, fit=fit)
            if not all(store.has("grams", f"{key}/{index:05d}") for index in range(len(minibatches(n, size)))):
                return None
            read = functools.partial(_stored, key, store)
        found.append(functools.partial(_of_layers, read, tuple(layer.name for layer in layers)))
    return found[0], found[1]


def _of_layers(read: Minibatch, names: tuple[str, ...], index: int) -> GramBatch | None:
    """A minibatch with the layers of a map, which may be some of a network's only."""
    batch = read(index)
    if batch is None or batch.names == names:
        return batch
    places = {name: position for position, name in enumerate(batch.names)}
    if not all(name in places for name in names):
        return None
    return batch.select([places[name] for name in names])


def _stored(key: str, store: Store, index: int) -> GramBatch | None:
    return stored_batch(f"{key}/{index:05d}", store)


def _shipped(side: NetworkSpec, few: SampleSpec, comparison: Comparison) -> ActivationSet | None:
    """The Gram matrices of a bundled network, where they are of these images and made as the comparison was."""
    if comparison.provenance.get("batch_norm", INFERENCE) != INFERENCE:
        return None
    found = _bundled(side)
    return found if found is not None and found.sample.spec == few else None


def _bundled(side: NetworkSpec) -> ActivationSet | None:
    if side.source != "bundled":
        return None
    try:
        found = activation_sets.read(shipped.GRAMS / f"{side.name}.npz")
    except (npz.NotReadable, OSError):
        return None
    return found if found.network["weights"] == side.weights else None


def _predicted(side: NetworkSpec, sample: SampleSpec | None) -> list[int] | None:
    """The class that a bundled network gives each of the first images of a sample; None where that is not known.

    Draws with one seed begin alike, whatever their number, unless they are balanced.
    """
    found = _bundled(side)
    if found is None or sample is None or sample.balanced or sample.n is None or sample.n < found.sample.n:
        return None
    if dataclasses.replace(sample, n=found.sample.n) != found.sample.spec:
        return None
    classes: dict[str, list[int]] = json.loads((shipped.GRAMS / PREDICTED).read_text(encoding="utf-8"))
    return classes.get(side.name)
