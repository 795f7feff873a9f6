"""Room for the words around a map on screen: which labels of an axis do not run into each other, and the margins."""

from __future__ import annotations

from collections.abc import Iterable

LABEL_PIXELS = 6.2
"""What a character of an axis' label takes, about."""
AXIS_TITLE, LINE = 42, 19
"""Pixels of an axis' title with what is free around it, and of a line of labels."""
BUTTONS = 30
"""Pixels above a map, where the chart's own buttons appear."""


def letters(narrow: bool) -> float:
    """Characters that an axis with its labels along it has room for, where the map is smallest on screen."""
    return (225 if narrow else 350) / LABEL_PIXELS


def apart(
    positions: list[float], names: list[str], sizes: list[int], character: float
) -> tuple[list[float], list[str]]:
    """The labels that do not run into each other, where a ``character`` takes so many layers: a large stage's before a
    small one's, and else the first."""
    order = sorted(range(len(names)), key=lambda index: -sizes[index] if sizes else index)
    kept: list[int] = []
    for index in order:
        needed = [(len(names[index]) + len(names[other]) + 1) / 2 * character for other in kept]
        if all(abs(positions[index] - positions[other]) >= n for other, n in zip(kept, needed, strict=True)):
            kept.append(index)
    return [positions[index] for index in sorted(kept)], [names[index] for index in sorted(kept)]


def across(names: Iterable[str]) -> float:
    """Pixels that labels take which stand across their axis."""
    return max((len(name) for name in names), default=0) * LABEL_PIXELS


def margins(names: Iterable[str], narrow: bool) -> dict[str, float]:
    """Margins of a map with these labels up its side, in pixels, its colour bar beside it or, if ``narrow``, below.

    Where the words take more, plotly finds that out by drawing, and draws all of it once more, which takes as long.
    """
    if narrow:
        return {"l": AXIS_TITLE + LINE, "r": 24, "t": BUTTONS, "b": 130}
    return {"l": AXIS_TITLE + across(names), "r": 80, "t": BUTTONS, "b": AXIS_TITLE + LINE}
