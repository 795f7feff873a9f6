"""What ships with the package, and the one command that makes it: ``python -m cka_core demo build``.

Three trained networks, their untrained counterparts, and their finished comparisons; and the atlas of the bundled study
with its networks; all from the bundled images. Each step that is finished is kept, so that a stopped build goes on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from cka_core import library
from cka_core.comparison import BUNDLE as COMPARISONS
from cka_core.comparison import CompareSpec
from cka_core.images import SampleSpec
from cka_core.progress import Progress, Report, silent
from cka_core.recipe import TrainSpec
from cka_core.store import Store, write_atomically
from cka_core.training import train

TRAININGS = tuple(TrainSpec(f"cifar-resnet-{name}", epochs=50) for name in ("14x1", "38x1", "14x4"))
SAMPLE = SampleSpec("cifar10-mini", "test", 768, 0)


def comparisons(store: Store) -> list[CompareSpec]:
    """Trained with trained, untrained with untrained, each with itself too, and each with its untrained self."""
    trained = [library.find(spec.default_name, store) for spec in TRAININGS]
    untrained = [library.find(spec.architecture, store) for spec in TRAININGS]
    pairs = [
        *itertools.combinations_with_replacement(trained, 2),
        *itertools.combinations_with_replacement(untrained, 2),
        *zip(trained, untrained, strict=False),
    ]
    return [CompareSpec(a.spec, b.spec, SAMPLE) for a, b in pairs]


def build(store: Store, report: Report = silent) -> Iterator[Path]:
    """Make the bundle; yields each file as it is finished."""
    for spec in TRAININGS:
        yield from _network(spec, spec.default_name, store, report)
    library._bundled_records.cache_clear()
    from cka_core import engine

    todo = comparisons(store)
    for index, compare_spec in enumerate(todo):
        path = COMPARISONS / f"{compare_spec.key}.npz"
        if not path.exists():

            def inner(progress: Progress, index: int = index) -> None:
                names = f"{todo[index].a.name} × {todo[index].b.name}"
                report(Progress("comparing", index + progress.fraction, len(todo), f"{names} · {progress.detail}"))

            write_atomically(path, engine.run(compare_spec, store, inner).to_bytes())
        yield path
    for path in COMPARISONS.glob("*.npz"):
        if path.stem not in {spec.key for spec in todo}:
            path.unlink()


def build_atlas(store: Store, report: Report = silent) -> Iterator[Path]:
    """Make the bundled atlas and its networks; yields each file as it is finished."""
    from cka_core import atlas, atlas_build, atlas_steps, study

    wanted = study.bundled()
    for spec, name in zip(wanted.trainings, wanted.names, strict=True):
        yield from _network(spec, name, store, report)
    library._bundled_records.cache_clear()
    atlas_build.build(wanted, store, atlas.BUNDLE, report)
    atlas_steps.forget(wanted, store)
    yield atlas.BUNDLE


def _network(spec: TrainSpec, name: str, store: Store, report: Report) -> Iterator[Path]:
    record_path, weights_path = library.BUNDLE / f"{name}.json", library.BUNDLE / f"{name}.keras"
    record = json.loads(record_path.read_text()) if record_path.exists() else None
    if record is None or record["training_key"] != spec.key or not weights_path.exists():

        def inner(progress: Progress) -> None:
            report(Progress(progress.phase, progress.done, progress.total, f"{name} · {progress.detail}"))

        record = train(spec, store, name=name, report=inner)
        data = store.get("networks", name)
        assert data is not None
        write_atomically(weights_path, data)
        write_atomically(record_path, (json.dumps(record, indent=1) + "\n").encode())
    yield weights_path
