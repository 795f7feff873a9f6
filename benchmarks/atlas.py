"""All pairs of twelve networks, against what cannot be avoided, measured in turns in one run.

    python benchmarks/atlas.py

The least there is to do: twelve extractions (a forward pass and the Gram matrices of every layer, 256 images) and one
matrix product of all their layers. The study does that, and besides it keeps what the analyses need, writes everything
to the store, so that it can be killed, and reads it again. Networks are built and traced beforehand, for both.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402

LIMIT = 1.5
ROUNDS = 3
NETWORKS = [(f"cifar-resnet-{name}", seed) for name in ("14x1", "20x1", "38x1", "14x2") for seed in (0, 1, 2)]


def main() -> None:
    from cka_core import build_network, load_images
    from cka_core.base.store import Store
    from cka_core.measures.grams import GramBatch
    from cka_core.networks.activations import Extractor
    from cka_core.studies import build as atlas_build

    x = load_images("cifar10-mini", "test", n=256, seed=0).x
    extractors = [Extractor(build_network(name, seed=seed)) for name, seed in NETWORKS]
    layers = sum(len(extractor.layers) for extractor in extractors)

    def least() -> None:
        triangles = np.concatenate([extractor.grams(x).triangles for extractor in extractors])
        triangles @ triangles.T

    def study(store: Store) -> np.ndarray:
        for index, extractor in enumerate(extractors):
            store.put("atlas/benchmark", f"grams-{index}", extractor.grams(x).to_bytes())
        found = [store.get("atlas/benchmark", f"grams-{index}") for index in range(len(extractors))]
        return atlas_build.all_pairs([GramBatch.from_bytes(data) for data in found if data is not None]).matrix()

    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}; twelve networks, {layers} layers, 256 images"
    )
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        least()
        study(Store(folder))
        for _ in range(ROUNDS):
            started = time.perf_counter()
            least()
            between = time.perf_counter()
            matrix = study(Store(folder))
            seconds.append((between - started, time.perf_counter() - between))
    ratio = statistics.median(own / unavoidable for unavoidable, own in seconds)
    unavoidable, own = (statistics.median(column) for column in zip(*seconds, strict=True))
    print(
        f"extractions and one product {unavoidable:.1f} s, all {matrix.size:,} pairs of layers {own:.1f} s, "
        f"ratio {ratio:.2f} (limit {LIMIT})"
    )
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
