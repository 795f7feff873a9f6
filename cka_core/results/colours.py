"""Colours: those of maps, which are maps themselves, and those of curves."""

from __future__ import annotations

from typing import Any

import numpy as np

COLOURS = ("magma", "viridis", "cividis")
"""Colour maps, dark to light, all even in brightness. The first is the original notebook's; cividis is made for
red-green colour blindness."""
DIVERGING = "RdBu_r"
"""Of a difference: white at 0, red above, blue below."""
NO_CKA = "#c8c8c8"  # a grey that none of the colour maps has
CURVE_A, CURVE_B = "#b5367a", "#2a8f8a"
GREY = "#8c8c8c"


def check_colours(colours: str) -> None:
    if colours not in COLOURS:
        raise ValueError(f"Unknown colour map {colours!r}. Valid: {', '.join(COLOURS)}.")


def colour_scale(colours: str) -> list[list[Any]]:
    """A colour map as "rgb(…)": Streamlit takes magma's "#000004" for a place where a theme's colour goes."""
    from plotly.colors import get_colorscale, hex_to_rgb

    found = get_colorscale(colours)
    return [[at, colour if colour.startswith("rgb") else f"rgb{hex_to_rgb(colour)}"] for at, colour in found]


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def inks(colours: str, values: np.ndarray) -> np.ndarray:
    """Black or white, "#rrggbb", for words on cells whose ``values`` go from 0 to 1: the one with more contrast, which
    is at least 4.5 : 1 on every colour (WCAG 2, relative luminance)."""
    shade = shades(colours, 256)[np.rint(255 * np.clip(values, 0, 1)).astype(int)] / 255
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where((luminance + 0.05) ** 2 > 1.05 * 0.05, "#000000", "#ffffff")


def shades(colours: str, count: int) -> np.ndarray:
    """A colour map in steps: red, green and blue, uint8 (count, 3)."""
    scale = colour_scale(colours)
    at = [place for place, _ in scale]
    stops = np.array([[float(part) for part in colour[4:-1].split(",")] for _, colour in scale])
    steps = np.linspace(0, 1, count)
    return np.stack([np.interp(steps, at, stops[:, channel]) for channel in range(3)], axis=1).round().astype(np.uint8)
