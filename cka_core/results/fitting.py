"""Texts of a figure for paper that fit: in more lines, smaller, turned, their middle left out, or not shown at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

MOST_STEPS = 10
"""In which a layout comes to rest; two or three are usual."""

LABELS = 0.35
"""The share of the figure's width that labels of layers may take, and of its height where they are turned."""

FREE = 0.97
"""The share of the figure's width, or of an axis, that a text may take."""

SMALLEST = 0.7
"""Text that does not fit becomes smaller, down to this share of its size, before names in it are cut."""


def fit(text: Text, lines: Callable[[int], Sequence[str]], room: float, *, upright: bool = False) -> None:
    """Give a text the first of its forms that fits ``room`` (pixels): whole, in more lines, smaller, with names cut.

    ``lines`` are the forms with names of at most so many letters, from the one line to the most lines.
    """
    usual = float(text.get_fontsize())
    for most in (200, 40, 28, 20, 14, 10, 7, 5):
        for share in (1.0, 0.85, SMALLEST):
            for form in lines(most):
                text.set_text(plain(form))
                text.set_fontsize(usual * share)
                box = text.get_window_extent()
                if (box.height if upright else box.width) <= FREE * room:
                    return


def has_room(figure: Figure, axes: Axes) -> bool:
    """Whether the layout found room: title and names lie in the figure and beside the map, which is a letter large."""
    map_, room = axes.get_window_extent(), figure.bbox
    boxes = [text.get_window_extent() for text in (*figure.texts, axes.xaxis.label, axes.yaxis.label)]
    inside = (room.x0 - 1 <= box.x0 and box.x1 <= room.x1 + 1 and room.y0 - 1 <= box.y0 and box.y1 <= room.y1 + 1
              for box in boxes)  # fmt: skip
    letter = float(axes.xaxis.label.get_fontsize()) / 72 * figure.dpi
    return all(inside) and min(map_.size) >= letter and not any(map_.overlaps(box) for box in boxes)


def close_up(figure: Figure, axes: Axes, heading: Text) -> None:
    """Take away the height that long labels left empty between the map, which they made narrow, and the heading."""
    for _ in range(MOST_STEPS):
        gap = heading.get_window_extent().y0 - axes.get_window_extent().y1
        usual = float(heading.get_fontsize()) / 72 * figure.dpi
        if gap <= 2 * usual:
            return
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height - (gap - usual) / figure.dpi)
        settle(figure)
        if not has_room(figure, axes):
            figure.set_size_inches(width, height)
            settle(figure)
            return


def cut(name: str, most: int) -> str:
    """A name of at most ``most`` letters, its middle left out: what tells networks apart stands at the ends."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[len(name) - end :]}"


def turn(axis: Axis, figure: Figure) -> None:
    """Labels along the bottom that would touch, or leave the figure, are turned, and cut where they are too long."""
    spans = [_span(label, upright=False) for label in axis.get_ticklabels()]
    apart = all(start >= stop for (_, stop), (start, _) in zip(spans, spans[1:], strict=False))
    if apart and all(0 <= start and stop <= figure.bbox.width for start, stop in spans):
        return
    axis.set_tick_params(rotation=90)
    cut_names(axis, LABELS * figure.bbox.height)


def cut_names(axis: Axis, room: float) -> None:
    """Cut the labels of an axis to the letters for which it has room (pixels), across the axis."""
    labels = [tick.label1 for tick in axis.get_major_ticks()]  # `get_ticklabels` passes by those that are left out
    names = [label.get_text().replace(r"\$", "$") for label in labels]
    for most in (16, 13, 10, 8, 6, 4, 3):
        axis.set_ticks(axis.get_ticklocs(), [plain(cut(name, most)) for name in names])
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        if max((max(box.width, box.height) for box in boxes), default=0) <= room:
            return


def settle(figure: Figure) -> None:
    """Draw until the layout stays: matplotlib finds the room that turned labels take in steps, one a time it draws."""
    for _ in range(MOST_STEPS):
        before = [axes.get_position().bounds for axes in figure.axes]
        figure.draw_without_rendering()
        if np.allclose(before, [axes.get_position().bounds for axes in figure.axes], atol=1e-4):
            return


def leave_out(axis: Axis, *, upright: bool) -> None:
    """Hide the labels of an axis that would touch the last one that is shown."""
    end = float("-inf")
    for label in axis.get_ticklabels():
        start, stop = _span(label, upright)
        if start < end:
            label.set_visible(False)
        else:
            end = stop


def _span(label: Text, upright: bool) -> tuple[float, float]:
    """Where a label begins and ends along its axis, with a little air, in pixels."""
    box = label.get_window_extent()
    air = 0.2 * min(box.width, box.height)
    return (box.y0 - air, box.y1 + air) if upright else (box.x0 - air, box.x1 + air)


def plain(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")
