"""Comparisons, end to end: two streams of Gram matrices in, one `Comparison` out.

`compare` takes models, `run` a spec. `run` keeps each network's Gram matrices on a sample in the store, minibatch
by minibatch, so that a comparison with a third network costs one forward pass and a comparison that was killed goes on
where it was. Above the store's budget for them nothing is kept and both networks stream side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store, gram_budget
from cka_core.comparing import estimate, tallies, torch_models
from cka_core.comparing.arrays import check_memory, compare_activations
from cka_core.comparing.shown import described, images_shown
from cka_core.comparing.sources import FromSet, Live, Some, Source, Stored, live_extractor, now, versions
from cka_core.images.sets import Images, digest
from cka_core.library import catalogue, files
from cka_core.measures import registry
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.jackknife import Jackknife
from cka_core.measures.measure import Measure, MeasureMeans
from cka_core.networks.activations import StepReport, check_patterns
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.layer_graph import INFERENCE
from cka_core.networks.layers import Choice
from cka_core.networks.preprocessing import AUTO
from cka_core.networks.torch_calls import BatchAxis
from cka_core.networks.torch_layers import Forward
from cka_core.results.comparison import MEASURE, CompareSpec, Comparison

if TYPE_CHECKING:
    import keras
    import torch

__all__ = ["compare", "compare_activations", "run"]


def compare(
    model_a: keras.Model | torch.nn.Module,
    model_b: keras.Model | torch.nn.Module,
    images: Any,
    *,
    batch_size: int = 256,
    layers: Choice = None,
    progress: Report | None = None,
    preprocessing: str = AUTO,
    measure: str | Callable[..., Any] = "cka",
    batch_norm: str = INFERENCE,
    tokens: str = "flatten",
    forward: Forward | tuple[Forward, Forward] = None,
    batch_axis: BatchAxis = None,
) -> Comparison:
    """Compare every layer of two models, by unbiased minibatch CKA or another measure.

    What is compared is what the models' own inference gives: of a Keras model for each call of each layer what
    ``predict`` of a model with that tensor as its output gives, of a PyTorch model what its modules return in
    evaluation mode.

    Parameters
    ----------
    model_a, model_b : keras.Model or torch.nn.Module, two of one framework or one of each
        Keras: functional or sequential, one input. PyTorch: any; it runs on its own device and is left as it was. The
        same model twice is a self-comparison and runs once.
    images : (n, ...) array, or `Images`
        uint8 is brought to the form each network expects, floats are taken as they are; see ``preprocessing``. With a
        PyTorch model also a tensor, a pair ``(for_a, for_b)``, a ``Dataset``, or an iterable of batches, each of which
        is one minibatch: of a tuple the first is the input, a dict is passed as keywords. An array (n, h, w, c) enters
        a PyTorch model as (n, c, h, w) where 1, 3 or 4 channels tell it, a tensor (n, c, h, w) enters a Keras model as
        (n, h, w, c); a pair is never turned.
    batch_size : images in a minibatch, at least 4. A remainder of fewer than 4 joins the minibatch before it.
    layers : names, patterns (``*_add``) or kinds (``Conv2D``) to keep, or a function of a `Layer`; None: every layer
    progress : called with a `Progress` after each group of layers; it may raise `Stopped`
    preprocessing : how pixels from 0 to 255 enter the networks
        "auto": as they are into a network that begins with a `Rescaling`, into one that begins with a `Normalization`
        by its mean (over 2: as they are), divided by 255 into any other. "divide-by-255", "none", or as in
        ``keras.applications`` "imagenet-caffe", "imagenet-tf", "imagenet-torch": the same for both networks.
    measure : a name of `measures.registry`, or a function of two Gram stacks (`measures.measure.own_measure`)
        Procrustes takes the residual outputs (Add) where ``layers`` is None and both models have some.
    batch_norm : "inference", or "train"
        "train": batch norm takes the statistics of each minibatch, as in training, and its moving statistics stay as
        they are. Those of an untrained or hardly trained network say little about the images.
    tokens : what becomes of outputs (images, tokens, features)
        "flatten", "mean" over the tokens, "first" or "last"; the ``attention_mask`` of a dict is respected.
    forward : how to call a PyTorch model: ``forward(model, batch)``; a pair: one for each
    batch_axis : where a PyTorch tensor's images are on another axis than the first
        A dict of layer name or pattern to axis, or one axis for all such tensors. Otherwise they are left out, which
        ``warnings`` and ``provenance`` say.

    Raises
    ------
    ValueError
        For fewer than 4 images, a name that matches no layer, images of another shape, a Keras model without a graph.
    NonFiniteActivation
        Naming the layer and the image.
    """
    if torch_models.is_torch(model_a) or torch_models.is_torch(model_b):
        if batch_norm != INFERENCE:
            raise ValueError(
                f"Expected batch_norm={INFERENCE!r} with a PyTorch model, got {batch_norm!r}: its maps are those of "
                "evaluation mode. Compare two Keras models, or leave batch_norm out."
            )
        return torch_models.compare(
            model_a, model_b, images, batch_size=batch_size, layers=layers, tokens=tokens, forward=forward,
            batch_axis=batch_axis, preprocessing=preprocessing, measure=measure, report=progress or silent,
        )  # fmt: skip
    if forward is not None or batch_axis is not None:
        raise ValueError("forward and batch_axis are for PyTorch models, got Keras models only.")
    started = time.perf_counter()
    x = images.x if isinstance(images, Images) else np.asanyarray(images)
    chosen = registry.measure(measure)

    def sides(layers: Choice) -> tuple[Live, Live]:
        a = Live(live_extractor(model_a, layers, preprocessing, batch_norm, tokens), x)
        return a, a if model_b is model_a else Live(
            live_extractor(model_b, layers, preprocessing, batch_norm, tokens), x
        )

    a, b = sides(layers)
    residual = layers if callable(layers) else tallies.patterns(chosen, layers, a.all_layers, b.all_layers)
    a, b = sides(residual) if residual is not layers else (a, b)
    check_patterns(layers, {a.name: a.all_layers, b.name: b.all_layers})
    slices = minibatches(len(x), batch_size)
    sums, errors = _stream(a, b, slices, progress or silent, chosen)
    network_a = a.provenance()
    provenance = {
        "network_a": network_a,
        "network_b": network_a if b is a else b.provenance(),
        "images": {
            "images": "given as an array",
            "n": len(x),
            "digest": images.digest if isinstance(images, Images) else digest(x),
        },
        "preprocessing": _preprocessing(a, b),
        "batch_norm": batch_norm,
        "batch_size": batch_size,
        **tallies.words(chosen),
        "tokens": tokens,
        "versions": versions(),
        "seconds": round(time.perf_counter() - started, 3),
        "created": now(),
    }
    return _result(sums, errors, a, b, provenance)


def run(spec: CompareSpec, store: Store, report: Report = silent) -> Comparison:
    """Compute what a spec asks for, keep it in the store under ``spec.key`` and return it.

    ``report`` gets a `Progress` after each group of layers and minibatch; raising `Stopped` there keeps the minibatches
    finished so far. Errors about the request are ValueErrors that say what to do.
    """
    started = time.perf_counter()
    sets = {side.weights: catalogue.load_set(side, store) for side in (spec.a, spec.b) if side.source == "activations"}
    chosen = registry.measure(spec.measure)
    sample, images = images_shown(spec, sets, store, report)
    slices = minibatches(sample.n, spec.batch_size)

    def source(network: NetworkSpec) -> FromSet | Stored:
        if network.source == "activations":
            return FromSet(sets[network.weights], spec.layers)
        assert images is not None
        return Stored(
            network, spec.sample, images, spec.batch_size, spec.layers, store, report,
            spec.preprocessing, spec.batch_norm,
        )  # fmt: skip

    a = source(spec.a)
    b = a if spec.b.identity == spec.a.identity else source(spec.b)
    check_patterns(spec.layers, {spec.a.name: a.all_layers, spec.b.name: b.all_layers})
    networks = [side for side in ((a,) if b is a else (a, b)) if isinstance(side, Stored)]
    keep = _fits_budget(networks, slices)
    for network in networks:
        network.keep, network.needs_norms = keep, not tallies.is_cka(chosen)
    partial = None if keep or not tallies.is_cka(chosen) else tallies.PartialSums(spec.key, store)
    residual = tallies.patterns(chosen, spec.layers, a.all_layers, b.all_layers)
    one: Source = a
    other: Source = b
    if residual is not spec.layers:
        one = Some(a, residual)
        other = one if b is a else Some(b, residual)
    sums, errors = _stream(one, other, slices, report, chosen, partial, again=keep)
    seconds = time.perf_counter() - started
    network_a = one.provenance()
    provenance = {
        "network_a": network_a,
        "network_b": other.provenance() if b is not a else network_a | {"name": spec.b.name},
        "images": described(sample),
        "preprocessing": _preprocessing(a, b),
        "batch_norm": spec.batch_norm,
        "batch_size": spec.batch_size,
        "layers": list(residual) if residual else None,
        **tallies.words(chosen),
        "versions": versions(),
        "seconds": round(seconds, 3),
        "command": command(spec),
        "created": now(),
    }
    result = _result(sums, errors, one, other, provenance)
    store.put("comparisons", spec.key, result.to_bytes())
    if partial is not None:
        partial.forget()
    if networks and keep:
        store.shrink("grams", gram_budget())
    if not sets and tallies.is_cka(chosen) and all(network.computed == len(slices) for network in networks):
        architectures = [network.network.architecture for network in networks]
        estimate.remember(architectures, sample.n, spec.batch_size, seconds, store)
    return result


def _preprocessing(a: Source, b: Source) -> str:
    """How images entered both networks; each network's own provenance says it where they differ."""
    return a.preprocessing if a.preprocessing == b.preprocessing else "each network's own"


def command(spec: CompareSpec) -> str:
    """The command line that computes a spec."""
    import shlex

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
    for pattern in spec.layers or ():
        words += ["--layers", pattern]
    if spec.measure != MEASURE:
        words += ["--measure", spec.measure]
    return shlex.join([*words, "--out", "result.npz", "--figure", "result.png"])


def _stream(
    a: Source,
    b: Source,
    slices: Sequence[slice],
    report: Report,
    measure: Measure,
    partial: tallies.PartialSums | None = None,
    *,
    again: bool = False,
) -> tuple[HsicSums | MeasureMeans, Jackknife | None]:
    """Minibatch by minibatch: the Gram matrices of both networks, then one matrix product. Last, the standard errors.

    ``again`` says that Gram matrices can be had a second time without computing them. Where ``partial`` sums are kept
    they are too many to be held, and those of B are taken in parts.
    """
    sides = [a] if b is a else [a, b]
    largest = max(part.stop - part.start for part in slices)
    check_memory(largest, sum(len(side.layers) for side in sides))
    steps = sum(side.steps for side in sides)
    total = len(slices) * steps
    resumed = partial.load() if partial is not None else None
    sums: HsicSums | MeasureMeans
    start, sums = resumed if resumed is not None else (0, tallies.start(measure, len(a.layers), len(b.layers)))
    held = tallies.Held(sums)
    for index in range(start, len(slices)):

        def teller(side: Source, before: int, index: int = index) -> StepReport:
            def tell(step: int, low: int, high: int) -> None:
                layers = f"{side.name}, layers {low} to {high} of {len(side.layers)}"
                where = f"minibatch {index + 1} of {len(slices)} · {layers}"
                report(Progress("comparing", before + step, total, where))

            return tell

        batch = a.batch(index, slices[index], teller(a, index * steps))
        if partial is not None and b is not a and isinstance(sums, HsicSums):
            add_part = sums.start(batch)
            for part, positions in b.parts(index, slices[index], teller(b, index * steps + a.steps)):
                add_part(part, positions)
        else:
            other = batch if b is a else b.batch(index, slices[index], teller(b, index * steps + a.steps))
            sums.add(batch, other)
            held.add(batch, other)
        if partial is not None and isinstance(sums, HsicSums):
            partial.save(index + 1, sums)
    if partial is not None:
        return sums, None

    def reread() -> Iterator[tuple[GramBatch, GramBatch]]:
        for index, where in enumerate(slices):
            batch = a.batch(index, where, lambda *_: None)
            yield batch, batch if b is a else b.batch(index, where, lambda *_: None)

    return sums, held.jackknife(reread if again else None)


def _result(
    sums: HsicSums | MeasureMeans, errors: Jackknife | None, a: Any, b: Any, provenance: dict[str, Any]
) -> Comparison:
    made_before = [files.doubt(side.set.network, side.layers) for side in (a, b) if isinstance(side, FromSet)]
    warnings = (*sums.warnings, *filter(None, dict.fromkeys(made_before)))
    return Comparison(sums.matrix(), a.layers, b.layers, sums.reasons_a, sums.reasons_b, provenance, warnings, errors)


def _fits_budget(networks: Sequence[Stored], slices: Sequence[slice]) -> bool:
    pairs = sum((part.stop - part.start) * (part.stop - part.start - 1) // 2 for part in slices)
    return sum(len(network.layers) for network in networks) * pairs * 4 <= gram_budget()
