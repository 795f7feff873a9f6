"""Two maps beside one another: any other comparison, what is pointed at framed in both, their difference where it can
be taken."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cka_core.base.store import Store
from cka_core.library import inventory
from cka_core.results import differences, views
from cka_core.results import words as result_words
from cka_core.results.comparison import Comparison
from pages.parts import address, drawn
from pages.parts.compare import history
from pages.parts.compare.which import OnScreen

HTML = '<p class="readout" role="status">Point at a cell of either map.</p>'
CSS = """
.readout { margin: 0; font-size: 0.9rem; color: var(--st-text-color); white-space: pre-wrap; min-height: 2.6em; }
"""
HEIGHT = 400


def side_by_side(
    on: OnScreen,
    shown: Comparison,
    chosen_by: tuple[str, str],
    colours: str,
    store: Store,
    limits: tuple[float, float] | None = None,
) -> None:
    """The map on screen and another one, both in the colours of one range, ``limits`` of the map on screen.

    ``chosen_by``: the kinds and the words that the map's layers are chosen by.
    """
    other = _other(on, store)
    if other is None:
        return
    try:
        theirs = views.filtered(other.comparison, *chosen_by)
    except ValueError as error:
        st.caption(f"{address.plain(str(error))} Every layer of it is shown.")
        theirs = other.comparison
    maps = {"this": (shown, on.titles), "the other": (theirs, other.titles)}
    names = [result_words.value_text(result.provenance) for result in (shown, theirs)]
    if not differences.same_axes(shown, theirs):
        told = "Their layers differ, so there is no difference to show."
    elif names[0] != names[1]:
        told = f"One is {names[0]}, the other {names[1]}: there is no difference to show."
    else:
        maps["difference"] = (differences.difference(shown, theirs, "the other"), on.titles)
        told = "Right: this less the other. Red where the layers are more alike in this map, blue where in the other."
    for place, (name, (result, titles)) in zip(st.columns(len(maps)), maps.items(), strict=True):
        with place:
            # A range of CKA is none of a difference, whose white is 0.
            fits = name != "difference" and differences.is_difference(result) == differences.is_difference(shown)
            _small_map(result, titles, name, colours, limits if fits else None)
    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    linked = st.components.v2.component(
        "linked_maps", html=HTML, css=CSS, js=(Path(__file__).parent / "linked.js").read_text(encoding="utf-8")
    )
    layers = [[views.unique_names(own) for own in (result.layers_a, result.layers_b)] for result, _ in maps.values()]
    linked(data={"charts": [_key(name) for name in maps], "names": list(maps), "layers": layers}, key="linked_maps")
    st.caption(told)


def _other(on: OnScreen, store: Store) -> OnScreen | None:
    """The picker of the other map: pinned ones first, then every comparison that is kept."""
    rows = {row.key: row for row in inventory.comparisons(store)}
    own = on.spec.key if on.spec is not None else ""
    keys = [key for key in dict.fromkeys([*history.pinned_keys(), *rows]) if key in rows and key != own]
    if not keys:
        st.caption("There is no other comparison yet. Compare another pair, then come back.")
        return None
    usual = history.pinned_keys()[0] if history.pinned_keys() and history.pinned_keys()[0] in keys else None
    address.read("beside", usual, {*keys, own}.__contains__)  # the map on screen may have stood beside another
    if st.session_state["beside"] not in keys:
        st.session_state["beside"] = usual
    key = st.selectbox(
        "Beside this map",
        keys,
        format_func=lambda key: f"{rows[key].name} · {rows[key].how}",
        key="beside",
        index=None,
        placeholder="choose any other comparison",
    )
    address.write("beside", key or "", "")  # a pinned one too: whoever opens the link has no pins
    found = inventory.opened(key, store) if key else None
    return OnScreen(*found, None) if found is not None else None


def _key(name: str) -> str:
    return f"two-{name.replace(' ', '-')}"


def _small_map(
    result: Comparison, titles: tuple[str, str], name: str, colours: str, limits: tuple[float, float] | None
) -> None:
    st.caption(f"**{name}** · {address.plain(result_words.facts(result))}")
    low, high = (None, None) if limits is None else limits
    figure = drawn.heatmap(
        result, drawn.digest(result, titles), colours=colours, titles=titles, height=HEIGHT, narrow=True,
        zmin=low, zmax=high,
    )  # fmt: skip
    st.plotly_chart(
        figure,
        width="stretch",
        key=_key(name),
        alt=f"{name}: {result_words.value_text(result.provenance)} of {titles[0]} and {titles[1]}.",
        config={"displaylogo": False, "displayModeBar": False},
    )
