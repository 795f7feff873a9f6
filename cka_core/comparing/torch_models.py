"""A comparison with a PyTorch network on at least one side, minibatch by minibatch."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from cka_core.base.progress import Progress, Report
from cka_core.base.words import now
from cka_core.comparing import tallies
from cka_core.comparing.arrays import check_memory
from cka_core.comparing.sources import in_words, versions
from cka_core.comparing.torch_images import Digest, Entrance, Minibatches, open_images
from cka_core.comparing.warm import live_extractor
from cka_core.images.sets import Images
from cka_core.measures import registry
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.measure import MeasureMeans
from cka_core.networks.activations import StepReport
from cka_core.networks.layer_graph import input_names
from cka_core.networks.layers import Choice, Layer, check_patterns
from cka_core.networks.torch_calls import BatchAxis, DidNotRun, check_batch_axis
from cka_core.networks.torch_inputs import count
from cka_core.networks.torch_layers import Forward, TorchExtractor
from cka_core.results.comparison import Comparison

SAID = 5
"""Layers left out that a note names one by one; the provenance has all of them."""


def is_torch(model: Any) -> bool:
    """Whether it is a PyTorch model; PyTorch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


class _Network(Protocol):
    """What `TorchExtractor` and Keras' `Extractor` have in common."""

    name: str
    layers: tuple[Layer, ...]
    all_layers: tuple[Layer, ...]

    @property
    def steps(self) -> int: ...

    def grams(self, x: Any, first: int = 0, report: StepReport | None = None) -> GramBatch: ...

    def weights_digest(self) -> str: ...


class _Side:
    """One network with the form in which images enter it. It is opened by the first minibatch."""

    def __init__(self, model: Any, stream: Minibatches, beside_keras: bool, preprocessing: str, forward: Forward):
        self.model, self.is_torch = model, is_torch(model)
        names = () if self.is_torch else input_names(model)
        shape = None if self.is_torch else () if len(names) > 1 else tuple(model.input_shape)
        self.forward = forward
        self.enter = Entrance(stream, shape, beside_keras, preprocessing, forward is not None, names)
        self.preprocessing = preprocessing
        self.network: _Network | None = None
        self.digest: Future[str] | None = None

    def open(self, batch: Any, layers: Choice, tokens: str, batch_axis: BatchAxis) -> _Network:
        if self.is_torch:
            network = TorchExtractor(
                self.model, batch, layers=layers, tokens=tokens, forward=self.forward, batch_axis=batch_axis
            )
            if network.is_queued:  # its weights are read while it runs
                pool = ThreadPoolExecutor(1)
                self.digest = pool.submit(network.weights_digest)
                pool.shutdown(wait=False)
            self.network = network
            return network
        extractor = live_extractor(self.model, layers, self.preprocessing, tokens=tokens)
        extractor.check_images(batch)
        self.enter.pixels = extractor.pixels(batch)
        words = in_words(self.enter.pixels, batch)
        self.enter.done += [words] if words != "as given" else []
        self.network = extractor
        return extractor

    def provenance(self) -> dict[str, Any]:
        assert self.network is not None
        about: dict[str, Any] = {
            "name": self.network.name,
            "architecture": self.network.name,
            "weights": self.network.weights_digest() if self.digest is None else self.digest.result(),
            "source": "given as a PyTorch model" if self.is_torch else "given as a model",
            "seed": None,
            "layers": len(self.network.layers),
            "preprocessing": dataclasses.asdict(self.enter.pixels),
        }
        left_out = getattr(self.network, "left_out", {})
        return about | ({"left_out": left_out} if left_out else {})

    def note(self) -> list[str]:
        left_out = getattr(self.network, "left_out", {})
        assert self.network is not None
        if not left_out:
            return []
        said = "; ".join(f"{name}, {reason}" for name, reason in list(left_out.items())[:SAID])
        more = f"; and {len(left_out) - SAID} more" if len(left_out) > SAID else ""
        return [f"Left out of {self.network.name}: {said}{more}."]


def compare(
    model_a: Any,
    model_b: Any,
    images: Any,
    *,
    batch_size: int,
    layers: Choice,
    tokens: str,
    forward: Forward | tuple[Forward, Forward],
    batch_axis: BatchAxis,
    preprocessing: str,
    measure: str | Callable[..., Any],
    report: Report,
) -> Comparison:
    """`cka_core.compare` where at least one of the models is PyTorch's: see there."""
    started = time.perf_counter()
    chosen = registry.measure(measure)
    check_batch_axis(batch_axis)
    calls = forward if isinstance(forward, tuple) else (forward, forward)
    if len(calls) != 2 or not all(call is None or callable(call) for call in calls):
        raise ValueError(f"Expected forward as a function of a model and a batch, or two of them, got {forward!r:.60}.")
    stream = open_images(images, batch_size, any(call is not None for call in calls))
    beside_keras = not (is_torch(model_a) and is_torch(model_b))
    same = model_a is model_b and calls[0] is calls[1] and not stream.given.startswith("given as a pair")
    a = _Side(model_a, stream, beside_keras, preprocessing, calls[0])
    b = a if same else _Side(model_b, stream, beside_keras, preprocessing, calls[1])
    sums: HsicSums | MeasureMeans | None = None
    held: tallies.Held | None = None
    digest = Digest()
    sizes: list[int] = []
    for index, (for_a, for_b) in enumerate(stream.batches):
        if not isinstance(images, Images):
            digest.add(for_a if for_b is for_a else (for_a, for_b))
        x = a.enter(for_a)
        y = x if same else b.enter(for_b)
        if sums is None:
            shape = _opened(a, x, b, y, layers, tokens, batch_axis)
            sums = tallies.start(chosen, *shape)
            held = tallies.Held(sums)
        sizes.append(count(x))
        sides = [a.network] if same else [a.network, b.network]
        check_memory(sizes[-1], sum(len(side.layers) for side in sides if side is not None))
        teller = _teller(report, index, stream.total, [side for side in sides if side is not None])
        first = sum(sizes[:-1])
        assert a.network is not None and b.network is not None
        batch_a = a.network.grams(x, first, teller(0))
        batch_b = batch_a if same else b.network.grams(y, first, teller(1))
        sums.add(batch_a, batch_b)
        assert held is not None
        held.add(batch_a, batch_b)
    assert sums is not None and held is not None
    network_a = a.provenance()
    provenance = {
        "network_a": network_a,
        "network_b": network_a if same else b.provenance(),
        "images": {
            "images": stream.given,
            "n": sum(sizes),
            "digest": images.digest if isinstance(images, Images) else digest.hexdigest(),
        },
        "preprocessing": a.enter.words if a.enter.words == b.enter.words else "each network's own",
        **_batch_sizes(sizes, stream.batch_size),
        **tallies.words(chosen),
        "tokens": tokens,
        "versions": versions("torch", "numpy", *(("keras", "tensorflow") if beside_keras else ())),
        "seconds": round(time.perf_counter() - started, 3),
        "created": now(),
    }
    notes = dict.fromkeys([*sums.warnings, *a.note(), *([] if same else b.note())])  # two of one class may say the same
    assert a.network is not None and b.network is not None
    return Comparison(
        sums.matrix(),
        a.network.layers,
        b.network.layers,
        sums.reasons_a,
        sums.reasons_b,
        provenance,
        tuple(notes),
        held.jackknife(),
    )


def _opened(a: _Side, x: Any, b: _Side, y: Any, layers: Choice, tokens: str, batch_axis: BatchAxis) -> tuple[int, int]:
    """Find the layers of both networks by a first look at their first minibatch; how many there are."""
    found: list[_Network] = []
    for which, opened, batch in (("A", a, x), ("B", b, y))[: 1 if b is a else 2]:
        try:
            found.append(opened.open(batch, layers, tokens, batch_axis))
        except DidNotRun as error:
            raise DidNotRun(f"Network {which}: {error}") from error.__cause__
    alike = len(found) == 2 and found[0].name == found[1].name
    names = [f"{side.name} ({which})" if alike else side.name for side, which in zip(found, "AB", strict=False)]
    check_patterns(layers, {name: side.all_layers for name, side in zip(names, found, strict=True)})
    for name, side in zip(names, found, strict=True):
        if not side.layers:
            hint = "; a function is not asked about containers that pass on a tensor of a module inside: name these"
            none = f"None of the layers asked for is in {name}, or none that can be compared"
            raise ValueError(f"{none}{hint if callable(layers) else ''}.")
    return len(found[0].layers), len(found[-1].layers)


def _batch_sizes(sizes: list[int], asked: int | None) -> dict[str, Any]:
    """Images in a minibatch; of each, where a number of images cut into such minibatches does not tell it."""
    size = int(asked or max(sizes))
    even = [part.stop - part.start for part in minibatches(sum(sizes), size)]
    return {"batch_size": size} | ({} if sizes == even else {"batch_sizes": sizes})


def _teller(report: Report, index: int, total: int | None, networks: list[_Network]) -> Callable[[int], StepReport]:
    steps = sum(network.steps for network in networks)

    def of(which: int) -> StepReport:
        before = index * steps + sum(network.steps for network in networks[:which])
        network = networks[which]
        where = f"minibatch {index + 1}" + (f" of {total}" if total else "")

        def tell(step: int, low: int, high: int) -> None:
            layers = f"{network.name}, layers {low} to {high} of {len(network.layers)}"
            report(Progress("comparing", before + step, (total or 0) * steps, f"{where} · {layers}"))

        return tell

    return of
