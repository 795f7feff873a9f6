"""Between which values a map's colours lie: maps whose values lie near 1 cannot be read from 0 to 1."""

from __future__ import annotations

import streamlit as st

from cka_core.results import views
from cka_core.results.comparison import Comparison
from cka_core.results.differences import is_difference
from pages.parts import widgets

WHOLE, OWN = "all values", "this map's"
RANGES: dict[str, tuple[float, float] | None] = {WHOLE: None, "0.5 to 1": (0.5, 1.0), "0.9 to 1": (0.9, 1.0), OWN: None}


def picker(comparison: Comparison) -> tuple[float, float] | None:
    """The values of the darkest and the lightest colour; None: from 0 to 1, of a difference from -1.

    A range of CKA is none of a difference, whose white is 0.
    """
    chosen = widgets.choice("Colour range", tuple(RANGES), "range", width=130)
    if chosen == OWN:
        return views.value_range(comparison)
    if is_difference(comparison) and RANGES[chosen] is not None:
        st.caption("A difference is shown from −1 to 1, white at 0.")
        return None
    return RANGES[chosen]
