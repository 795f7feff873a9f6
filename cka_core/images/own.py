"""Image sets of one's own: registered in the store under a name and a digest, and used as any other.

A set with labels that came in one part has two more: a fifth of its images, drawn with seed 0, to test networks that
are trained on the others.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import NotRequired, TypedDict

from cka_core.base import records, words
from cka_core.base.records import Count, Text
from cka_core.base.store import Store
from cka_core.images.image_set import ImageSet, digest
from cka_core.images.own_files import OwnImages

FORMAT = "cka-explorer images 1"
WHOLE, TRAIN, TEST = "all", "train", "test"
TEST_SHARE = 5
"""Every how many images one is kept to test with."""


class ImagesRecord(TypedDict):
    """An image set of one's own: ``images/<name>.json``."""

    format: Text
    title: Text
    sizes: dict[Text, Count]
    shape: list[Count]
    dtype: Text
    classes: list[Text]
    digest: Text
    created: NotRequired[Text]


def registered(store: Store) -> dict[str, ImageSet]:
    """The sets that were brought in, by name; those without a readable record are left out."""
    found = {}
    for name in sorted({entry.key for entry in store.entries("images")}):
        record: Any = store.read_record(f"images/{name}.json")
        if record is None or records.wrong(record, ImagesRecord) is not None:
            continue
        sizes = {part: int(size) for part, size in record["sizes"].items()}
        if set(sizes) == {WHOLE} and record["classes"] and sizes[WHOLE] >= 2 * TEST_SHARE:
            test = sizes[WHOLE] // TEST_SHARE
            sizes |= {TRAIN: sizes[WHOLE] - test, TEST: test}
        found[name] = ImageSet(
            name, record["title"], sizes, False, "", tuple(record["shape"]), record["dtype"], tuple(record["classes"]),
            own=True, held=record["digest"], created=record.get("created", ""),
        )  # fmt: skip
    return found


def load(found: ImageSet, split: str, store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Images and classes of a part of a set; ValueError where its file is gone or damaged."""
    data = store.get("images", found.name)
    if data is None:
        raise ValueError(f"The images of {found.name} are missing or damaged in the store. Bring them in again.")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        parts = {name.partition("/")[0] for name in arrays.files}
        part = split if split in parts else WHOLE
        x, y = arrays[f"{part}/x"], arrays[f"{part}/y"].astype(np.int64)
    if split == part:
        return x, y
    order = np.random.default_rng(0).permutation(len(x))
    count = len(x) // TEST_SHARE
    chosen = np.sort(order[:count] if split == TEST else order[count:])
    return x[chosen], y[chosen]


def as_npz(found: ImageSet, store: Store) -> bytes:
    """The set as a file that can be brought in: images and labels, or x_train, y_train, x_test, y_test."""
    whole = WHOLE in found.sizes
    arrays: dict[str, np.ndarray] = {}
    for part in (WHOLE,) if whole else (TRAIN, TEST):
        x, y = load(found, part, store)
        arrays["images" if whole else f"x_{part}"] = x
        arrays |= {"labels" if whole else f"y_{part}": y} if found.classes else {}
    arrays |= {"class_names": np.array(found.classes)} if found.classes else {}
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def put(name: str, found: OwnImages, title: str, store: Store) -> ImageSet:
    """Keep a set in the store under ``name``. What is here already is not kept twice: it is returned under its name."""
    first = next(iter(found.parts.values()))[0]
    arrays = {f"{part}/x": x for part, (x, _) in found.parts.items()}
    arrays |= {f"{part}/y": y for part, (_, y) in found.parts.items()}
    held = digest(np.frombuffer("".join(digest(values) for values in arrays.values()).encode(), np.uint8))
    held = digest(np.frombuffer((held + json.dumps(found.classes)).encode(), np.uint8))
    known = next((one for one in registered(store).values() if one.held == held), None)
    if known is not None:
        return known
    with tempfile.TemporaryDirectory(dir=store.scratch("scratch"), prefix=f"incoming-{os.getpid()}-") as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        store.put_file("images", name, path)
    store.write_record(f"images/{name}.json", {
        "format": FORMAT, "title": title, "sizes": {part: len(x) for part, (x, _) in found.parts.items()},
        "shape": list(first.shape[1:]), "dtype": str(first.dtype), "classes": list(found.classes), "digest": held,
        "created": words.now(),
    })  # fmt: skip
    return registered(store)[name]
