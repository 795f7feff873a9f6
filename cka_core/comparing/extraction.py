"""Making activation sets: from a network and images, or from a pickled list of activations.

The original notebook pickled each network's activations, a list with one array a layer. Such a file is converted on the
command line only, and only where its owner vouches for it: unpickling runs whatever code a file contains.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store, gram_budget
from cka_core.comparing.sources import Stored, fits_budget, versions
from cka_core.images.sets import SampleSpec
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches
from cka_core.networks.architectures import NetworkSpec
from cka_core.networks.layers import Layer
from cka_core.results.activation_sets import ActivationSet, Sample, write

NOT_TRUSTED = (
    "Nothing was read. A pickle is a program: reading {path} runs whatever code its author, or whoever changed it "
    "since, put into it, with all you may do on this machine. If you wrote the file yourself, say so with --trust. If "
    "it comes from someone else, ask for an activation set instead, which holds nothing but numbers: "
    "python -m cka_core activations extract NETWORK --out acts.npz."
)
FORM = (
    "Expected a pickled list with one array a layer, each (n, ...) for the same n images; or for each layer a list of "
    "arrays, its minibatches; or a dict of layer name to either."
)


def extract(
    network: NetworkSpec,
    sample: SampleSpec,
    batch_size: int,
    path: str | os.PathLike[str],
    store: Store,
    *,
    layers: Sequence[str] | None = None,
    name: str,
    report: Report = silent,
) -> ActivationSet:
    """Run a network on images and write its Gram matrices to a file, a minibatch at a time.

    They are kept in the store too, as those of a comparison are, where they fit its budget: a run that was stopped goes
    on there. The file is written in one piece or not at all.
    """
    if network.source == "activations":
        raise ValueError(f"{network.name} is an activation set already. Give a network.")
    report(Progress("loading images", 0, 1, f"loading {sample.images}"))
    images = sample.load(store)
    slices = minibatches(len(images), batch_size)
    source = Stored(network, sample, images, batch_size, layers, store, report)
    source.keep, source.needs_norms = fits_budget(len(source.layers), slices), True

    def batches() -> Iterator[GramBatch]:
        for index, where in enumerate(slices):

            def tell(step: int, low: int, high: int, index: int = index) -> None:
                where = f"minibatch {index + 1} of {len(slices)} · layers {low} to {high} of {len(source.layers)}"
                report(Progress("extracting", index * source.steps + step, len(slices) * source.steps, where))

            yield source.batch(index, where, tell)

    header = ActivationSet(
        name=name,
        network=source.provenance(),
        layers=source.layers,
        sample=Sample.of(sample, images),
        preprocessing=source.preprocessing,
        batch_size=batch_size,
        versions=versions(),
    )
    made = write(path, header, batches())
    if source.keep:
        store.shrink("grams", gram_budget())
    return made


def convert(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    trust: bool,
    name: str,
    batch_size: int = 256,
    sample: Sample | None = None,
    images_digest: str = "",
    label: str = "",
) -> ActivationSet:
    """Turn a pickled list of activations into an activation set.

    Which images they were is not in such a file: say it with ``sample``, their ``images_digest``, or a ``label`` of
    your own. Without any of these the set is compared with nothing but itself.

    Raises
    ------
    ValueError
        Without ``trust``, and where the file does not hold activations of the same images.
    """
    file = Path(source).expanduser()
    if not file.is_file():
        raise ValueError(f"Expected a pickle file, got {file}, which does not exist.")
    if not trust:
        raise ValueError(NOT_TRUSTED.format(path=file))
    arrays = _layers(_unpickled(file))
    n = len(next(iter(arrays.values())))
    if sample is not None and sample.n != n:
        raise ValueError(f"{file.name} has activations of {n:,} images, the images named are {sample.n:,}.")
    slices = minibatches(n, batch_size)

    def batches() -> Iterator[GramBatch]:
        for where in slices:
            batch = GramBatch.empty(tuple(arrays), where.stop - where.start, where.start)
            batch.fill([array[where] for array in arrays.values()])
            yield batch

    header = ActivationSet(
        name=name,
        network={"name": name, "architecture": "", "weights": "", "source": f"converted from {file.name}"},
        layers=tuple(Layer(layer, "array", tuple(array.shape[1:])) for layer, array in arrays.items()),
        sample=sample or Sample("", "", n, None, False, images_digest, label),
        preprocessing="unknown",
        batch_size=batch_size,
        versions={"numpy": np.__version__},
    )
    return write(path, header, batches())


def _unpickled(file: Path) -> Any:
    try:
        with open(file, "rb") as opened:
            return pickle.load(opened)
    except ImportError as error:
        raise ValueError(
            f"{file.name} needs a package that is not here ({error}). Unpickle it where that is installed, and pickle "
            "its arrays again as numpy arrays."
        ) from error
    except Exception as error:
        raise ValueError(f"{file.name} could not be unpickled ({type(error).__name__}: {error}). {FORM}") from error


def _layers(content: Any) -> dict[str, np.ndarray]:
    """Arrays (n, ...) by layer name, of what was unpickled."""
    if isinstance(content, Mapping):
        named = {str(name): value for name, value in content.items()}
    elif isinstance(content, list | tuple):
        named = {f"layer_{index:03d}": value for index, value in enumerate(content)}
    else:
        raise ValueError(f"{FORM} Got {type(content).__name__}.")
    if not named:
        raise ValueError(f"{FORM} Got none.")
    arrays = {name: _array(name, value) for name, value in named.items()}
    counts = {name: len(array) for name, array in arrays.items()}
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            raise ValueError(f"{FORM} Got {counts[first]:,} images in {first} and {count:,} in {name}.")
    return arrays


def _array(name: str, value: Any) -> np.ndarray:
    parts = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise ValueError(f"{FORM} Got an array with a mask in {name}: fill it or leave those images out first.")
    arrays = [np.asarray(part) for part in parts]
    if not arrays or any(array.dtype.kind not in "fiub" or array.ndim == 0 or 0 in array.shape for array in arrays):
        raise ValueError(f"{FORM} Got something else in {name}.")
    if len({array.shape[1:] for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays[:3])
        raise ValueError(f"{FORM} Got arrays of different shapes in {name}: {shapes}.")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
