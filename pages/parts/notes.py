"""Notes that a button's callback has for the reader, shown in a corner of the page once it is drawn.

A callback of a part that runs alone (`st.fragment`) can show nothing itself: Streamlit drops it, or puts it in place of
what stands first on the page.
"""

from __future__ import annotations

import streamlit as st

NOTES = "notes to be shown"


def leave(text: str, icon: str) -> None:
    """From a callback: ``text`` is shown when a page, or a part with notes, has been drawn next."""
    st.session_state.setdefault(NOTES, []).append((text, icon))


def show() -> None:
    """At the end of a page, and of a part that runs alone and whose buttons leave notes."""
    for text, icon in st.session_state.pop(NOTES, ()):
        st.toast(text, icon=icon)
