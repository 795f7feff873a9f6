"""How long a comparison will take on this machine, said before it starts.

The work is counted (multiply-adds of the forward passes and of the Gram matrices) and divided by a speed. The speed is
that of the comparisons this machine has finished; before the first one, that of an ordinary laptop core pair.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import msgspec
from typing_extensions import TypedDict

from cka_core.base import records
from cka_core.base.store import Store
from cka_core.library.catalogue import NetworkInfo
from cka_core.networks.architectures import architecture, is_architecture

RECORD = "speed.json"
FORWARD_SPEED = 4e10
"""Multiply-adds a second of a forward pass, before anything was measured."""
GRAM_SPEED = 6e10
START_SECONDS = 7.0
"""Starting the worker and importing TensorFlow. A warm worker saves them; the estimate does not count on it."""
LOAD_SECONDS_A_LAYER = 0.015
"""Building a network and tracing it."""


class SpeedRecord(TypedDict):
    """What this machine's comparisons took, as a multiple of the nominal time: ``speed.json``."""

    factor: Annotated[float, msgspec.Meta(gt=0, lt=1e6)]


def work_seconds(name: str, n: int, batch_size: int) -> float:
    """Seconds for the forward pass and the Gram matrices of ``n`` images at the nominal speed, loading included."""
    if not is_architecture(name):
        name = "resnet50"
    described = architecture(name)
    forward = described.multiply_adds * n / FORWARD_SPEED
    grams = described.features * n * min(n, batch_size) / 2 / GRAM_SPEED
    return forward + grams + LOAD_SECONDS_A_LAYER * len(described.layers)


def estimate_seconds(a: NetworkInfo, b: NetworkInfo, n: int, batch_size: int, store: Store) -> float:
    """Seconds from the press of the button to the result. A network compared with itself is run once."""
    names = [a.spec.architecture] if a.spec == b.spec else [a.spec.architecture, b.spec.architecture]
    record = records.kept(RECORD, SpeedRecord, store) or {}
    seconds = sum(work_seconds(name, n, batch_size) for name in names) * float(record.get("factor", 1.0))
    return seconds + START_SECONDS


def remember(names: list[str], n: int, batch_size: int, seconds: float, store: Store) -> None:
    """Note how long a comparison took, so that the next estimate is better: half the old factor, half the new."""
    nominal = sum(work_seconds(name, n, batch_size) for name in names)
    if nominal <= 0 or seconds <= 0:
        return
    measured = min(20.0, max(0.05, seconds / nominal))
    record = records.kept(RECORD, SpeedRecord, store) or {}
    factor = measured if "factor" not in record else (float(record["factor"]) + measured) / 2
    store.write_record(RECORD, {"factor": round(factor, 4), "cores": os.cpu_count()})


SECONDS_A_LAYER = {
    "cka-rbf": 0.008, "rsa-pearson": 0.01, "rsa-spearman": 0.02, "mutual-knn": 0.008, "svcca": 0.05, "ridge": 0.02,
}  # fmt: skip
"""What a measure does with each layer before layers meet, at 256 images; by the third power of their number."""
SECONDS_A_PAIR = {"procrustes": 0.1}


def measures_seconds(measures: Sequence[str], a: NetworkInfo, b: NetworkInfo, n: int, batch_size: int) -> float:
    """Seconds for measures of all layers from their Gram matrices, beside what `estimate_seconds` says."""
    batches, cube = max(1.0, n / batch_size), (min(n, batch_size) / 256) ** 3
    residual = [sum(layer.kind == "Add" for layer in info.layers) for info in (a, b)]
    seconds = 0.0
    for name in measures:
        seconds += SECONDS_A_LAYER.get(name, 0.0) * (len(a.layers) + len(b.layers)) * batches * cube
        seconds += SECONDS_A_PAIR.get(name, 0.0) * residual[0] * residual[1] * batches * cube
        seconds += len(a.layers) * len(b.layers) * min(n, batch_size) * n / GRAM_SPEED
    return seconds


PERMUTED = 60
"""200 permutations of the best match cost at most so many products of all layers with all."""


def best_match_seconds(a: NetworkInfo, b: NetworkInfo, n: int, batch_size: int, store: Store) -> float:
    """Seconds for the best match by chance, Gram matrices included."""
    product = len(a.layers) * len(b.layers) * min(n, batch_size) * n / GRAM_SPEED
    return estimate_seconds(a, b, n, batch_size, store) + PERMUTED * product


def estimator_seconds(a: NetworkInfo, b: NetworkInfo, n: int, draws: int, store: Store) -> float:
    """Seconds for one pair of layers on random samples of n images: the forward passes, and n² for each draw."""
    return estimate_seconds(a, b, n, n, store) + draws * 2e-7 * n * n
