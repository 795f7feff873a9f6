"""Room for the words around a map on screen: which labels of an axis do not run into each other, and the margins."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

LABEL_PIXELS = 6.2
"""What a character of an axis' label takes, about."""
AXIS_TITLE, LINE = 42, 19
"""Pixels of an axis' title with what is free around it, and of a line of labels."""
BUTTONS = 30
"""Pixels above a map, where the chart's own buttons appear."""
UNDER_AXIS = 60
"""Pixels under a chart that the labels and the title of its axis take, with a little air."""
PAD = 12
"""Pixels that plotly, and Streamlit's theme, keep around a chart's lines and words."""
ENTRY, AROUND = 45, 10
"""Pixels of a legend's line beside each name, and around the whole of it."""
CHART, PHONE_CHART = 840, 264
"""Pixels across which a chart's lines are drawn on a small laptop, and on a phone."""


def letters(narrow: bool) -> float:
    """Characters that an axis with its labels along it has room for, where the map is smallest on screen."""
    return (225 if narrow else 350) / LABEL_PIXELS


def wide(name: str) -> int:
    """How many letters a name is wide: Chinese, Japanese and Korean ones, and emoji, count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)


def apart(
    positions: list[float], names: list[str], sizes: list[int], character: float
) -> tuple[list[float], list[str]]:
    """The labels that do not run into each other, where a ``character`` takes so many layers: a large stage's before a
    small one's, and else the first."""
    order = sorted(range(len(names)), key=lambda index: -sizes[index] if sizes else index)
    kept: list[int] = []
    for index in order:
        needed = [(wide(names[index]) + wide(names[other]) + 1) / 2 * character for other in kept]
        if all(abs(positions[index] - positions[other]) >= n for other, n in zip(kept, needed, strict=True)):
            kept.append(index)
    return [positions[index] for index in sorted(kept)], [names[index] for index in sorted(kept)]


def across(names: Iterable[str]) -> float:
    """Pixels that labels take which stand across their axis."""
    return max((wide(name) for name in names), default=0) * LABEL_PIXELS


def margins(names: Iterable[str], narrow: bool) -> dict[str, float]:
    """Margins of a map with these labels up its side, in pixels, its colour bar beside it or, if ``narrow``, below.

    Where the words take more, plotly finds that out by drawing, and draws all of it once more, which takes as long.
    """
    if narrow:
        return {"l": AXIS_TITLE + LINE, "r": 24, "t": BUTTONS, "b": 130}
    return {"l": AXIS_TITLE + across(names), "r": 80, "t": BUTTONS, "b": AXIS_TITLE + LINE}


def legend(names: Sequence[str], width: float) -> float:
    """Pixels of height that a legend of these names takes along ``width`` pixels: in one row where all of them fit,
    else in columns as wide as the longest, as plotly does it."""
    entries = [ENTRY + LABEL_PIXELS * wide(name) for name in names]
    if not entries or sum(entries) <= width:
        return AROUND + LINE
    return AROUND + LINE * math.ceil(len(entries) / max(1, width // max(entries)))


def legend_below(names: Sequence[str], height: float, narrow: bool) -> dict[str, Any]:
    """Layout of a chart with its legend under it; above, the chart's buttons would lie on it. Where the legend takes
    more rows than one, as on a phone (``narrow``), the chart becomes higher by them than ``height`` pixels."""
    width = PHONE_CHART if narrow else CHART
    around = UNDER_AXIS + PAD + 2  # a pixel too few, and plotly draws all of it once more
    margin = {"l": 70.0, "r": 24.0, "t": 16.0, "b": around + legend(names, width)}
    lines = height - margin["t"] - around - legend([], width)
    return {
        "height": lines + margin["t"] + margin["b"],
        "margin": margin,
        "legend": {"orientation": "h", "yanchor": "top", "y": -UNDER_AXIS / lines, "x": 0},
    }
