"""Between which values a map's colours lie: maps whose values lie near 1 cannot be read from 0 to 1."""

from __future__ import annotations

from cka_core.results import views
from cka_core.results.comparison import Comparison
from pages.parts import widgets

WHOLE, OWN = "all values", "this map's"
RANGES: dict[str, tuple[float, float] | None] = {WHOLE: None, "0.5 to 1": (0.5, 1.0), "0.9 to 1": (0.9, 1.0), OWN: None}


def picker(comparison: Comparison) -> tuple[float, float] | None:
    """The values of the darkest and the lightest colour; None: from 0 to 1, of a difference from -1."""
    chosen = widgets.choice("Colour range", tuple(RANGES), "range", width=130)
    return views.value_range(comparison) if chosen == OWN else RANGES[chosen]
