"""What else could have made a cell high: one switch above the map, and what the hover says beside each value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.library import siblings
from cka_core.library.catalogue import NetworkInfo
from cka_core.library.siblings import Pair
from cka_core.networks.layer_graph import INFERENCE, TRAIN
from cka_core.results.comparison import CompareSpec, Comparison, find
from cka_core.results.differences import difference, same_axes
from cka_core.results.spec import OF_IDS, PIXELS
from cka_core.training import estimate as training_estimate
from cka_core.training import words as training_words
from cka_core.training.recipe import TrainSpec
from pages.parts import address, hiding, widgets
from pages.parts.compare import missing
from pages.parts.compare.which import NEEDS_NETWORKS, OnScreen
from pages.parts.glossary import hint

AS_IT_IS, NO_PIXELS, LEARNED, OTHER_SEED = (
    "as it is", "without what the pixels explain", "minus untrained", "another seed",
)  # fmt: skip
SWITCH = (AS_IT_IS, NO_PIXELS, LEARNED, OTHER_SEED)
HELP = (
    "**as it is:** the map.  \n"
    "**without what the pixels explain:** images alike in their pixels are alike in every layer; that is taken out.  \n"
    "**minus untrained:** less the same two architectures before training, which the rest was learned beyond.  \n"
    "**another seed:** the same pair, trained from another random start. The interval says nothing about that."
    f"\n\n{hint('seed')}"
)
BESIDE = {NO_PIXELS: "without pixels", LEARNED: "untrained", OTHER_SEED: "another seed"}
"""What the hover and the card call the value of each control."""


@dataclasses.dataclass(frozen=True)
class Control:
    """What a control needs: the comparison, of which networks, or why it cannot be had."""

    spec: CompareSpec | None = None
    pair: Pair | None = None
    reason: str = ""


def picker() -> str:
    """The switch."""
    if hiding.hides("lenses"):
        return hiding.kept("control", SWITCH, AS_IT_IS)
    return widgets.choice("Control", SWITCH, "control", HELP, width=175)


def train_mode() -> bool:
    """Whether the untrained networks' batch norm takes each minibatch's statistics."""
    return st.toggle(
        "Untrained, with batch norm in train mode",
        key="bntrain",
        bind="query-params",
        help="At inference an untrained network has no batch norm at all: its moving statistics are still 0 and 1. The "
        "paper's code compares it in train mode, where its layers are less alike.",
    )


def controls(on: OnScreen, networks: Mapping[str, NetworkInfo], store: Store) -> dict[str, Control]:
    """Every control of what is on screen."""
    if on.spec is None:
        gone = Control(reason=NEEDS_NETWORKS)
        return dict.fromkeys((NO_PIXELS, LEARNED, OTHER_SEED), gone)
    return {
        NO_PIXELS: _pixels(on, on.spec),
        LEARNED: _untrained(on, on.spec, store),
        OTHER_SEED: _seed(on, on.spec, networks, store),
    }


def _pixels(on: OnScreen, spec: CompareSpec) -> Control:
    if not on.is_cka:
        return Control(reason="What the pixels explain is taken out of unbiased CKA only.")
    if on.a.activations and on.b.activations and not spec.sample.images:
        return Control(reason="It is not known which images these activation sets are of.")
    for network in (on.a, on.b):
        if network.takes_ids:
            return Control(reason=OF_IDS.format(network=address.plain(network.title)))
    return Control(replace(spec, without=PIXELS), Pair(on.a, on.b))


def _untrained(on: OnScreen, spec: CompareSpec, store: Store) -> Control:
    pair = siblings.both_untrained(on.a, on.b, store)
    if pair is None:
        return Control(reason="This takes two trained networks whose architecture is known here.")
    batch_norm = TRAIN if st.session_state.get("bntrain") else INFERENCE
    return Control(replace(spec, a=pair.a.spec, b=pair.b.spec, batch_norm=batch_norm), pair)


def _seed(on: OnScreen, spec: CompareSpec, networks: Mapping[str, NetworkInfo], store: Store) -> Control:
    pair = siblings.both_of_another_seed(on.a, on.b, networks, store)
    if pair is None:
        return Control(reason="The library has no other seed of these networks.")
    return Control(replace(spec, a=pair.a.spec, b=pair.b.spec), pair)


def under(
    which: str, on: OnScreen, networks: Mapping[str, NetworkInfo], store: Store, place: DeltaGenerator
) -> tuple[OnScreen, dict[str, Comparison]]:
    """What is on screen under a control, and the other values of each cell by their words. What is missing is said, and
    offered, in ``place``."""
    if on.faded:
        return on, {}
    found = controls(on, networks, store)
    there = maps(on, found, store)
    with place:
        offer(which, on, found, there, networks, store)
    beside = {BESIDE[name]: result for name, result in there.items() if name != which or which == LEARNED}
    if which not in there:
        return on, beside
    beside = {AS_IT_IS: on.comparison, **beside}
    seen = dataclasses.replace(on, comparison=chosen(which, on, there))
    control = found[which]
    if which == OTHER_SEED and control.pair is not None:
        seen = dataclasses.replace(seen, a=control.pair.a, b=control.pair.b, spec=control.spec)
    return seen, beside


def maps(on: OnScreen, found: Mapping[str, Control], store: Store) -> dict[str, Comparison]:
    """The controls that are there, as maps of the same layers as the one on screen."""
    results = {name: find(control.spec, store) for name, control in found.items() if control.spec is not None}
    return {name: result for name, result in results.items() if result is not None and same_axes(on.comparison, result)}


def chosen(which: str, on: OnScreen, there: Mapping[str, Comparison]) -> Comparison:
    """The map that the switch asks for; as it is where that is not there."""
    if which == AS_IT_IS or which not in there:
        return on.comparison
    return difference(on.comparison, there[which], "untrained") if which == LEARNED else there[which]


def offer(
    which: str,
    on: OnScreen,
    found: Mapping[str, Control],
    there: Mapping[str, Comparison],
    networks: Mapping[str, NetworkInfo],
    store: Store,
) -> None:
    """Where what the switch asks for is not there: why, or the button that makes it and how long that takes."""
    if which == AS_IT_IS:
        return
    control = found[which]
    if which == LEARNED and control.spec is not None:
        train_mode()
    if which not in there and control.spec is not None and control.pair is not None:
        st.info(f"Not computed yet: {which}. The map below is as it is.", icon=":material/hourglass_empty:")
        seconds = estimate.estimate_seconds(
            control.pair.a, control.pair.b, control.spec.sample.n or 0, control.spec.batch_size, store
        )
        missing.offer(
            "compare", control.spec, "Compute it", f"{on.title}, {which}", seconds, store, key="compute the control"
        )
    elif control.reason:
        st.info(f"{control.reason} The map below is as it is.", icon=":material/block:")
    if which == OTHER_SEED and on.spec is not None:
        _seeds(on, control.pair or Pair(on.a, on.b), networks, store)


def _seeds(on: OnScreen, pair: Pair, networks: Mapping[str, NetworkInfo], store: Store) -> None:
    """Which network of the ``pair`` stands in for which, and a training of the seeds that are not there."""
    offered = []
    for own, other in {on.a.spec.name: (on.a, pair.a), on.b.spec.name: (on.b, pair.b)}.values():
        if other.spec != own.spec:
            st.caption(f"{own.title}: {other.subtitle}, in place of seed {own.spec.seed}.")
            continue
        fields = siblings.next_seed(own, networks)
        if fields is not None and fields in offered:  # of two seeds of one training
            continue
        offered.append(fields)
        if fields is None:
            st.caption(f"{own.title}: no other seed is known, and how it was trained is not known here.")
            continue
        wanted = TrainSpec.from_json(fields)
        seconds = training_estimate.whole_training_seconds(wanted, store)
        label = f"Train {own.title} with seed {wanted.seed}"
        missing.offer(
            "train", wanted, label, training_words.title(wanted), seconds, store, key=f"train {own.spec.name}"
        )
