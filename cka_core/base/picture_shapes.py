"""By which shape numbers are a picture, grey or in colour: the one rule for images and for what networks take."""

from __future__ import annotations

from collections.abc import Sequence

CHANNELS = (1, 3, 4)
"""Grey, colour, colour with transparency: by these sides the axis of the channels is told."""
MOST_OBLONG = 2
"""How many times as long as the other a side of a picture without channels may be: a series has few features a step."""


def is_picture(shape: Sequence[int | None]) -> bool:
    """Whether one image of this shape is a picture: (h, w, channels), (channels, h, w), or (h, w) of sides that are not
    too unlike. (20, 5) is a series of 20 steps as much as a picture, and is none; nor is what has a side of any length.
    """
    if len(shape) == 3:
        return shape[0] in CHANNELS or shape[2] in CHANNELS
    if len(shape) != 2 or shape[0] is None or shape[1] is None:
        return False
    return max(shape[0], shape[1]) <= MOST_OBLONG * min(shape[0], shape[1])
