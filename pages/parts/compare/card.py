"""One cell of the map in words: its two layers, their similarity, how sure it is, the best match of either."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from cka_core.results import differences, trust, views
from cka_core.results import words as result_words
from cka_core.results.comparison import Comparison
from pages.parts import address
from pages.parts.glossary import explain


def cell_card(
    comparison: Comparison, titles: tuple[str, str], beside: Mapping[str, Comparison] | None = None
) -> tuple[str, str] | None:
    """One cell in words: its two layers, their CKA, the best match of either; and two pickers. Returns the layers."""
    names = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    for key, own in zip(("la", "lb"), names, strict=True):
        address.check(key, own.__contains__)
        if st.session_state.get(key) not in (None, *own):
            del st.session_state[key]
    with st.container(border=True):
        st.markdown("**This cell**")
        text = st.container(gap="small")
        chosen = [
            st.selectbox(
                f"Layer of {side}", own, index=None, key=key, placeholder="choose a layer", bind="query-params"
            )
            for side, key, own in zip("AB", ("la", "lb"), names, strict=True)
        ]
        layer_a, layer_b = chosen
        if layer_a is None or layer_b is None:
            text.caption("Click a cell of the map, or choose two layers.")
            return None
        cell = views.cell(comparison, names[0].index(layer_a), names[1].index(layer_b))
        with text:
            _cell_text(comparison, cell, titles, names, beside or {})
    return layer_a, layer_b


def _cell_text(
    comparison: Comparison,
    cell: views.Cell,
    titles: tuple[str, str],
    names: tuple[list[str], list[str]],
    beside: Mapping[str, Comparison],
) -> None:
    for side, layer in (("A", comparison.layers_a[cell.row]), ("B", comparison.layers_b[cell.column])):
        st.markdown(f"{side}  {address.code(layer.name)}  \n:small[{layer.kind} · {views.shape_text(layer.shape)}]")
    value = result_words.value_text(comparison.provenance)
    if cell.reason:
        st.markdown(f"No {value}: {cell.reason}.")
    else:
        st.metric(value, f"{cell.cka:.3f}")
        if cell.note:
            few = cell.note.startswith(trust.FEW)
            note = f":red[{cell.note}]" if few else f"95 % interval {address.plain(cell.note)}"
            st.caption(note, help=explain("images that decide" if few else "interval"))
    for word, other in beside.items():
        value_beside = other.matrix[cell.row, cell.column]
        reason = other.reasons_a[cell.row] or other.reasons_b[cell.column]
        st.caption(f"{word}: {f'none, {reason}' if reason else f'{value_beside:.3f}'}")
    for side, match, key, own, title in (
        ("A", cell.match_of_a, "lb", names[1], titles[1]),
        ("B", cell.match_of_b, "la", names[0], titles[0]),
    ):
        if match is None or differences.is_difference(comparison):
            continue
        position, alike = match
        st.caption(f"Best {'other ' if comparison.is_self else ''}match of {side}’s layer in {title}")
        st.button(
            f"{own[position]} · {alike:.3f}".replace("_", r"\_"),
            key=f"match of {side}",
            type="tertiary",
            icon=":material/arrow_forward:",
            help="Go to this cell",
            on_click=st.session_state.__setitem__,
            args=(key, own[position]),
        )
