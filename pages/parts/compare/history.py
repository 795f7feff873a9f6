"""What was on screen before: the last choice can be undone, and maps can be pinned."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.parts import address
from pages.parts.compare.which import OnScreen

CHOICES = (
    "a", "b", "images", "split", "n", "draw", "seed", "balanced", "batch", "measure", "control", "bntrain", "passes",
    "kinds", "search", "la", "lb",
)  # fmt: skip
"""The keys of the widgets that a choice is made with; the address carries them all."""
CELL = ("la", "lb")
MOST = 50


def now() -> dict[str, Any]:
    """Every choice as it stands; what is empty, or not on screen, is left out."""
    return {key: st.session_state[key] for key in CHOICES if st.session_state.get(key) not in (None, "")}


def note() -> None:
    """At the end of a run: remember the choices if they are others than before."""
    before: list[dict[str, Any]] = st.session_state.setdefault("choices before", [])
    if not before or before[-1] != now():
        before.append(now())
        del before[:-MOST]


def undo_button() -> None:
    """Back to what was chosen before."""
    before = st.session_state.get("choices before", [])
    st.button(
        "Undo",
        icon=":material/undo:",
        type="tertiary",
        key="undo",
        disabled=len(before) < 2,
        help="Back to what was chosen before",
        on_click=_undo,
    )


def _undo() -> None:
    before = st.session_state.get("choices before", [])
    if len(before) > 1:
        before.pop()
        restore(before[-1])


def restore(choices: dict[str, Any]) -> None:
    """Set every picker to earlier choices (only from a callback)."""
    for key in CHOICES:
        if key in choices and key not in CELL:
            address.put(key, choices[key])
    if "search" not in choices:
        address.put("search", "")
    address.put_together({key: (choices.get(key), None) for key in CELL})


def pins() -> list[dict[str, Any]]:
    """The pinned maps, the first one first: "title", "key" of the comparison, "choices"."""
    kept: list[dict[str, Any]] = st.session_state.setdefault("pinned maps", [])
    return kept


def pinned_keys() -> list[str]:
    """The keys of the pinned comparisons, the last one first."""
    return [pin["key"] for pin in reversed(pins())]


def pin_button(on: OnScreen) -> None:
    """Keep the map at hand, or let go of it."""
    if on.spec is None or on.faded:
        return
    key = on.spec.key
    pinned = key in pinned_keys()
    st.button(
        "Unpin" if pinned else "Pin",
        icon=":material/keep_off:" if pinned else ":material/keep:",
        type="tertiary",
        key="pin",
        help="Pinned maps stand below the map and come first in “Two maps”",
        on_click=_unpin if pinned else _pin,
        args=(key,) if pinned else (key, on.title),
    )


def _pin(key: str, title: str) -> None:
    pins().append({"key": key, "title": title, "choices": now()})


def _unpin(key: str) -> None:
    pins()[:] = [pin for pin in pins() if pin["key"] != key]


def shelf(on: OnScreen) -> None:
    """The pinned maps, each a click away."""
    others = [pin for pin in pins() if on.spec is None or pin["key"] != on.spec.key]
    if not others:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Pinned", width="content")
        for pin in others:
            st.button(
                address.plain(pin["title"]),
                icon=":material/keep:",
                type="tertiary",
                key=f"pinned {pin['key']}",
                on_click=restore,
                args=(pin["choices"],),
            )
