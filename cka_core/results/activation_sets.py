"""Activation sets: a network's Gram matrices on one sample, in one file, so that it is compared where it is not.

The file is an npz: ``about``, UTF-8 JSON, and for each minibatch ``00000/triangles`` (float32, layers x m(m-1)/2),
``00000/exponents``, ``00000/squares`` and ``00000/outliers`` (the fields of `GramBatch`). Nothing in it is pickled, and
nothing compressed: it unpacks to no more than it is, and is read a minibatch at a time. ``about`` holds a SHA-256 of
each minibatch, so that what is read is what was written, wherever the file has been.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cka_core.base import npz, records, words
from cka_core.base.atomic import replacing
from cka_core.base.keys import canonical_json
from cka_core.base.progress import Progress, Report, silent
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches
from cka_core.measures.kernels import MIN_IMAGES
from cka_core.networks.layers import Layer
from cka_core.results.samples import Sample as Sample  # an activation set has one
from cka_core.results.schemas import SetAbout

FORMAT = "cka-explorer activations 2"
WITHOUT_NORMS = "cka-explorer activations 1"
"""Of sets written before version 0.3."""
MOST_LAYERS = 20_000
MOST_IMAGES = 1_000_000
MEMBERS = ("triangles", "exponents", "squares", "outliers", "norms")
WHAT = "an activation set (.npz)"
LARGEST_EXPONENT = 2200
"""Of two: float64 ends at 1,024, its smallest number is 2 to the -1,074, and Gram matrices are of squares."""
OF_COMPARISON = (
    "it is a saved comparison, which has no activations in it. Drop it on the Library page, or read it with "
    "Comparison.load in Python"
)
MADE_AGAIN = "Make the file again: python -m cka_core activations extract NETWORK --out acts.npz."


class IsComparison(ValueError):
    """It is no set but a saved comparison; the message says what to do with it. The cause of a `npz.NotReadable`."""


@dataclasses.dataclass(frozen=True, eq=False)
class ActivationSet:
    """A network's Gram matrices on one sample, read a minibatch at a time.

    ``network`` says which it was: name, architecture, weights (digest), source, seed. ``parts`` describes each
    minibatch, ``open`` opens the file. ``has_norms`` is False of a set written before version 0.3 (`GramBatch.lacks`).
    """

    name: str
    network: dict[str, Any]
    layers: tuple[Layer, ...]
    sample: Sample
    preprocessing: str
    batch_size: int
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    created: str = ""
    parts: tuple[dict[str, Any], ...] = ()
    open: Callable[[], contextlib.AbstractContextManager[BinaryIO]] | None = None
    has_norms: bool = True

    @property
    def members(self) -> tuple[str, ...]:
        """The arrays of a minibatch in the file."""
        return MEMBERS if self.has_norms else MEMBERS[:-1]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (32 hex digits) of what it holds; what it is called and when it was made do not count."""
        about = {key: value for key, value in self.about().items() if key not in ("name", "created")}
        return hashlib.sha256(canonical_json(about).encode()).hexdigest()[:32]

    def about(self) -> dict[str, Any]:
        """Everything but the Gram matrices, as JSON values; `from_about` reads it back."""
        return {
            "format": FORMAT if self.has_norms else WITHOUT_NORMS,
            "name": self.name,
            "network": self.network,
            "layers": [dataclasses.asdict(layer) | {"shape": list(layer.shape)} for layer in self.layers],
            "sample": self.sample.to_json(),
            "preprocessing": self.preprocessing,
            "batch_size": self.batch_size,
            "versions": self.versions,
            "created": self.created,
            "minibatches": list(self.parts),
        }

    @property
    def slices(self) -> list[slice]:
        return minibatches(self.sample.n, self.batch_size)

    def minibatch(self, index: int) -> GramBatch:
        """The Gram matrices of all layers on one minibatch, checked against what ``about`` promises."""
        assert self.open is not None, "a set that was not read from a file has no minibatches"
        where, part = self.slices[index], self.parts[index]
        m, count = where.stop - where.start, len(self.layers)
        forms = {
            "triangles": ("<f4", (count, m * (m - 1) // 2)), "exponents": ("<i8", (count,)),
            "squares": ("<f8", (count,)), "outliers": ("<f8", (count, 2)), "norms": ("<f8", (count, m)),
        }  # fmt: skip
        with npz.reading(WHAT, self.name), self.open() as file, npz.opened(file, npz.STORED) as archive:
            arrays = {member: npz.array(archive, f"{index:05d}/{member}", *forms[member]) for member in self.members}
        if _sha(arrays.values()) != part["sha256"]:
            raise npz.NotReadable(
                f"Minibatch {index + 1} of {self.name} is not what was written: damaged. {MADE_AGAIN}"
            )
        self._check_numbers(index, m, arrays)
        return GramBatch(
            names=tuple(layer.name for layer in self.layers),
            m=m,
            first=where.start,
            triangles=arrays["triangles"],
            exponents=arrays["exponents"],
            squares=arrays["squares"],
            reasons=list(part["reasons"]),
            outliers=[(int(row), float(times)) if row >= 0 else None for row, times in arrays["outliers"]],
            norms=arrays.get("norms"),
        )

    def minibatches(self) -> Iterator[GramBatch]:
        return (self.minibatch(index) for index in range(len(self.parts)))

    def _check_numbers(self, index: int, m: int, arrays: Mapping[str, np.ndarray]) -> None:
        triangles, exponents, squares, out = (arrays[name] for name in MEMBERS[:4])
        norms = arrays.get("norms", np.zeros((len(squares), m)))
        sums = np.einsum("ij,ij->i", triangles, triangles, dtype=np.float64)
        live = np.array([reason is None for reason in self.parts[index]["reasons"]], bool)
        wrong = ~(
            np.isfinite(sums)
            & np.isfinite(squares)
            & (np.abs(exponents) < LARGEST_EXPONENT)
            & np.isfinite(out).all(axis=1)
        )
        wrong |= ~(np.isfinite(norms) & (norms >= 0)).all(axis=1)
        wrong |= (out[:, 0] >= m) | (live & ~np.isclose(sums, squares, rtol=1e-3))
        if wrong.any():
            layer = self.layers[int(np.flatnonzero(wrong)[0])].name
            raise npz.NotReadable(
                f"{self.name}: the Gram matrix of layer {layer!r} in minibatch {index + 1} is not one: its numbers are "
                f"not finite, or not consistent. {MADE_AGAIN}"
            )


def write(path: str | os.PathLike[str], header: ActivationSet, batches: Iterable[GramBatch]) -> ActivationSet:
    """Write a set to a file, in one piece or not at all; returns it, readable.

    ``header`` is everything but the minibatches, which are taken from ``batches`` one at a time and not kept.
    """
    parts = []
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for index, (where, batch) in enumerate(zip(header.slices, batches, strict=True)):
                if (batch.first, batch.m) != (where.start, where.stop - where.start):
                    raise ValueError(
                        f"Expected images {where.start} to {where.stop - 1}, got {batch.m} from {batch.first} on."
                    )
                arrays = _arrays(batch, header.members)
                for name, array in zip(header.members, arrays, strict=True):
                    npz.add(archive, f"{index:05d}/{name}", array)
                parts.append({"sha256": _sha(arrays), "reasons": list(batch.reasons)})
            complete = dataclasses.replace(header, parts=tuple(parts), created=header.created or words.now())
            complete = from_about(complete.about())
            npz.add(archive, "about", np.frombuffer(json.dumps(complete.about(), allow_nan=False).encode(), np.uint8))
    target = Path(path).expanduser()
    return dataclasses.replace(complete, open=lambda: open(target, "rb"))


def read(source: str | os.PathLike[str] | bytes | BinaryIO, file_name: str = "the file") -> ActivationSet:
    """A set in a file, in bytes or in an open file (which must stay open while minibatches are read), then of the name
    ``file_name`` in messages.

    Only what it says about itself is read now; each minibatch is read and checked when it is asked for.

    Raises
    ------
    npz.NotReadable
        If it is anything else, or damaged.
    FileNotFoundError
    """
    opener: Callable[[], contextlib.AbstractContextManager[BinaryIO]]
    if isinstance(source, bytes):
        opener, name = (lambda: io.BytesIO(source)), file_name
    elif isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        opener, name = (lambda: open(path, "rb")), path.name
    else:
        opener, name = (lambda: contextlib.nullcontext(source)), file_name
    with npz.reading(WHAT, name), opener() as file:
        try:
            found = _described(file)
        except ValueError:
            _check_kind(file)
            raise
    return dataclasses.replace(found, open=opener)


def _described(file: BinaryIO) -> ActivationSet:
    """What a set says of itself, its minibatches unread."""
    with npz.opened(file, npz.STORED) as archive:
        found = from_about(npz.description(archive))
        names = {f"{index:05d}/{member}.npy" for index in range(len(found.parts)) for member in found.members}
        if set(archive.namelist()) != names | {"about.npy"}:
            raise ValueError(f"it does not hold {len(found.parts)} minibatches of {', '.join(found.members)}")
    return found


def _check_kind(file: BinaryIO) -> None:
    """`IsComparison` where a file that is no set is a saved comparison, which is compressed as no set is."""
    with npz.opened(file, npz.Bounds(members=npz.STORED.members, unpacked=npz.STORED.unpacked)) as archive:
        names = set(archive.namelist())
    if {"about.npy", "matrix.npy"} <= names:
        raise IsComparison(OF_COMPARISON)


def check(found: ActivationSet, report: Report = silent) -> None:
    """Read every minibatch once, so that a damaged one is found now."""
    for index, _ in enumerate(found.minibatches(), 1):
        report(Progress("checking", index, len(found.parts), f"minibatch {index} of {len(found.parts)}"))


def from_about(values: dict[str, Any]) -> ActivationSet:
    """The set that `ActivationSet.about` describes, without its file. Every inconsistency is a ValueError in words."""
    if not isinstance(values, dict) or values.get("format") not in (FORMAT, WITHOUT_NORMS):
        got = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"its format is {got!r}, expected {FORMAT!r}")
    mistake = records.wrong(values, SetAbout)
    if mistake:
        raise ValueError(f"a field of its description is missing or wrong: {mistake}")
    found = ActivationSet(
        name=values["name"],
        network={key: values["network"].get(key) for key in ("name", "architecture", "weights", "source", "seed")},
        layers=tuple(Layer.from_json(layer) for layer in values["layers"]),
        sample=Sample.from_json(values["sample"]),
        preprocessing=values["preprocessing"],
        batch_size=values["batch_size"],
        versions=dict(values["versions"]),
        created=values["created"],
        parts=tuple({"sha256": one["sha256"], "reasons": list(one["reasons"])} for one in values["minibatches"]),
        has_norms=values["format"] == FORMAT,
    )
    _check_description(found)
    return found


def _check_description(found: ActivationSet) -> None:
    """What a schema cannot say: a ValueError for layers, images and minibatches that do not fit together."""
    sample, count = found.sample, len(found.layers)
    if not 1 <= count <= MOST_LAYERS:
        raise ValueError(f"expected 1 to {MOST_LAYERS:,} layers, got {count:,}")
    repeated = [name for name, times in Counter(layer.name for layer in found.layers).items() if times > 1]
    if repeated:
        raise ValueError(f"two layers are called {sorted(repeated)[0]!r}")
    if not (MIN_IMAGES <= found.batch_size <= MOST_IMAGES and MIN_IMAGES <= sample.n <= MOST_IMAGES):
        raise ValueError(
            f"expected a batch_size of at least {MIN_IMAGES} and {MIN_IMAGES} to {MOST_IMAGES:,} images, got "
            f"{found.batch_size!r:.20} and {sample.n!r:.20}"
        )
    slices = found.slices
    if found.parts and len(found.parts) != len(slices):
        raise ValueError(f"expected {len(slices)} minibatches of {sample.n:,} images, got {len(found.parts)}")
    for part in found.parts:
        if len(part["reasons"]) != count:
            raise ValueError(f"expected {count} reasons, one a layer, got {len(part['reasons'])}")


def shared_sample(sets: Iterable[ActivationSet]) -> tuple[Sample, int]:
    """The images and the minibatch size that several sets share.

    Raises ValueError, naming the images of each, where they are not certainly the same.
    """
    first, *others = sets
    for other in others:
        if other.digest == first.digest:
            continue
        if first.sample.ids and other.sample.ids and first.sample.ids != other.sample.ids:
            raise ValueError(
                f"The sample_ids of {first.name} and {other.name} are not the same, or not in the same order: row i of "
                "one is not the image of row i of the other. Write both from the same images in one order."
            )
        if not (first.sample.is_sure_to_be(other.sample) or first.sample.may_be(other.sample)):
            raise ValueError(
                f"{first.name} and {other.name} are not known to be of the same images, and cannot be compared. "
                f"{first.name}: {first.sample}. {other.name}: {other.sample}. Make one of them again with the images "
                "of the other."
                + ("" if first.sample.images else " Where you know that they are the same, say so when converting: "
                   "--images, --images-digest or --sample-label.")
            )  # fmt: skip
        if other.batch_size != first.batch_size:
            raise ValueError(
                f"Expected minibatches of one size, got {first.batch_size} images in {first.name} and "
                f"{other.batch_size} in {other.name}. Make one of them again with --batch-size {first.batch_size}."
            )
    knows = max((first, *others), key=lambda one: (bool(one.sample.images), bool(one.sample.digest or one.sample.ids)))
    return knows.sample, first.batch_size


def assumption(one: ActivationSet, other: Sample, whose: str, *, both_files: bool = True) -> str:
    """What comparing a set with something made of ``other`` takes for granted, in a sentence; "" where nothing.

    ``whose`` is what the other is called. ``both_files``: it is a file too, not a network that is shown the images.
    """
    if one.sample.is_sure_to_be(other) or not one.sample.may_be(other):
        return ""
    both = ((one.name, one.sample), (whose, other))
    silent = [name for name, sample in both if not (sample.ids or sample.digest)]
    which = " and ".join(dict.fromkeys(silent or [name for name, _ in both]))
    return (
        f"The order of the images is assumed: nothing in {which} says that its row i is the image of row i of the "
        f"other.{' sample_ids in both files are checked.' if both_files else ''}"
    )


def _arrays(batch: GramBatch, members: Sequence[str]) -> list[np.ndarray]:
    """In the order of ``members``, which are `MEMBERS` or those without norms."""
    if batch.norms is None and "norms" in members:
        raise ValueError(f"Expected Gram matrices with norms, to write an activation set. {batch.lacks}")
    outliers = np.array([outlier or (-1, 0.0) for outlier in batch.outliers], "<f8").reshape(-1, 2)
    arrays = {
        "triangles": np.ascontiguousarray(batch.triangles, "<f4"),
        "exponents": np.ascontiguousarray(batch.exponents, "<i8"),
        "squares": np.ascontiguousarray(batch.squares, "<f8"),
        "outliers": outliers,
        "norms": np.ascontiguousarray(batch.norms, "<f8"),
    }
    return [arrays[name] for name in members]


def _sha(arrays: Iterable[np.ndarray]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(array.data)
    return sha.hexdigest()
