"""Images of one size or number of channels, made to fit a network that takes another.

What only changes places (axes, a row of pixels instead of a square) is done without a word of consent; what changes the
images (their size, grey for colour) is said before, asked for, and kept in the provenance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cka_core.base.picture_shapes import CHANNELS, is_picture
from cka_core.networks.layouts import channels_of, counted_text, enters, shape_text

METHOD = "bilinear, antialiased"
GREY = (0.299, 0.587, 0.114)
"""Luma of red, green and blue, ITU-R BT.601."""


class DoesNotFit(ValueError):
    """Images that cannot be brought to what a network takes; the message says both."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """What is done to images (h, w, channels) before they enter a network.

    ``words`` says what changes them, "" where nothing does; ``channels`` is what it takes (None: as many as there are),
    ``size`` (height, width) or None, ``first``: channels first, ``row``: as one row of numbers, ``square``: without the
    axis of the channels, ``turned``: the images have their own first, ``plain``: they enter as they are.
    """

    words: str = ""
    channels: int | None = None
    size: tuple[int, int] | None = None
    first: bool = False
    row: bool = False
    square: bool = False
    turned: bool = False
    plain: bool = True


def plan(
    shape: Sequence[int], expected: Sequence[int | None], network: str = "The network", *, ids: bool = False
) -> Fit:
    """How images of ``shape`` (h, w), (h, w, channels) or (channels, h, w) enter a network that takes ``expected``.

    Both shapes are of one image. Where the channels are is told by a side of 1, 3 or 4. ``ids``: the network looks up
    what enters. Raises `DoesNotFit` where they cannot.
    """
    if enters(shape, expected):
        return Fit()
    takes = counted_text(tuple(expected), ids) if ids else shape_text(tuple(expected))
    refusal = DoesNotFit(
        f"{network} takes {takes}, and the images are {shape_text(tuple(shape))}: no resizing makes one the other. "
        "Choose other images, or another network."
    )
    if len(shape) not in (2, 3):
        raise refusal
    turned = channels_of((0, *shape)) == "first"
    h, w, channels = (*shape[1:], shape[0]) if turned else (*shape, 1)[:3]
    any_row = len(expected) == 1 and expected[0] is None and not ids  # a text of any length is no picture
    if any_row or tuple(expected) == (h * w * channels,):
        return Fit(row=True, plain=False)
    if len(expected) not in (2, 3) or channels not in CHANNELS:
        raise refusal
    first = len(expected) == 3 and expected[0] in CHANNELS and expected[2] not in CHANNELS
    sides = (*expected, 1) if len(expected) == 2 else (*expected[1:], expected[0]) if first else tuple(expected)
    height, width, wanted = sides[0] or h, sides[1] or w, sides[2] or channels
    if wanted not in (1, 3) and wanted != channels:
        raise refusal
    said = []
    if (height, width) != (h, w):
        said.append(f"resized from {h} × {w} to {height} × {width} ({METHOD})")
    if wanted != channels:
        names = {1: "grey", 3: "colour", 4: "colour"}
        how = "the same in all three channels" if wanted == 3 else "luma of red, green and blue"
        said.append(f"{names[channels]} to {names[wanted]} ({how})" if channels != 4 else "transparency left out")
    if said and not is_picture(shape):
        raise DoesNotFit(
            f"{network} takes {takes}, and the images are {shape_text(tuple(shape))}, which may be a series as well "
            "as a picture. Grey pictures are resized once they have an axis for the channel: images[..., None]."
        )
    size = (height, width) if (height, width) != (h, w) else None
    return Fit(", ".join(said), wanted, size, first, False, len(expected) == 2, turned, False)


def fitted(x: np.ndarray, how: Fit) -> np.ndarray:
    """Images (n, h, w), (n, h, w, channels) or (n, channels, h, w) as `plan` says, of the same type of number."""
    if how.plain:
        return x
    if how.row:
        return x.reshape(len(x), -1)
    x = x.transpose(0, 2, 3, 1) if how.turned else x
    x = x[..., None] if x.ndim == 3 else x
    if how.channels is not None and x.shape[3] != how.channels:
        x = x[..., :3] if x.shape[3] == 4 else x
        if how.channels == 1:
            luma = x.astype(np.float32) @ np.array(GREY, np.float32)
            x = _as(luma, x.dtype)[..., None]
        elif x.shape[3] == 1:
            x = np.repeat(x, how.channels, axis=3)
    if how.size is not None:
        x = _resized(x, how.size)
    if how.square:
        return x[..., 0]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if how.first else x


def _resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    made = np.empty((len(x), *size, x.shape[3]), np.float32)
    for row, image in enumerate(x):
        for channel in range(x.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel], np.float32), "F")
            made[row, ..., channel] = np.asarray(plane.resize(size[::-1], Image.Resampling.BILINEAR))
    return _as(made, x.dtype)


def _as(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.clip(np.rint(x), info.min, info.max).astype(dtype)
    return x.astype(dtype)
