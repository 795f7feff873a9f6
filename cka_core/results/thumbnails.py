"""A map as a small picture, for many of them at once."""

from __future__ import annotations

import io

import numpy as np

from cka_core.results.colours import DIVERGING, NO_CKA, check_colours, rgb, shades
from cka_core.results.comparison import Comparison
from cka_core.results.differences import is_difference
from cka_core.results.figures import lowest

SIDE = 240
SHADES = 257
"""An odd number, so that a difference has its white at 0."""


def png(result: Comparison, colours: str = "magma", side: int = SIDE) -> bytes:
    """The matrix as a PNG of about ``side`` pixels a side, the input at the bottom left, grey where there is no value.

    Its proportions are the map's, but for one five times as long as wide or more.
    """
    from PIL import Image

    check_colours(colours)
    low = lowest(result)
    shade = np.clip((np.nan_to_num(result.matrix) - low) / (1 - low) * (SHADES - 1), 0, SHADES - 1).astype(np.intp)
    pixels = shades(DIVERGING if is_difference(result) else colours, SHADES)[shade]
    pixels[np.isnan(result.matrix)] = rgb(NO_CKA)
    rows, columns = result.matrix.shape
    longest = max(rows, columns)
    size = [max(side // 5, round(side * count / longest)) for count in (columns, rows)]
    picture = Image.fromarray(pixels[::-1]).resize((size[0], size[1]), Image.Resampling.BOX if longest > side else 0)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
