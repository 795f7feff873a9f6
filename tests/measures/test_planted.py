"""The planted map: an exact CKA of made-up layers, with just the blocks that were put there."""

from __future__ import annotations

import numpy as np

from cka_core.measures.blocks import find_blocks
from cka_core.measures.planted import LAYERS, PLANTED, planted_map


def test_it_is_a_map_of_a_network_with_itself():
    matrix = planted_map()
    assert matrix.shape == (LAYERS, LAYERS)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(matrix), 1, atol=1e-12)
    np.testing.assert_array_equal(matrix, planted_map())


def test_inside_a_block_all_layers_are_one():
    matrix = planted_map()
    for start, stop in PLANTED:
        np.testing.assert_allclose(matrix[start:stop, start:stop], 1, atol=1e-12)


def test_the_rule_finds_what_was_planted_and_nothing_else():
    assert [(block.start, block.stop) for block in find_blocks(planted_map())] == list(PLANTED)


def test_outside_similarity_falls_with_distance():
    matrix = planted_map()
    start, stop = PLANTED[0][1], PLANTED[1][0]
    between = matrix[start:stop, start:stop]
    means = [np.diagonal(between, distance).mean() for distance in range(4)]
    assert means == sorted(means, reverse=True)
