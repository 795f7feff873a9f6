"""The records of the library, as the types that are held against what the store holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from typing_extensions import NotRequired, TypedDict

from cka_core.base.records import Count, Text, Whole
from cka_core.results.schemas import Side

Epoch = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}$")]


class Recipe(TypedDict):
    """What every version's recipe has; `TrainSpec.from_json` checks the rest where it is needed."""

    images: Text
    seed: Whole


class NetworkRecord(TypedDict):
    """How a trained network was made and what it reached: ``networks/<name>.json``."""

    architecture: Text
    spec: Recipe
    weights: Text
    history: dict[Text, list[float]]
    test_accuracy: float | None
    test_images: Count | None
    train_accuracy: float | None
    checkpoints: NotRequired[dict[Epoch, Text] | None]
    created: NotRequired[Text | None]
    training_key: NotRequired[Text]
    seconds: NotRequired[list[float]]
    kept_epoch: NotRequired[Count]
    fit: NotRequired[Text]
    classes: NotRequired[list[Text]]
    confusion: NotRequired[list[list[Count]] | None]


class OwnLayer(TypedDict):
    name: Text
    kind: Text
    shape: list[Side]
    stage: NotRequired[Text]


class OwnNetworkRecord(TypedDict):
    """A network that somebody brought in: ``networks/<name>.json`` beside its ``.keras`` file."""

    source: Literal["own"]
    file: Text
    weights: Text
    layers: list[OwnLayer]
    parameters: Count
    input_shape: list[Count | None]
    input_dtype: Text
    takes_ids: NotRequired[bool]
    created: NotRequired[Text | None]


class TrashRecord(TypedDict):
    """What was removed and where it was: ``trash/<id>/about.json``."""

    kind: Text
    key: Text
    title: Text
    when: float
    files: list[Text]
    size: NotRequired[Any]
    owned: NotRequired[Text]
