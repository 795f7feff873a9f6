"""Comparisons with the layers of real networks and made-up, blocky numbers, to test what is drawn."""

from __future__ import annotations

import numpy as np

from cka_core.networks.architectures import architecture
from cka_core.results.comparison import Comparison


def comparison(name_a: str = "cifar-resnet-14x1", name_b: str = "cifar-resnet-38x1", seed: int = 0) -> Comparison:
    """CKA that falls with the distance in depth and jumps between stages; the same network gives a unit diagonal."""
    a, b = architecture(name_a), architecture(name_b)

    def features(network) -> np.ndarray:
        depth = np.linspace(0, 1, len(network.layers))
        stage = np.array([sum(map(ord, layer.stage)) % 7 for layer in network.layers])
        noise = np.random.default_rng(seed + len(depth)).normal(0, 0.1, (len(depth), 24))
        wave = np.exp(-((depth[:, None] - np.linspace(0, 1, 12)) ** 2) / 0.05)
        return np.concatenate([wave, np.eye(7)[stage], np.ones((len(depth), 1)), noise], axis=1)

    x, y = features(a), features(b)
    x, y = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (x, y))
    provenance = {
        "network_a": {"name": name_a, "architecture": name_a, "weights": "", "source": "untrained", "seed": 0},
        "network_b": {"name": name_b, "architecture": name_b, "weights": "", "source": "untrained", "seed": 0},
        "images": {"images": "cifar10-mini", "split": "test", "n": 768, "seed": 0, "balanced": False, "digest": "0"},
        "batch_size": 256,
        "measure": "cka-linear-unbiased",
        "seconds": 0.4,
        "command": f"python -m cka_core compare {name_a} {name_b} --images cifar10-mini --samples 768",
    }
    return Comparison(x @ y.T, a.layers, b.layers, provenance=provenance)
