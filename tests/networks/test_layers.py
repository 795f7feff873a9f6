"""What a layer is called, and how it is kept in a file."""

from __future__ import annotations

import dataclasses
import json

import pytest

from cka_core.networks.layers import Layer


def test_a_layer_comes_back_from_a_file():
    layer = Layer("conv2_add", "Add", (8, 8, 64), "conv2")
    kept = json.loads(json.dumps(dataclasses.asdict(layer)))
    assert Layer.from_json(kept) == layer
    assert Layer.from_json({"name": "a", "kind": "array", "shape": [4]}) == Layer("a", "array", (4,), "")
    with pytest.raises(KeyError, match="shape"):
        Layer.from_json({"name": "a", "kind": "array"})
