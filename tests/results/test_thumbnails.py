"""A map as a small picture."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from cka_core.results import thumbnails
from cka_core.results.differences import difference
from tests.synthetic import comparison


def picture(result, **how: object) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(thumbnails.png(result, **how))).convert("RGB"))


def test_the_input_is_at_the_bottom_left_and_no_value_is_grey():
    result = comparison("cifar-resnet-8x1", "cifar-resnet-8x1")
    matrix = np.zeros(result.matrix.shape)
    matrix[0, 0] = 1.0
    matrix[-1, -1] = np.nan
    seen = picture(dataclasses.replace(result, matrix=matrix))
    assert tuple(seen[-3, 2]) == (252, 253, 191), "magma's lightest"
    assert tuple(seen[2, 2]) == (0, 0, 4) and tuple(seen[2, -3]) == (200, 200, 200)


def test_a_difference_is_white_at_zero():
    result = comparison("cifar-resnet-8x1", "cifar-resnet-8x1")
    assert set(map(tuple, picture(difference(result, result, "itself")).reshape(-1, 3))) == {(247, 247, 247)}


def test_its_proportions_are_the_maps_and_it_stays_small():
    high, wide = picture(comparison("cifar-resnet-56x1", "cifar-resnet-20x1")).shape[:2]
    assert high == thumbnails.SIDE and abs(wide - thumbnails.SIDE * 71 / 197) < 1
    assert len(thumbnails.png(comparison("cifar-resnet-56x1", "cifar-resnet-56x1"))) < 100_000
