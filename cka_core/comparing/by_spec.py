"""A comparison by its spec, its Gram matrices kept in the store: `run`, and what it opens.

Each network's Gram matrices on a sample are kept minibatch by minibatch, so that a comparison with a third network
costs one forward pass and a comparison that was killed goes on where it was. Above the store's budget for them nothing
is kept and both networks stream side by side.
"""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Iterator, Sequence

from cka_core.base.progress import Report, silent
from cka_core.base.store import Store, gram_budget
from cka_core.base.words import now
from cka_core.comparing import estimate, passes, streams, tallies
from cka_core.comparing.pixels import WithPixels, images_behind, without_pixels
from cka_core.comparing.shown import assumed, described, images_shown
from cka_core.comparing.sources import FromSet, Some, Source, Stored, fits_budget, versions
from cka_core.images.sets import Images
from cka_core.library import catalogue
from cka_core.measures import registry
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.layer_graph import INFERENCE
from cka_core.networks.layers import check_patterns
from cka_core.networks.preprocessing import AUTO
from cka_core.results.activation_sets import Sample
from cka_core.results.comparison import MEASURE, CompareSpec, Comparison
from cka_core.results.spec import OF_IDS


@dataclasses.dataclass(frozen=True)
class Sides:
    """Both networks of a spec, ready to give their Gram matrices; one object twice where they are one network.

    ``slices`` are the minibatches, ``networks`` those that are not activation sets, ``keep`` whether the store keeps
    their Gram matrices, ``assumed`` what is taken for granted about the order of the images.
    """

    a: Source
    b: Source
    sample: Sample
    images: Images | None
    slices: list[slice]
    networks: list[Stored]
    keep: bool
    assumed: tuple[str, ...] = ()

    def batches(self) -> Iterator[tuple[GramBatch, GramBatch]]:
        """Each minibatch of both; the same object twice for one network."""
        for index, where in enumerate(self.slices):
            batch = self.a.batch(index, where, lambda *_: None)
            yield batch, batch if self.b is self.a else self.b.batch(index, where, lambda *_: None)


def open_sides(spec: CompareSpec, store: Store, report: Report = silent, passing: int = 0) -> Sides:
    """The two networks of a spec; ``passing`` counts the passes before this one, each in another order."""
    sets = {side.weights: catalogue.load_set(side, store) for side in (spec.a, spec.b) if side.source == "activations"}
    if sets and spec.passes > 1:
        names = " and ".join(found.name for found in sets.values())
        raise ValueError(
            f"{names} {'holds its' if len(sets) == 1 else 'hold their'} images in certain minibatches: expected one "
            f"pass, got {spec.passes}. Compare the networks themselves for more."
        )
    sample, images = images_shown(spec, sets, store, report)
    if passing:
        assert images is not None
        images = passes.shuffled(images, passing)
    slices = minibatches(sample.n, spec.batch_size)

    def source(network: NetworkSpec) -> FromSet | Stored:
        if network.source == "activations":
            return FromSet(sets[network.weights], spec.layers)
        assert images is not None
        return Stored(
            network, spec.sample, images, spec.batch_size, spec.layers, store, report,
            spec.preprocessing, spec.batch_norm, spec.fit,
        )  # fmt: skip

    a = source(spec.a)
    b = a if spec.b.identity == spec.a.identity else source(spec.b)
    check_patterns(spec.layers, {spec.a.name: a.all_layers, spec.b.name: b.all_layers})
    networks = [side for side in ((a,) if b is a else (a, b)) if isinstance(side, Stored)]
    keep = not passing and fits_budget(sum(len(network.layers) for network in networks), slices)
    is_cka = tallies.is_cka(registry.measure(spec.measure))
    for network in networks:
        network.keep, network.needs_norms = keep, not is_cka
    return Sides(a, b, sample, images, slices, networks, keep, tuple(assumed(spec, sets, sample)))


def run(spec: CompareSpec, store: Store, report: Report = silent) -> Comparison:
    """Compute what a spec asks for, keep it in the store under ``spec.key`` and return it.

    ``report`` gets a `Progress` after each group of layers and minibatch; raising `Stopped` there keeps the minibatches
    finished so far. Errors about the request are ValueErrors that say what to do.
    """
    started = time.perf_counter()
    chosen = registry.measure(spec.measure)
    sides = open_sides(spec, store, report)
    large = not sides.keep and tallies.is_cka(chosen) and not spec.without and spec.passes == 1
    partial = tallies.PartialSums(spec.key, store) if large else None
    residual = tallies.patterns(chosen, spec.layers, sides.a.all_layers, sides.b.all_layers)
    one, other = _seen(spec, sides, residual, store)
    tell = passes.told(report, 0, spec.passes)
    sums, errors = streams.stream(one, other, sides.slices, tell, chosen, partial, again=sides.keep)
    warnings = (*sums.warnings, *sides.assumed)  # those of the other passes would name the same images by other places
    for passing in range(1, spec.passes):
        tell = passes.told(report, passing, spec.passes)
        more = open_sides(spec, store, tell, passing)
        added, _ = streams.stream(*_seen(spec, more, residual, store), more.slices, tell, chosen)
        sums.merge(added)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    network_a = one.provenance()
    provenance = {
        "network_a": network_a,
        "network_b": other.provenance() if other is not one else network_a | {"name": spec.b.name},
        "images": described(sides.sample),
        "preprocessing": streams.preprocessing(one, other),
        "batch_norm": spec.batch_norm,
        "batch_size": spec.batch_size,
        "layers": list(residual) if residual else None,
        **tallies.words(chosen),
        **({"passes": spec.passes} if spec.passes > 1 else {}),
        "versions": versions(),
        "seconds": round(seconds, 3),
        "command": command(spec),
        "created": now(),
    }
    result = streams.result(sums, errors, one, other, provenance, warnings)
    result = without_pixels(result) if spec.without else result
    store.put("comparisons", spec.key, result.to_bytes())
    if partial is not None:
        partial.forget()
    if sides.networks and sides.keep:
        store.shrink("grams", gram_budget())
    if _is_usual(spec, sides):
        architectures = [network.network.architecture for network in sides.networks]
        estimate.remember(architectures, sides.sample.n, spec.batch_size, seconds, store)
    return result


def _seen(spec: CompareSpec, sides: Sides, residual: Sequence[str] | None, store: Store) -> tuple[Source, Source]:
    """The sources as a spec looks at them: some of their layers, or the pixels as one layer more."""
    a, b = sides.a, sides.b
    one: Source = Some(a, residual) if residual is not spec.layers else a
    other: Source = one if b is a else Some(b, residual) if residual is not spec.layers else b
    if spec.without:
        for network in sides.networks:
            if network.takes_ids:
                raise ValueError(OF_IDS.format(network=network.name))
        images = images_behind(sides.sample, sides.images, store)
        first = WithPixels(one, images)
        return first, first if b is a else WithPixels(other, images)
    return one, other


def _is_usual(spec: CompareSpec, sides: Sides) -> bool:
    """Whether how long it took says how long such comparisons take."""
    computed = all(network.computed == len(sides.slices) for network in sides.networks)
    usual = spec.passes == 1 and not spec.without and tallies.is_cka(registry.measure(spec.measure))
    return usual and computed and "activations" not in (spec.a.source, spec.b.source)


def command(spec: CompareSpec) -> str:
    """The command line that computes a spec."""
    words = ["python", "-m", "cka_core", "compare", *(side.path or side.name for side in (spec.a, spec.b))]
    if spec.sample.images:  # else the activation sets say which
        words += ["--images", spec.sample.images, "--split", spec.sample.split]
        if spec.sample.n is not None:
            words += ["--samples", str(spec.sample.n)]
        words += ["--first"] if spec.sample.seed is None else ["--seed", str(spec.sample.seed)]
        words += ["--balanced"] if spec.sample.balanced else []
        words += ["--batch-size", str(spec.batch_size)]
    words += ["--preprocessing", spec.preprocessing] if spec.preprocessing != AUTO else []
    words += ["--batch-norm", spec.batch_norm] if spec.batch_norm != INFERENCE else []
    words += ["--fit-images"] if spec.fit else []
    for pattern in spec.layers or ():
        words += ["--layers", pattern]
    words += ["--passes", str(spec.passes)] if spec.passes > 1 else []
    words += ["--without", spec.without] if spec.without else []
    if spec.measure != MEASURE:
        words += ["--measure", spec.measure]
    return shlex.join([*words, "--out", "result.npz", "--figure", "result.png"])
