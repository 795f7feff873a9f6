"""Biased and unbiased CKA of one pair of layers, on random samples of a comparison's images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.comparing.by_spec import open_sides
from cka_core.measures.estimators import Estimates, estimates
from cka_core.measures.matrices import doubly_centred_layer
from cka_core.networks.layers import Layer
from cka_core.results import estimators, views
from cka_core.results.estimators import MOST_IMAGES, EstimatorSpec
from cka_core.results.spec import MEASURE


def run(spec: EstimatorSpec, store: Store, report: Report = silent) -> Estimates:
    """Look at the two layers, keep what was found in the store, and return it.

    All images, 1,024 at most, make one minibatch. Activation sets hold theirs in minibatches: the first one is taken.
    """
    of = dataclasses.replace(spec.of, measure=MEASURE, passes=1, without="")
    if "activations" not in (of.a.source, of.b.source):
        n = min(of.sample.n or MOST_IMAGES, MOST_IMAGES)
        names = tuple(dict.fromkeys((spec.layer_a, spec.layer_b)))
        of = dataclasses.replace(of, sample=dataclasses.replace(of.sample, n=n), batch_size=n, layers=names)
    sides = open_sides(of, store, report)
    for network in sides.networks:
        network.needs_norms = True
    a, b = next(sides.batches())
    places = [
        _place(side.layers, name, network.name)
        for side, name, network in ((sides.a, spec.layer_a, of.a), (sides.b, spec.layer_b, of.b))
    ]
    report(Progress("drawing samples", 1, 2, f"{spec.draws} random samples of {a.m:,} images"))
    found = estimates(doubly_centred_layer(a, places[0]), doubly_centred_layer(b, places[1]), spec.draws)
    estimators.keep(spec, found, store)
    return found


def _place(layers: Sequence[Layer], name: str, network: str) -> int:
    names = views.unique_names(layers)
    if name not in names:
        raise ValueError(f"Expected a layer of {network}, got {name!r}. Choose a cell of its map.")
    return names.index(name)
