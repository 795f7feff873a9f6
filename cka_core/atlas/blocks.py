"""The blocks in an atlas's files: found by today's rule, or found again in its maps where another rule had found them.

Each network's part of ``atlas.json`` says by which sentence its blocks were found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cka_core.measures.blocks import RULE
from cka_core.networks.layers import Layer
from cka_core.results.blocks import network_blocks

MADE_ON = frozenset(
    {
        "74f846be524b2b9870f7bcb0aca8f217",
        "17a46d984c2afc05f6585fbe1e61bfa7",
        "313df0563c2c477196cdc4bb5217142b",
        "12f6e51fd96697e19e4d4580c90f392d",
        "8bd99406a93cbb902653786dbe53c914",
        "f0f92e4a3709c6974ad3768b25fa673d",
        "438de3357fcf69f66a38b5cdb456c87d",
        "1db068966cbe1bea10d4832ba116d2e4",
        "a4f3b923bd92ac62edcd45ab9989dd39",
        "2e5d2b5ecb1e5b6e5bb430fb190c0407",
        "8862c3572d8fa4720ac513c88399dc1d",
    }
)
"""The weights of the networks that `RULE` was fixed on, the eleven of the first bundled study."""


def was_there(weights: str) -> bool:
    """Whether a network is one of those that the rule was fixed on, and so no test of it."""
    return weights in MADE_ON


def by_the_rule(values: Mapping[str, Any], matrix: Callable[[str], np.ndarray]) -> dict[str, Any]:
    """A network's part of atlas.json with its blocks by `RULE`: as it is if they are, else with those of its maps, of
    which no interval is known.

    ``matrix`` reads a map by its name. Raises ValueError for a map that is missing or damaged.
    """
    if values.get("rule") == RULE:
        return dict(values)
    layers = tuple(Layer.from_json(layer) for layer in values["layers"])

    def found(epoch: int, removed: str) -> list[dict[str, Any]]:
        name = f"self/{values['name']}/{epoch}/{removed}"
        return [dataclasses.asdict(block) for block in network_blocks(matrix(name), layers)]

    snapshots = [{**one, "blocks": found(one["epoch"], "nothing")} for one in values["snapshots"]]
    last = snapshots[-1]["epoch"]
    without = {removed: found(last, removed) for removed in values["blocks_without"]}
    return {**values, "rule": RULE, "snapshots": snapshots, "blocks_without": without, "halves": None}
