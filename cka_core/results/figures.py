"""A comparison as a figure of plotly's, for the screen; `html_page` puts it into a page, `paper` draws it for paper."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import extras
from cka_core.results import differences, room, trust, views, words
from cka_core.results.colours import CURVE_A, CURVE_B, DIVERGING, NO_CKA, check_colours, colour_scale, rgb
from cka_core.results.fitting import cut

if TYPE_CHECKING:
    import plotly.graph_objects

    from cka_core.measures.chance import BestMatchChance
    from cka_core.networks.layers import Layer
    from cka_core.results.comparison import Comparison

PAPER_FORMATS = ("png", "svg", "pdf")
LINE = "rgba(140, 140, 140, 0.8)"
SQUARE = (0.55, 1.8)
"""Rows per column between which the cells are drawn square; beyond, the map fills its place."""
LEGEND = 40
"""The letters of a name for which the legend of a chart has room on a phone."""
AXIS = {False: 40, True: 30}
"""The letters of a name for which an axis of the map has room where it is smallest, on a phone (True) and elsewhere."""
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
"""Of a map on screen: without the buttons of plotly that have no use there."""
OUTLINES = (("#ffffff", 3.5), ("#000000", 1.2))  # seen on dark and on light cells


@extras.told()
def heatmap(
    comparison: Comparison,
    *,
    colours: str = "magma",
    zmin: float | None = None,
    zmax: float | None = None,
    titles: tuple[str, str] | None = None,
    selected: tuple[int, int] | None = None,
    height: int | None = 680,
    narrow: bool = False,
    faded: bool = False,
    blocks: Sequence[tuple[int, int, str]] = (),
    beside: Mapping[str, np.ndarray] | None = None,
) -> plotly.graph_objects.Figure:
    """The matrix on screen: A up the side, B along the bottom, the input at the bottom left.

    Parameters
    ----------
    colours : one of `colours.COLOURS`
    zmin, zmax : values of the darkest and the lightest colour; None: 0 and 1, of a difference -1 and 1
    titles : what to call A and B; None takes their names
    selected : row and column of a cell to mark
    height : pixels; None for that of the place it is put into
    narrow : for a phone: the colour bar below
    faded : pale, for a map that is about to be replaced
    blocks : of a network with itself, to be outlined, as `results.blocks.marked` gives them
    beside : what the hover says of each cell beside its value and interval: a word, and an array of numbers or texts
        like the matrix
    """
    import plotly.graph_objects as go

    check_colours(colours)
    check_titles(titles)
    rows, columns = comparison.matrix.shape
    if selected is not None and not (0 <= selected[0] < rows and 0 <= selected[1] < columns):
        raise ValueError(f"Expected selected as row and column of one of {rows} x {columns} cells, got {selected!r}.")
    low, high = lowest(comparison) if zmin is None else zmin, 1.0 if zmax is None else zmax
    if not low < high:
        raise ValueError(f"Expected a darkest colour's value below the lightest's, got zmin {low!r} and zmax {high!r}.")
    title_a, title_b = titles or (comparison.name_a, comparison.name_b)
    called = words.value_text(comparison.provenance)
    names_a = views.labels(comparison.layers_a, comparison.reasons_a, called)
    names_b = views.labels(comparison.layers_b, comparison.reasons_b, called)
    z = comparison.matrix.astype(np.float32)
    value = html.escape(called, quote=False)
    bar: dict[str, Any] = {"title": {"text": value, "side": "top"}, "thickness": 12, "outlinewidth": 0, "len": 1.0}
    if narrow:
        bar |= {"orientation": "h", "y": -0.16, "yanchor": "top", "title": {"text": value, "side": "bottom"}}
    tokens = words.tokens_text(comparison.provenance)
    below = f"<br>{tokens}<extra></extra>" if tokens else "<extra></extra>"
    said, more = _said_of_cells(comparison, beside or {})
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=names_b,
            y=names_a,
            zmin=low,
            zmax=high,
            colorscale=colour_scale(DIVERGING if differences.is_difference(comparison) else colours),
            colorbar=bar,
            opacity=0.45 if faded else 1.0,
            hoverongaps=False,
            hovertemplate=f"A  %{{y}}<br>B  %{{x}}<br>{value}  %{{z:.3f}}" + "".join(said) + below,
            **more,
        )
    )
    if np.isnan(z).any():
        figure.add_heatmap(
            z=np.where(np.isnan(z), np.float32(0), np.float32(np.nan)),
            x=names_b,
            y=names_a,
            colorscale=[[0, NO_CKA], [1, NO_CKA]],
            showscale=False,
            hoverongaps=False,
            hovertemplate=f"A  %{{y}}<br>B  %{{x}}<br>no {value}" + below,
        )
    if selected is not None:
        for colour, size in (("#000000", 13), ("#ffffff", 10)):  # seen on dark and on light cells
            figure.add_scatter(
                x=[names_b[selected[1]]],
                y=[names_a[selected[0]]],
                mode="markers",
                marker={"symbol": "square-open", "size": size, "color": colour, "line": {"width": 2}},
                hoverinfo="skip",
                showlegend=False,
            )
    along = room.letters(narrow)
    side = _axis(
        comparison.layers_a,
        f"A: {cut(title_a, AXIS[narrow])}",
        angle=-90 if narrow else 0,
        along=along if narrow else None,
    )
    figure.update_layout(
        height=height,
        margin=room.margins(side["ticktext"], narrow),
        xaxis=_axis(comparison.layers_b, f"B: {cut(title_b, AXIS[narrow])}", angle=0, along=along),
        yaxis=side,
        dragmode=False if narrow else "zoom",  # a finger on the map scrolls the page
        shapes=[
            *_lines(comparison.layers_b, rows, upright=True),
            *_lines(comparison.layers_a, columns, upright=False),
            *_outlines(blocks),
        ],
        uirevision=f"{title_a} {title_b} {rows} {columns}",
        hoverlabel={"align": "left"},
        plot_bgcolor="rgba(0,0,0,0)",
    )
    if is_square(comparison):
        figure.update_yaxes(scaleanchor="x", scaleratio=1)
    return figure


def _said_of_cells(comparison: Comparison, beside: Mapping[str, np.ndarray]) -> tuple[list[str], dict[str, Any]]:
    """What the hover says after the value: parts of its template, and the arrays that they name."""
    said, more = [], {}
    notes = trust.notes(comparison)
    if notes is not None:
        said.append("  %{text}")
        more["text"] = notes
    columns = [np.asarray(values) for values in beside.values()]
    are_numbers = [values.dtype.kind in "fiu" for values in columns]
    for index, (word, is_number) in enumerate(zip(beside, are_numbers, strict=True)):
        said.append(f"<br>{html.escape(word, quote=False)}  %{{customdata[{index}]{':.3f' if is_number else ''}}}")
    if columns:
        more["customdata"] = np.stack(columns, axis=-1).astype(np.float32 if all(are_numbers) else object)
    return said, more


def _outlines(blocks: Sequence[tuple[int, int, str]]) -> list[dict[str, Any]]:
    """A square around each block, seen on dark and on light cells."""
    return [
        {
            "type": "rect", "x0": start - 0.5, "x1": stop - 0.5, "y0": start - 0.5, "y1": stop - 0.5,
            "line": {"color": colour, "width": width}, "name": f"block {text}",
        }
        for start, stop, text in blocks
        for colour, width in OUTLINES
    ]  # fmt: skip


def is_square(comparison: Comparison) -> bool:
    """Whether the depths are near enough for square cells."""
    rows, columns = comparison.matrix.shape
    return bool(columns) and SQUARE[0] <= rows / columns <= SQUARE[1]


def lowest(comparison: Comparison) -> float:
    """The value of the darkest colour: -1 of a difference, else 0."""
    return -1.0 if differences.is_difference(comparison) else 0.0


def _axis(layers: Sequence[Layer], title: str, *, angle: int, along: float | None) -> dict[str, Any]:
    """``along``: letters for which there is room along the axis; None where its labels stand across it."""
    positions, names = views.ticks(layers)
    if along is not None:
        sizes = [run.stop - run.start for run in views.stages(layers)]
        positions, names = room.apart(positions, names, sizes, len(layers) / along)
    return {
        "type": "category",
        "title": {"text": html.escape(title, quote=False), "standoff": 14, "font": {"size": 14}},
        "tickvals": positions,
        "ticktext": [html.escape(name, quote=False) for name in names],
        "tickangle": angle,
        "ticks": "",
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "constrain": "domain",
        "range": [-0.5, len(layers) - 0.5],
    }


def _lines(layers: Sequence[Layer], across: int, *, upright: bool) -> list[dict[str, Any]]:
    """A thin line where each stage but the first begins."""
    along, other = ("x", "y") if upright else ("y", "x")
    return [
        {
            "type": "line",
            f"{along}0": stage.start - 0.5,
            f"{along}1": stage.start - 0.5,
            f"{other}0": -0.5,
            f"{other}1": across - 0.5,
            "line": {"color": LINE, "width": 1},
        }
        for stage in views.stages(layers)[1:]
    ]


def best_match_curve(
    comparison: Comparison,
    *,
    titles: tuple[str, str] | None = None,
    height: int = 360,
    by_chance: BestMatchChance | None = None,
    narrow: bool = False,
) -> plotly.graph_objects.Figure:
    """How well each layer is matched by its most similar layer in the other network, from the input to the output.

    With the 95 % interval of that pair as a band, where it is known and enough images decide, and below it what 95 of
    100 best matches stay under ``by_chance``, of the same layers. ``narrow``: for a phone.
    """
    import plotly.graph_objects as go

    title_a, title_b = titles or (comparison.name_a, comparison.name_b)
    value = words.value_text(comparison.provenance)
    figure = go.Figure()
    for side, own, colour in (("a", title_a, CURVE_A), ("b", title_b, CURVE_B)):
        matches = views.best_matches(comparison, side)
        depth = np.linspace(0, 1, len(matches)) if len(matches) > 1 else np.zeros(1)
        if "low" in matches:
            band(figure, depth, matches["low"].to_numpy(), matches["high"].to_numpy(), colour)
        if by_chance is not None:
            high = by_chance.high if side == "a" else by_chance.high_b
            figure.add_scatter(
                x=depth,
                y=high,
                mode="lines",
                line={"color": colour, "width": 1, "dash": "dash"},
                name=f"{side.upper()}  by chance: 95 of 100 stay below",
                hovertemplate="by chance 95 of 100 best matches stay below %{y:.3f}<extra></extra>",
            )
        figure.add_scatter(
            x=depth,
            y=matches[value],
            mode="lines+markers" if len(matches) < 30 else "lines",
            line={"color": colour, "width": 2, "dash": "solid" if side == "a" else "dot"},
            name=html.escape(f"{side.upper()}  {cut(own, LEGEND)}", quote=False),
            text=[
                html.escape(f"{layer} → {match}", quote=False)
                for layer, match in zip(matches["layer"], matches["best match"], strict=True)
            ],
            hovertemplate=f"%{{text}}<br>{html.escape(value, quote=False)}  %{{y:.3f}}<extra></extra>",
        )
    lowest = np.nanmin(comparison.matrix) if not np.isnan(comparison.matrix).all() else 0.0
    named = [trace.name for trace in figure.data if trace.name]
    figure.update_layout(
        room.legend_below(named, height, narrow),
        hovermode="closest",
        xaxis={"title": {"text": "depth, from the input to the output"}, "tickformat": ".0%", "range": [-0.01, 1.01]},
        yaxis={
            "title": {"text": html.escape(f"{value} with the best match", quote=False)},
            "range": [min(0.0, float(lowest)), 1.02],
        },
    )
    return figure


def band(figure: Any, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str) -> None:
    """The intervals along a curve, a piece for each run of places that have one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.isfinite(low).astype(np.int8), [0]])))
    red, green, blue = rgb(colour)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        figure.add_scatter(
            x=np.concatenate([x[start:stop], x[start:stop][::-1]]),
            y=np.concatenate([low[start:stop], high[start:stop][::-1]]),
            fill="toself",
            fillcolor=f"rgba({red}, {green}, {blue}, 0.15)",
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )


def check_titles(titles: tuple[str, str] | None) -> None:
    if titles is not None and not (isinstance(titles, list | tuple) and [type(one) for one in titles] == [str, str]):
        raise ValueError(f"Expected titles as two texts, what to call A and B, got {titles!r:.80}.")
