"""The figure of each claim of `claims`: what the atlas shows of it, one point a network."""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.atlas import errors
from cka_core.atlas import numbers as known
from cka_core.base import words
from cka_core.images.sets import CIFAR10_CLASSES
from cka_core.results.figures import CURVE_A, CURVE_B

if TYPE_CHECKING:
    import plotly.graph_objects

    from cka_core.atlas.result import Atlas, Member

GREY = "#8c8c8c"
HEIGHT = 300
MOST_NAMES = 16
"""Networks named on an axis, at most."""


def claim_figure(key: str, atlas: Atlas) -> tuple[plotly.graph_objects.Figure, str] | None:
    """The figure of a claim, of the studied networks, and what it shows in one line; None with nothing to draw."""
    found: tuple[plotly.graph_objects.Figure, str] | None = _FIGURES[key](atlas.studied)
    return found


def _block_structure(atlas: Atlas) -> tuple[Any, str]:
    """Share of layers in blocks against parameters."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for fitted, name, symbol in ((True, "fitted", "circle"), (False, "not fitted", "circle-open")):
        members = [member for member in atlas.members if member.fitted == fitted]
        if members:
            figure.add_scatter(
                x=[member.parameters for member in members],
                y=[known.block_share(member) for member in members],
                mode="markers+text",
                marker={"size": 11, "color": CURVE_A, "symbol": symbol, "line": {"width": 2, "color": CURVE_A}},
                text=[_point(atlas, member) for member in members],
                textposition="top center",
                name=name,
                customdata=[_title(member) for member in members],
                hovertemplate="%{customdata}<br>%{x:.3s} parameters<br>%{y:.0%} of the layers in blocks<extra></extra>",
            )
    _finish(figure, "layers in blocks")
    sizes = [step * 10**power for power in range(3, 10) for step in (1, 2, 5)]
    figure.update_xaxes(
        type="log", title={"text": "parameters"}, tickvals=sizes, ticktext=[words.count_text(size) for size in sizes]
    )
    figure.update_yaxes(tickformat=".0%", range=[-0.05, 1.15])
    return figure, "Each network’s share of layers in blocks, by its number of parameters."


def _first_component(atlas: Atlas) -> tuple[Any, str] | None:
    members = [member for member in atlas.members if member.final.blocks]
    found = [known.first_component(atlas, member) for member in members]
    rows = [(_label(member), one.before, one.after) for member, one in zip(members, found, strict=True)]
    if not rows:
        return None
    figure = _dumbbells(rows, "as it is", "without the first component", ".2f")
    _finish(figure, "", x="median CKA inside the blocks")
    return figure, "How alike layers of a block are, before and after each layer’s first component is removed."


def _probes_and_deletion(atlas: Atlas) -> tuple[Any, str] | None:
    """Probe accuracy along the depth; filled inside a block."""
    import plotly.graph_objects as go

    figure = go.Figure()
    members = [member for member in atlas.members if member.probes]
    if not members:
        return None
    for member in members:
        inside = known.inside_blocks(member)
        colour = CURVE_A if member.final.blocks else GREY
        at = [probe.position for probe in member.probes]
        figure.add_scatter(
            x=[position / (len(member.layers) - 1) for position in at],
            y=[probe.accuracy for probe in member.probes],
            mode="lines+markers",
            line={"color": colour, "width": 1.2},
            marker={"size": 8, "symbol": ["circle" if inside[p] else "circle-open" for p in at], "color": colour},
            showlegend=False,
            text=[html.escape(f"{_title(member)}, {member.layers[p].name}", quote=False) for p in at],
            hovertemplate="%{text}<br>linear probe %{y:.0%} right<extra></extra>",
        )
    for name, colour, symbol in (
        ("inside a block", CURVE_A, "circle"),
        ("outside", CURVE_A, "circle-open"),
        ("network without", GREY, "circle-open"),
    ):
        marker = {"size": 8, "symbol": symbol, "color": colour}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name)
    _finish(figure, "linear probe, right", x="depth, from the input to the output")
    figure.update_xaxes(tickformat=".0%", range=[-0.02, 1.02])
    figure.update_yaxes(tickformat=".0%")
    return figure, "Accuracy of a linear probe at the output of each residual block, one line a network."


def _outside_and_inside(atlas: Atlas) -> tuple[Any, str] | None:
    rows = []
    for group in known.seed_groups(atlas):
        for a, b in itertools.combinations(group, 2):
            try:
                found = known.inside_and_outside(atlas, a, b).contrast
            except ValueError:
                continue
            if found.n_inside:
                rows.append((f"{_short(a)}, seeds {a.seed} and {b.seed}", found.inside, found.outside))
    if not rows:
        return None
    figure = _dumbbells(rows, "inside a block of either", "outside", ".2f")
    _finish(figure, "", x="mean CKA, same layer, two seeds")
    return figure, "How alike the same layer of two seeds is, inside blocks and outside."


def _errors(atlas: Atlas) -> tuple[Any, str] | None:
    """Difference in accuracy by class, with its interval over seeds."""
    import plotly.graph_objects as go

    pairs = errors.wide_and_deep(atlas)
    if not pairs:
        return None  # of a better and a worse network this figure would show just that
    wide, deep = next((pair for pair in pairs if min(map(len, pair)) > 1), pairs[0])
    found = errors.errors_by_class(atlas, wide, deep, relative=True)
    order = np.argsort(-found.difference, kind="stable")
    names = [CIFAR10_CLASSES[at] if at < len(CIFAR10_CLASSES) else str(at) for at in order]
    reach = np.nan_to_num((found.high - found.low)[order] / 2)
    colours = [CURVE_A if value > 0 else CURVE_B for value in found.difference[order]]
    figure = go.Figure(
        go.Bar(
            x=100 * found.difference[order], y=names, orientation="h", marker={"color": colours},
            error_x={"type": "data", "array": 100 * reach, "color": GREY, "thickness": 1.5, "width": 3},
            hovertemplate="%{y}: %{x:+.1f} points<extra></extra>",
        )
    )  # fmt: skip
    _finish(figure, "", x=f"← {_short(deep[0])} better · points · {_short(wide[0])} better →")
    figure.update_yaxes(autorange="reversed", type="category")
    lines = "95 % interval over seeds" if min(len(wide), len(deep)) > 1 else "one seed: its spread is not known"
    title = f"Accuracy of {wide[0].title} less that of {deep[0].title}, by class, beside the overall difference"
    return figure, f"{title} ({lines})."


_FIGURES: dict[str, Callable[[Any], tuple[Any, str] | None]] = {
    "block-structure": _block_structure,
    "first-component": _first_component,
    "probes-and-deletion": _probes_and_deletion,
    "outside-and-inside": _outside_and_inside,
    "errors": _errors,
}


def _dumbbells(rows: Sequence[tuple[str, float, float]], first: str, second: str, number: str) -> Any:
    """Two numbers a row, joined by a line."""
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [html.escape(name, quote=False) for name, _, _ in rows]
    for name, (_, one, other) in zip(names, rows, strict=True):
        line = {"color": GREY, "width": 2}
        figure.add_scatter(x=[one, other], y=[name, name], mode="lines", line=line, hoverinfo="skip", showlegend=False)
    for column, (title, colour, symbol) in enumerate(((first, CURVE_A, "circle"), (second, CURVE_B, "diamond"))):
        figure.add_scatter(
            x=[row[1 + column] for row in rows], y=names, mode="markers", name=title,
            marker={"size": 11, "color": colour, "symbol": symbol},
            hovertemplate=f"%{{y}}<br>{title}  %{{x:{number}}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(type="category", autorange="reversed", showticklabels=len(rows) <= MOST_NAMES)
    figure.update_xaxes(range=[0, 1.03])
    return figure


def _finish(figure: Any, y: str, x: str = "") -> None:
    figure.update_layout(
        height=HEIGHT, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}, hovermode="closest",
    )  # fmt: skip
    figure.update_xaxes(title={"text": html.escape(x, quote=False), "standoff": 6}, fixedrange=True, zeroline=False)
    figure.update_yaxes(title={"text": y}, fixedrange=True, zeroline=False, automargin=True)


def _short(member: Member) -> str:
    return member.architecture.removeprefix("cifar-resnet-").replace("x", "×")


def _title(member: Member) -> str:
    return html.escape(f"{member.title}, seed {member.seed}", quote=False)


def _label(member: Member) -> str:
    return f"{_short(member)}, seed {member.seed}"


def _point(atlas: Atlas, member: Member) -> str:
    """What a point of the scatter is called: "14×1", and a further seed of it "14×1 s1"."""
    first = min(other.seed for other in atlas.seeds_of(member.architecture))
    return _short(member) if member.seed == first else f"{_short(member)} s{member.seed}"
