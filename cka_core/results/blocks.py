"""The blocks of a network: those of its map against itself, with the head left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.measures.blocks import Block, find_blocks
from cka_core.networks.layers import Layer, hidden


def network_blocks(matrix: Any, layers: Sequence[Layer]) -> tuple[Block, ...]:
    """`find_blocks` in the hidden layers of a map of all ``layers``; positions are those of the whole map.

    The head stands at the end of every network, so that to cut it off changes no position.

    Raises ValueError for a map of another number of layers, or one in which blocks cannot be looked for.
    """
    values = np.asarray(matrix)
    if values.shape != (len(layers), len(layers)):
        raise ValueError(f"Expected a map of {len(layers)} x {len(layers)} layers, got shape {values.shape}.")
    until = hidden(layers)
    return tuple(find_blocks(values[:until, :until]))
