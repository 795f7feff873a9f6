"""The record of a training, as the types that are held against what the store holds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from typing_extensions import NotRequired, TypedDict

from cka_core.base.records import Count, Long, Text
from cka_core.library.schemas import Epoch

Size = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,8}$")]
Speed = Annotated[float, msgspec.Meta(gt=0, lt=1e12)]
TrainingSpeeds = dict[Text, dict[Size, Speed]]
"""Images a second by architecture and batch size: ``training-speed.json``."""


class ResultRecord(TypedDict, total=False):
    """The library record of the finished network, as a page shows it before that is asked for."""

    test_accuracy: float | None
    test_images: Count | None
    train_accuracy: float | None
    kept_epoch: Count
    history: dict[Text, list[float]]
    seconds: list[float]
    spec: dict[str, Any]
    fit: Text
    classes: list[Text]
    confusion: list[list[Count]] | None


class TrainingRecord(TypedDict):
    """How far a training is: ``trainings/<key>/record.json``."""

    spec: dict[str, Any]
    name: Text
    epochs_done: Count
    history: dict[Text, list[float]]
    seconds: list[float]
    images: Count
    device: Long
    created: float
    updated: float
    result: ResultRecord | None
    lower_rate: NotRequired[float | None]
    states: list[Count]
    best: Count | None
    kept: dict[Epoch, Any]
    threads: NotRequired[Count]
