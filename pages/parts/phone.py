"""Whether a page is drawn for a phone: its browser says what it is, and its window how wide it is, once it is there."""

from __future__ import annotations

import streamlit as st

MOBILE = "Mobi"
"""What to look for in the name of a browser, says MDN (Browser detection using the user agent)."""


def is_narrow(component: str) -> bool:
    """As the component says, which measures what it stands in; until it does, as the browser's name says."""
    told = (st.session_state.get(component) or {}).get("narrow")
    return MOBILE in st.context.headers.get("User-Agent", "") if told is None else bool(told)
