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


def by_the_rule(values: Mapping[str, Any], matrix: Callable[[str], np.ndarray]) -> dict[str, Any]:
    """A network's part of atlas.json with its blocks by `RULE`: as it is if they are, else with those of its maps.

    ``matrix`` reads a map by its name. Raises ValueError for a map that is missing or damaged.
    """
    if values.get("rule") == RULE:
        return dict(values)
    layers = tuple(Layer(**layer) for layer in values["layers"])

    def found(epoch: int, removed: str) -> list[dict[str, Any]]:
        name = f"self/{values['name']}/{epoch}/{removed}"
        return [dataclasses.asdict(block) for block in network_blocks(matrix(name), layers)]

    snapshots = [{**one, "blocks": found(one["epoch"], "nothing")} for one in values["snapshots"]]
    last = snapshots[-1]["epoch"]
    without = {removed: found(last, removed) for removed in values["blocks_without"]}
    return {**values, "rule": RULE, "snapshots": snapshots, "blocks_without": without}
