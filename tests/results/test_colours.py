"""Colours of maps and of curves."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.results import colours


def test_shades_of_a_colour_map_are_its_own_at_the_ends_and_between():
    assert colours.rgb("#b5367a") == (181, 54, 122)
    shades = colours.shades("magma", 255)
    assert shades.shape == (255, 3) and shades.dtype == np.uint8
    assert tuple(shades[0]) == (0, 0, 4) and tuple(shades[-1]) == (252, 253, 191)
    assert (colours.shades(colours.DIVERGING, 257)[128] == 247).all()


@pytest.mark.parametrize("name", colours.COLOURS)
def test_words_on_a_cell_can_be_read_whatever_its_colour(name: str):
    values = np.linspace(0, 1, 256)
    inks = colours.inks(name, values)
    assert inks[0] == "#ffffff" and inks[-1] == "#000000"
    for ink, shade in zip(inks, colours.shades(name, 256), strict=True):
        light, dark = sorted((_luminance(shade), _luminance(np.array(colours.rgb(ink)))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def _luminance(colour: np.ndarray) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour / 255]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))
