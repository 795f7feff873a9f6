"""A training as figures: loss and accuracy by epoch, and what was taken for what."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.results.colours import CURVE_A, CURVE_B, colour_scale, inks

if TYPE_CHECKING:
    import plotly.graph_objects

QUANTITIES = ("loss", "accuracy")
LINES = {"training": ("", CURVE_B, "solid"), "held out": ("val_", CURVE_A, "dash")}
"""Images -> the beginning of their names in a history, colour, and dashes, so that nobody needs the colours."""


def curves(
    history: Mapping[str, Sequence[float]],
    epochs: int,
    quantity: str,
    *,
    kept_epoch: int | None = None,
    height: int = 210,
) -> plotly.graph_objects.Figure:
    """Loss or accuracy after each epoch, of the training and of the held-out images.

    The axes do not move while a training goes on: ``epochs`` says how many there will be. ``kept_epoch`` is marked.
    """
    import plotly.graph_objects as go

    if quantity not in QUANTITIES:
        raise ValueError(f"Unknown quantity {quantity!r}. Valid: {', '.join(QUANTITIES)}.")
    percent = quantity == "accuracy"
    figure = go.Figure()
    for images, (prefix, colour, dash) in LINES.items():
        values = history.get(prefix + quantity, [])
        if not values and prefix:
            continue
        figure.add_scatter(
            x=list(range(1, len(values) + 1)),
            y=list(values),
            mode="lines+markers" if epochs <= 40 else "lines",
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 5, "symbol": "circle" if not prefix else "diamond"},
            name=images,
            hovertemplate=f"epoch %{{x}}<br>{images}  %{{y:{'.1%' if percent else '.3f'}}}<extra></extra>",
        )
    if kept_epoch:
        figure.add_vline(x=kept_epoch, line={"color": "rgba(140, 140, 140, 0.8)", "width": 1, "dash": "dot"})
    y: dict[str, Any] = {"title": {"text": quantity}, "fixedrange": True, "rangemode": "tozero", "automargin": True}
    if percent:
        y |= {"range": [0, 1], "tickformat": ".0%"}
    elif not any(history.get(prefix + quantity) for prefix, _, _ in LINES.values()):
        y |= {"range": [0, 2.5]}
    figure.update_layout(
        height=height,
        margin={"l": 83, "r": 16, "t": 41, "b": 63},  # what the words around it take (see `results.room.margins`)
        xaxis={
            "title": {"text": "epoch", "standoff": 16},
            "range": [0.5, max(epochs, 2) + 0.5],
            "tick0": 1,
            "dtick": max(1, round(epochs / 8)) if epochs <= 16 else None,
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
        },
        yaxis=y,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        showlegend=True,
        uirevision=quantity,
        hovermode="closest",
    )
    return figure


def curves_alt(history: Mapping[str, Sequence[float]], epochs: int, quantity: str) -> str:
    """`curves` for those who do not see it."""
    done = len(history.get(quantity, []))
    if not done:
        return f"{quantity.capitalize()} by epoch: no epoch is done yet."
    last = [
        f"{images} images {history[prefix + quantity][-1]:.3f}"
        for images, (prefix, _, _) in LINES.items()
        if history.get(prefix + quantity)
    ]
    return f"{quantity.capitalize()} by epoch. After epoch {done} of {epochs}: {', '.join(last)}."


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], *, height: int = 430) -> Any:
    """What the test images of each class (row) were taken for (column), as shares of the row. Right is the diagonal.

    Returns a plotly Figure.
    """
    import plotly.graph_objects as go

    table, classes = _met(counts, classes)
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0)
    names = [html.escape(name, quote=False) for name in classes]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            zmin=0,
            zmax=1,
            colorscale=colour_scale("cividis"),
            showscale=False,
            xgap=1,
            ygap=1,
            text=[
                [f'<span style="color:{ink}">{100 * share:.0f}</span>' if share >= 0.005 else "" for share, ink in row]
                for row in map(zip, shares, inks("cividis", shares))
            ],
            texttemplate="%{text}",
            textfont={"size": 12},  # plotly would make room for the markup, too
            customdata=np.stack([table, np.broadcast_to(totals, table.shape)], axis=-1),
            hovertemplate="%{y}, taken for %{x}<br>%{customdata[0]:.0f} of %{customdata[1]:.0f} images, %{z:.0%}"
            "<extra></extra>",
        )
    )
    axis = {"type": "category", "ticks": "", "showgrid": False, "automargin": True, "fixedrange": True}
    figure.update_layout(
        height=height,
        margin={"l": 97, "r": 12, "t": 12, "b": 93},
        xaxis=axis | {"title": {"text": "taken for", "standoff": 8}, "tickangle": -45},
        yaxis=axis | {"title": {"text": "test images of", "standoff": 8}, "autorange": "reversed"},
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="confusion",
    )
    return figure


def confusion_alt(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """`confusion` for those who do not see it: the classes known best and worst, and the most frequent mistake."""
    table, classes = _met(counts, classes)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    right = np.diag(shares)
    shown = table.sum(axis=1) > 0
    best, worst = int(np.where(shown, right, -1).argmax()), int(np.where(shown, right, 2).argmin())
    wrong = shares - np.diag(right)
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return (
        f"Confusion matrix in percent of each class. Known best: {classes[best]}, {right[best]:.0%}; worst: "
        f"{classes[worst]}, {right[worst]:.0%}. Most frequent mistake: {classes[int(row)]} taken for "
        f"{classes[int(column)]}, {wrong[row, column]:.0%}."
    )


def _met(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The table, float64, and names of the classes that have test images, or that some were taken for: networks tell
    ten apart, and a set may have fewer."""
    table = np.asarray(counts, np.float64)
    if table.shape != (len(classes), len(classes)):
        raise ValueError(f"Expected a table of {len(classes)} x {len(classes)} classes, got shape {table.shape}.")
    met = np.flatnonzero(table.sum(axis=0) + table.sum(axis=1)).tolist() or range(len(classes))
    return table[np.ix_(met, met)], [classes[at] for at in met]
