"""Small images made large enough to be seen, without blur, and many in one file."""

from __future__ import annotations

import base64
import io

import numpy as np

SHEET_COLUMNS = 40


def enlarged(x: np.ndarray, factor: int = 6) -> np.ndarray:
    """Each pixel ``factor`` times as wide and high: uint8 (h, w, 3) -> (h * factor, w * factor, 3)."""
    return x.repeat(factor, axis=0).repeat(factor, axis=1)


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
