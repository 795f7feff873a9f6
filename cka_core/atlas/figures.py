"""An atlas as plotly figures: a map with what belongs along its axes, pairs over seeds, who is right on what."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.atlas.images import ClassAccuracies, Examples
from cka_core.atlas.views import LargeView
from cka_core.results import figures, views
from cka_core.results.colours import CURVE_A, CURVE_B, GREY
from cka_core.results.figures import OUTLINES

if TYPE_CHECKING:
    import plotly.graph_objects

    from cka_core.results.comparison import Comparison

MARGINS = {"l": 80, "r": 76, "t": 26, "b": 54}
"""What the words around a large map take (see `results.room.margins`)."""
MAP_TOP, BRACKETS = 0.73, (0.745, 0.765)
STRIPS = ((0.79, 0.885), (0.905, 1.0))
"""Where the map ends, and what stands above it: shares of the figure's height."""


def large_map(
    view: LargeView, title: str, *, colours: str = "magma", narrow: bool = False, before: LargeView | None = None
) -> plotly.graph_objects.Figure:
    """A network's map against itself. Above it, along the same axis: its blocks, and two strips.

    The strips show each layer's first-component share of the variance and the accuracy of linear probes. With
    ``before``, the map from which something was removed, one strip shows each layer's mean CKA with the others, then
    and now.
    """
    figure = figures.heatmap(
        view.comparison, colours=colours, titles=(title, title), height=460 if narrow else 700, narrow=narrow
    )
    axis = f"layers of {html.escape(title, quote=False)}, from the input to the output"
    figure.update_xaxes(title={"text": axis, "font": {"size": 12}, "standoff": 8})
    figure.update_yaxes(title={"text": ""}, domain=[0, MAP_TOP], constraintoward="top")
    figure.update_traces(hovertemplate="%{y}<br>%{x}<br>CKA  %{z:.3f}<extra></extra>", selector={"type": "heatmap"})
    if narrow:
        figure.update_traces(showscale=False, selector={"type": "heatmap"})
    else:
        bar = {"len": MAP_TOP, "y": 0, "yanchor": "bottom", "thickness": 10}
        figure.update_traces(colorbar=bar, selector={"type": "heatmap"})
    _blocks(figure, view)
    layers = views.labels(view.comparison.layers_a)
    if before is None:
        _strip(figure, 3, STRIPS[0], "first<br>comp." if narrow else "first<br>component")
        _line(figure, 3, layers, view.shares, CURVE_A, "first component: %{y:.0%} of the variance", fill=True)
        _strip(figure, 4, STRIPS[1], "linear<br>probe")
        _line(
            figure, 4, [layers[at] for at, _ in view.probes], [accuracy for _, accuracy in view.probes], CURVE_B,
            "linear probe: %{y:.0%} right", markers=True,
        )  # fmt: skip
        if not view.probes:
            figure.add_annotation(
                text="after the last epoch only", xref="x domain", x=0.5, yref="y4", y=0.5, showarrow=False,
                font={"size": 11, "color": GREY},
            )  # fmt: skip
    else:
        _strip(figure, 3, (STRIPS[0][0], STRIPS[1][1]), "mean CKA<br>with the others")
        _line(figure, 3, layers, before.alike, GREY, "before: %{y:.2f}")
        _line(figure, 3, layers, view.alike, CURVE_A, "now: %{y:.2f}", fill=True)
    figure.update_layout(showlegend=False, margin=MARGINS | ({"l": 60, "r": 24} if narrow else {}))
    return figure


def _blocks(figure: plotly.graph_objects.Figure, view: LargeView) -> None:
    """Each block as a bracket above the map and as an outline in it."""
    for start, stop, _ in view.blocks:
        square = {"x0": start - 0.5, "x1": stop - 0.5, "y0": start - 0.5, "y1": stop - 0.5}
        for colour, width in OUTLINES:
            figure.add_shape(type="rect", line={"color": colour, "width": width}, **square)
        figure.add_shape(
            type="rect", x0=start - 0.5, x1=stop - 0.5, y0=0, y1=1, yref="y2", fillcolor=CURVE_A, line={"width": 0}
        )
    layers = views.labels(view.comparison.layers_a)
    middles = [layers[(start + stop - 1) // 2] for start, stop, _ in view.blocks]
    figure.add_scatter(
        x=middles, y=[0.5] * len(middles), yaxis="y2", mode="markers",
        marker={"size": 14, "opacity": 0}, text=[words for _, _, words in view.blocks],
        hovertemplate="block: %{text}<extra></extra>",
    )  # fmt: skip
    blank = {"range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis2={"domain": list(BRACKETS), "anchor": "x", **blank})


def _strip(figure: plotly.graph_objects.Figure, number: int, domain: tuple[float, float], title: str) -> None:
    figure.update_layout(
        {
            f"yaxis{number}": {
                "domain": list(domain), "anchor": "x", "range": [0, 1.05], "fixedrange": True, "tickvals": [0, 0.5, 1],
                "tickfont": {"size": 10}, "tickformat": ".1f", "zeroline": False, "automargin": True,
                "title": {"text": title, "font": {"size": 11}, "standoff": 4},
            }
        }
    )  # fmt: skip


def _line(
    figure: plotly.graph_objects.Figure,
    axis: int,
    x: Sequence[str],
    y: Any,
    colour: str,
    hover: str,
    *,
    fill: bool = False,
    markers: bool = False,
) -> None:
    about: dict[str, Any] = {
        "x": x, "y": np.asarray(y, np.float32), "yaxis": f"y{axis}",
        "hovertemplate": f"%{{x}}<br>{hover}<extra></extra>",
    }  # fmt: skip
    if fill:  # a bar is as wide as its layer's cells, a line would end in the middle of the first and the last
        figure.add_bar(**about, width=1, marker={"color": colour, "line": {"width": 0}})
        return
    figure.add_scatter(
        **about, mode="lines+markers" if markers else "lines", marker={"size": 5},
        line={"color": colour, "width": 1.5, "shape": "linear" if markers else "hvh"},
    )  # fmt: skip


def large_alt(view: LargeView, title: str, what: str) -> str:
    """`large_map` for those who do not see it."""
    said = "; ".join(words for _, _, words in view.blocks) or "none"
    return f"{title}, {what}: CKA of {len(view.shares)} layers with each other. Blocks: {said}."


# Pairs.


def spread_map(
    comparison: Comparison, titles: tuple[str, str], *, colours: str = "magma", narrow: bool = False, height: int = 620
) -> plotly.graph_objects.Figure:
    """A map whose cells are standard deviations, not CKA. The lightest colour is the largest, at least 0.1."""
    most = max(0.1, float(np.nanmax(comparison.matrix)))
    figure = figures.heatmap(comparison, colours=colours, titles=titles, zmax=most, narrow=narrow, height=height)
    figure.update_traces(
        hovertemplate="A  %{y}<br>B  %{x}<br>standard deviation  %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "spread"}},
        selector={"type": "heatmap"},
    )
    return figure


def mark_blocks(figure: plotly.graph_objects.Figure, sides: dict[str, Sequence[tuple[int, int]]]) -> None:
    """Brackets along the axes of a map of two networks: blocks, [start, stop), of A (side "y") and of B ("x")."""
    for side, found in sides.items():
        other = "y" if side == "x" else "x"
        for start, stop in found:
            figure.add_shape(
                type="line", line={"color": CURVE_A, "width": 5}, layer="above",
                **{
                    f"{side}0": start - 0.5, f"{side}1": stop - 0.5, f"{side}ref": side,
                    f"{other}0": 0, f"{other}1": 0, f"{other}ref": f"{other} domain",
                },
            )  # fmt: skip


# Behaviour.


def class_bars(
    a: ClassAccuracies, b: ClassAccuracies, titles: tuple[str, str], classes: Sequence[str], *, narrow: bool = False
) -> plotly.graph_objects.Figure:
    """Accuracy by class of two architectures, where A leads most first, with how far the seeds (or chance) reach."""
    import plotly.graph_objects as go

    order = np.argsort(b.mean - a.mean, kind="stable")
    names = [html.escape(classes[at], quote=False) for at in order]
    figure = go.Figure()
    for found, title, colour, pattern in ((a, titles[0], CURVE_A, ""), (b, titles[1], CURVE_B, "/")):
        mean, low, high = (values[order] for values in (found.mean, found.low, found.high))
        figure.add_bar(
            x=mean if narrow else names,
            y=names if narrow else mean,
            orientation="h" if narrow else "v",
            name=html.escape(title, quote=False),
            marker={"color": colour, "pattern": {"shape": pattern, "size": 5, "solidity": 0.2, "fillmode": "overlay"}},
            customdata=np.stack([low, high], axis=-1),
            hovertemplate=f"%{{{'y' if narrow else 'x'}}}<br>{html.escape(title, quote=False)}  "
            f"%{{{'x' if narrow else 'y'}:.0%}}<br>from %{{customdata[0]:.0%}} to %{{customdata[1]:.0%}}"
            "<extra></extra>",
            **{
                f"error_{'x' if narrow else 'y'}": {
                    "type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1.5, "width": 3,
                    "color": GREY,
                }
            },
        )  # fmt: skip
    share = {"title": {"text": "right"}, "tickformat": ".0%", "range": [0, 1], "fixedrange": True}
    name = {"type": "category", "fixedrange": True, "automargin": True}
    if narrow:
        name["autorange"] = "reversed"
    figure.update_layout(
        height=460 if narrow else 380,
        margin={"l": 83, "r": 16, "t": 41, "b": 61},  # what the words around it take (see `results.room.margins`)
        xaxis=share if narrow else name,
        yaxis=name if narrow else share,
        barmode="group",
        bargap=0.25,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        dragmode=False,
    )
    return figure


def class_bars_alt(a: ClassAccuracies, b: ClassAccuracies, titles: tuple[str, str], classes: Sequence[str]) -> str:
    gap = a.mean - b.mean
    most, least = int(gap.argmax()), int(gap.argmin())
    return (
        f"Accuracy by class. {titles[0]} leads most on {classes[most]}, by {100 * gap[most]:.0f} points; "
        f"{titles[1]} leads most on {classes[least]}, by {abs(100 * gap[least]):.0f}."
    )


POINTS = 2000
"""Images drawn as points, at most."""

GROUPS = (
    ("both right", GREY, "circle", 0.35),
    ("both wrong", GREY, "x", 0.35),
    ("only {a} right", CURVE_A, "triangle-up", 0.9),
    ("only {b} right", CURVE_B, "triangle-down", 0.9),
)


def example_scatter(
    found: Examples, titles: tuple[str, str], labels: np.ndarray, classes: Sequence[str], *, most: int = POINTS
) -> plotly.graph_objects.Figure:
    """One point a test image: how sure of its class A is, up, and B, across. ``customdata`` is the image's position.

    Only the first ``most`` images are drawn.
    """
    import plotly.graph_objects as go

    a, b = found.mostly_a, found.mostly_b
    names = [html.escape(title, quote=False) for title in titles]
    figure = go.Figure()
    for (text, colour, symbol, opacity), mask in zip(GROUPS, (a & b, ~a & ~b, a & ~b, b & ~a), strict=True):
        at = np.flatnonzero(mask[:most])
        figure.add_scatter(
            x=found.chance_b[at].astype(np.float32),
            y=found.chance_a[at].astype(np.float32),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": opacity},
            name=f"{text.format(a=names[0], b=names[1])}: {int(mask.sum()):,}",
            selected={"marker": {"size": 15, "opacity": 1}},
            unselected={"marker": {"opacity": opacity}},
            customdata=np.stack(
                [at, found.right_a[at] * found.seeds_a, found.right_b[at] * found.seeds_b], axis=-1
            ).tolist(),  # a list stays one
            text=[classes[label] for label in labels[at]],
            hovertemplate=f"%{{text}}<br>{names[0]}  %{{y:.2f}}, %{{customdata[1]:.0f}} of {found.seeds_a} right"
            f"<br>{names[1]}  %{{x:.2f}}, %{{customdata[2]:.0f}} of {found.seeds_b} right<extra></extra>",
        )
    axis = {"range": [-0.02, 1.02], "tickvals": [0, 0.25, 0.5, 0.75, 1], "zeroline": False}
    figure.update_layout(
        height=520,
        margin={"l": 83, "r": 16, "t": 41, "b": 68},
        xaxis=axis | {"title": {"text": f"{names[1]}: probability of the right class"}},
        yaxis=axis | {"title": {"text": f"{names[0]}: probability of the right class"}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        hovermode="closest",
        dragmode=False,
        clickmode="event+select",
        uirevision=f"{titles}",
        shapes=[
            {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": {"color": GREY, "width": 1, "dash": "dot"}}
        ],
    )
    return figure
