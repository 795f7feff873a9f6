"""How fast, how large and how exact the engine is, as ratios measured in one run on the machine at hand.

    python benchmarks/engine.py                      A, B, C and D
    python benchmarks/engine.py --only A
    python benchmarks/engine.py --torch-python PATH  B2 too: a Python with torch and pytorch-cka==1.1.3

A   ResNet50 x ResNet101, random weights, 256 images, every layer, against the work that cannot be avoided: both forward
    passes (final output only), one full Gram product of every layer at the machine's best speed, one cross product.
B   the same against the original notebook's algorithm on the same activations, extrapolated from a sample of pairs.
B2  the same networks and images against pytorch-cka, convolutions, batch norms and activations only.
C   1,024 against 4,096 images: time and peak memory.
D   the page in a browser, its server and an idle cluster (benchmarks/page.py)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402

A_LIMIT, A_MEMORY = 1.15, 1.35e9
KINDS = ["Conv2D", "BatchNormalization", "Activation"]


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fresh(part: str, **values: Any) -> dict[str, Any]:
    """Run one part in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--part", part, "--values", json.dumps(values)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout
    return json.loads(out.splitlines()[-1])


def networks() -> tuple[Any, Any, np.ndarray]:
    from cka_core import build_network, load_images

    return build_network("resnet50"), build_network("resnet101"), load_images("cifar10-mini", "test", 256, 0).x


def part_speed() -> dict[str, Any]:
    """A and B: the engine, the limit and the notebook's way, in turns."""
    import tensorflow as tf

    from benchmarks.seed_algorithm import cka
    from cka_core import compare
    from cka_core.networks.activations import Extractor, pixels

    a, b, x = networks()
    inputs = tf.constant(pixels(x))
    forward = [tf.function(lambda x, model=model: model(x, training=False)) for model in (a, b)]
    for run in forward:
        run(inputs)
    compare(a, b, x)
    features = sum(int(np.prod(layer.shape)) for model in (a, b) for layer in Extractor(model).layers)
    square = np.random.default_rng(0).random((2048, 2048), np.float32)
    other = np.random.default_rng(1).random((2048, 2048), np.float32)
    stacks = [np.ones((layers, 256 * 256), np.float32) for layers in (176, 346)]
    engine, limits = [], []
    for _ in range(5):
        engine.append(timed(lambda: compare(a, b, x)))
        passes = sum(timed(partial(run, inputs)) for run in forward)
        speed = 2 * 2048**3 / min(timed(lambda: square @ other) for _ in range(5))
        cross = timed(lambda: stacks[0] @ stacks[1].T)
        limits.append(passes + 2 * 256**2 * features / speed + cross)

    # B: real activations of a random sample of layers, random pairs of them.
    import keras

    rng = random.Random(0)
    chosen = [rng.sample(model.layers[1:], 12) for model in (a, b)]
    acts = [
        [np.asarray(out) for out in keras.Model(model.inputs, [layer.output for layer in layers])(inputs)]
        for model, layers in zip((a, b), chosen, strict=True)
    ]
    pairs = [(rng.choice(acts[0]), rng.choice(acts[1])) for _ in range(40)]
    seed_pair = float(np.mean([timed(partial(cka, u, v)) for u, v in pairs]))
    return {"engine": engine, "limit": limits, "seed": seed_pair * 176 * 346, "sampled": len(pairs)}


def part_breakdown() -> dict[str, float]:
    """A once more, each part on its own: medians of four."""
    from cka_core import compare
    from cka_core.comparing import tallies, warm
    from cka_core.networks.fingerprint import fingerprint

    a, b, x = networks()
    compare(a, b, x)
    both = [warm.live_extractor(model, None) for model in (a, b)]

    def median(call: Callable[[], Any]) -> float:
        return float(np.median([timed(call) for _ in range(4)]))

    def forward() -> None:
        for extractor in both:
            for _ in extractor.activations(x):
                pass

    found = {
        "fingerprints": median(lambda: [fingerprint(model) for model in (a, b)]),
        "digests of the weights": median(lambda: [extractor.weights_digest() for extractor in both]),
        "forward passes, every layer taken": median(forward),
    }
    whole_grams = median(lambda: [extractor.grams(x) for extractor in both])
    found["Gram matrices"] = whole_grams - found["forward passes, every layer taken"]
    sums = tallies.HsicSums(len(both[0].layers), len(both[1].layers))
    batches = [extractor.grams(x) for extractor in both]
    found["cross product"] = median(lambda: sums.add(*batches))
    whole = median(lambda: compare(a, b, x))
    kept, tallies.Held.jackknife = tallies.Held.jackknife, lambda self, *again: None  # type: ignore[method-assign]
    found["intervals"] = whole - median(lambda: compare(a, b, x))
    tallies.Held.jackknife = kept  # type: ignore[method-assign]
    return found | {"the rest": whole - sum(found.values())}


def part_memory() -> dict[str, Any]:
    from cka_core import compare

    a, b, x = networks()
    for _ in range(2):
        compare(a, b, x)
    return {"peak": peak_memory()}


def part_ours(folder: str, reference: bool) -> dict[str, Any]:
    """B2, our side: called twice; the second call counts."""
    from cka_core import compare

    a, b, x = networks()
    for _ in range(2):
        started = time.perf_counter()
        result = compare(a, b, x, layers=KINDS)
        seconds = time.perf_counter() - started
    measured = {"seconds": seconds, "peak": peak_memory(), "shape": result.matrix.shape}
    if reference:
        weights = {
            f"{model.name}/{layer.name}/{i}": value
            for model in (a, b)
            for layer in model.layers
            for i, value in enumerate(layer.get_weights())
        }
        images = x.astype(np.float32) / 255
        np.savez(Path(folder) / "input.npz", images=images, reference=np.array(1), **weights)
        truth = float64_matrix(
            a, b, images, [layer.name for layer in result.layers_a], [la.name for la in result.layers_b]
        )
        measured["error"] = float(np.abs(result.matrix - truth).max())
    return measured


def float64_matrix(a: Any, b: Any, images: np.ndarray, names_a: list[str], names_b: list[str]) -> np.ndarray:
    import keras

    from cka_core.measures.kernels import linear_gram, u_centre

    def units(model: Any, names: list[str]) -> np.ndarray:
        rows = []
        for start in range(0, len(names), 40):
            some = names[start : start + 40]
            for out in keras.Model(model.inputs, [model.get_layer(name).output for name in some])(images):
                z = np.asarray(out, np.float64).reshape(len(images), -1)
                rows.append(u_centre(linear_gram(z - z.mean(0))).ravel())
        return np.stack(rows)

    u, v = units(a, names_a), units(b, names_b)
    return u @ v.T / np.sqrt(np.outer((u * u).sum(1), (v * v).sum(1)))


def part_images(n: int) -> dict[str, Any]:
    """C: one pair of networks on n images, after a warm-up of two minibatches."""
    from cka_core import build_network, compare, load_images

    a, b = build_network("cifar-resnet-14x1"), build_network("cifar-resnet-20x1")
    some = load_images("cifar10-mini", "train", 1024, 0).x
    compare(a, b, some[:512])
    x = np.tile(some, (n // 1024, 1, 1, 1))
    return {"seconds": timed(lambda: compare(a, b, x)), "peak": peak_memory()}


def run_a_and_b() -> None:
    speed, memory = fresh("speed"), fresh("memory")
    engine, limit = float(np.median(speed["engine"])), float(np.median(speed["limit"]))
    ratios = [e / u for e, u in zip(speed["engine"], speed["limit"], strict=True)]
    print(f"A   ResNet50 x ResNet101, 176 x 346 layers, 256 images: {engine:.2f} s; limit {limit:.2f} s")
    print(
        f"    ratio {np.median(ratios):.2f} (of five: {min(ratios):.2f} to {max(ratios):.2f}), wanted at most {A_LIMIT}"
    )
    print(f"    peak memory of the process {memory['peak'] / 1e9:.2f} GB, wanted at most {A_MEMORY / 1e9}")
    print("    " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in fresh("breakdown").items()))
    print(f"B   the notebook's algorithm: {speed['seed']:,.0f} s, extrapolated from {speed['sampled']} random pairs")
    print(f"    {speed['seed'] / engine:,.0f} times as long, wanted at least 300")


def run_b2(torch_python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        exact = fresh("ours", folder=folder, reference=True)
        ours, theirs = [], []
        for _ in range(3):
            ours.append(fresh("ours", folder=folder, reference=False))
            out = Path(folder) / "output.npz"
            command = [torch_python, str(ROOT / "benchmarks/torch_peer.py"), f"{folder}/input.npz", str(out)]
            subprocess.run(command, check=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
            with np.load(out) as arrays:
                error = float(np.abs(arrays["matrix"] - arrays["reference"]).max())
                theirs.append({"seconds": float(arrays["seconds"]), "peak": float(arrays["peak"]), "error": error})
    mine, other = (float(np.median([run["seconds"] for run in runs])) for runs in (ours, theirs))
    peak, other_peak = (max(run["peak"] for run in runs) for runs in (ours, theirs))
    print(f"B2  against pytorch-cka, {' x '.join(map(str, exact['shape']))} layers, second call, median of three")
    print(f"    time {mine:.2f} s / {other:.2f} s = {mine / other:.2f}, wanted at most 0.75")
    print(
        f"    peak memory {peak / 1e9:.2f} GB / {other_peak / 1e9:.2f} GB = {peak / other_peak:.2f}, wanted at most 0.5"
    )
    errors = exact["error"], theirs[0]["error"]
    print(f"    error {errors[0]:.1e} / {errors[1]:.1e} = {errors[0] / errors[1]:.1e}, wanted at most 1e-3")


def run_c() -> None:
    pairs = [(fresh("images", n=1024), fresh("images", n=4096)) for _ in range(3)]
    ratio = float(np.median([large["seconds"] / small["seconds"] for small, large in pairs]))
    memory = float(np.median([large["peak"] / small["peak"] for small, large in pairs]))
    small, large = pairs[0]
    print(f"C   1,024 against 4,096 images: {small['seconds']:.1f} s and {large['seconds']:.1f} s")
    print(f"    ratio {ratio:.2f}, wanted 4.0 within 10 %; peak memory ratio {memory:.2f}, wanted 1.0 within 10 %")


def run_d() -> None:
    from benchmarks import page

    print("D   the page in a browser, its server and an idle cluster")
    page.show(page.measure())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["A", "B", "B2", "C", "D"])
    parser.add_argument(
        "--torch-python", help="a Python with torch and pytorch-cka==1.1.3 (benchmarks/requirements.txt)"
    )
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--values", default="{}", help=argparse.SUPPRESS)
    given = parser.parse_args()
    parts: dict[str, Callable[..., Any]] = {
        "speed": part_speed,
        "memory": part_memory,
        "breakdown": part_breakdown,
        "ours": part_ours,
        "images": part_images,
    }
    if given.part:
        print(json.dumps(parts[given.part](**json.loads(given.values))))
        return
    from importlib.metadata import version

    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy")))
    if given.only in (None, "A", "B"):
        run_a_and_b()
    if given.torch_python and given.only in (None, "B2"):
        run_b2(given.torch_python)
    elif given.only in (None, "B2"):
        print("B2  left out: name a Python with torch and pytorch-cka by --torch-python")
    if given.only in (None, "C"):
        run_c()
    if given.only in (None, "D"):
        run_d()


if __name__ == "__main__":
    main()
