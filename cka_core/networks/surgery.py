"""Deleting residual blocks: what a trained network still gets right without some of them.

A residual block adds a branch to its input. Deleting the branch leaves the input, or its projection where the block
changes the shape (Veit, Wilber & Belongie 2016, arXiv 1605.06431). It is done by setting the scale and shift of the
batch norm at the end of the branch to 0: the branch then adds exactly 0, and nothing has to be built again.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cka_core.networks.layers import Layer

if TYPE_CHECKING:
    import keras

LAST_NORM = ("bn2", "3_bn")
"""How the batch norm at the end of a branch is called, in the CIFAR ResNets and in Keras' ResNets."""


@dataclasses.dataclass(frozen=True)
class ResidualBlock:
    """A residual block: its name, such as "stage2_block3", and the positions of its first layer and its addition."""

    name: str
    first: int
    add: int


def residual_blocks(layers: Sequence[Layer]) -> list[ResidualBlock]:
    """The residual blocks among a network's layers, in their order; empty for a network without any."""
    found = []
    for position, layer in enumerate(layers):
        if layer.kind != "Add" or not layer.name.endswith("_add"):
            continue
        name = layer.name.removesuffix("_add")
        first = next(i for i, other in enumerate(layers) if other.name.startswith(f"{name}_"))
        found.append(ResidualBlock(name, first, position))
    return found


@contextlib.contextmanager
def without_blocks(model: keras.Model, names: Sequence[str]) -> Iterator[None]:
    """Delete the branches of residual blocks while in here; their weights come back afterwards.

    Raises ValueError for a block that the network does not have.
    """
    norms = [_last_norm(model, name) for name in names]
    weights = [norm.get_weights() for norm in norms]
    try:
        for norm in norms:
            norm.gamma.assign(np.zeros(norm.gamma.shape, np.float32))
            norm.beta.assign(np.zeros(norm.beta.shape, np.float32))
        yield
    finally:
        for norm, before in zip(norms, weights, strict=True):
            norm.set_weights(before)


def _last_norm(model: keras.Model, name: str) -> keras.layers.Layer:
    known = {layer.name: layer for layer in model.layers}
    for end in LAST_NORM:
        if f"{name}_{end}" in known:
            return known[f"{name}_{end}"]
    blocks = [layer.name.removesuffix("_add") for layer in model.layers if layer.name.endswith("_add")]
    raise ValueError(f"{model.name} has no residual block {name!r}. It has: {', '.join(blocks) or 'none'}.")
