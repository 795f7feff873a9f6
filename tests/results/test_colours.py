"""Colours of maps and of curves."""

from __future__ import annotations

import numpy as np

from cka_core.results import colours


def test_shades_of_a_colour_map_are_its_own_at_the_ends_and_between():
    assert colours.rgb("#b5367a") == (181, 54, 122)
    shades = colours.shades("magma", 255)
    assert shades.shape == (255, 3) and shades.dtype == np.uint8
    assert tuple(shades[0]) == (0, 0, 4) and tuple(shades[-1]) == (252, 253, 191)
    assert (colours.shades(colours.DIVERGING, 257)[128] == 247).all()
