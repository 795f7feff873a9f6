"""A comparison as one HTML file that works offline: the map, and for a cell that is clicked what is known of it."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

from cka_core.results import html_page, passed_on, trust, views, words
from cka_core.results.differences import is_difference

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

STYLE = """
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
#cell { border: 1px solid #ccc; border-radius: .4rem; padding: .6rem 1rem; min-height: 4rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f5f5; padding: .6rem 1rem; }
"""
# Names of layers come from users' files: they enter the page as text, never as HTML.
SCRIPT = """
const about = JSON.parse(document.getElementById('about').textContent);
const place = document.getElementById('cell');
const line = (text) => { const p = document.createElement('div'); p.textContent = text; place.append(p); };
const show = (row, column) => {
  place.replaceChildren();
  line('A  ' + about.a[row]); line('B  ' + about.b[column]);
  const value = about.values[row][column], none = /^none, /;
  line(none.test(value) ? 'No ' + about.measure + ': ' + value.replace(none, '') : about.measure + '  ' + value);
  const sure = about.sure ? about.sure[row][column] : '';
  if (sure) line(sure.startsWith('[') ? '95 % interval  ' + sure : sure);
};
const chart = document.querySelector('.js-plotly-plot');
chart.on('plotly_click', (event) => {
  const point = event.points.find((point) => Array.isArray(point.pointNumber));
  if (point) show(point.pointNumber[0], point.pointNumber[1]);
});
"""


def to_html(
    comparison: Comparison, *, titles: tuple[str, str] | None = None, colours: str = "magma",
    limits: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """The report. plotly.js is inside (about 5 MB); nothing is fetched."""
    comparison = passed_on.passed_on(comparison)
    title_a, title_b = titles or (comparison.name_a, comparison.name_b)
    chart = html_page.chart(comparison, titles=titles, colours=colours, limits=limits)
    title = html.escape(f"{title_a} × {title_b}")
    first = words.facts(comparison)
    more = [fact.text for fact in trust.line(comparison) if fact.text not in first]
    facts = "<br>".join(html.escape(line) for line in (first, " · ".join(more)))
    told = "".join(f"<p>{html.escape(note)}</p>" for note in notes(comparison))
    about = json.dumps(_about(comparison), separators=(",", ":")).replace("<", "\\u003c")
    provenance = html.escape(json.dumps(comparison.provenance, indent=2, default=str))
    body = (
        f"<h1>{title}</h1><p>{facts}</p>{told}{chart}"
        '<p id="cell" aria-live="polite">Click a cell of the map.</p>'
        f"{_table(comparison)}<h2>The same again</h2><pre>{html.escape(words.command(comparison))}</pre>"
        f"<h2>Where it comes from</h2><pre>{provenance}</pre>"
        f'<script type="application/json" id="about">{about}</script><script>{SCRIPT}</script>'
    )
    return html_page.page(title, body, STYLE)


def notes(comparison: Comparison) -> list[str]:
    """What a reader should know beside the numbers, a sentence or two each."""
    provenance = comparison.provenance
    told = [*words.pixels_because(provenance), *words.fitted(provenance), *trust.misleading(comparison)]
    return [*told, *comparison.warnings]


def _about(comparison: Comparison) -> dict[str, Any]:
    named = {
        side: [f"{layer.name} · {layer.kind} · {views.shape_text(layer.shape)}" for layer in layers]
        for side, layers in (("a", comparison.layers_a), ("b", comparison.layers_b))
    }
    about: dict[str, Any] = {
        **named, "values": trust.values(comparison).tolist(), "measure": words.value_text(comparison.provenance),
    }  # fmt: skip
    sure = trust.notes(comparison)
    return about if sure is None else about | {"sure": sure.tolist()}


def _table(comparison: Comparison) -> str:
    """The best match of each layer of A; a difference has none."""
    if is_difference(comparison):
        return ""
    best, values = comparison.best_match()
    rows = "".join(
        f"<tr><td>{html.escape(layer.name)}</td><td>{html.escape(comparison.layers_b[at].name)}</td>"
        f"<td>{words.number(alike)}</td></tr>"
        for layer, at, alike in zip(comparison.layers_a, best.tolist(), values.tolist(), strict=True)
        if at >= 0 and alike == alike
    )
    value = html.escape(words.value_text(comparison.provenance))
    head = f"<tr><th>layer of A</th><th>its best match in B</th><th>{value}</th></tr>"
    return f"<details><summary>Best match of each layer of A</summary><table>{head}{rows}</table></details>"
