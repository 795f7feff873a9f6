"""What ``atlas.json`` says, as the types that are held against it."""

from __future__ import annotations

from typing import Any

from typing_extensions import NotRequired, TypedDict

from cka_core.base.records import Count, Text, Whole
from cka_core.results.schemas import ImagesAbout, LayerAbout


class BlockAbout(TypedDict):
    start: Count
    stop: Count
    strength: NotRequired[float]
    contrast: NotRequired[float]


class SnapshotAbout(TypedDict):
    epoch: Count
    test_accuracy: float
    train_accuracy: float
    blocks: list[BlockAbout]
    shares: list[float | None]


class ProbeAbout(TypedDict):
    position: Count
    accuracy: float
    train_accuracy: float


class DeletionAbout(TypedDict):
    blocks: list[Text]
    accuracy: float


class RecipeAbout(TypedDict):
    images: Text


class MemberAbout(TypedDict):
    name: Text
    architecture: Text
    title: Text
    depth: Count
    width: Count
    seed: Whole
    parameters: Count
    recipe: RecipeAbout
    weights: Text
    test_images: Count
    train_images: Count
    layers: list[LayerAbout]
    snapshots: list[SnapshotAbout]
    blocks_without: dict[Text, list[BlockAbout]]
    probes: list[ProbeAbout]
    deletions: list[DeletionAbout]
    influential: list[Count]
    history: dict[Text, list[float]]
    halves: NotRequired[list[list[dict[Text, float | None]]] | None]


class FactsAbout(TypedDict):
    images: ImagesAbout
    batch_size: Count
    versions: dict[Text, Text]
    created: Text
    eight_bit: NotRequired[Text]
    in_steps: NotRequired[Text]


class AtlasAbout(TypedDict):
    """An atlas but its maps. The study is checked by `Study`."""

    format: Text
    study: dict[str, Any]
    facts: FactsAbout
    members: list[MemberAbout]
