"""What ships with the package, and the one command that makes it: ``python -m cka_core demo build``.

Three trained networks, their untrained counterparts, and their finished comparisons; one network of the bundled study
with itself and with its second seed, which is what the app opens with; the Gram matrices of these on 64 images; and the
atlas of the study with its networks. All are made from the bundled images, but for the networks of the atlas that
are trained on a quarter or on all of CIFAR-10. Each step that is finished is kept, so that a stopped build goes on.

``demo/grams/<name>.npz`` are activation sets (`results.activation_sets`, format 2): every layer of a network on the
first 64 images of the bundled comparisons' draw, with norms, so that a cell of these maps can be opened without running
anything. ``predicted.json`` beside them says by name of a network which class it gives each of these images.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.base import shipped
from cka_core.base.atomic import write_atomically
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.comparing import kept_grams
from cka_core.images.sets import SampleSpec, load_images
from cka_core.library import catalogue, keeping, siblings
from cka_core.measures.registry import MEASURES
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.building import build_network
from cka_core.networks.layer_graph import TRAIN
from cka_core.results import activation_sets, best_match, estimators, trust, views
from cka_core.results.best_match import BestMatchSpec
from cka_core.results.comparison import CompareSpec, Comparison, find
from cka_core.results.estimators import EstimatorSpec
from cka_core.results.spec import PIXELS
from cka_core.training.fit import train
from cka_core.training.images import TrainingImages
from cka_core.training.measuring import measure
from cka_core.training.recipe import TrainSpec

TRAININGS = tuple(TrainSpec(f"cifar-resnet-{name}", epochs=50) for name in ("14x1", "38x1", "14x4"))
SAMPLE = SampleSpec("cifar10-mini", "test", 768, 0)
OPENING, SECOND_SEED = "cifar-resnet-38x1-plain-s0", "cifar-resnet-38x1-plain-s1"
"""The app opens with this network of the study and itself: it has a block, and so has its second seed."""
OPENED = (OPENING, "cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0")
"""Of these networks Gram matrices ship: of the opening one, and of the deep and the wide one a click away from it."""
WHOLE_BYTES = 5_000_000
"""A larger weights file ships at half precision."""


def comparisons(store: Store) -> list[CompareSpec]:
    """Trained with trained, untrained with untrained, each with itself too, and each with its untrained self; the
    second seed of the opening network with it and with itself, and both before training; the opening pair and the wide
    and deep one by every measure, without pixels, and untrained with batch norm in train mode."""
    trained = [catalogue.find(spec.default_name, store) for spec in TRAININGS]
    untrained = [catalogue.find(spec.architecture, store) for spec in TRAININGS]
    pairs = [
        *itertools.combinations_with_replacement(trained, 2),
        *itertools.combinations_with_replacement(untrained, 2),
        *zip(trained, untrained, strict=False),
    ]
    usual = [CompareSpec(a.spec, b.spec, SAMPLE) for a, b in pairs]
    one, second = (catalogue.find(name, store) for name in (OPENING, SECOND_SEED))
    usual += [CompareSpec(one.spec, second.spec, SAMPLE), CompareSpec(second.spec, second.spec, SAMPLE)]
    seeds = siblings.both_untrained(one, second, store)
    assert seeds is not None, "their architecture is known"
    usual.append(CompareSpec(seeds.a.spec, seeds.b.spec, SAMPLE))
    deep, wide = untrained[1].spec, untrained[2].spec
    for first, before in ((wide_and_deep(store), (deep, wide)), (opening(store), (deep, deep))):
        usual += [dataclasses.replace(first, measure=name) for name in MEASURES]
        usual += [dataclasses.replace(first, without=PIXELS), CompareSpec(*before, SAMPLE, batch_norm=TRAIN)]
    return list({spec.key: spec for spec in usual}.values())


def opening(store: Store) -> CompareSpec:
    """The comparison that the page opens with."""
    network = catalogue.find(OPENING, store).spec
    return CompareSpec(network, network, SAMPLE)


def wide_and_deep(store: Store) -> CompareSpec:
    """The deep trained network with the wide one."""
    deep, wide = (catalogue.find(spec.default_name, store) for spec in TRAININGS[1:])
    return CompareSpec(deep.spec, wide.spec, SAMPLE)


def beside(store: Store) -> list[tuple[BestMatchSpec, EstimatorSpec]]:
    """What ships beside the opening map and that of the wide and deep pair: the best match by chance, the estimators of
    the example cell."""
    found = []
    for first in (opening(store), wide_and_deep(store)):
        made = find(first, store)
        assert made is not None, "the comparison is made before"
        cell = views.example_cell(made)
        assert cell is not None, "trained networks have cells with numbers"
        found.append(
            (BestMatchSpec(first), EstimatorSpec(first, made.layers_a[cell[0]].name, made.layers_b[cell[1]].name))
        )
    return found


def build(store: Store, report: Report = silent) -> Iterator[Path]:
    """Make the bundle; yields each file as it is finished."""
    for spec in TRAININGS:
        yield from _network(spec, spec.default_name, store, report)
    yield from _of_the_study(store, report)
    from cka_core.comparing import engine

    todo = comparisons(store)
    for index, compare_spec in enumerate(todo):
        path = shipped.COMPARISONS / f"{compare_spec.key}.npz"
        if not path.exists() or not _has_intervals(path):

            def inner(progress: Progress, index: int = index) -> None:
                names = f"{todo[index].a.name} × {todo[index].b.name}"
                report(Progress("comparing", index + progress.fraction, len(todo), f"{names} · {progress.detail}"))

            write_atomically(path, engine.run(compare_spec, store, inner).to_bytes())
        yield path
    for path in shipped.COMPARISONS.glob("*.npz"):
        if path.stem not in {spec.key for spec in todo}:
            path.unlink()
    yield from _beside(store, report)
    yield from _grams(store, report)


def _beside(store: Store, report: Report) -> Iterator[Path]:
    from cka_core.comparing import best_match as by_chance
    from cka_core.comparing import estimators as samples

    for chance, cell in beside(store):
        path = shipped.NULLS / f"{chance.key}.npz"
        if not path.exists():
            write_atomically(path, best_match.to_bytes(by_chance.run(chance, store, report)))
        yield path
        path = shipped.ESTIMATES / f"{cell.key}.npz"
        if not path.exists():
            write_atomically(path, estimators.to_bytes(samples.run(cell, store, report)))
        yield path


def _has_intervals(path: Path) -> bool:
    kept = Comparison.load(path)
    return kept.jackknife is not None or not trust.could_have_intervals(kept)


def opened(store: Store) -> list[NetworkSpec]:
    """The networks whose Gram matrices ship."""
    return [catalogue.find(name, store).spec for name in OPENED]


def _grams(store: Store, report: Report) -> Iterator[Path]:
    from cka_core.comparing import extraction

    few = dataclasses.replace(SAMPLE, n=kept_grams.FEW)
    predicted_path = shipped.GRAMS / kept_grams.PREDICTED
    predicted = json.loads(predicted_path.read_text()) if predicted_path.exists() else {}
    images = few.load(store)
    shipped.GRAMS.mkdir(parents=True, exist_ok=True)
    for network in opened(store):
        path = shipped.GRAMS / f"{network.name}.npz"
        if not path.exists() or activation_sets.read(path).network["weights"] != network.weights:
            extraction.extract(network, few, few.n or 0, path, store, name=network.name, report=report)
            outputs = catalogue.load_model(network, store).predict(images.x / np.float32(255), verbose=0)
            predicted[network.name] = outputs.argmax(axis=1).tolist()
            write_atomically(predicted_path, (json.dumps(predicted) + "\n").encode())
        yield path


def build_atlas(store: Store, report: Report = silent) -> Iterator[Path]:
    """Make the bundled atlas, of networks that `build` made; yields its folder when it is finished."""
    from cka_core.atlas import study
    from cka_core.studies import build as atlas_build
    from cka_core.studies import steps as atlas_steps

    wanted = study.bundled()
    atlas_build.build(wanted, store, shipped.ATLAS, report)
    atlas_steps.forget(wanted, store)
    yield shipped.ATLAS


def _of_the_study(store: Store, report: Report) -> Iterator[Path]:
    """The networks of the bundled study; but for those of which only maps ship, which are trained with the atlas."""
    from cka_core.atlas import study

    wanted = study.bundled()
    for index, (spec, name) in enumerate(zip(wanted.trainings, wanted.names, strict=True)):
        if wanted.ships(index) != "maps":
            yield from _network(spec, name, store, report, half=wanted.ships(index) == "half")
    catalogue._bundled_records.cache_clear()


def _network(spec: TrainSpec, name: str, store: Store, report: Report, half: bool = False) -> Iterator[Path]:
    record_path, weights_path = shipped.NETWORKS / f"{name}.json", shipped.NETWORKS / f"{name}.keras"
    record = json.loads(record_path.read_text()) if record_path.exists() else None
    if record is None or record["training_key"] != spec.key or not weights_path.exists():

        def inner(progress: Progress) -> None:
            report(Progress(progress.phase, progress.done, progress.total, f"{name} · {progress.detail}"))

        _make_room(spec, name, store)
        record = train(spec, store, name=name, report=inner)
        data = store.get("networks", name)
        assert data is not None
        if half or len(data) > WHOLE_BYTES:
            record, data = _halve(record, data, spec, store, inner)
        write_atomically(weights_path, compressed(data))
        write_atomically(record_path, (json.dumps(record, indent=1) + "\n").encode())
    yield weights_path


def _make_room(spec: TrainSpec, name: str, store: Store) -> None:
    """A network of another recipe that has the name gives it up: one of the bundle for good, one of the store goes to
    the trash."""
    for path in (shipped.NETWORKS / f"{name}.json", shipped.NETWORKS / f"{name}.keras"):
        path.unlink(missing_ok=True)
    catalogue._bundled_records.cache_clear()
    here = catalogue.networks(store).get(name)
    if here is not None and here.record["training_key"] != spec.key:
        keeping.remove("networks", name, name, store)


def _halve(
    record: dict[str, Any], data: bytes, spec: TrainSpec, store: Store, report: Report
) -> tuple[dict[str, Any], bytes]:
    """A network with its weights at half precision, in the store too: its record is that of these weights."""
    data = half_precision(data)
    model = build_network(spec.architecture)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        path.write_bytes(data)
        model.load_weights(path)
    test = load_images(spec.images, "test", store=store)
    record = {**record, **measure(model, TrainingImages(spec, store), test, report), "stored_as": "float16"}
    store.put("networks", name := record["name"], data, "keras")
    store.write_record(f"networks/{name}.json", record)
    return record, data


def half_precision(data: bytes) -> bytes:
    """The same ``.keras`` file with its weights as float16: half the size, and read into float32 by Keras."""
    import h5py

    def halved(weights: bytes) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(io.BytesIO(weights), "r") as old, h5py.File(buffer, "w") as new:

            def copy(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    values = np.asarray(item)
                    real = np.issubdtype(values.dtype, np.floating)
                    made = new.create_dataset(name, data=values.astype(np.float16) if real else values)
                else:
                    made = new.require_group(name)
                made.attrs.update(item.attrs)

            new.attrs.update(old.attrs)
            old.visititems(copy)
        return buffer.getvalue()

    return _rewritten(data, lambda name, part: halved(part) if name.endswith(".h5") else part, zipfile.ZIP_STORED)


def compressed(data: bytes) -> bytes:
    """The same ``.keras`` file with its parts compressed, which Keras does not do: a fifth smaller, read as before."""
    return _rewritten(data, lambda name, part: part, zipfile.ZIP_DEFLATED)


def _rewritten(data: bytes, change: Callable[[str, bytes], bytes], compression: int) -> bytes:
    """An archive with each of its parts changed, by name, and without the time at which it was written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), change(name, old.read(name)), compression, 9)
    return buffer.getvalue()
