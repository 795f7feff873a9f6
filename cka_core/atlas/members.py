"""One network of a study: what it is, how it was after each epoch kept, and what was found in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cka_core.atlas.study import FITTED
from cka_core.measures.block_falls import OnHalf
from cka_core.measures.blocks import RULE, Block
from cka_core.networks.layers import Layer


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A network after an epoch (0: as it began).

    ``blocks`` are those of its map against itself, ``shares`` each layer's first-component share of variance (NaN for a
    layer without variance); accuracies are shares of 1.
    """

    epoch: int
    test_accuracy: float
    train_accuracy: float
    blocks: tuple[Block, ...]
    shares: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A linear probe on a residual block's output, the layer at ``position``; accuracies on images it did not see."""

    position: int
    accuracy: float
    train_accuracy: float


@dataclasses.dataclass(frozen=True)
class Deletion:
    """Test accuracy with some residual blocks' branches deleted (their names, such as "stage2_block3")."""

    blocks: tuple[str, ...]
    accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """One network of a study. ``layers`` are those of its maps; ``influential`` positions in the sample; ``halves``
    the blocks found on either half of the images in the end, None where that is not known."""

    name: str
    architecture: str
    title: str
    depth: int
    width: int
    seed: int
    parameters: int
    recipe: dict[str, Any]
    weights: str
    test_images: int
    train_images: int
    layers: tuple[Layer, ...]
    snapshots: tuple[Snapshot, ...]
    blocks_without: dict[str, tuple[Block, ...]]
    probes: tuple[Probe, ...]
    deletions: tuple[Deletion, ...]
    influential: tuple[int, ...]
    history: dict[str, list[float]]
    halves: tuple[tuple[OnHalf, ...], tuple[OnHalf, ...]] | None = None

    @property
    def trained_on(self) -> str:
        """The name of the image set it was trained on."""
        return str(self.recipe["images"])

    @property
    def epochs(self) -> tuple[int, ...]:
        return tuple(snapshot.epoch for snapshot in self.snapshots)

    @property
    def final(self) -> Snapshot:
        return self.snapshots[-1]

    @property
    def fitted(self) -> bool:
        """Whether it gets at least `study.FITTED` of its training images right."""
        return self.final.train_accuracy >= FITTED

    def at(self, epoch: int | None = None) -> Snapshot:
        """The snapshot after an epoch, None for the last; ValueError if there is none."""
        if epoch is None:
            return self.final
        for snapshot in self.snapshots:
            if snapshot.epoch == epoch:
                return snapshot
        raise ValueError(f"{self.name} was kept after epochs {', '.join(map(str, self.epochs))}, not {epoch}.")


def member_of(values: Mapping[str, Any]) -> Member:
    """A member as atlas.json holds it: dataclasses as objects, NaN as null."""
    fields = {name: value for name, value in values.items() if name != "rule"}
    fields["layers"] = tuple(Layer.from_json(layer) for layer in values["layers"])
    fields["snapshots"] = tuple(
        Snapshot(
            item["epoch"], item["test_accuracy"], item["train_accuracy"], tuple(Block(**b) for b in item["blocks"]),
            tuple(float("nan") if share is None else share for share in item["shares"]),
        )
        for item in values["snapshots"]
    )  # fmt: skip
    fields["blocks_without"] = {
        removed: tuple(Block(**block) for block in blocks) for removed, blocks in values["blocks_without"].items()
    }
    fields["probes"] = tuple(Probe(**probe) for probe in values["probes"])
    fields["deletions"] = tuple(Deletion(tuple(item["blocks"]), item["accuracy"]) for item in values["deletions"])
    fields["influential"] = tuple(values["influential"])
    if values.get("halves"):
        fields["halves"] = tuple(tuple(OnHalf(**found) for found in half) for half in values["halves"])
    return Member(**fields)


def member_json(member: Member) -> dict[str, Any]:
    """What `member_of` reads."""
    values = {**dataclasses.asdict(member), "rule": RULE}
    for snapshot in values["snapshots"]:
        snapshot["shares"] = [None if share != share else share for share in snapshot["shares"]]
    return values
