"""The blocks of a network: those of its map against itself, with the head left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cka_core.measures.blocks import Block, block_text, find_blocks
from cka_core.networks.layers import Layer, hidden
from cka_core.results import views
from cka_core.results.comparison import MEASURE, Comparison


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


def worth_looking_at(comparison: Comparison) -> tuple[int, int] | None:
    """A cell to begin with: of a network with itself that has a block, the last layer of its longest one against the
    first; else `views.example_cell`. None where no cell has a number."""
    known = comparison.is_self and (comparison.provenance.get("measure") or MEASURE) == MEASURE
    found = network_blocks(comparison.matrix, comparison.layers_a) if known else ()
    if not found:
        return views.example_cell(comparison)
    longest = max(found, key=len)
    cell = longest.stop - 1, longest.start
    return cell if np.isfinite(comparison.matrix[cell]) else views.example_cell(comparison)


def told(comparison: Comparison, *, outlined: bool = True) -> str:
    """The blocks of a network's map with itself in a sentence; "" where it has none. ``outlined``: in the map on
    screen, which is another one under a control."""
    found = network_blocks(comparison.matrix, comparison.layers_a) if comparison.is_self else ()
    which = " and ".join(block.span for block in found)
    alike = " and ".join(f"{block.strength:.2f}" for block in found)
    fall = " and ".join(f"{block.fall:.2f}" for block in found)
    if not found:
        return ""
    ends = "they end" if len(found) == 1 else "each ends"
    return (
        f"**Layers {which} represent the images almost alike**: median CKA {alike}, and where {ends} similarity falls "
        f"by {fall}. That is a block{', outlined in the map' if outlined else ' of the map as it is'}."
    )


def marked(comparison: Comparison, shown: Comparison) -> tuple[tuple[int, int, str], ...]:
    """The blocks of a network's map with itself where they lie among the layers ``shown`` of it: start, stop, and each
    in words, such as "layers 48–99, 0.96"; none for two networks.

    Blocks are found among all layers, whichever are shown: a run of every second layer is another one.
    """
    if not comparison.is_self:
        return ()
    names = set(views.unique_names(shown.layers_a))
    mask = np.array([name in names for name in views.unique_names(comparison.layers_a)], bool)
    found = []
    for block in network_blocks(comparison.matrix, comparison.layers_a):
        start, stop = int(mask[: block.start].sum()), int(mask[: block.stop].sum())
        if stop > start:
            found.append((start, stop, block_text(block)))
    return tuple(found)
