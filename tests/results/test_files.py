"""What is written is read again: a comparison that no file can say is refused before there is a file."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.networks.layers import Layer
from cka_core.results.comparison import Comparison

LAYERS = (Layer("one", "Dense", (3,)),)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"matrix": [[np.inf]]}, "infinite values"),
        ({"layers_a": (Layer("long" * 300, "Dense", (3,)),)}, "length <= 1000"),
        ({"layers_b": (Layer("half \ud800", "Dense", (3,)),)}, "no JSON"),
        ({"provenance": {"network_a": {"name": 3}}}, "got int - at provenance.network_a.name"),
        ({"provenance": {"batch_size": np.int64(64)}}, "int64 is not JSON"),
        ({"provenance": {"seconds": float("nan")}}, "not JSON compliant"),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(change, what, tmp_path):
    result = Comparison(**{"matrix": [[0.5]], "layers_a": LAYERS, "layers_b": LAYERS} | change)
    with pytest.raises(ValueError, match=f"can be read again, got one that could be saved but not read: .*{what}"):
        result.save(tmp_path / "result.npz")
    assert not any(tmp_path.iterdir())
