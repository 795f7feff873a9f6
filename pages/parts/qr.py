"""An address as a picture that a phone's camera reads."""

from __future__ import annotations

import io

import segno
import streamlit as st


@st.cache_data(max_entries=100, show_spinner=False)
def png(text: str) -> bytes:
    """The QR code of a text, dark on light with the border that readers need."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="png", scale=8, border=4)
    return out.getvalue()
