"""What it costs to question a map, as ratios to the map itself, measured in one run on the machine at hand.

    python benchmarks/lenses.py                     all parts
    python benchmarks/lenses.py --only interval

interval     the standard errors of all cells, against the map (at most 6), for one minibatch and for several
measures     every measure of all layers, against linear CKA from the same Gram matrices (at most 10)
procrustes   the residual outputs of both networks, in seconds (at most 60)
chance       200 permutations of the best match, against the map (at most 60)
coverage     how often 95 % intervals hold the truth, on data of three kinds and for few deciding images

The Gram matrices have the shape of ResNet50 x ResNet101 at 256 images, every layer, 176 x 346; they are made of random
activations whose variance falls over the components as a power law: no measure's cost depends on more than that.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from cka_core.measures.chance import best_match_chance  # noqa: E402
from cka_core.measures.grams import GramBatch, grams  # noqa: E402
from cka_core.measures.hsic import summed  # noqa: E402
from cka_core.measures.jackknife import FEW_IMAGES, interval, jackknife  # noqa: E402
from cka_core.measures.registry import MEASURES  # noqa: E402

IMAGES, LAYERS, RESIDUAL, ROUNDS = 256, (176, 346), (16, 33), 5
LIMITS = {"interval": 6, "measure": 10, "procrustes": 60, "chance": 60}


def timed(call: Callable[..., Any], *arguments: Any) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def ratio(call: Callable[..., Any], arguments: tuple[Any, ...], pairs: list[tuple[GramBatch, GramBatch]]) -> float:
    """Median of several runs, each against a map of the same Gram matrices made beside it."""
    return float(np.median([timed(call, *arguments) / timed(summed, pairs) for _ in range(ROUNDS)]))


def network(seed: int, layers: int, images: int = IMAGES, first: int = 0) -> GramBatch:
    """Gram matrices of layers that resemble their neighbours, with spectra that fall as a power law."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, 400)).astype(np.float32)
    made = []
    for _ in range(layers):
        x = 0.9 * x + 0.45 * rng.standard_normal(x.shape, np.float32)
        made.append(x * np.arange(1, 401, dtype=np.float32) ** -0.5)
    return grams(made, first=first)


def said(what: str, value: float, limit: float, unit: str = "x the map") -> None:
    print(f"{what:44} {value:8.2f} {unit} (at most {limit}) {'' if value <= limit else 'MORE'}", flush=True)


def part_interval() -> None:
    for count in (1, 3):
        pairs = [
            (network(i, LAYERS[0], first=i * IMAGES), network(10 + i, LAYERS[1], first=i * IMAGES))
            for i in range(count)
        ]
        sums = summed(pairs)
        said(f"interval, {count} x {IMAGES} images", ratio(jackknife, (pairs, sums), pairs), LIMITS["interval"])


def part_measures() -> None:
    a, b = network(0, LAYERS[0]), network(1, LAYERS[1])
    for name, measure in MEASURES.items():
        if name == "cka" or measure.residual_only:
            continue
        said(name, ratio(measure.pairs, (a, b), [(a, b)]), LIMITS["measure"])


def part_procrustes() -> None:
    a, b = network(0, RESIDUAL[0]), network(1, RESIDUAL[1])
    seconds = timed(MEASURES["procrustes"].pairs, a, b)
    said(f"procrustes, {RESIDUAL[0]} x {RESIDUAL[1]} residual outputs", seconds, LIMITS["procrustes"], "s")


def part_chance() -> None:
    pairs = [(network(0, LAYERS[0]), network(1, LAYERS[1]))]
    said(
        "best match by chance, 200 permutations",
        ratio(best_match_chance, (pairs, summed(pairs)), pairs),
        LIMITS["chance"],
    )


def part_coverage(samples: int = 1000, n: int = 256) -> None:
    """Each sample is a layer of A and one of B; only the diagonal of the map is looked at."""
    mix = np.random.default_rng(7).standard_normal((6, 6))

    def draw(rng: np.random.Generator, kind: str, n: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.standard_t(5, (n, 6)) if kind == "heavy tails" else rng.standard_normal((n, 6))
        if kind == "2 % outliers":
            x[rng.random(n) < 0.02] *= 3
        if kind == "few images":
            x[rng.random(n) < 0.01] *= 30
        return x, x @ mix + 1.5 * rng.standard_normal((n, 6))

    for kind in ("normal", "heavy tails", "2 % outliers", "few images"):
        rng = np.random.default_rng(0)
        large = [draw(rng, kind, 4000) for _ in range(12)]
        truth = np.mean([MEASURES["cka"].pairs(grams([x]), grams([y]))[0, 0] for x, y in large])
        held, few = [], []
        for start in range(0, samples, 100):
            a, b = zip(*(draw(rng, kind, n) for _ in range(min(100, samples - start))), strict=True)
            pairs = [(grams(a), grams(b))]
            sums = summed(pairs)
            found = jackknife(pairs, sums)
            low, high = (np.diagonal(side) for side in interval(sums.matrix(), found.errors))
            held += list((low <= truth) & (truth <= high))
            few += list(np.diagonal(found.n_eff) < FEW_IMAGES)
        enough = np.mean(np.array(held)[~np.array(few)]) if not all(few) else float("nan")
        print(
            f"coverage, {kind:14} {np.mean(held):8.3f} of 0.95; fewer than {FEW_IMAGES} images decide in "
            f"{np.mean(few):.2f} of samples, coverage of the others {enough:.3f}"
        )


PARTS = {
    "interval": part_interval, "measures": part_measures, "procrustes": part_procrustes, "chance": part_chance,
    "coverage": part_coverage,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS))
    only = parser.parse_args().only
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    for name, part in PARTS.items():
        if only in (None, name):
            part()


if __name__ == "__main__":
    main()
