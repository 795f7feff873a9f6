"""What is not today's topic: parts of Compare and of the Atlas that the address asks to leave out (``hide=``).

A teacher's link names them, separated by commas: ``hide=table,download,lenses``. What is not known is passed over, so
that a link outlives a part. A part that is hidden still takes its value from the address. What would mislead a reader
cannot be hidden: the line above the map and its warnings stay.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import streamlit as st

KEY = "hide"
PARTS = {
    "lenses": "what changes the map: the measure and the control on Compare, the first component on the Atlas",
    "cell": "the two layers of the chosen cell, opened below the map on Compare",
    "reading": "the three sentences under the map on Compare",
    "tour": "the four questions beside the grid of the Atlas",
    "claims": "the paper's claims, below the Atlas",
    "beyond": "what was found beside them, below the Atlas",
}
"""The parts that have no title of their own; a tab is called by its title: "Two maps" is ``two-maps``."""


def hides(part: str) -> bool:
    """Whether the address asks to leave a part out. ValueError for one that is not in `PARTS`: it is a name of ours."""
    if part not in PARTS:
        raise ValueError(f"No part {part!r} can be hidden. There are: {', '.join(PARTS)}, and tabs by their titles.")
    return part in asked()


def asked() -> set[str]:
    """The names in the address, as they stand there; all of them where it has ``hide=`` more than once."""
    return {name.strip().lower() for names in st.query_params.get_all(KEY) for name in names.split(",")}


def name_of(title: str) -> str:
    """What a tab is called in the address: "Two maps" -> "two-maps"."""
    return title.lower().replace(" ", "-")


def left(titles: Sequence[str]) -> list[str]:
    """The tabs that are not hidden, in their order."""
    return [title for title in titles if name_of(title) not in asked()]


def kept(key: str, valid: Container[str], default: str) -> str:
    """The value of a hidden widget: that of the address, the default where it says none that can be had."""
    value = st.query_params.get(key, default)
    return value if value in valid else default
