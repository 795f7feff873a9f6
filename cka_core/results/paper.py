"""The map for a paper, drawn by matplotlib, and every figure's way to a file."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cka_core.base import extras, switches
from cka_core.base.atomic import write_atomically
from cka_core.results import fitting, letters, views, words
from cka_core.results.colours import COLOURS, DIVERGING, GREY, NO_CKA, check_colours
from cka_core.results.differences import is_difference
from cka_core.results.figures import PAPER_FORMATS, check_titles, lowest
from cka_core.results.html_page import to_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cka_core.results.comparison import Comparison

LARGEST_SIDE = 200
"""Inches."""

MOST_PIXELS = 300_000_000
"""Of a figure: they take 4 bytes each, twice while it is written."""

SHORTEST = 0.2
"""What the shorter side of the map is at least of the longer one, so that labels and title fit; below it the cells are
not square."""

HIGHER = 3
"""A figure whose height is free grows by halves to this many times it, until its words leave the map room."""


def paper_figure(
    comparison: Comparison,
    *,
    size: tuple[float, float] | None = None,
    dpi: int = 300,
    colours: str = "magma",
    format: str = "png",
    titles: tuple[str, str] | None = None,
    width: float | None = None,
    font_size: float | None = None,
    stages: bool = True,
    limits: tuple[float, float] | None = None,
) -> bytes:
    """The map for a paper, drawn by matplotlib. No text leaves the figure, and no two labels touch.

    Parameters
    ----------
    size : width and height in inches; None fits the two depths into 6.5 inches. The original notebook's is (30, 15).
    dpi : dots per inch (the original notebook's is 400)
    colours : one of `colours.COLOURS`
    format : one of `PAPER_FORMATS`
    titles : what to call A and B; None takes their names
    width : inches, in place of ``size``; the height follows from the two depths, and from the words where these need
        more. A column of a paper is about 3.3.
    font_size : points of the title and the names of the axes; the ticks are a fifth smaller. None: by the size.
    stages : names where stages begin, and lines between them
    limits : values of the darkest and the lightest colour; None: 0 and 1, of a difference -1 and 1
    """
    from matplotlib import rc_context, rcParams

    if format not in PAPER_FORMATS:
        raise ValueError(f"Expected a figure as {', '.join(PAPER_FORMATS)}, got {format!r}.")
    check_titles(titles)
    texts = texts_of(comparison, titles)
    if format != "svg" and (told := letters.lacking(texts)):
        warnings.warn(told, stacklevel=2)
    families = [*rcParams["font.family"], *letters.fonts_for(texts)[0]]
    buffer = io.BytesIO()
    # Text stays text, and the same result is the same bytes.
    how: Any = {"svg.fonttype": "none", "svg.hashsalt": "cka", "pdf.fonttype": 42, "font.family": families}
    with rc_context(how), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # it was said of all of them at once
        figure = drawn(
            comparison, size=size, dpi=dpi, colours=colours, titles=titles, width=width, font_size=font_size,
            stages=stages, limits=limits,
        )  # fmt: skip
        metadata: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
        figure.savefig(buffer, format=format, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def texts_of(comparison: Comparison, titles: tuple[str, str] | None = None) -> list[str]:
    """The names that a figure shows: of the networks, and along the axes."""
    names = [name for layers in (comparison.layers_a, comparison.layers_b) for name in views.ticks(layers)[1]]
    return [*(titles or (comparison.name_a, comparison.name_b)), *names]


def drawn(
    comparison: Comparison,
    *,
    size: tuple[float, float] | None = None,
    dpi: int = 300,
    colours: str = "magma",
    titles: tuple[str, str] | None = None,
    width: float | None = None,
    font_size: float | None = None,
    stages: bool = True,
    limits: tuple[float, float] | None = None,
    higher: float = 1.0,
) -> Figure:
    """`paper_figure` as a matplotlib figure, its texts fitted; ValueError where they leave no room for the map.

    Where ``size`` is None it becomes higher than the two depths make it for that room, up to `HIGHER` times.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check(
        size=size, dpi=dpi, colours=colours, titles=titles, width=width, font_size=font_size, stages=stages,
        limits=limits,
    )  # fmt: skip
    low, high = (lowest(comparison), 1.0) if limits is None else limits
    rows, columns = comparison.matrix.shape
    asked, (width, height) = width, _paper_size(rows, columns, width) if size is None else size
    height *= higher
    check_pixels(width, height, dpi, font_size)
    text = _scale(width, height, font_size)
    title_a, title_b = titles or (comparison.name_a, comparison.name_b)
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    palette = colormaps[DIVERGING if is_difference(comparison) else colours].with_extremes(bad=NO_CKA)
    image = axes.imshow(
        comparison.matrix,
        cmap=palette,
        vmin=low,
        vmax=high,
        origin="lower",
        interpolation="nearest",
        aspect="equal" if min(rows, columns) >= SHORTEST * max(rows, columns) else "auto",
    )
    axes.set_xlabel(" ", fontsize=10 * text)
    axes.set_ylabel(" ", fontsize=10 * text)
    heading = figure.suptitle(" ", fontsize=10 * text)
    for axis, layers, draw in (
        (axes.xaxis, comparison.layers_b, axes.axvline),
        (axes.yaxis, comparison.layers_a, axes.axhline),
    ):
        positions, names = views.ticks(layers) if stages else ([], [])
        axis.set_ticks(positions, [fitting.plain(name) for name in names])
        for stage in views.stages(layers)[1:] if stages else ():
            draw(stage.start - 0.5, color=GREY, linewidth=0.6 * text, alpha=0.8)
    axes.tick_params(length=0, labelsize=8 * text)
    fitting.cut_names(axes.yaxis, fitting.LABELS * figure.bbox.width)
    bar = figure.colorbar(image, cax=axes.inset_axes((1 + 0.1 / width, 0.0, 0.2 * text / width, 1.0)))
    value = words.value_text(comparison.provenance)
    bar.set_label(value, fontsize=10 * text)
    bar.ax.tick_params(labelsize=8 * text)
    bar.ax.ticklabel_format(style="plain", useOffset=False)  # each label is a value of the map, whatever the limits
    images = _images_text(comparison)
    fitting.fit(heading, lambda most: _title_lines(value, title_a, title_b, images, most), figure.bbox.width)
    for _ in range(2):  # again where labels that were turned took the names' room
        figure.draw_without_rendering()  # the layout is known from here on
        across, up = axes.bbox.get_points().mean(axis=0)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(10 * text)
        across, up = 2 * min(across, figure.bbox.width - across), 2 * min(up, figure.bbox.height - up)
        fitting.fit(axes.xaxis.label, lambda most: [f"B: {fitting.cut(title_b, most)}"], across)
        fitting.fit(axes.yaxis.label, lambda most: [f"A: {fitting.cut(title_a, most)}"], up, upright=True)
        figure.draw_without_rendering()
        fitting.turn(axes.xaxis, figure)
        fitting.settle(figure)
        fitting.leave_out(axes.xaxis, upright=False)
        fitting.leave_out(axes.yaxis, upright=True)
        figure.draw_without_rendering()
        if fitting.has_room(figure, axes):
            if size is None:
                fitting.close_up(figure, axes, heading)
            return figure
    if size is None and higher < HIGHER:
        return drawn(
            comparison, dpi=dpi, colours=colours, titles=titles, width=asked, font_size=font_size, stages=stages,
            limits=limits, higher=1.5 * higher,
        )  # fmt: skip
    raise ValueError(
        f"A figure of {width:.3g} x {height:.3g} inches has no room for the map beside letters of {10 * text:.3g} "
        "points. Make it larger, or font_size smaller."
    )


OPTIONS = ("width", "font_size", "stages", "limits", "colours", "titles", "dpi", "size")
"""Of `save_figure`."""


@extras.told()
def save_figure(comparison: Comparison, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the map to a file; its ending says the format: .png, .svg, .pdf for paper, .html for the browser.

    ``options`` are those of `paper_figure`, or of `html_page.to_html` for .html. Raises ValueError for another ending
    and for an option's value that cannot be, TypeError for an option that there is not.
    """
    unknown = next((name for name in options if name not in OPTIONS), None)
    if unknown is not None:
        raise TypeError(f"savefig() has no option {unknown!r}. It has: {', '.join(OPTIONS)}.")
    ending = Path(path).suffix.lower().removeprefix(".")
    check(**options)
    if ending == "html":
        of_screen = {"titles", "colours", "limits"}  # the others say something about paper
        options = {name: value for name, value in options.items() if name in of_screen}
        return write_atomically(path, to_html(comparison, **options).encode())
    if ending not in PAPER_FORMATS:
        valid = ", ".join(f".{name}" for name in (*PAPER_FORMATS, "html"))
        raise ValueError(f"Expected a figure file ending in {valid}, got {os.fspath(path)!r}.")
    return write_atomically(path, paper_figure(comparison, format=ending, **options))


def _title_lines(value: str, title_a: str, title_b: str, images: str, most: int) -> list[str]:
    a, b = fitting.cut(title_a, most), fitting.cut(title_b, most)
    more = f"\n{images}" if images else ""
    one = f"{value} of {a} and {b}"
    return [one + (f", {images}" if images else ""), one + more, f"{value} of {a}\nand {b}{more}"]


def _paper_size(rows: int, columns: int, width: float | None = None) -> tuple[float, float]:
    """Inches: the longer side of the map 5, and room for the labels; or as wide as asked, of the same shape."""
    longer = max(rows, columns, 1)
    usual = 5 * max(columns / longer, SHORTEST) + 1.5, 5 * max(rows / longer, SHORTEST) + 0.9
    return usual if width is None else (width, usual[1] * width / usual[0])


def check(
    *,
    size: tuple[float, float] | None = None,
    dpi: float = 300,
    colours: str = COLOURS[0],
    titles: tuple[str, str] | None = None,
    width: float | None = None,
    font_size: float | None = None,
    stages: bool = True,
    limits: tuple[float, float] | None = None,
) -> None:
    """A ValueError, naming the option, unless a figure can be drawn so; before anything is computed for it."""
    switches.check(stages=stages)
    check_colours(colours)
    if limits is not None:
        check_limits(limits)
    check_titles(titles)
    if size is not None and width is not None:
        raise ValueError(
            f"Expected size or width, got both: size {size!r} and width {width!r}. The width is in the size."
        )
    if size is not None and not (_numbers(size, 2) and all(0 < side <= LARGEST_SIDE for side in size)):
        raise ValueError(f"Expected size as width and height, above 0 to {LARGEST_SIDE} inches, got {size!r}.")
    for name, value, low, high, unit in (
        ("width", width, 1, LARGEST_SIDE, "inches"),
        ("font_size", font_size, 1, 400, "points"),
        ("dpi", dpi, 1, 10_000, "dots per inch"),
    ):
        if value is not None and not (_numbers([value], 1) and low <= value <= high):
            raise ValueError(f"Expected {name} from {low} to {high:,} {unit}, got {value!r}.")


def check_pixels(width: float, height: float, dpi: float, font_size: float | None = None) -> None:
    """A ValueError where a figure of so many inches would have more than `MOST_PIXELS`, or letters under one."""
    pixels = width * height * dpi**2
    if pixels > MOST_PIXELS:
        raise ValueError(
            f"A figure of {width:g} x {height:g} inches at {dpi:g} dpi has {pixels / 1e6:,.0f} million pixels, at most "
            f"{MOST_PIXELS / 1e6:,.0f} million are drawn. Make it smaller, or dpi lower."
        )
    letter = 10 * fitting.SMALLEST * _scale(width, height, font_size) / 72 * dpi
    if letter < 1:
        raise ValueError(
            f"A figure of {width:g} x {height:g} inches at {dpi:g} dpi has letters of {letter:.2g} pixels, expected at "
            "least 1. Make dpi higher, or the letters larger."
        )


def _scale(width: float, height: float, font_size: float | None) -> float:
    """How large letters are, in tens of points: a poster's grow."""
    return font_size / 10 if font_size else min(2.5, max(1.0, min(width, height) / 6.5))


def check_limits(limits: tuple[float, float]) -> None:
    """A ValueError unless these are two numbers and the first is the smaller."""
    if not (_numbers(limits, 2) and -10 <= limits[0] < limits[1] <= 10):
        raise ValueError(
            "Expected limits as the darkest colour's value and the lightest's, the first below the second, such as "
            f"(0.9, 1), got {limits!r}."
        )


def _numbers(values: Any, count: int) -> bool:
    listed = isinstance(values, Sequence) or (hasattr(values, "ndim") and values.ndim == 1)
    return listed and len(values) == count and all(isinstance(one, Real) for one in values)


def _images_text(comparison: Comparison) -> str:
    count = (comparison.provenance.get("images") or {}).get("n")
    return f"{count:,} images" if isinstance(count, int) else ""
