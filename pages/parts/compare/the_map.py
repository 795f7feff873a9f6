"""The map on screen, and what a click on it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cka_core.results import figures, views
from cka_core.results import words as result_words
from cka_core.results.comparison import Comparison
from pages.parts import drawn, phone

LEADING = (Path(__file__).parents[1] / "leading.js").read_text(encoding="utf-8")
LISTENER = """
export default function({ data, setTriggerValue, setStateValue }) {
  let narrow = data.narrow;
  const clicked = (event) => {
    const point = event.points.find((point) => Array.isArray(point.pointNumber));
    if (point) setTriggerValue('cell', { at: point.pointNumber, figure: data.figure });
  };
  // The chart may be drawn after this, again, or anew: look again and again, listen once.
  const look = () => {
    const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    if (!chart || !chart._ev) return;
    if (!chart._ev.listeners('plotly_click').some((listener) => listener.ofMap)) {
      const listener = (event) => window.ckaMapClicked && window.ckaMapClicked(event);
      listener.ofMap = true;
      chart.on('plotly_click', listener);
    }
    const isNarrow = chart.clientWidth > 0 && chart.clientWidth < 420;
    if (chart.clientWidth > 0 && isNarrow !== narrow && !document.fullscreenElement) {
      narrow = isNarrow;
      setStateValue('narrow', isNarrow);
    }
  };
  const lead = () => { // once in a visit, as soon as it stands below the map
    const below = document.querySelector(`.st-key-${data.below}`);
    const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    if (!below || !chart || below.getBoundingClientRect().top < chart.getBoundingClientRect().bottom) return;
    window.ckaLedBelow = true;
    leadTo(below, 'auto');
  };
  window.ckaMapClicked = clicked;
  const again = () => {
    look();
    if (data.leads && !window.ckaLedBelow) lead();
  };
  again();
  const timer = setInterval(again, 150);
  return () => clearInterval(timer);
}
"""


PLACE = "map-place"
BELOW = "below-the-map"


def arrive(asks_below: bool) -> None:
    """A link that ``asks_below``, of what is below the map, leads there: of a visit's runs the first one counts."""
    st.session_state.setdefault("asks below the map", asks_below)


def below() -> DeltaGenerator:
    """The place of what is below the map. Where a link leads there it has the room for that from the start."""
    around = st.container(key="led-to") if st.session_state.get("asks below the map") else st
    return around.container(key=BELOW)


def column_key(comparison: Comparison) -> str:
    """The key of the column that the map stands in: the stylesheet has the widths, by columns for a row in hundredths,
    of those with square cells."""
    rows, columns = comparison.matrix.shape
    if not figures.is_square(comparison):
        return "map-column-any"
    return f"map-column-{min(175, max(50, 25 * round(4 * columns / rows)))}"


def is_narrow() -> bool:
    """Whether the map is as narrow as on a phone."""
    return phone.is_narrow("map_listener")


def layers_at(at: Any, names: tuple[Sequence[str], Sequence[str]]) -> tuple[str, str] | None:
    """The layers of a cell that the browser names by row and column. None for what is none: it may send anything."""
    if not isinstance(at, list) or len(at) != 2:
        return None
    if not all(isinstance(one, int) and 0 <= one < len(own) for one, own in zip(at, names, strict=True)):
        return None
    return names[0][at[0]], names[1][at[1]]


def folded(title: str) -> DeltaGenerator:
    """A place that is folded on a phone, where it stands below the map."""
    return st.expander(title) if is_narrow() else st.container(gap="small")


def heatmap(
    comparison: Comparison,
    titles: tuple[str, str],
    file_name: str,
    *,
    colours: str,
    on_cell: Callable[[str, str], None],
    faded: bool = False,
    blocks: Sequence[tuple[int, int, str]] = (),
    beside: Mapping[str, Comparison] | None = None,
    limits: tuple[float, float] | None = None,
) -> None:
    """The map, with ``blocks`` marked. A click calls ``on_cell`` with layers. The chosen cell is marked in the browser
    (cell/walk.js), so that the map is neither sent nor drawn again where another is chosen.

    ``beside`` are other maps of the same cells, for the hover; ``limits`` those of the darkest and the lightest colour.
    """
    names_a, names_b = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    narrow = is_narrow()
    digest = drawn.digest(comparison, titles)
    figure = drawn.heatmap(
        comparison,
        digest,
        beside,
        colours=colours,
        titles=titles,
        faded=faded,
        narrow=narrow,
        height=None,  # that of its place
        blocks=blocks,
        zmin=limits[0] if limits else None,
        zmax=limits[1] if limits else None,
    )
    camera = st.session_state.get("camera") or st.session_state.get("camera saves", "png")
    rows, columns = comparison.matrix.shape
    value = result_words.value_text(comparison.provenance)
    st.plotly_chart(
        figure,
        width="stretch",
        height="stretch",
        key="map",
        alt=f"{value} of {rows} layers of {titles[0]}, up the side, and {columns} of {titles[1]}, along the bottom.",
        config=phone.chart(
            figures.CONFIG
            | {
                "toImageButtonOptions": {
                    "format": camera,
                    "filename": file_name,
                    "scale": 4 if camera == "png" else 1,
                }
            },
            narrow=narrow,
        ),
    )

    def clicked() -> None:
        heard = (st.session_state.get("map_listener") or {}).get("cell")
        if isinstance(heard, dict) and heard.get("figure") == digest:
            cell = layers_at(heard.get("at"), (names_a, names_b))
            if cell is not None:
                on_cell(*cell)

    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    listener = st.components.v2.component("map_listener", js=LEADING + LISTENER)
    listener(
        data={
            "chart": "map",
            "figure": digest,
            "narrow": narrow,
            "below": BELOW,
            "leads": st.session_state.get("asks below the map", False),
        },
        key="map_listener",
        on_cell_change=clicked,
        on_narrow_change=lambda: None,
    )
