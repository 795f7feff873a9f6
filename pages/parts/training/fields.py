"""Fields of a form whose values stand in the address as they are: words side by side, a choice, a number, a switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages.parts import address


def segments(
    label: str, key: str, options: Sequence[str], help: str | None = None, on_change: Callable[[], None] | None = None
) -> str:
    """One of two or three words, side by side."""
    address.read(key, options[0], options.__contains__)
    chosen: str | None = st.segmented_control(
        label, options, default=st.session_state[key], required=True, key=key, help=help, on_change=on_change
    )
    address.write(key, chosen or options[0], options[0])
    return chosen or options[0]


def pick(
    label: str,
    key: str,
    options: Sequence[Any],
    default: Any,
    help: str | None = None,
    labels: dict[Any, str] | None = None,
    on_change: Callable[[], None] | None = None,
) -> Any:
    """One of a few values, in the address as it is."""
    texts = {str(option): option for option in options}
    if key in st.session_state and st.session_state[key] not in options:  # another family does not have it
        address.forget(key)
    address.read(key, default, texts.__contains__, texts.__getitem__)
    shown = labels or {}
    chosen = st.selectbox(
        label,
        options,
        index=list(options).index(st.session_state[key]),
        key=key,
        help=help,
        format_func=lambda option: shown.get(option, str(option)),
        on_change=on_change,
    )
    address.write(key, str(chosen), str(default))
    return chosen


def number_field(
    label: str, key: str, default: Any, least: Any, most: Any, step: Any, help: str | None = None
) -> tuple[Any, str]:
    """A number, in the address as it is; and what is wrong with it, if anything is: then the nearest one is returned.

    The limits are not given to the widget: its browser side would keep the number typed to itself, and the one before
    would be trained with.
    """

    def valid(text: str) -> bool:
        try:
            return bool(least <= type(default)(text) <= most)
        except ValueError:
            return False

    address.read(key, default, valid, type(default))
    form = "%d" if isinstance(default, int) else "%g"
    chosen = st.number_input(label, value=st.session_state[key], step=step, key=key, format=form, help=help)
    number = default if chosen is None else chosen
    address.write(key, f"{number:.10g}" if isinstance(number, float) else str(number), f"{default:g}")
    if chosen is not None and least <= chosen <= most:
        return chosen, ""
    problem = f"{label}: expected {least:,g} to {most:,g}, got {'nothing' if chosen is None else f'{chosen:,g}'}."
    st.markdown(f":small[:red[{address.plain(problem)}]]")
    return min(max(number, least), most), problem


def switch(label: str, key: str, default: bool, help: str) -> bool:
    address.read(key, default, ("true", "false").__contains__, lambda text: text == "true")
    chosen = st.toggle(label, st.session_state[key], key=key, help=help)
    address.write(key, str(chosen).lower(), str(default).lower())
    return chosen
