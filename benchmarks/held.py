"""What a store holds, as whoever opens the pages finds it; and things to put into one, for the benchmarks of faults."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.base import shipped
from cka_core.base.store import Store

NETWORK = "cifar-resnet-14x1-plain-s0"


def look(store: Store) -> dict[str, Any]:
    """Everything that the pages list, opened. Nothing of this raises anything, whatever happened to the store."""
    from cka_core.images import own
    from cka_core.jobs import submit, trainings
    from cka_core.library import catalogue, inventory, keeping

    rows = [*inventory.networks(store), *inventory.activation_sets(store), *inventory.images(store)]
    rows += inventory.comparisons(store)
    found: dict[str, Any] = {"damaged": sorted(one.file for one in inventory.damaged(store))}
    opens = set()
    for row in rows:
        if row.fixed or row.kind == "grams":
            continue
        if row.kind == "comparisons":
            assert inventory.opened(row.key, store) is not None, f"{row.key} is listed and does not open"
        elif row.kind == "networks":
            assert store.get("networks", row.key) is not None, f"{row.key} is listed and does not open"
        elif row.kind == "images":
            image_set = own.registered(store)[row.key]
            for part in image_set.parts:
                own.load(image_set, part, store)
        else:
            for _ in catalogue.sets(store)[row.key].minibatches():
                pass
        opens.add((row.kind, row.key))
    found["opens"] = sorted(opens)
    found["trash"] = sorted((one.kind, one.title) for one in keeping.trash(store))
    submit.queue("compare", store), submit.queue("train", store)
    found["active"] = sorted(job.key for job in submit.active(store))
    found["trainings"] = sorted(one.key for one in trainings.trainings(store))
    return found


def kept(store: Store) -> dict[str, str]:
    """Every file of the store but those half-written, by name, with its digest."""
    names = store.names("")
    return {name: hashlib.sha256(Path(store.path(name)).read_bytes()).hexdigest() for name in names}


def unexplained(store: Store) -> list[str]:
    """Files of the library that no page lists, neither as what they are nor as damaged."""
    seen = look(store)
    shown = {key for _, key in seen["opens"]} | {_stem(file) for file in seen["damaged"]}
    from cka_core.images.sets import IMAGE_SETS

    names = [name for kind in ("networks", "activations", "images", "comparisons") for name in store.names(kind)]
    return [name for name in names if _stem(name) not in shown and _stem(name) not in IMAGE_SETS]


def _stem(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    key = last.removesuffix(".json") if last.endswith(".json") else last.rsplit(".", 2)[0]
    return key.partition("@")[0]


# Things to put into a store.


def comparison_bytes() -> bytes:
    return min(shipped.COMPARISONS.glob("*.npz"), key=os.path.getsize).read_bytes()


def set_bytes(seed: int = 0) -> bytes:
    """An activation set of two layers of random activations."""
    from cka_core.measures.grams import grams
    from cka_core.networks.layers import Layer
    from cka_core.results.activation_sets import ActivationSet, Sample, write

    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((20, width)) for width in (6, 5)]
    about = {"name": "net", "architecture": "", "weights": str(seed), "source": "given", "seed": None}
    layers = tuple(Layer(name, "array", (one.shape[1],)) for name, one in zip(("first", "second"), x, strict=True))
    sample = Sample("cifar10-mini", "test", 20, 0, False, "d" * 32)
    header = ActivationSet(f"set-{seed}", about, layers, sample, "as given", 8, created="2026-01-01T00:00:00Z")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.npz"
        write(path, header, (grams([one[part] for one in x], ("first", "second"), first=part.start)
                             for part in header.slices))  # fmt: skip
        return path.read_bytes()


def images_bytes() -> bytes:
    """An npz of thirty small images with their labels."""
    file, labels = io.BytesIO(), np.arange(30) % 3
    np.savez(file, images=np.random.default_rng(0).integers(0, 256, (30, 6, 6), np.uint8), labels=labels)
    return file.getvalue()


def a_network(store: Store, name: str = "mine") -> None:
    """A network of the library with weights kept along its training."""
    record = json.loads((shipped.NETWORKS / f"{NETWORK}.json").read_text())
    data = (shipped.NETWORKS / f"{NETWORK}.keras").read_bytes()
    for key in (name, f"{name}@5", f"{name}@10"):
        store.put("networks", key, data, "keras")
    store.write_record(f"networks/{name}.json", record | {"name": name, "weights": "0" * 32})


def two_sets(store: Store) -> None:
    from cka_core.library import arrivals

    for seed in (1, 2):
        arrivals.import_set(set_bytes(seed), store)


def bystanders(store: Store) -> None:
    """What is there before everything, and never to be touched."""
    a_network(store, "other")
    store.put("comparisons", "uploaded-" + "b" * 24, comparison_bytes())
