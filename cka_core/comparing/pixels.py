"""A map without what the images' pixels explain: they are one layer more, and the map is `measures.partial`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cka_core.base.store import Store
from cka_core.comparing.sources import Source
from cka_core.images.sets import Images
from cka_core.measures import partial
from cka_core.measures.grams import GramBatch, grams
from cka_core.networks.activations import StepReport
from cka_core.networks.layers import Layer
from cka_core.results.activation_sets import Sample
from cka_core.results.comparison import Comparison

PIXELS = "the images’ pixels"


class WithPixels:
    """A source's Gram matrices and, as the last layer, those of the pixels of the images they are of."""

    def __init__(self, source: Source, images: Images):
        self.source, self.images = source, images
        self.name, self.steps, self.preprocessing = source.name, source.steps, source.preprocessing
        last = (Layer(PIXELS, "Input", tuple(images.x.shape[1:])),)
        self.layers, self.all_layers = source.layers + last, source.all_layers + last

    def batch(self, index: int, where: slice, report: StepReport) -> GramBatch:
        return joined(self.source.batch(index, where, report), self._pixels(where))

    def parts(self, index: int, where: slice, report: StepReport) -> Iterator[tuple[GramBatch, Sequence[int]]]:
        yield from self.source.parts(index, where, report)
        yield self._pixels(where), [len(self.layers) - 1]

    def provenance(self) -> dict[str, Any]:
        return self.source.provenance()

    def _pixels(self, where: slice) -> GramBatch:
        x = np.asarray(self.images.x[where], np.float32)
        return grams([x], [PIXELS], first=where.start)


def joined(a: GramBatch, b: GramBatch) -> GramBatch:
    """The layers of both batches, which are of the same images."""
    return dataclasses.replace(
        a,
        names=(*a.names, *b.names),
        triangles=np.concatenate([a.triangles, b.triangles]),
        exponents=np.concatenate([a.exponents, b.exponents]),
        squares=np.concatenate([a.squares, b.squares]),
        reasons=[*a.reasons, *b.reasons],
        outliers=[*a.outliers, *b.outliers],
        norms=None if a.norms is None or b.norms is None else np.concatenate([a.norms, b.norms]),
    )


def images_behind(sample: Sample, images: Images | None, store: Store) -> Images:
    """The images of a comparison, also where activation sets stand for both networks; ValueError where it is not known
    which they are."""
    if images is not None:
        return images
    if not sample.images:
        raise ValueError(
            f"What the pixels explain needs the images, and these are not known: {sample}. Import the activation set "
            "again and say which images it is of."
        )
    found = sample.spec.load(store)
    if not sample.is_sure_to_be(Sample.of(sample.spec, found)):
        raise ValueError(f"The images here are not those of the activation set: {sample}. Make the set again.")
    return found


def without_pixels(result: Comparison) -> Comparison:
    """The map of two networks without what the last layer of both, the pixels, explains of both."""
    to_a, to_b = result.matrix[:-1, -1], result.matrix[-1, :-1]
    counted = {
        side: {**result.provenance[side], "layers": count}
        for side, count in (("network_a", len(to_a)), ("network_b", len(to_b)))
    }
    return Comparison(
        partial.without(result.matrix[:-1, :-1], to_a, to_b),
        result.layers_a[:-1],
        result.layers_b[:-1],
        _reasons(result.reasons_a, to_a),
        _reasons(result.reasons_b, to_b),
        provenance=result.provenance | counted | {"measure": partial.MEASURE.name},
        warnings=tuple(text for text in result.warnings if PIXELS not in text),
    )


def _reasons(before: Sequence[str | None], to_pixels: np.ndarray) -> tuple[str | None, ...]:
    return tuple(
        known or (partial.EXPLAINED if value**2 > partial.MOST_EXPLAINED else None)
        for known, value in zip(before[:-1], to_pixels, strict=True)
    )
