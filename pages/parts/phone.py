"""Whether a page is drawn for a phone: its browser says what it is, and its window how wide it is, once it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

MOBILE = "Mobi"
"""What to look for in the name of a browser, says MDN (Browser detection using the user agent)."""


def chart(config: Mapping[str, Any], *, narrow: bool) -> dict[str, Any]:
    """A chart's settings: on a phone without its row of buttons, which would lie on its lines."""
    return {**config, "displayModeBar": False} if narrow else dict(config)


def is_narrow(component: str) -> bool:
    """As the component says, which measures what it stands in; until it does, as the browser's name says."""
    told = (st.session_state.get(component) or {}).get("narrow")
    return MOBILE in st.context.headers.get("User-Agent", "") if told is None else bool(told)
