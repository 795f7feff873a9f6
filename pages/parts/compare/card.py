"""One cell of the map in words: its two layers, their similarity, how sure it is, the best match of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from cka_core.networks.layers import Layer
from cka_core.results import differences, trust, views
from cka_core.results import words as result_words
from cka_core.results.comparison import Comparison
from pages.parts import address, hiding, holding
from pages.parts.glossary import explain

OPENED = "the cell to begin with, opened"
OPEN = "open"
"""In the address where the cell to begin with is opened, whose layers are not named there."""


def open_cell(layer_a: str, layer_b: str) -> None:
    """Choose a cell and have it opened below (only from a callback)."""
    _choose(layer_a, layer_b, opened=True)
    st.session_state[OPENED] = layer_a, layer_b


def _choose(layer_a: str, layer_b: str, *, opened: bool = False) -> None:
    cell = {"la": layer_a, "lb": layer_b}
    held = {key: (layer, st.session_state.get(f"{key} to begin with")) for key, layer in cell.items()}
    is_first = all(layer == begins for layer, begins in held.values())
    address.put_together({**held, OPEN: ("yes" if opened and is_first else "", "")})


def turn() -> None:
    """The cell of the map with both networks swapped, where one was chosen (only from a callback)."""
    cell = holding.held("la"), holding.held("lb")
    if st.session_state.get(OPENED) == cell:
        open_cell(cell[1], cell[0])
    elif {"la", "lb"} & set(st.query_params):
        _choose(cell[1], cell[0])


def cell_card(
    comparison: Comparison,
    titles: tuple[str, str],
    beside: Mapping[str, Comparison] | None = None,
    *,
    usual: tuple[int, int] | None = None,
    shown: Comparison | None = None,
    layers: tuple[Sequence[Layer], Sequence[Layer]] = ((), ()),
) -> tuple[str, str] | None:
    """One cell in words: its two layers, their CKA, the best match of either; and two pickers. Returns the layers.

    ``usual`` is the cell to begin with, ``shown`` what the map shows of the comparison. ``layers`` are all of either
    network: one of them that was chosen stays so while a map is shown that has it not.
    """
    names = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    first = None if usual is None else (names[0][usual[0]], names[1][usual[1]])
    _read_whether_opened(first)
    choices: list[list[str]] = []
    for side, (key, own) in enumerate(zip(("la", "lb"), names, strict=True)):
        known = {*own, *views.unique_names(layers[side])}
        address.check(key, known.__contains__)
        begins = None if first is None else first[side]
        now, began = st.session_state.get(key, begins), st.session_state.get(f"{key} to begin with")
        opened = (st.session_state.get(OPENED) or (None, None))[side]
        if now not in known or (now == began and now != opened and usual is not None):  # nobody chose it
            address.put(key, begins)
        held = st.session_state.get(key) or st.query_params.get(key)
        choices.append([*own, held] if held in known and held not in own else own)
        st.session_state[f"{key} to begin with"] = begins
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, gap="small"):
            chosen = [
                st.selectbox(
                    f"Layer of {side}", given, index=None if usual is None else usual[position], key=key,
                    width="stretch", placeholder="choose a layer", bind="query-params",
                )
                for position, (side, key, given) in enumerate(zip("AB", ("la", "lb"), choices, strict=True))
            ]  # fmt: skip
        layer_a, layer_b = chosen
        if layer_a is None or layer_b is None:
            st.caption("No cell of this map has a number.")
            return None
        both = layer_a, layer_b
        st.session_state[OPEN] = "yes" if both == first == st.session_state.get(OPENED) else ""
        address.write(OPEN, st.session_state[OPEN], "")
        gone = [f"{side}’s layer {address.code(layer)}" for side, layer, own in zip("AB", both, names, strict=True)
                if layer not in own]  # fmt: skip
        if gone:
            counts = " × ".join(str(len(own)) for own in names)
            st.caption(f"{' and '.join(gone)} is not among the {counts} layers of this map. Another map may have it.")
            return None
        cell = views.cell(comparison, names[0].index(layer_a), names[1].index(layer_b))
        _cell_text(comparison, cell, titles, names, beside or {})
        if shown is not None and not _is_shown(comparison, cell, shown):
            st.caption("The filter hides this cell: it is not marked in the map.")
        if not hiding.hides("cell") and not is_chosen((layer_a, layer_b), comparison, usual):
            st.button(
                "Look into this cell", key="look into", icon=":material/frame_inspect:", type="tertiary",
                help="Below: both layers’ Gram matrices, and the images that make the value",
                on_click=open_cell, args=(layer_a, layer_b),
            )  # fmt: skip
    return layer_a, layer_b


def _read_whether_opened(first: tuple[str, str] | None) -> None:
    """Open the cell to begin with where a link says so, and close it where the browser goes back."""
    before = st.session_state.get(OPEN)
    address.read(OPEN, "", lambda text: True, lambda text: "yes")
    if st.session_state[OPEN]:
        if not before:
            st.session_state[OPENED] = first
    elif st.session_state.get(OPENED) == first:
        st.session_state.pop(OPENED, None)


def is_chosen(cell: tuple[str, str] | None, comparison: Comparison, usual: tuple[int, int] | None) -> bool:
    """Whether somebody chose the cell on the card, or an address did; else it is the one to begin with."""
    if cell is None or usual is None or {"la", "lb"} & set(st.query_params) or st.session_state.get(OPENED) == cell:
        return cell is not None
    names = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    return cell != (names[0][usual[0]], names[1][usual[1]])


def _is_shown(comparison: Comparison, cell: views.Cell, shown: Comparison) -> bool:
    return comparison.layers_a[cell.row] in shown.layers_a and comparison.layers_b[cell.column] in shown.layers_b


def _cell_text(
    comparison: Comparison,
    cell: views.Cell,
    titles: tuple[str, str],
    names: tuple[list[str], list[str]],
    beside: Mapping[str, Comparison],
) -> None:
    layers = comparison.layers_a[cell.row], comparison.layers_b[cell.column]
    st.caption(" with ".join(f"{address.plain(layer.kind)} {views.shape_text(layer.shape)}" for layer in layers))
    value = result_words.value_text(comparison.provenance)
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        if cell.reason:
            st.markdown(f"No {value}: {cell.reason}.")
        else:
            st.metric(value, result_words.number(cell.cka), width="content")
        with st.container(gap=None):
            if cell.note and not cell.reason:
                if cell.note.startswith(trust.FEW):  # in a caption red is too faint to be read
                    st.markdown(f":small[:red[{cell.note}]]", help=explain("images that decide"))
                else:
                    st.caption(f"95 % interval {address.plain(cell.note)}", help=explain("interval"))
            for word, seen in beside.items():
                st.caption(f"{word}: {address.plain(trust.value(seen, cell.row, cell.column))}")
    for side, match, key, own, title in (
        ("A", cell.match_of_a, "lb", names[1], titles[1]),
        ("B", cell.match_of_b, "la", names[0], titles[0]),
    ):
        if match is None or differences.is_difference(comparison):
            continue
        position, alike = match
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            other = "other " if comparison.is_self else ""
            st.caption(f"Best {other}match of {side}’s layer", width="content", help=f"In {address.plain(title)}.")
            st.button(
                f"{address.plain(own[position])} · {result_words.number(alike)}",
                key=f"match of {side}",
                type="tertiary",
                icon=":material/arrow_forward:",
                help="Go to this cell",
                on_click=address.put,
                args=(key, own[position]),
            )
