"""The figure of each claim of `claims`: what the atlas shows of it, one point a network."""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.atlas import errors
from cka_core.atlas import numbers as known
from cka_core.atlas.kinds import block_pairs
from cka_core.images.sets import CIFAR10_CLASSES
from cka_core.results import room
from cka_core.results.colours import CURVE_A, CURVE_B, GREY

if TYPE_CHECKING:
    import plotly.graph_objects

    from cka_core.atlas.result import Atlas, Member
    from cka_core.claims.beyond import Beyond
    from cka_core.claims.more_data import MoreData

COLOURS = (CURVE_A, CURVE_B, GREY)
INVISIBLE = "\N{ZERO WIDTH SPACE}"
"""Tells rows of the same name apart: a network may have several blocks."""

HEIGHT = 300
PHONE_CARD = 326
"""Pixels across which a phone shows the figure of a claim."""
MOST_NAMES = 16
"""Networks named on an axis, at most."""


def claim_figure(key: str, atlas: Atlas) -> tuple[plotly.graph_objects.Figure, str] | None:
    """The figure of a claim, of the studied networks, and what it shows in one line; None with nothing to draw."""
    found: tuple[plotly.graph_objects.Figure, str] | None = _FIGURES[key](atlas.studied)
    return found


def _block_structure(atlas: Atlas) -> tuple[Any, str]:
    """Share of layers in blocks against depth, one point a network."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for width, colour in zip(sorted({member.width for member in atlas.members}), itertools.cycle(COLOURS)):
        members = [member for member in atlas.members if member.width == width]
        figure.add_scatter(
            x=[member.depth for member in members],
            y=[known.block_share(member) for member in members],
            mode="markers+text",
            marker={
                "size": 11, "color": colour, "line": {"width": 2, "color": colour},
                "symbol": ["circle" if member.fitted else "circle-open" for member in members],
            },
            text=[_point(atlas, member) if member.final.blocks else "" for member in members],
            textposition="top center",
            name=f"width {width}",
            customdata=[_title(member) for member in members],
            hovertemplate="%{customdata}<br>%{y:.0%} of the layers in blocks<extra></extra>",
        )  # fmt: skip
    _finish(figure, "layers in blocks", x="depth")
    figure.update_xaxes(tickvals=sorted({member.depth for member in atlas.members}))
    figure.update_yaxes(tickformat=".0%", range=[-0.05, 1.05])
    return figure, "Each network’s share of layers in blocks, by its depth; an open circle is a network not fitted."


def _first_component(atlas: Atlas) -> tuple[Any, str] | None:
    """Share of layers in blocks, as it is and without the component."""
    members = [m for m in atlas.members if m.final.blocks and "component" in m.blocks_without]
    rows = [(_label(m), known.block_share(m), known.share_of(m.blocks_without["component"], m)) for m in members]
    if not rows:
        return None
    figure = _dumbbells(rows, "as it is", "without the first component", ".0%")
    _finish(figure, "", x="layers in blocks")
    figure.update_xaxes(tickformat=".0%")
    return figure, "The share of layers in blocks, before and after each layer’s first component is removed."


def _probes_and_deletion(atlas: Atlas) -> tuple[Any, str] | None:
    """What deleting one residual block costs, inside blocks and elsewhere."""
    rows = []
    for member in atlas.members:
        found = known.deletion_losses(member)
        if found.n_inside and found.n_outside:
            rows.append((_label(member), found.inside, found.outside))
    if not rows:
        return None
    figure = _dumbbells(rows, "inside a block", "elsewhere", ".1%")
    _finish(figure, "", x="accuracy lost by deleting one residual block")
    figure.update_xaxes(tickformat=".0%", range=[min(0, *(min(row[1:]) for row in rows)) - 0.005, None])
    return figure, "What deleting one residual block costs on average, inside a block and elsewhere."


def _outside_and_inside(atlas: Atlas) -> tuple[Any, str] | None:
    """CKA between the blocks of every two networks, one point a pair: a mean would be like none of them."""
    import plotly.graph_objects as go

    pairs = block_pairs(atlas)
    if not pairs:
        return None
    names = [html.escape(f"{_label(pair.a)} · {_label(pair.b)}", quote=False) for pair in pairs]
    figure = go.Figure(
        go.Scatter(
            x=[pair.cka for pair in pairs], y=[f"{name}{at * INVISIBLE}" for at, name in enumerate(names)],
            mode="markers", marker={"size": 11, "color": [CURVE_A if pair.shared else GREY for pair in pairs]},
            text=names, hovertemplate="%{text}<br>CKA between their blocks %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_yaxes(type="category", autorange="reversed", showticklabels=len(pairs) <= MOST_NAMES)
    _finish(figure, "", x="median CKA between the blocks of two networks")
    return figure, "How alike the blocks of every two networks are; in colour where they are of one kind."


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


def falls_figure(seen: Beyond) -> tuple[plotly.graph_objects.Figure, str] | None:
    """The fall at the edge of each network's block, as it is and without the first component; None without any."""
    rows = [(one.network, one.block.fall, one.left.fall) for one in seen.left if one.left is not None]
    if not rows:
        return None
    figure = _dumbbells(rows, "as it is", "without the first component", ".2f")
    _finish(figure, "", x="fall of mean similarity at the edge")
    return figure, "How sharply similarity falls at the edge of each block that stays without the first component."


def more_data_figure(seen: Sequence[MoreData]) -> tuple[plotly.graph_objects.Figure, str]:
    """The mean share of layers in blocks against the number of training images, a line an architecture."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, one in enumerate(seen):
        figure.add_scatter(
            x=[amount.images for amount in one.amounts], y=[amount.share for amount in one.amounts],
            mode="lines+markers", name=html.escape(one.title, quote=False),
            line={"color": COLOURS[number % len(COLOURS)]}, marker={"size": 10},
            customdata=[(amount.with_block, amount.networks, amount.test, amount.train) for amount in one.amounts],
            hovertemplate="%{x:,} images: %{y:.0%} of the layers in blocks<br>%{customdata[0]} of %{customdata[1]} "
            "networks have one<br>test %{customdata[2]:.0%}, training %{customdata[3]:.0%}<extra></extra>",
        )  # fmt: skip
    images = sorted({amount.images for one in seen for amount in one.amounts})
    figure.update_xaxes(type="log", tickvals=images, ticktext=[f"{count:,}" for count in images])
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    _finish(figure, "layers in blocks", x="training images")
    return figure, "The mean share of layers in blocks by the number of training images, with as many updates each."


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
    named = [] if figure.layout.yaxis.showticklabels is False else [name for trace in figure.data for name in trace.y]
    left = 83 if y else 48 + room.across(name for name in named if isinstance(name, str))
    figure.update_layout(
        height=HEIGHT, margin={"l": left, "r": 24, "t": 41, "b": 61}, dragmode=False,  # see `results.room.margins`
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}, hovermode="closest",
    )  # fmt: skip
    figure.update_xaxes(title={"text": html.escape(x, quote=False), "standoff": 6}, fixedrange=True, zeroline=False)
    figure.update_yaxes(title={"text": y}, fixedrange=True, zeroline=False, automargin=True)


def for_a_phone(figure: Any) -> Any:
    """The figure, which is changed: higher by the rows that its legend takes there. Plotly would find them out by
    drawing it twice."""
    margin, named = figure.layout.margin, [trace.name for trace in figure.data if trace.showlegend is not False]
    width = PHONE_CARD - margin.l - margin.r
    more = room.legend([name for name in named if name], width) - room.legend([], width)
    return figure.update_layout(height=figure.layout.height + more, margin_t=margin.t + more)


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
