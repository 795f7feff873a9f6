"""Small images made large enough to be seen, without blur, and many in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from cka_core.base.picture_shapes import CHANNELS, is_picture

SHEET_COLUMNS = 40
LARGEST = 64
"""Pixels of a side of a picture made of an image of any size."""


def enlarged(x: np.ndarray, factor: int = 6) -> np.ndarray:
    """Each pixel ``factor`` times as wide and high: uint8 (h, w, 3) -> (h * factor, w * factor, 3)."""
    return x.repeat(factor, axis=0).repeat(factor, axis=1)


def seen(x: np.ndarray, chosen: Sequence[int] | np.ndarray | slice = slice(None)) -> np.ndarray | None:
    """Images of any kind as one sees them: square, in colour, no side above 64 pixels.

    Parameters
    ----------
    x : numbers (n, h, w), (n, h, w, channels) or (n, channels, h, w), of 1, 3 or 4 channels; transparency is left out
        uint8 stays as it is. Others go from 0 to 1 where they lie within, else from the smallest to the largest of all.
    chosen : which of them

    Returns uint8 (chosen, side, side, 3), an oblong image in the middle of black; None where they are no pictures.
    """
    if x.ndim == 4 and x.shape[3] not in CHANNELS and x.shape[1] in CHANNELS:
        x = x.transpose(0, 2, 3, 1)
    if x.ndim != 3 and not is_picture(x.shape[1:]):
        return None
    images = x[chosen]
    images = images[..., :3] if images.ndim == 4 else images[..., None]
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        low, high = (0.0, 1.0) if 0 <= low and high <= 1 and x.dtype.kind == "f" else (low, high)
        images = np.rint((images.astype(np.float64) - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    return np.stack([_square(image) for image in np.broadcast_to(images, (*images.shape[:3], 3))])


def _square(image: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 3) as (side, side, 3), made smaller where it is larger than `LARGEST`."""
    from PIL import Image

    if max(image.shape) > LARGEST:
        made = Image.fromarray(np.ascontiguousarray(image))
        made.thumbnail((LARGEST, LARGEST))
        image = np.asarray(made)
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def sheet(x: np.ndarray, columns: int = SHEET_COLUMNS, quality: int = 80) -> str:
    """Images uint8 (n, h, w, 3) row by row in one picture, as a data URL (WebP)."""
    from PIL import Image

    n, height, width = x.shape[:3]
    rows = -(-n // columns)
    padded = np.zeros((rows * columns, height, width, 3), np.uint8)
    padded[:n] = x
    joined = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(joined).save(buffer, format="WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
