"""How long a training will take on this machine, said before it starts.

The multiply-adds of an epoch are divided by the speed of the trainings that this machine has finished; before the first
one, by that of an ordinary laptop core pair.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from cka_core.base import records
from cka_core.base.keys import key_of
from cka_core.base.store import Store
from cka_core.comparing.estimate import START_SECONDS
from cka_core.images.sets import image_set
from cka_core.networks.architectures import architecture, is_architecture
from cka_core.training.recipe import TrainSpec
from cka_core.training.schemas import TrainingSpeeds

TRAINING_RECORD = "training-speed.json"


TRAINING_SPEED = 1.2e10
"""Multiply-adds of forward passes a second while training, before anything was measured. Going back costs twice as much
again."""


TRACE_SECONDS_A_LAYER = 0.06
"""Building a network and tracing its training step."""


EVALUATION = 1 / 3
"""Cost of an image that is only looked at, held out, against one that is trained on."""


@dataclasses.dataclass(frozen=True)
class MeasureSpec:
    """A job that trains a few steps to see how fast this machine is, and keeps only the speed (`remember_speed`)."""

    training: TrainSpec

    @property
    def key(self) -> str:
        """Equal for trainings that differ in what costs no time."""
        same: dict[str, Any] = {"images": "cifar10-mini", "fraction": 1.0, "epochs": 1, "seed": 0, "keep_every": 0}
        same |= {"learning_rate": 0.05, "schedule": "constant", "l2": 0.0, "held_out": 0.0}
        same |= {"start": "random", "start_digest": "", "epoch_images": 0, "held": ""}
        return key_of({"measure": dataclasses.replace(self.training, **same)})


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
    chosen = image_set(spec.images, held=spec.held).sizes["train"] * spec.fraction
    return max(1.0, (spec.epoch_images or chosen * (1 - spec.held_out)) + evaluation * chosen * spec.held_out)


def remember_speed(name: str, batch_size: int, images_per_second: float, store: Store) -> None:
    """Note how many images a second a training of an architecture takes: half the old value, half the new."""
    if not 0 < images_per_second < math.inf:
        return
    record = records.kept(TRAINING_RECORD, TrainingSpeeds, store) or {}
    before = record.get(name, {}).get(str(batch_size))
    speed = images_per_second if before is None else (float(before) + images_per_second) / 2
    record.setdefault(name, {})[str(batch_size)] = round(speed, 3)
    store.write_record(TRAINING_RECORD, record)


def _images_per_second(name: str, batch_size: int, store: Store) -> tuple[float, bool]:
    """As measured with this architecture, at the nearest batch size; else with the one nearest in work, scaled."""
    record = records.kept(TRAINING_RECORD, TrainingSpeeds, store) or {}
    work = architecture(name).multiply_adds
    known = [other for other in record if is_architecture(other) and record[other]]
    if not known:
        return TRAINING_SPEED / work, False

    def distance(other: str) -> float:
        return abs(math.log(architecture(other).multiply_adds / work))

    nearest = name if name in known else min(known, key=distance)
    size = min(record[nearest], key=lambda size: abs(math.log(int(size) / batch_size)))
    return float(record[nearest][size]) * architecture(nearest).multiply_adds / work, nearest == name
