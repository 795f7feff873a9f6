"""The map in a page of HTML of its own, which works offline and fits its window."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from cka_core.results import words
from cka_core.results.figures import heatmap

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1020px; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
#map { height: min(820px, 84vw); min-height: 440px; }
"""
# A phone's window has the map as the app shows it there: the colours below it, and a finger on it scrolls the page.
SCRIPT = """
const { wide, narrow } = JSON.parse(document.getElementById('figure').textContent);
const shown = innerWidth < 480 ? narrow : wide;
wide.data[0].colorbar = shown.data[0].colorbar;
const how = { displaylogo: false, responsive: true, displayModeBar: shown === wide };
Plotly.newPlot('map', wide.data, shown.layout, how);
"""


def to_html(
    comparison: Comparison, *, titles: tuple[str, str] | None = None, colours: str = "magma",
    limits: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """The map as one HTML file that works without a network connection (plotly.js is inside, about 5 MB)."""
    title_a, title_b = titles or (comparison.name_a, comparison.name_b)
    title = html.escape(f"{words.value_text(comparison.provenance)} of {title_a} and {title_b}", quote=False)
    return page(title, f"<h1>{title}</h1>{chart(comparison, titles=titles, colours=colours, limits=limits)}")


def chart(
    comparison: Comparison, *, titles: tuple[str, str] | None = None, colours: str = "magma",
    limits: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """The map and what draws it, for a `page`."""
    from plotly.offline import get_plotlyjs

    low, high = (None, None) if limits is None else limits
    wide, narrow = (
        heatmap(
            comparison, titles=titles, colours=colours, height=None, zmin=low, zmax=high, narrow=narrow
        ).update_layout(template="plotly_white", margin_pad=6)
        for narrow in (False, True)
    )
    colours_below = [{"colorbar": narrow.data[0].colorbar.to_plotly_json()}]
    on_a_phone = json.dumps({"data": colours_below, "layout": json.loads(narrow.to_json())["layout"]})
    both = f'{{"wide":{wide.to_json()},"narrow":{on_a_phone}}}'.replace("<", "\\u003c")
    return (
        f'<div id="map"></div><script>{get_plotlyjs()}</script>'
        f'<script type="application/json" id="figure">{both}</script><script>{SCRIPT}</script>'
    )


def page(title: str, body: str, style: str = "") -> str:
    """A page of its own. ``title`` and ``body`` are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}{style}</style></head><body>{body}</body></html>"
    )
