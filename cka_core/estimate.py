"""How long a comparison or a training will take on this machine, said before it starts.

The work is counted (multiply-adds of the forward passes and of the Gram matrices) and divided by a speed. The speed is
that of the comparisons and trainings this machine has finished; before the first one, that of an ordinary laptop core
pair.
"""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

from cka_core.images import image_set
from cka_core.networks import architecture, is_architecture
from cka_core.store import Store, key_of

if TYPE_CHECKING:
    from cka_core.library import NetworkInfo
    from cka_core.recipe import TrainSpec

RECORD = "speed.json"
FORWARD_SPEED = 4e10
"""Multiply-adds a second of a forward pass, before anything was measured."""
GRAM_SPEED = 6e10
START_SECONDS = 7.0
"""Starting the worker and importing TensorFlow. A warm worker saves them; the estimate does not count on it."""
LOAD_SECONDS_A_LAYER = 0.015
"""Building a network and tracing it."""

TRAINING_RECORD = "training-speed.json"
TRAINING_SPEED = 1.2e10
"""Multiply-adds of forward passes a second while training, before anything was measured. Going back costs twice as much
again."""
TRACE_SECONDS_A_LAYER = 0.06
"""Building a network and tracing its training step."""
EVALUATION = 1 / 3
"""Cost of an image that is only looked at, held out, against one that is trained on."""


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
    record = store.read_record(RECORD) or {}
    seconds = sum(work_seconds(name, n, batch_size) for name in names) * float(record.get("factor", 1.0))
    return seconds + START_SECONDS


def remember(names: list[str], n: int, batch_size: int, seconds: float, store: Store) -> None:
    """Note how long a comparison took, so that the next estimate is better: half the old factor, half the new."""
    nominal = sum(work_seconds(name, n, batch_size) for name in names)
    if nominal <= 0 or seconds <= 0:
        return
    measured = min(20.0, max(0.05, seconds / nominal))
    record = store.read_record(RECORD) or {}
    factor = measured if "factor" not in record else (float(record["factor"]) + measured) / 2
    store.write_record(RECORD, {"factor": round(factor, 4), "cores": os.cpu_count()})


# Trainings.


@dataclasses.dataclass(frozen=True)
class MeasureSpec:
    """A job that trains a few steps to see how fast this machine is, and keeps only the speed (`remember_speed`)."""

    training: TrainSpec

    @property
    def key(self) -> str:
        """Equal for trainings that differ in what costs no time."""
        same: dict[str, Any] = {"images": "cifar10-mini", "fraction": 1.0, "epochs": 1, "seed": 0, "keep_every": 0}
        same |= {"learning_rate": 0.05, "schedule": "constant", "l2": 0.0, "held_out": 0.0}
        same |= {"start": "random", "start_digest": ""}
        return key_of({"measure": dataclasses.asdict(dataclasses.replace(self.training, **same))})


def training_seconds(spec: TrainSpec, store: Store) -> tuple[float, bool]:
    """Seconds an epoch takes, and whether the speed was measured with this architecture (else it is rough)."""
    speed, measured = _images_per_second(spec.architecture, spec.batch_size, store)
    return epoch_images(spec, evaluation=EVALUATION) / speed, measured


def whole_training_seconds(spec: TrainSpec, store: Store) -> float:
    """Seconds from the press of the button to the trained network, if no other training waits."""
    start = START_SECONDS + TRACE_SECONDS_A_LAYER * len(architecture(spec.architecture).layers)
    return start + spec.epochs * training_seconds(spec, store)[0]


def epoch_images(spec: TrainSpec, evaluation: float = 0.0) -> float:
    """Training images of an epoch; held-out ones count as ``evaluation`` each."""
    chosen = image_set(spec.images).sizes["train"] * spec.fraction
    return max(1.0, chosen * (1 - spec.held_out + evaluation * spec.held_out))


def remember_speed(name: str, batch_size: int, images_per_second: float, store: Store) -> None:
    """Note how many images a second a training of an architecture takes: half the old value, half the new."""
    if not 0 < images_per_second < math.inf:
        return
    record = store.read_record(TRAINING_RECORD) or {}
    before = record.get(name, {}).get(str(batch_size))
    speed = images_per_second if before is None else (float(before) + images_per_second) / 2
    record.setdefault(name, {})[str(batch_size)] = round(speed, 3)
    store.write_record(TRAINING_RECORD, record)


def _images_per_second(name: str, batch_size: int, store: Store) -> tuple[float, bool]:
    """As measured with this architecture, at the nearest batch size; else with the one nearest in work, scaled."""
    record = store.read_record(TRAINING_RECORD) or {}
    work = architecture(name).multiply_adds
    known = [other for other in record if is_architecture(other) and record[other]]
    if not known:
        return TRAINING_SPEED / work, False

    def distance(other: str) -> float:
        return abs(math.log(architecture(other).multiply_adds / work))

    nearest = name if name in known else min(known, key=distance)
    size = min(record[nearest], key=lambda size: abs(math.log(int(size) / batch_size)))
    return float(record[nearest][size]) * architecture(nearest).multiply_adds / work, nearest == name
