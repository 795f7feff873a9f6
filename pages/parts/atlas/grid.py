"""The grid of an atlas: one small map a network, drawn and played in the browser (grid.js)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from cka_core.base.keys import key_of
from pages.parts import phone

HTML = """
<div class="atlas">
  <div class="bar">
    <button type="button" class="play" aria-label="Play the training">▶</button>
    <label>epoch <input type="range" min="0" step="1" aria-label="Training epoch"> <output>0</output></label>
    <span class="legend">CKA 0 <span class="scale"></span> 1 <span class="mark"></span> block</span>
  </div>
  <div class="maps" data-playing="no"></div>
</div>
"""
FOLDER = Path(__file__).parent
KEY = "atlas_grid"


def is_narrow() -> bool:
    """Whether the maps are on a phone."""
    return phone.is_narrow(KEY)


def is_drawn() -> bool:
    """Whether the browser said that the maps are on screen."""
    return bool((st.session_state.get(KEY) or {}).get("drawn"))


def scroll_down() -> None:
    """Show what was just opened below the grid (only before the grid is drawn, as from a callback)."""
    st.session_state["scrolls"] = st.session_state.get("scrolls", 0) + 1


def arrive(asks_below: bool) -> None:
    """A link that ``asks_below``, of what is below the grid, leads there as soon as that is drawn: to be called before
    the grid in every run, of which the first one in a visit counts."""
    if st.session_state.setdefault("asks below", asks_below) and is_drawn():
        st.session_state["asks below"] = False
        scroll_down()


def small_maps(
    values: dict[str, Any], chosen: str, epoch: int, below: str, *, on_open: Callable[[str], None],
    on_epoch: Callable[[int], None],
) -> None:  # fmt: skip
    """``values`` as `cka_core.atlas.grid.grid_values` makes. A click calls ``on_open`` with a network's name, the
    moved slider ``on_epoch`` with its epoch. After `scroll_down` the page goes to what has the key ``below``."""
    names = {cell["name"] for cell in (*values["cells"], *values["data"]["cells"], *values["others"])}

    def opened() -> None:
        name = (st.session_state.get(KEY) or {}).get("open")
        if isinstance(name, str) and name in names:
            on_open(name)

    def moved() -> None:
        found = (st.session_state.get(KEY) or {}).get("epoch")
        if isinstance(found, int) and found in values["epochs"]:
            on_epoch(found)

    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    grid = st.components.v2.component(
        KEY,
        html=HTML,
        js="".join(file.read_text(encoding="utf-8") for file in (FOLDER.parent / "leading.js", FOLDER / "grid.js")),
        css=(FOLDER / "grid.css").read_text(encoding="utf-8"),
    )
    grid(
        data={
            **values, "digest": key_of(values), "chosen": chosen, "epoch": epoch, "narrow": is_narrow(),
            "below": f"st-key-{below}", "scrolls": st.session_state.get("scrolls", 0), "drawn": is_drawn(),
        },
        key=KEY,
        on_open_change=opened,
        on_epoch_change=moved,
        on_narrow_change=lambda: None,
        on_drawn_change=lambda: None,
    )  # fmt: skip
