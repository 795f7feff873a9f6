"""Two streams of Gram matrices, minibatch by minibatch, and the one `Comparison` that comes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cka_core.base.progress import Progress, Report
from cka_core.comparing import tallies
from cka_core.comparing.arrays import check_memory
from cka_core.comparing.sources import FromSet, Source
from cka_core.library import files
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import HsicSums
from cka_core.measures.jackknife import Jackknife
from cka_core.measures.measure import Measure, MeasureMeans
from cka_core.networks.activations import StepReport
from cka_core.results.comparison import Comparison


def stream(
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


def result(
    sums: HsicSums | MeasureMeans,
    errors: Jackknife | None,
    a: Any,
    b: Any,
    provenance: dict[str, Any],
    warnings: tuple[str, ...] | None = None,
) -> Comparison:
    made_before = [files.doubt(side.set.network, side.layers) for side in (a, b) if isinstance(side, FromSet)]
    warnings = (*(sums.warnings if warnings is None else warnings), *filter(None, dict.fromkeys(made_before)))
    return Comparison(sums.matrix(), a.layers, b.layers, sums.reasons_a, sums.reasons_b, provenance, warnings, errors)


def preprocessing(a: Source, b: Source) -> str:
    """How images entered both networks; each network's own provenance says it where they differ."""
    return a.preprocessing if a.preprocessing == b.preprocessing else "each network's own"
