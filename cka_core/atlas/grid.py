"""The grid of small maps: which network stands where, after every epoch, in plain values for the browser.

Depth across, width down; below it the data axis, the same networks trained on more images with as many updates. Of a
network that was trained several times, from different seeds, one training is shown: the first, the second, and so on.
Light: numpy only.
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np

from cka_core.atlas.numbers import seed_groups
from cka_core.atlas.packing import in_bytes
from cka_core.atlas.result import Atlas, Member
from cka_core.atlas.views import blocks, blocks_text, epochs, is_fitted, test_text, within
from cka_core.results import views
from cka_core.results.colours import NO_CKA, rgb, shades
from cka_core.training.recipe import TrainSpec

SMALL = 48
"""Layers a side of a small map, at most: it is there for its shape."""


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """Depth across, width down: ``cells`` by (depth, width). ``data``: by (architecture's title, training images), of
    the architectures trained on more images too; ``axis`` all their trainings (`data_axis`). ``others`` have no place
    in either."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    cells: dict[tuple[int, int], Member]
    data: dict[tuple[str, int], Member]
    axis: dict[str, dict[int, tuple[Member, ...]]]
    others: tuple[Member, ...]

    @property
    def along(self) -> list[Member]:
        """The networks whose epochs the slider goes through; those beside, which were trained otherwise, follow it."""
        placed = {member.name: member for member in (*self.cells.values(), *self.data.values())}
        return list(placed.values()) or list(self.others)


def trainings(atlas: Atlas) -> int:
    """How often the network that was trained most often was."""
    return max(len(group) for group in seed_groups(atlas))


def images_of(member: Member) -> int:
    """How many images a network was trained on, by its recipe."""
    recipe = _recipe(member)
    return recipe.chosen_images if recipe else member.train_images


def updates_of(member: Member) -> int | None:
    """How often its training changed a network's weights; None if its recipe is not one of ours."""
    recipe = _recipe(member)
    return recipe.updates if recipe else None


def _recipe(member: Member) -> TrainSpec | None:
    """None if the atlas is from elsewhere and its recipe is not one of ours."""
    try:
        return TrainSpec.from_json(member.recipe)
    except (TypeError, ValueError):
        return None


def grid(atlas: Atlas, training: int) -> Grid:
    """Where the networks stand, of each the training of that number (from 0, by the study's order)."""
    depths, widths = atlas.grid()
    cells: dict[tuple[int, int], Member] = {}
    others: list[Member] = []
    axis = data_axis(atlas)
    on_axis = {member.name for groups in axis.values() for group in groups.values() for member in group}
    for group in seed_groups(atlas):
        member = group[training] if training < len(group) else None
        place = group[0].depth, group[0].width
        if group[0].trained_on == atlas.sample.images and group[0].architecture.startswith("cifar-resnet"):
            if member is not None and place not in cells:
                cells[place] = member
                continue
        if member is not None and member.name not in on_axis:
            others.append(member)
    data = {
        (title, images): group[training]
        for title, groups in axis.items()
        for images, group in groups.items()
        if training < len(group)
    }
    return Grid(tuple(depths), tuple(widths), cells, data, axis, tuple(others))


def data_axis(atlas: Atlas) -> dict[str, dict[int, tuple[Member, ...]]]:
    """The networks of each architecture by how many images they were trained on, fewest first, of the architectures
    that were trained on more than the study's images with as many updates."""
    groups = seed_groups(atlas)
    found: dict[str, dict[int, tuple[Member, ...]]] = {}
    for group in groups:
        recipe = _recipe(group[0])
        if recipe and recipe.epoch_images and recipe.images != atlas.sample.images:
            architecture = group[0].architecture
            alike = [one for one in groups if one[0].architecture == architecture]
            study = next((one for one in alike if one[0].trained_on == atlas.sample.images), None)
            own = found.setdefault(group[0].title.partition(" on ")[0], {})
            own[images_of(group[0])] = group
            if study is not None:
                own[images_of(study[0])] = study
    return {title: dict(sorted(own.items())) for title, own in found.items()}


def small_map(matrix: np.ndarray, most: int = SMALL) -> np.ndarray:
    """The map as bytes, means of neighbouring layers where there are more than ``most`` on a side: uint8 (n, m).

    1 to 255 stand for a CKA of 0 to 1 (less is shown as 0), 0 for none.
    """
    edges = [np.unique(np.linspace(0, n, min(n, most) + 1).round().astype(int))[:-1] for n in matrix.shape]
    known = ~np.isnan(matrix)

    def summed(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1)
        return found

    counts = summed(known.astype(np.float32))
    means = summed(np.where(known, matrix, 0).astype(np.float32)) / np.maximum(counts, 1)
    return in_bytes(np.where(counts > 0, means, np.nan))


def grid_values(atlas: Atlas, training: int, removed: str, kinds: str, colours: str) -> dict[str, Any]:
    """The grid: its small maps after every epoch, and what is said under each."""
    places = grid(atlas, training)
    cells = [
        _cell(atlas, member, removed, kinds) | {"row": places.widths.index(width), "column": places.depths.index(depth)}
        for (depth, width), member in places.cells.items()
    ]
    return {
        "rows": [f"width ×{width}" for width in places.widths],
        "columns": [f"depth {depth}" for depth in places.depths],
        "cells": cells,
        "data": _data_values(atlas, places, removed, kinds),
        "others": [_cell(atlas, member, removed, kinds) for member in places.others],
        "missing": {f"{row} {column}": text for (row, column), text in _missing(atlas, places).items()},
        "epochs": epochs(atlas, places.along, removed),
        "palette": packed(palette(colours)),
    }


def _data_values(atlas: Atlas, places: Grid, removed: str, kinds: str) -> dict[str, Any]:
    """The data axis as a grid of its own: a row an architecture, a column a number of images."""
    axis = places.axis
    titles, images = list(axis), sorted({count for groups in axis.values() for count in groups})
    cells = [
        _cell(atlas, member, removed, kinds)
        | {"row": titles.index(title), "column": images.index(count), "size": f"{count:,} images"}
        for (title, count), member in places.data.items()
    ]
    filled = {(cell["row"], cell["column"]) for cell in cells}
    missing = {
        f"{row} {column}": _times(len(axis[title].get(count, ())))
        for row, title in enumerate(titles)
        for column, count in enumerate(images)
        if (row, column) not in filled
    }
    rows, columns = [title.replace("ResNet ", "") for title in titles], [f"{count:,} images" for count in images]
    return {"rows": rows, "columns": columns, "cells": cells, "missing": missing}


def _missing(atlas: Atlas, places: Grid) -> dict[tuple[int, int], str]:
    """What is said at the places, by row and column, where no network stands."""
    every = [(member.depth, member.width) for member in atlas.studied.members]
    return {
        (row, column): _times(every.count((depth, width)))
        for row, width in enumerate(places.widths)
        for column, depth in enumerate(places.depths)
        if (depth, width) not in places.cells
    }


def _times(count: int) -> str:
    return {0: "not trained", 1: "trained once", 2: "trained twice"}.get(count, f"trained {count} times")


def _cell(atlas: Atlas, member: Member, removed: str, kinds: str) -> dict[str, Any]:
    mask = views.layer_mask(member.layers, kinds)
    frames = {}
    for snapshot in member.snapshots:
        if not atlas.has_map(member.name, snapshot.epoch, removed) or not mask.any():
            continue
        found = blocks(member, snapshot, removed)
        pixels = small_map(atlas.map(member.name, snapshot.epoch, removed)[np.ix_(mask, mask)])
        frames[str(snapshot.epoch)] = {
            "pixels": packed(pixels),
            "side": len(pixels),
            "test": test_text(member, snapshot),
            "train": f"{100 * snapshot.train_accuracy:.0f} %",
            "fitted": is_fitted(snapshot),
            "blocks": blocks_text(found),
            "marks": [[at / mask.sum() for at in within(block, mask)] for block in found],
        }
    in_grid = member.architecture.startswith("cifar-resnet") and member.trained_on == atlas.sample.images
    size = f"{member.depth}×{member.width}" if in_grid else member.title
    return {
        "name": member.name, "size": size, "title": f"{member.title}, seed {member.seed}", "frames": frames,
        "last": member.final.epoch,
    }  # fmt: skip


def palette(colours: str) -> np.ndarray:
    """Red, green and blue of each value of `small_map`: uint8 (256, 3)."""
    return np.vstack([rgb(NO_CKA), shades(colours, 255)]).astype(np.uint8)


def packed(values: np.ndarray) -> str:
    """Bytes as the browser takes them: base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
