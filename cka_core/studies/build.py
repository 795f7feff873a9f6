"""Carry out a study: train what is missing, look at each network once, compare all of them in one product a minibatch.

The steps (`steps`) may run on different machines (`jobs.studies`): HSIC sums of minibatches add up. `finish`
then writes the atlas.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.atlas.packing import EIGHT_BIT, as_read, in_bytes
from cka_core.atlas.result import FORMAT, Atlas
from cka_core.atlas.study import Study
from cka_core.base import words
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.comparing import sources
from cka_core.images.sets import load_images
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import HsicSums
from cka_core.networks.layers import Layer
from cka_core.results.blocks import network_blocks
from cka_core.studies.look import look_at
from cka_core.studies.steps import (
    LOOK,
    TRIED,
    TRIED_OUT,
    AtlasPart,
    compared,
    is_done,
    named,
    packed,
    parts,
    place,
    prepare,
    read,
    stored_grams,
    sums_place,
)
from cka_core.studies.trying import try_out
from cka_core.training.fit import train


def build(study: Study, store: Store, folder: Path, report: Report = silent) -> Atlas:
    """Carry out a study in this process and write its atlas into ``folder``. Goes on where it was stopped."""
    started = time.perf_counter()
    study = named(study, store)
    prepare(study, store, folder)
    steps = parts(study)
    left = [part for part in steps if not is_done(part, store)]
    total = sum(part.weight for part in steps)
    done = total - sum(part.weight for part in left)
    for part in left:

        def inner(progress: Progress, part: AtlasPart = part, done: float = done) -> None:
            detail = f"{part.title} · {progress.detail or progress.phase}"
            report(Progress(progress.phase, done + part.weight * progress.fraction, total, detail))

        do(part, store, inner)
        done += part.weight
        report(Progress("study", done, total, f"{part.title} · done"))
    return finish(study, store, folder, time.perf_counter() - started)


def do(part: AtlasPart, store: Store, report: Report = silent) -> None:
    """Do a step, unless it is done."""
    if is_done(part, store):
        return
    if part.part == "train":
        train(part.study.trainings[part.index], store, name=part.study.names[part.index], report=report)
    elif part.part == "network":
        look_at(part.study, part.index, store, report)
    elif part.part == "tried":
        try_out(part.study, part.index, store, report)
    else:
        _compare(part.study, part.index, store, report)


def finish(study: Study, store: Store, folder: Path, seconds: float | None = None) -> Atlas:
    """Put the finished steps together and write the atlas.

    Of networks known only from the atlas in ``folder`` (`steps.is_known_only`), the pairs that it has stay.
    """
    members: list[dict[str, Any]] = []
    maps: dict[str, np.ndarray] = {}
    for index in range(len(study.names)):
        about, arrays = read(store, place(study, index), "network")
        tried, _ = read(store, place(study, index), TRIED_OUT)
        last = f"self/{about['name']}/{about['snapshots'][-1]['epoch']}/"
        for key, values in arrays.items():
            before = key.startswith("self/") and not key.startswith(last)
            maps[key] = in_bytes(values) if before and values.dtype != np.uint8 else values
        _blocks_of_what_is_kept(about, maps)
        members.append(about | tried)
    sums: HsicSums | None = None
    for part in parts(study):
        if part.part == "minibatch":
            _, state = read(store, sums_place(study, store), f"minibatch-{part.index}")
            found = HsicSums.from_state(state)
            if sums is None:
                sums = found
            else:
                sums.merge(found)
    assert sums is not None
    matrix = sums.matrix()
    which = compared(study, store)
    edges = np.cumsum([0, *(len(members[index]["layers"]) for index in which)])
    for (i, one), (j, other) in itertools.combinations(enumerate(which), 2):
        block = matrix[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
        maps[f"pair/{study.names[one]}/{study.names[other]}"] = block.astype(np.float32)
    gone = {name for index, name in enumerate(study.names) if index not in which}
    if gone:
        maps |= _pairs_before(folder, gone, set(study.names))
    images = study.sample.load(store)
    maps["labels"] = load_images(study.sample.images, "test", store=store).y.astype(np.uint8)
    about = {
        "format": FORMAT,
        "study": study.to_json(),
        "facts": {
            "images": dataclasses.asdict(study.sample) | {"n": len(images), "digest": images.digest},
            "batch_size": study.batch_size,
            "versions": sources.versions(),
            "look": LOOK,
            "tried": TRIED,
            "eight_bit": EIGHT_BIT,
            "created": words.now(),
            "seconds": round(seconds, 1) if seconds is not None else None,
        },
        "members": members,
    }
    atlas = Atlas(json.loads(json.dumps(about, allow_nan=False)), maps)
    atlas.save(folder)
    return Atlas.load(folder)


def _blocks_of_what_is_kept(about: dict[str, Any], maps: dict[str, np.ndarray]) -> None:
    """The blocks of the maps that are kept: what is said can be found again in them."""
    layers = tuple(Layer.from_json(layer) for layer in about["layers"])

    def again(blocks: list[dict[str, Any]], epoch: int, removed: str) -> list[dict[str, Any]]:
        of_grams = ("low", "high", "deciding")  # how sure a block is, no map says
        sure = {(one["start"], one["stop"]): {what: one.get(what) for what in of_grams} for one in blocks}
        kept = as_read(maps[f"self/{about['name']}/{epoch}/{removed}"])
        found = [dataclasses.asdict(block) for block in network_blocks(kept, layers)]
        return [block | sure.get((block["start"], block["stop"]), {}) for block in found]

    for snapshot in about["snapshots"]:
        snapshot["blocks"] = again(snapshot["blocks"], snapshot["epoch"], "nothing")
    last = about["snapshots"][-1]["epoch"]
    about["blocks_without"] = {what: again(blocks, last, what) for what, blocks in about["blocks_without"].items()}


def _compare(study: Study, index: int, store: Store, report: Report) -> None:
    """HSIC of all layers of all networks with each other on one minibatch: one matrix product."""
    batches = []
    which = compared(study, store)
    for number, network in enumerate(which):
        report(Progress("comparing", number, len(which) + 1, f"reading {study.names[network]}"))
        batches.append(stored_grams(study, network, index, store))
    report(Progress("comparing", len(which), len(which) + 1, "one product of all layers"))
    sums = all_pairs(batches)
    store.put(sums_place(study, store), f"minibatch-{index}", packed({}, sums.state()))


def _pairs_before(folder: Path, gone: set[str], names: set[str]) -> dict[str, np.ndarray]:
    """The maps of pairs of networks, one of them gone, that the atlas in a folder has; none if there is none."""
    try:
        before = Atlas.load(folder)
    except ValueError:
        return {}
    pairs = [(a.name, b.name) for a, b in before.pairs() if {a.name, b.name} <= names and {a.name, b.name} & gone]
    return {f"pair/{a}/{b}": before.pair(a, b).astype(np.float32) for a, b in pairs if before.has_pair(a, b)}


def all_pairs(batches: Sequence[GramBatch]) -> HsicSums:
    """HSIC of all layers of several networks with each other on one minibatch, in one matrix product."""
    joined = GramBatch(
        names=tuple(name for batch in batches for name in batch.names),
        m=batches[0].m,
        first=batches[0].first,
        triangles=np.concatenate([batch.triangles for batch in batches]),
        exponents=np.concatenate([batch.exponents for batch in batches]),
        squares=np.concatenate([batch.squares for batch in batches]),
        reasons=[reason for batch in batches for reason in batch.reasons],
        outliers=[outlier for batch in batches for outlier in batch.outliers],
    )
    sums = HsicSums(len(joined.names), len(joined.names))
    sums.add(joined, joined)
    return sums
