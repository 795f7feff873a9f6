"""Activations that another framework wrote, turned into an activation set: Gram matrices, and the norms of the images.

The file is read a minibatch and a few layers at a time; what is kept does not depend on how wide the layers are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cka_core.base import foreign_arrays
from cka_core.base.foreign_rows import NamedArrays
from cka_core.base.picture_shapes import is_picture
from cka_core.base.progress import Progress, Report, silent
from cka_core.measures.grams import GramBatch, of_rows
from cka_core.measures.hsic import minibatches
from cka_core.networks.layers import Layer
from cka_core.results import sample_ids
from cka_core.results.activation_sets import ActivationSet, Sample, write

BATCH_SIZE = 256
ARRAYS = "arrays in "
"""How the source of a network begins of which there were arrays only; then comes the name of their file."""
MOST_OF_IMAGES = 7
"""Arrays of a file of images: those of two parts and their labels, names of classes, and one or two more."""
LARGEST_STACK = 1 << 30
"""Bytes of Gram matrices of one minibatch, all layers, that are held at a time."""


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    file_name: str = "",
    name: str = "",
    batch_size: int = BATCH_SIZE,
    sample: Sample | None = None,
    label: str = "",
    ids: tuple[str, ...] | None = None,
    report: Report = silent,
) -> ActivationSet:
    """Write the activation set of a file of named arrays (see `cka_core.base.foreign_arrays`).

    Parameters
    ----------
    source : the file, or a folder of ``.npy`` files
    out : the activation set, an npz
    file_name : what the file is called in messages
    batch_size : images in a minibatch, at least 4; two sets are compared where they have the same
    sample : which images these are, where that is known; otherwise a ``label`` of one's own, or nothing
    ids : ids of the rows, where the file has none

    Raises
    ------
    ValueError
        With the file's name: `npz.NotReadable` for anything but such a file; for fewer than 4 images;
        `NonFiniteActivation`, naming the layer and the image, for a NaN; for ids of another number.
    """
    called = file_name or Path(source).name
    with _named(called), foreign_arrays.opened(source, called) as found:
        arrays = found.arrays
        n = len(next(iter(arrays.values())))
        slices = minibatches(n, batch_size)
        largest = max(where.stop - where.start for where in slices)
        stack = len(arrays) * largest * (largest - 1) // 2 * 4
        if stack > LARGEST_STACK:
            raise ValueError(
                f"{called} has {len(arrays):,} layers: their Gram matrices of a minibatch of {largest:,} images take "
                f"{stack / 2**30:.1f} GB. Take smaller minibatches: --batch-size 64."
            )
        header = ActivationSet(
            name=name or Path(called).stem or "activations",
            network={"name": name or called, "architecture": "", "weights": "", "source": f"{ARRAYS}{called}"},
            layers=tuple(Layer(layer, "array", tuple(array.shape[1:])) for layer, array in arrays.items()),
            sample=_sample(found, n, sample, label, ids, called),
            preprocessing="unknown",
            batch_size=batch_size,
            versions={"numpy": np.__version__},
        )
        return write(out, header, _batches(found, slices, report))


@contextlib.contextmanager
def _named(called: str) -> Iterator[None]:
    """Several files may come at a time: what is refused in one begins with its name."""
    try:
        yield
    except ValueError as error:
        if called not in str(error):
            error.args = (f"{called}: {error}",)
        raise


def may_be_images(found: ActivationSet) -> str:
    """Which of the arrays that were taken for the activations of layers may be images: an npz of images whose names are
    not known has few arrays, one of them of pictures. "" where none is."""
    if not str(found.network.get("source")).startswith(ARRAYS) or len(found.layers) > MOST_OF_IMAGES:
        return ""
    return next((layer.name for layer in found.layers if is_picture(layer.shape)), "")


def _sample(
    found: NamedArrays, n: int, sample: Sample | None, label: str, ids: tuple[str, ...] | None, called: str
) -> Sample:
    own = found.ids if found.ids is not None else ids
    if found.ids is not None and ids is not None:
        sample_ids.check_same(found.ids, ids)
    if own is not None:
        own = sample_ids.of(own, n, called)
    if sample is not None and sample.n != n:
        raise ValueError(f"{called} has activations of {n:,} images, the images named are {sample.n:,}.")
    if sample is not None:
        return sample
    digest = sample_ids.digest_of(own) if own is not None else ""
    return Sample("", "", n, None, False, "", label, digest, True)


def _batches(found: NamedArrays, slices: list[slice], report: Report) -> Iterator[GramBatch]:
    for index, where in enumerate(slices, 1):
        report(Progress("reading", index - 1, len(slices), f"minibatch {index} of {len(slices)}"))
        yield of_rows(found.arrays, where)
