"""One array of images for two frameworks: which axis holds the channels, and when that is beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence

from cka_core.base.picture_shapes import CHANNELS, is_picture


def channels_of(shape: Sequence[int]) -> str:
    """ "last" for (n, h, w, c), "first" for (n, c, h, w), "both" where either fits, "" where neither does."""
    if len(shape) != 4:
        return ""
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    return "both" if first and last else "first" if first else "last" if last else ""


def order_for_torch(shape: Sequence[int], beside_keras: bool) -> tuple[int, ...] | None:
    """The order of axes in which an array enters a PyTorch model, (n, c, h, w); None leaves it as it is.

    ``beside_keras``: the same array enters a Keras model too, so that one of the two has to see it transposed.

    Raises ValueError for four axes of which it cannot be told which holds the channels.
    """
    if len(shape) != 4:
        return None
    channels = channels_of(shape)
    if channels == "both" or (beside_keras and not channels):
        raise ValueError(
            f"Expected images whose channels can be told by one side of 1, 3 or 4, got shape {tuple(shape)}. Pass a "
            "pair of arrays, images=(for_a, for_b), each as its model takes it: (n, h, w, c) Keras, (n, c, h, w) "
            "PyTorch."
        )
    return (0, 3, 1, 2) if channels == "last" else None


def enters(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    """Whether one image of a shape enters where sides as ``expected`` do, None being any."""
    return len(shape) == len(expected) and all(
        side is None or side == got for side, got in zip(expected, shape, strict=True)
    )


def order_for_keras(shape: Sequence[int], expected: Sequence[int | None]) -> tuple[int, ...] | None:
    """The order of axes in which an array enters a Keras model of input ``expected``; None leaves it as it is.

    (n, c, h, w) becomes (n, h, w, c), or the other way round, where the model takes no other.
    """
    if enters(shape[1:], expected[1:]) or len(shape) != 4:
        return None
    for order in ((0, 2, 3, 1), (0, 3, 1, 2)):
        if enters([shape[axis] for axis in order[1:]], expected[1:]):
            return order
    return None


def shape_text(shape: tuple[int | None, ...]) -> str:
    """One image in words: "28 × 28, grey", "3 × 32 × 32", "20 × 5", "77"."""
    sides = " × ".join(str(side or "any") for side in shape)
    if (len(shape) == 2 and is_picture(shape)) or (len(shape) == 3 and shape[2] == 1):
        return " × ".join(str(side or "any") for side in shape[:2]) + ", grey"
    if len(shape) == 3 and shape[2] == 3:
        return " × ".join(str(side or "any") for side in shape[:2]) + ", colour"
    return sides


def counted_text(shape: tuple[int | None, ...], ids: bool = False) -> str:
    """The same with what it is that is counted, where that is no side of a picture: "77 numbers", "77 ids"."""
    if len(shape) != 1:
        return shape_text(shape)
    one = "id" if ids else "number"
    return f"any number of {one}s" if shape[0] is None else f"{shape[0]} {one}{'' if shape[0] == 1 else 's'}"
