"""Beside the grid: how to read it, and the paper's question in four steps, each one click."""

from __future__ import annotations

import itertools

import streamlit as st

from cka_core.atlas import pairs as atlas_pairs
from cka_core.atlas import views as atlas_views
from cka_core.atlas.result import Atlas
from cka_core.results import words as result_words
from pages.parts import address, hiding
from pages.parts.atlas import grid as atlas_grid
from pages.parts.glossary import hint


def panel(atlas: Atlas) -> None:
    st.markdown("# Do wide and deep networks learn the same things?")
    st.caption(
        f"{len(atlas.members)} networks, each compared with itself, layer by layer. Bright: two layers represent the "
        "images alike. A bright square is a **block**: a run of layers that hardly change what they represent. Under "
        "each map: test images right, with the 95 % interval, and its blocks: which layers, and their median CKA.",
        help=hint("layer", "representation", "CKA", "block"),
    )
    example, twins, steps = atlas_views.example(atlas), atlas_pairs.twins(atlas), itertools.count(1)
    _step(
        next(steps), "Do blocks grow with depth and width?",
        "Untrained, nearly all layers look alike and no run of them stands out. Press ▶: with training, edges appear.",
        None, {}, hint("width"),
    )  # fmt: skip
    if example.final.blocks:
        _step(
            next(steps), "What is a block made of?",
            f"In {example.title}: {atlas_views.blocks_text(example.final.blocks)}. Without the direction in which the "
            f"images differ most: {atlas_views.blocks_text(example.blocks_without.get('component', ()))}.",
            f"Open {example.title}", {"network": example.name, "without": "first component", "view": "One network"},
            hint("first component"),
        )  # fmt: skip
    if twins:
        _step(
            next(steps), "Do two seeds agree inside it?",
            "The same network trained twice: how alike its layers are inside a block, and outside.",
            f"Show two seeds of {twins[0].title}",
            {"one": twins[0].name, "other": twins[1].name, "view": "Two networks"}, hint("seed"),
        )  # fmt: skip
    _step(
        next(steps), "Do wide and deep make the same errors?",
        "Which classes and images only one of them gets right.",
        "Show wide against deep", {"view": "Wide against deep"},
    )  # fmt: skip
    st.caption(address.plain(_facts(atlas)), help=hint("unbiased"))


def _step(number: int, title: str, text: str, label: str | None, to: dict[str, str], help: str | None = None) -> None:
    st.markdown(f"**{number} · {address.plain(title)}**  \n{address.plain(text)}", help=help)
    if label and hiding.left([to["view"]]):  # no button leads to what the address leaves out
        st.button(label, key=f"step {number}", icon=":material/arrow_downward:", on_click=_go, args=(to,))


def _go(to: dict[str, str]) -> None:
    for key, value in to.items():
        address.put(key, value)
    address.forget("epoch")  # what is said of the step is said of the end
    atlas_grid.scroll_down()


def _facts(atlas: Atlas) -> str:
    about = result_words.provenance_text({"images": atlas.facts["images"], "measure": "cka-linear-unbiased"})
    return f"{atlas.study.name} · {about} · accuracies with their 95 % interval"
