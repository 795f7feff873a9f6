"""Behind the cells of a map: what both layers make of the images, which images decide, and the map without some.

`overview` packs every layer for the browser at once, so that one can walk over the map; `cell` and `without` are asked
of the server. All from the Gram matrices that a comparison left (`kept_grams`), without its networks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cka_core.base.store import Store
from cka_core.comparing.kept_grams import KeptGrams
from cka_core.images import pictures
from cka_core.images.image_set import Images
from cka_core.measures import deciding
from cka_core.measures.grams import NO_NORMS, GramBatch
from cka_core.measures.hsic import HsicSums
from cka_core.measures.kernels import MIN_IMAGES
from cka_core.measures.portraits import Portraits, portraits
from cka_core.results import views, words
from cka_core.results.comparison import MEASURE, Comparison

SHEET = 16
"""Pictures in a row of a sheet."""

MOST_DECIDING = 12
MOST_LEFT_OUT = 32
EXACT = 32767
"""Entries and scores travel as two bytes, as parts of the largest of their layer."""


def overview(
    kept: KeptGrams, comparison: Comparison, store: Store, name: str = "", only: tuple[int, int] | None = None
) -> bytes:
    """Every layer of both networks on at most 64 images, packed (`pack`) for the browser under a ``name``.

    ``only`` a row and a column of the map: of these two layers alone, which is there at once. ``a`` and ``b`` are then
    one layer each, of a network with itself too, and ``few`` is NaN elsewhere.

    ``about`` has the layers' names, the classes and pictures of the images where they are here, what is lacking, and
    how many images can be spared (`without`), whichever they are.
    Arrays: ``cka`` float32 (layers_a, layers_b), the map; ``few``, the same on these images; and for each network, "a"
    and, unless it is compared with itself, "b": ``entries`` int16 (layers, m(m-1)/2) in units of ``units`` float32
    (layers,), ``scores`` int16 (layers, 2, m), ``shares`` float32 (layers, r), ``dimensions`` float32 (layers,),
    ``neighbours`` int16 (layers, m, k): see `Portraits`.
    """
    batch_a, batch_b = kept.minibatch(0)
    is_self = batch_b is batch_a
    if only is not None:
        batch_a, batch_b = batch_a.select([only[0]]), batch_b.select([only[1]])
    a = portraits(batch_a)
    b = a if batch_b is batch_a else portraits(batch_b)
    images = kept.images(store)
    about: dict[str, Any] = {
        "name": name, "title": _title(comparison), "m": a.m, "n": kept.n, "whole": kept.whole,
        "of": (comparison.provenance.get("images") or {}).get("n"),
        "self": is_self, "only": only, "lacks": NO_NORMS if batch_a.norms is None or batch_b.norms is None else "",
        "layers": [_named(comparison.layers_a), _named(comparison.layers_b)],
        "reasons": [list(comparison.reasons_a), list(comparison.reasons_b)],
        "classes": list(images.classes) if images else [],
        "labels": images.y[: a.m].tolist() if images and images.classes else [],
        "predicted": [predicted and predicted[: a.m] for predicted in kept.predicted],
        "sheet": _sheet(images, slice(a.m), SHEET), "columns": SHEET, "spare": _spare(kept),
    }  # fmt: skip
    few = a.cka(b)
    if only is not None:
        few = np.full(comparison.matrix.shape, np.nan)
        few[only] = a.cka(b)[0, 0]
    arrays = {"cka": comparison.matrix.astype(np.float32), "few": few.astype(np.float32)}
    for side, made in (("a", a),) if b is a else (("a", a), ("b", b)):
        arrays |= {f"{side}.{name}": array for name, array in _arrays(made).items()}
    return pack(about, arrays)


def _spare(kept: KeptGrams) -> int:
    smallest = min(minibatch.stop - minibatch.start for minibatch in kept.slices)
    return min(MOST_LEFT_OUT, max(0, smallest - MIN_IMAGES))


def _sheet(images: Images | None, chosen: Sequence[int] | np.ndarray | slice, columns: int) -> str:
    """Pictures of some images, in rows of ``columns``; "" where the images are not here, or are no pictures."""
    found = None if images is None else pictures.seen(images.x, chosen)
    return "" if found is None else pictures.sheet(found, columns)


def _title(comparison: Comparison) -> str:
    """What the numbers of a map are called."""
    return (
        "CKA" if comparison.provenance.get("measure") in (None, MEASURE) else words.measure_text(comparison.provenance)
    )


def _named(layers: Sequence[Any]) -> list[list[str]]:
    """Of each layer its name, told apart from others of the same name, and what it is."""
    names = views.unique_names(layers)
    return [
        [name, " · ".join(filter(None, (layer.kind, views.shape_text(layer.shape))))]
        for name, layer in zip(names, layers, strict=True)
    ]


def _arrays(made: Portraits) -> dict[str, np.ndarray]:
    entries, units = _quantised(made.entries)
    scores, _ = _quantised(made.scores)
    return {
        "entries": entries, "units": units, "scores": scores, "shares": made.shares,
        "dimensions": made.dimensions.astype(np.float32), "neighbours": made.neighbours,
    }  # fmt: skip


def _quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values as int16 and the unit of each layer, float32 (layers,); NaN as zeros of an unknown unit."""
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    units = (largest / EXACT).astype(np.float32)
    safe = np.where(np.isfinite(units) & (units > 0), units, 1.0).reshape(-1, *[1] * (values.ndim - 1))
    return np.rint(np.nan_to_num(values) / safe).astype(np.int16), units


def cell(kept: KeptGrams, row: int, column: int, store: Store, most: int = MOST_DECIDING) -> dict[str, Any]:
    """Which images make one value, on all images that there are Gram matrices of; plain values.

    ``cka``; ``n_eff`` of either layer; ``images``, the ``most`` that add most, each with its position ``at``, what it
    ``adds`` to the value (the sum over all images is CKA), its ``shares`` of either layer's own HSIC, and its class as
    ``label``; what they add ``together``; ``without`` them the value, None where too few would be left; a ``sheet`` of
    their pictures, or "".
    """
    pairs = [(a.select([row]), b.select([column])) for a, b in kept.minibatches()]
    adds = deciding.cell_shares(pairs, 0, 0)
    if np.isnan(adds).any():
        return {"cka": None, "n_eff": [None, None], "together": None, "images": [], "without": None, "sheet": ""}
    own_pairs = [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs]
    shares = [deciding.cell_shares(own, 0, 0) for own in own_pairs]  # of a CKA of 1
    chosen = deciding.most(adds, min(most, kept.n))
    images = kept.images(store)
    return {
        "cka": _value(adds.sum()),
        "n_eff": [_value(1 / np.square(own).sum()) for own in shares],
        "together": _value(adds[chosen].sum()),
        "images": [
            {
                "at": int(image), "adds": float(adds[image]), "shares": [float(own[image]) for own in shares],
                "label": images.classes[images.y[image]] if images and images.classes else "",
            }
            for image in chosen
        ],
        "without": _without_one(pairs, chosen),
        "sheet": _sheet(images, chosen, most),
    }  # fmt: skip


def _without_one(pairs: list[tuple[GramBatch, GramBatch]], images: np.ndarray) -> float | None:
    try:
        return _value(deciding.map_without(pairs, images)[0, 0])
    except ValueError:  # fewer than 4 images would be left in a minibatch
        return None


@dataclasses.dataclass(frozen=True, eq=False)
class Left:
    """The map ``before`` and ``after`` leaving out the images at the positions ``images``, float64 like the map."""

    images: list[int]
    before: np.ndarray
    after: np.ndarray


def without(kept: KeptGrams, images: Sequence[int] | int) -> Left:
    """The map without some images: those at these positions, or as many of the most influential ones.

    An image's influence is its mean share of HSIC1(K, K) over all layers of both networks. ValueError for more than 32
    images, and where fewer than 4 would be left in a minibatch.
    """
    count = images if isinstance(images, int) else len(set(images))
    if not 1 <= count <= MOST_LEFT_OUT:
        raise ValueError(f"Expected from 1 to {MOST_LEFT_OUT} images to leave out, got {count}.")
    removed = influential(kept, images) if isinstance(images, int) else sorted(set(images))
    if removed and not 0 <= min(removed) <= max(removed) < kept.n:
        raise ValueError(f"Expected positions of images from 0 to {kept.n - 1:,}, got {removed}.")
    before: HsicSums | None = None
    after: HsicSums | None = None
    for (a, b), left in deciding.both_without(kept.minibatches(), removed):
        if before is None or after is None:
            before, after = (HsicSums(len(a.triangles), len(b.triangles)) for _ in range(2))
        before.add(a, b)
        after.add(*left)
    assert before is not None and after is not None
    return Left(removed, before.matrix(), after.matrix())


def influential(kept: KeptGrams, count: int) -> list[int]:
    """Positions of the ``count`` images of the largest mean share of HSIC1(K, K) over all layers, the largest first."""
    both = list(kept.minibatches())
    sides = [[a for a, _ in both]] + ([] if kept.is_self else [[b for _, b in both]])
    found = np.concatenate([deciding.shares(side) for side in sides])
    usable = found[np.isfinite(found).all(axis=1)]
    mean = usable.mean(axis=0) if len(usable) else np.zeros(kept.n)
    return [int(image) for image in deciding.most(mean, min(count, kept.n))]


def packed_left(kept: KeptGrams, left: Left, palette: np.ndarray, store: Store, about: Mapping[str, Any]) -> bytes:
    """Both maps and their ``difference``, after less before, as float32, packed (`pack`) for the browser; with pictures
    of the images left out, the ``palette`` uint8 (256, 3), and what is told ``about`` them."""
    arrays = {"before": left.before, "after": left.after, "difference": left.after - left.before}
    sheet = _sheet(kept.images(store), left.images, max(len(left.images), 1))
    return pack(
        {**about, "images": left.images, "sheet": sheet},
        {name: values.astype(np.float32) for name, values in arrays.items()} | {"palette": palette},
    )


def pack(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """JSON and arrays in one block of bytes: the length of the JSON (uint32, little-endian), the JSON, and then the
    arrays, each at a multiple of 4 bytes. The JSON has ``arrays``, by name [type, shape, offset]."""
    places, blocks, offset = {}, [], 0
    for name, array in arrays.items():
        block = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        places[name] = [array.dtype.name, list(array.shape), offset]
        block += bytes(-len(block) % 4)
        blocks.append(block)
        offset += len(block)
    head = json.dumps({**about, "arrays": places}).encode()
    head += b" " * (-len(head) % 4)
    return b"".join([len(head).to_bytes(4, "little"), head, *blocks])


def _value(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
