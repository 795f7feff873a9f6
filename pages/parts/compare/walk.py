"""The first minutes: a strip of maps that each tell something, one click each, above whatever map is on screen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from cka_core.base import deployment
from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.library.catalogue import NetworkInfo
from cka_core.results.comparison import CompareSpec, find
from cka_core.results.spec import Several
from pages.parts import holding, visitor
from pages.parts.compare import history, missing

BLOCK, SECOND_SEED = "cifar-resnet-38x1-plain-s0", "cifar-resnet-38x1-plain-s1"
DEEP, WIDE = "cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0"
NOTEBOOK = ("resnet50", "resnet101", "resnet152")

ONE, UNTRAINED, SEEDS, PAIR, SIX, OWN = (
    "a network and its block", "before training", "a second seed", "wide against deep", "ResNet50, 101, 152",
    "your own",
)  # fmt: skip
SCENES: dict[str, tuple[str, str]] = {
    ONE: (BLOCK, BLOCK),
    UNTRAINED: ("cifar-resnet-38x1", "cifar-resnet-38x1"),
    SEEDS: (BLOCK, SECOND_SEED),
    PAIR: (DEEP, WIDE),
    SIX: (NOTEBOOK[0], NOTEBOOK[0]),
}
"""What each step shows: network A and network B."""
USUAL: dict[str, Any] = {
    "images": "cifar10-mini", "split": "test", "n": "768", "draw": "random", "seed": 0, "balanced": False,
    "batch": "256", "passes": "1", "measure": "cka", "control": "as it is", "kinds": "every layer",
}  # fmt: skip
OF_THE_NOTEBOOK = {"split": "train", "n": "256", "draw": "first"}
"""The notebook compares on the first 256 training images."""


def strip(spec: CompareSpec) -> None:
    """Every step, that on screen marked, and the way to networks of one's own."""
    if st.session_state.pop("to one's own", False):
        st.switch_page("pages/library.py", query_params={})  # without these it fails where the address holds a choice
    networks = spec.a.name, spec.b.name
    now = next((scene for scene, pair in SCENES.items() if pair == networks), None)
    holding.put("scene", SIX if is_of_the_notebook(spec) else now)
    options = list(SCENES) if visitor.only_looks() else [*SCENES, OWN]
    with st.container(horizontal=True):  # in which it stays one line, on a phone too
        st.pills(
            "Begin with", options, key="scene", label_visibility="collapsed", width="content",
            on_change=holding.on_choice("scene", _go),
        )  # fmt: skip


def _go() -> None:
    scene = st.session_state.get("scene")
    if scene in SCENES:
        show(*SCENES[scene], notebook=scene == SIX)
    st.session_state["to one's own"] = scene == OWN


def show(a: str, b: str, *, notebook: bool = False) -> None:
    """One step, with the images that it is told of (only from a callback)."""
    history.restore({"a": a, "b": b, **USUAL, **(OF_THE_NOTEBOOK if notebook else {})})


def is_of_the_notebook(spec: CompareSpec) -> bool:
    return {spec.a.name, spec.b.name} <= set(NOTEBOOK)


def six_maps(spec: CompareSpec, networks: Mapping[str, NetworkInfo], store: Store) -> None:
    """Beside one of the original notebook's maps: all six, and those not made yet in one go."""
    st.markdown("The six maps of the **notebook** that this began with, of networks before their training:")
    pairs = list(itertools.combinations_with_replacement(NOTEBOOK, 2))
    specs = {pair: replace(spec, a=networks[pair[0]].spec, b=networks[pair[1]].spec) for pair in pairs}
    with st.container(horizontal=True, gap="small"):
        for a, b in pairs:
            here = {a, b} == {spec.a.name, spec.b.name} and (a == b) == (spec.a.name == spec.b.name)
            label = networks[a].title if a == b else f"{networks[a].title} × {b.removeprefix('resnet')}"
            st.button(
                label, key=f"of six {a} {b}", disabled=here, on_click=show, args=(a, b), kwargs={"notebook": True}
            )
    most = deployment.most("layers")
    too_deep = [name for name in NOTEBOOK if most is not None and len(networks[name].layers) > most]
    missed = [pair for pair in pairs if find(specs[pair], store) is None]
    lacking = [pair for pair in missed if not set(pair) & set(too_deep)]
    if len(lacking) > 1:
        seconds = sum(
            estimate.estimate_seconds(networks[a], networks[b], spec.sample.n or 0, spec.batch_size, store)
            for a, b in lacking
        )
        wanted = Several(tuple(specs[pair] for pair in lacking))
        label = f"Compare {'all ' if lacking == missed else ''}{len(lacking)} that are not made yet"
        missing.offer("several", wanted, label, "the notebook’s maps", seconds, store, key="six maps")
    if lacking != missed:
        names = " and ".join(networks[name].title for name in too_deep)
        st.caption(f"Without {names}: a network may have at most {deployment.amount_text('layers')} here.")
