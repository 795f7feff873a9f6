"""Time and memory against images, layers and features: what a comparison costs as its inputs grow.

    python benchmarks/scale.py [--whole]

Stored activations are compared, in minibatches of 256, each size in a process of its own. Printed are seconds, and the
memory of its own that the process took at most beyond that of its start (on Linux without the pages of the file that is
mapped, which the system takes back when it needs them), beside the formula for it; last, the exponent of the time
in each size, by least squares of the logarithms. The formula: Gram matrices of both networks in one minibatch, m(m-1)/2
float32 each, held twice for the standard errors and once more in float64 parts; AT_ONCE bytes of activations; and eight
arrays of float64 as large as the map, two more for each core.
``--whole`` goes to 10,000 images, 2,000 layers and 10,000,000 features, which takes minutes and 11 GB of disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

BATCH = 256
SMALL = {"images": (256, 512, 1024, 2048), "layers": (50, 100, 200, 400), "features": (10**3, 10**4, 10**5, 10**6)}
WHOLE = {
    "images": (256, 1000, 3000, 10_000), "layers": (50, 200, 800, 2000),
    "features": (10**3, 10**4, 10**5, 10**6, 10**7),
}  # fmt: skip
USUAL = {"images": 512, "layers": 20, "features": 500}


def formula(images: int, layers: int, features: int) -> float:
    """GB that a comparison of a network with itself may take."""
    from cka_core.measures.centring import COLUMNS
    from cka_core.measures.grams import AT_ONCE

    m = min(BATCH, images)
    maps = 8 + 2 * (os.cpu_count() or 1)
    triangles = layers * m * (m - 1) / 2 * 4
    return (4 * triangles + AT_ONCE + 4 * m * COLUMNS * 4 + layers * layers * 8 * maps) / 1e9


def one(images: int, layers: int, features: int) -> dict[str, float]:
    """Compare a network with itself: its layers are maps of one file's rows, each with another offset."""
    from cka_core import compare_activations

    compare_activations({"a": np.eye(8)}, {"a": np.eye(8)})  # libraries are loaded
    width = features + layers - 1
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        path = Path(folder) / "x.f4"
        rng = np.random.default_rng(0)
        with open(path, "wb") as file:
            for _ in range(images):
                file.write(rng.standard_normal(width, np.float32).data)
        whole = np.memmap(path, np.float32, "r", shape=(images, width))
        arrays = {f"layer_{i:04}": whole[:, i : i + features] for i in range(layers)}
        with _peak() as peak:
            began = time.perf_counter()
            compare_activations(arrays, arrays, batch_size=BATCH)
            seconds = time.perf_counter() - began
    return {"seconds": seconds, "gb": peak[0] / 1e9}


@contextlib.contextmanager
def _peak() -> Iterator[list[float]]:
    """Bytes of its own memory that this process takes at most meanwhile, looked at a hundred times a second."""
    over, found, before = threading.Event(), [0.0], _own()

    def look() -> None:
        while not over.wait(0.01):
            found[0] = max(found[0], _own() - before)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def _own() -> float:
    if sys.platform == "linux":
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
        return float(line.split()[1]) * 1024
    import psutil

    return float(psutil.Process().memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(**json.loads(asked.one))))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}")
    print(f"{'images':>8}{'layers':>8}{'features':>12}{'seconds':>10}{'GB':>8}{'formula':>9}")
    for axis, sizes in (WHOLE if asked.whole else SMALL).items():
        taken = []
        for size in sizes:
            values = USUAL | {axis: size} | ({"images": BATCH, "layers": 1} if axis == "features" else {})
            words = [sys.executable, __file__, "--one", json.dumps(values)]
            found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
            taken.append(found["seconds"])
            print(
                f"{values['images']:8}{values['layers']:8}{values['features']:12}{found['seconds']:10.2f}"
                f"{found['gb']:8.2f}{formula(**values):9.2f}",
                flush=True,
            )
        half = len(sizes) // 2  # small sizes are mostly overhead
        slope = np.polyfit(np.log(sizes[half:]), np.log(taken[half:]), 1)[0]
        print(f"time grows as {axis} to the power of {slope:.2f}\n")


if __name__ == "__main__":
    main()
