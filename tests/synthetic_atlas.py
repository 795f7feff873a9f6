"""An atlas with the layers of real networks and made-up numbers: blocks are planted, so that tests know what is true.

Six networks: 14x1, 38x1 and 14x4 with seeds 0 and 1 each but 14x1, and 14x2. Blocks grow with depth, with width and
with the epochs, fall apart without the first component, and are alike between seeds outside and unlike inside.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.atlas.result import FORMAT, Atlas, Deletion, Member, Probe, Snapshot, member_json
from cka_core.atlas.study import study_of
from cka_core.images.sets import load_images
from cka_core.measures.blocks import Block
from cka_core.networks.architectures import architecture

EPOCHS = (0, 5, 10)
PLANTED = {"cifar-resnet-14x1": 0.0, "cifar-resnet-14x2": 0.2, "cifar-resnet-14x4": 0.4, "cifar-resnet-38x1": 0.5}
"""Share of the layers inside the block, in the end."""
TWO_SEEDS = ("cifar-resnet-38x1", "cifar-resnet-14x4")
SAMPLES = 64
INFLUENTIAL = (3, 17)
RIGHT = {"cifar-resnet-14x1": 0.5, "cifar-resnet-14x2": 0.55, "cifar-resnet-14x4": 0.6, "cifar-resnet-38x1": 0.6}


def name(size: str, seed: int = 0) -> str:
    return f"cifar-resnet-{size}-cifar10-mini-s{seed}"


def planted(architecture_name: str, epoch: int = EPOCHS[-1]) -> tuple[int, int]:
    """The planted block, [start, stop), of a network after an epoch."""
    layers = len(architecture(architecture_name).layers)
    length = round(layers * PLANTED[architecture_name] * epoch / EPOCHS[-1])
    start = layers // 3
    return start, start + length


def _map(layers: int, block: tuple[int, int], seed: int, strength: float = 0.95) -> np.ndarray:
    """Similarity that falls with distance, and is ``strength`` inside the block."""
    position = np.arange(layers)
    matrix = 0.85 * np.exp(-np.abs(position[:, None] - position) / (layers / 10))
    matrix[slice(*block), slice(*block)] = strength
    noise = np.random.default_rng(seed).normal(0, 0.01, matrix.shape)
    matrix += (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _pair(a: Member, b: Member) -> np.ndarray:
    """Alike at equal depth outside the blocks (0.9), unlike inside (0.3)."""
    x, y = (np.linspace(0, 1, len(member.layers)) for member in (a, b))
    matrix = 0.9 * np.exp(-(((x[:, None] - y) / 0.12) ** 2))
    for axis, member in enumerate((a, b)):
        for block in member.final.blocks:
            inside = [slice(None), slice(None)]
            inside[axis] = slice(block.start, block.stop)
            matrix[tuple(inside)] = np.minimum(matrix[tuple(inside)], 0.3)
    return matrix


def _member(spec: Any, title: str) -> Member:
    described = architecture(spec.architecture)
    layers = described.layers
    snapshots = []
    for epoch in EPOCHS:
        start, stop = planted(spec.architecture, epoch)
        blocks = (Block(start, stop, 0.95, 0.4),) if stop - start >= 5 else ()
        shares = np.where((np.arange(len(layers)) >= start) & (np.arange(len(layers)) < stop), 0.8, 0.2)
        right = 0.1 + (RIGHT[spec.architecture] - 0.1) * epoch / EPOCHS[-1]
        fit = 0.1 + (0.95 - 0.1 if described.width > 1 else 0.6) * epoch / EPOCHS[-1]
        snapshots.append(Snapshot(epoch, right, fit, blocks, tuple(shares)))
    adds = [position for position, layer in enumerate(layers) if layer.kind == "Add"]
    start, stop = planted(spec.architecture)
    probes = tuple(
        Probe(at, 0.3 + 0.3 * (0.5 if start <= at < stop else at / len(layers)), 0.7 + 0.2 * at / len(layers))
        for at in adds
    )
    final = snapshots[-1]
    branches = [layers[at].name.removesuffix("_add") for at in adds]
    deletions = [Deletion((), final.test_accuracy)]
    deletions += [
        Deletion((branch,), final.test_accuracy - (0.01 if start <= at < stop else 0.2))
        for branch, at in zip(branches, adds, strict=True)
    ]
    return Member(
        name=spec.default_name, architecture=spec.architecture, title=title, depth=described.depth,
        width=described.width, seed=spec.seed, parameters=described.parameters, recipe=dataclasses.asdict(spec),
        weights=f"{spec.architecture}-{spec.images}-{spec.seed}",
        test_images=1000, train_images=3125, layers=layers, snapshots=tuple(snapshots),
        blocks_without={"component": (), "images": final.blocks}, probes=probes, deletions=tuple(deletions),
        influential=INFLUENTIAL, history={"accuracy": [0.5], "loss": [1.0]},
    )  # fmt: skip


def _outputs(member: Member, labels: np.ndarray) -> np.ndarray:
    """The first images of each class are right, as many as the accuracy says; wide and deep differ in which."""
    rank = np.argsort(np.argsort(labels, kind="stable"), kind="stable") % 100
    if member.depth > 14:
        rank = (rank + 20) % 100
    right = rank < round(100 * member.final.test_accuracy)
    probabilities = np.full((len(labels), 10), 0.05)
    taken_for = np.where(right, labels, (labels + 1) % 10)
    probabilities[np.arange(len(labels)), taken_for] = 0.55
    return np.log(probabilities)


def build(members: int | None = None, *, beside: bool = False) -> Atlas:
    """The synthetic atlas, or its first ``members`` networks; ``beside`` it a 14x1 trained on all of CIFAR-10."""
    recipe = {"epochs": EPOCHS[-1], "keep_every": 5, "held_out": 0.0}
    groups = [{"architectures": [one], "seeds": [0, 1] if one in TWO_SEEDS else [0]} for one in PLANTED]
    if beside:
        groups.append({"architectures": ["cifar-resnet-14x1"], "images": "cifar10"})
    study = study_of({"name": "synthetic", "samples": SAMPLES, "recipe": recipe, "influential": 2, "networks": groups})
    if members is not None:
        study = dataclasses.replace(study, trainings=study.trainings[:members], names=study.names[:members])
    found = [_member(spec, architecture(spec.architecture).title) for spec in study.trainings]
    labels = load_images("cifar10-mini", "test").y
    maps: dict[str, np.ndarray] = {"labels": labels}
    for number, member in enumerate(found):
        layers = len(member.layers)
        for epoch in EPOCHS:
            maps[f"self/{member.name}/{epoch}/nothing"] = _map(layers, planted(member.architecture, epoch), number)
        maps[f"self/{member.name}/{EPOCHS[-1]}/component"] = _map(layers, (0, 0), number)
        maps[f"self/{member.name}/{EPOCHS[-1]}/images"] = _map(layers, planted(member.architecture), number, 0.8)
        scores = np.random.default_rng(number).normal(0, 1, (layers, SAMPLES))
        scores[slice(*planted(member.architecture)), INFLUENTIAL] = 40.0
        maps[f"scores/{member.name}"] = scores
        maps[f"cosines/{member.name}"] = _map(layers, planted(member.architecture), number)
        maps[f"outputs/{member.name}"] = _outputs(member, labels)
        for other in found[number + 1 :]:
            maps[f"pair/{member.name}/{other.name}"] = _pair(member, other)
    about = {
        "format": FORMAT,
        "study": study.to_json(),
        "facts": {
            "images": dataclasses.asdict(study.sample) | {"digest": "0"}, "batch_size": 64, "versions": {},
            "created": "2026-01-01T00:00:00+00:00", "seconds": 1.0,
        },
        "members": [member_json(member) for member in found],
    }  # fmt: skip
    return Atlas(about, {key: values.astype(np.float32) for key, values in maps.items()})


def save(store: str | Path, called: str = "synthetic") -> Path:
    """Put it where a user's atlases lie in a store. Returns its folder."""
    folder = Path(store) / "atlases" / called
    build().save(folder)
    return folder
