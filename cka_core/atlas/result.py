"""The result of a study: every network's map against itself and the others, and what explains them. Light: numpy only.

An atlas is a folder of two files: ``atlas.json`` with facts, numbers and blocks, and ``maps.npz`` with the matrices.
`studies.build` makes it; pages and papers read it.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.atlas import packing
from cka_core.atlas.blocks import by_the_rule
from cka_core.atlas.members import Deletion as Deletion
from cka_core.atlas.members import Member as Member
from cka_core.atlas.members import Probe as Probe
from cka_core.atlas.members import Snapshot as Snapshot
from cka_core.atlas.members import member_json as member_json
from cka_core.atlas.members import member_of
from cka_core.atlas.schemas import AtlasAbout
from cka_core.atlas.study import Study
from cka_core.base import npz, records, shipped
from cka_core.base.atomic import write_atomically
from cka_core.base.store import Store
from cka_core.images.sets import SampleSpec
from cka_core.results.comparison import MEASURE, Comparison

FORMAT = "cka-explorer atlas 3"
FORMATS = ("cka-explorer atlas 1", "cka-explorer atlas 2", FORMAT)
"""Those that are read. In the first one maps are float32, in the second those from before the last epoch have 8 bits,
in the third the others have steps of 2 ** -24 (`packing`)."""
MAPS = ("self", "cosines", "pair")
"""Kinds of arrays that are packed; the first two are of a network with itself."""
LARGEST_ABOUT = 256 << 20
BOUNDS = npz.Bounds(members=50_000, unpacked=1 << 34, ratio=100, free=256 << 20)
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError)
"""What reading a damaged npz raises, besides ValueError and OSError."""

REMOVED = ("nothing", "component", "images")
"""What a map is made without: nothing, each layer's first principal component, or the most influential images."""


class Atlas:
    """The networks of a study and their maps.

    Attributes
    ----------
    study : Study
    members : tuple of Member, in the study's order
    facts : dict: ``images`` (set, split, n, digest), ``batch_size``, ``versions``, ``created``, ``seconds``
    labels : int64 (test images,): classes of all test images, in the set's order, which ``outputs`` follow
    """

    def __init__(self, about: Mapping[str, Any], maps: Mapping[str, np.ndarray]):
        if about.get("format") not in FORMATS:
            raise ValueError(f"Expected an atlas of the format {FORMAT!r}, got {about.get('format')!r}.")
        self.study = Study.from_json(about["study"])
        self.facts: dict[str, Any] = dict(about["facts"])
        self._maps = maps
        members = [by_the_rule(values, self._matrix) for values in about["members"]]
        self._about = {**about, "members": members}
        self.members = tuple(member_of(values) for values in members)
        self._by_name = {member.name: member for member in self.members}

    @classmethod
    def load(cls, folder: str | Path) -> Atlas:
        """Read a folder that `save` wrote; ValueError if it holds no atlas or a damaged one. Nothing is unpickled."""
        folder = Path(folder)
        try:
            with npz.reading("an atlas"):
                about = records.parse((folder / "atlas.json").read_bytes(), LARGEST_ABOUT)
                mistake = records.wrong(about, AtlasAbout)
                if mistake:
                    raise ValueError(f"atlas.json is wrong: {mistake}")
                with npz.opened(folder / "maps.npz", BOUNDS) as archive:
                    shapes = npz.shapes(archive)
                atlas = cls(about, np.load(folder / "maps.npz", allow_pickle=False))
                atlas._check(shapes)
                return atlas
        except FileNotFoundError as error:
            raise ValueError(f"Expected an atlas in {folder}: {Path(error.filename).name} is missing.") from error
        except (npz.NotReadable, OSError) as error:
            raise npz.NotReadable(f"The atlas in {folder} is damaged ({npz.why(error)}). Build it again.") from error

    def _check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """ValueError unless there are networks, each with its maps, and everything has as many layers as they have."""
        if not self.members:
            raise ValueError("it has no networks")
        layers = {member.name: len(member.layers) for member in self.members}
        for member in self.members:
            if not member.snapshots:
                raise ValueError(f"{member.name} has no epochs")
            blocks = [block for snapshot in member.snapshots for block in snapshot.blocks]
            blocks += [block for without in member.blocks_without.values() for block in without]
            ends = [block.stop for block in blocks if block.start < block.stop or block.stop == 0]
            positions = [probe.position + 1 for probe in member.probes]
            if len(ends) < len(blocks) or max([*ends, *positions], default=0) > layers[member.name]:
                raise ValueError(f"{member.name} has blocks or probes beyond its {layers[member.name]} layers")
            for snapshot in member.snapshots:
                if f"self/{member.name}/{snapshot.epoch}/nothing" not in shapes:
                    raise ValueError(f"the map of {member.name} after epoch {snapshot.epoch} is missing")
        for name, shape in shapes.items():
            kind, *of = name.split("/")
            if kind in (*MAPS, "scores"):
                second = {"scores": shape[-1:], "pair": (layers.get(of[-1]),)}.get(kind, (layers.get(of[0]),))
                sides = (layers.get(of[0]), *second)
                shape = shape[1:] if kind in MAPS and len(shape) == 3 and shape[0] == packing.PLANES else shape
                if None not in sides and shape != sides:
                    raise ValueError(f"expected {name} of shape {sides}, got {shape}")

    def save(self, folder: str | Path) -> None:
        """Write both files; the maps first, so that an atlas.json always has its maps."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: _packed(name, np.asarray(self._maps[name])) for name in self._maps}
        np.savez_compressed(buffer, **arrays)
        write_atomically(Path(folder) / "maps.npz", buffer.getvalue())
        how = {"in_steps": packing.IN_STEPS, "scores": packing.SCORES}
        about = {**self._about, "format": FORMAT, "facts": {**self.facts, **how}}
        text = json.dumps(about, separators=(",", ":"), allow_nan=False) + "\n"
        write_atomically(Path(folder) / "atlas.json", text.encode())

    def with_members(self, members: Sequence[Member]) -> Atlas:
        """The same with other facts of its networks."""
        return Atlas({**self._about, "members": [member_json(member) for member in members]}, self._maps)

    def alone(self, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What is known of one network by itself: its part of atlas.json, and its arrays, as `save` is given them."""
        self.member(name)
        about = next(one for one in self._about["members"] if one["name"] == name)
        kept = [key for key in self._maps if key.split("/")[0] != "pair" and key.split("/")[1:2] == [name]]
        return about, {key: _unpacked(key, np.asarray(self._maps[key])) for key in kept}

    def member(self, name: str) -> Member:
        if name not in self._by_name:
            raise ValueError(f"No network {name!r} in this atlas. There are: {', '.join(self._by_name)}.")
        return self._by_name[name]

    def map(self, name: str, epoch: int | None = None, removed: str = "nothing") -> np.ndarray:
        """CKA of a network's layers with each other, float64 (layers, layers); see `REMOVED`."""
        if removed not in REMOVED:
            raise ValueError(f"Unknown removal {removed!r}. Valid: {', '.join(REMOVED)}.")
        return self._matrix(f"self/{name}/{self.member(name).at(epoch).epoch}/{removed}")

    def has_map(self, name: str, epoch: int | None = None, removed: str = "nothing") -> bool:
        return f"self/{name}/{self.member(name).at(epoch).epoch}/{removed}" in self._maps

    def pair(self, a: str, b: str) -> np.ndarray:
        """CKA of two networks' layers, both trained to the end, float64 (layers of A, layers of B)."""
        if a == b:
            return self.map(a)
        if f"pair/{a}/{b}" in self._maps:
            return self._matrix(f"pair/{a}/{b}")
        self.member(a), self.member(b)
        return self._matrix(f"pair/{b}/{a}").T

    def has_pair(self, a: str, b: str) -> bool:
        return a == b or f"pair/{a}/{b}" in self._maps or f"pair/{b}/{a}" in self._maps

    def comparison(
        self, a: str, b: str | None = None, epoch: int | None = None, removed: str = "nothing"
    ) -> Comparison:
        """The same as a `Comparison`, for figures, filters and downloads. ``epoch`` and ``removed`` need ``b`` None."""
        one, other = self.member(a), self.member(b or a)
        matrix = self.pair(a, b) if b and b != a else self.map(a, epoch, removed)
        provenance = {
            "network_a": _network(one), "network_b": _network(other),
            "images": self.facts["images"], "batch_size": self.facts["batch_size"], "measure": MEASURE,
            "versions": self.facts["versions"], "created": self.facts["created"], "study": self.study.name,
        }  # fmt: skip
        if b in (None, a):
            provenance |= {"epoch": one.at(epoch).epoch, "without": removed}
            if _has_8_bits(self._maps[f"self/{a}/{one.at(epoch).epoch}/{removed}"]):
                provenance |= {"precision": "8 bits"}
        return Comparison(matrix, one.layers, other.layers, provenance=provenance)

    def scores(self, name: str) -> np.ndarray:
        """First-component score of each image of the sample at each layer, float64 (layers, images)."""
        return self._matrix(f"scores/{name}")

    def component_cosines(self, name: str) -> np.ndarray:
        """|cos| between the first components of a network's layers, over images, float64 (layers, layers)."""
        return self._matrix(f"cosines/{name}")

    def outputs(self, name: str) -> np.ndarray:
        """Log-probabilities of all test images, float64 (images, classes), in the set's order."""
        return self._matrix(f"outputs/{name}")

    @cached_property
    def labels(self) -> np.ndarray:
        return self._matrix("labels").astype(np.int64)

    @property
    def sample(self) -> SampleSpec:
        return self.study.sample

    @cached_property
    def studied(self) -> Atlas:
        """The same without the networks that stand beside the study: those trained on a larger image set."""
        return self.only([one.name for one in self.members if one.trained_on == self.sample.images])

    def only(self, names: Sequence[str]) -> Atlas:
        """The same with some of its networks only."""
        members = [one for one in self._about["members"] if one["name"] in names]
        return self if len(members) == len(self.members) else Atlas({**self._about, "members": members}, self._maps)

    def grid(self) -> tuple[list[int], list[int]]:
        """Depths, down, and widths, across, of the studied networks that are CIFAR ResNets."""
        members = self.studied.members
        found = [member for member in members if member.architecture.startswith("cifar-resnet")]
        return sorted({member.depth for member in found}), sorted({member.width for member in found})

    def seeds_of(self, architecture: str) -> list[Member]:
        """The studied networks of an architecture, which differ in their seed."""
        return [member for member in self.studied.members if member.architecture == architecture]

    def pairs(self) -> Iterator[tuple[Member, Member]]:
        """Every two different networks once, in the study's order."""
        for i, a in enumerate(self.members):
            for b in self.members[i + 1 :]:
                yield a, b

    def _matrix(self, name: str) -> np.ndarray:
        if name not in self._maps:
            raise ValueError(f"This atlas has no {name}; {self.study.name} was not asked for it.")
        try:
            with npz.reading(f"{name} of this atlas"):
                found = _unpacked(name, np.asarray(self._maps[name]))
                return packing.from_bytes(found) if _has_8_bits(found) else found.astype(np.float64)
        except npz.NotReadable as error:
            raise npz.NotReadable(f"{name} of this atlas is damaged ({npz.why(error)}). Build it again.") from error


def _has_8_bits(values: np.ndarray) -> bool:
    return values.dtype == np.uint8 and values.ndim == 2


def _packed(name: str, values: np.ndarray) -> np.ndarray:
    """An array as it stands in the file: maps in steps, unless they have 8 bits; scores rounded; others as they are."""
    kind = name.split("/")[0]
    if kind == "scores":
        return packing.in_bits(values)
    if kind not in MAPS or values.dtype == np.uint8:
        return values
    return packing.in_steps(values, symmetric=kind != "pair")


def _unpacked(name: str, values: np.ndarray) -> np.ndarray:
    """What `_packed` was given, float64 where it was in steps."""
    kind = name.split("/")[0]
    if kind not in MAPS or values.dtype != np.uint8 or _has_8_bits(values):
        return values
    return packing.from_steps(values, symmetric=kind != "pair")


def bundled() -> Atlas | None:
    """The atlas that comes with the package."""
    return Atlas.load(shipped.ATLAS) if (shipped.ATLAS / "atlas.json").is_file() else None


def folder_of(study: Study, store: Store) -> Path:
    """Where a study's atlas is written if no folder is given; `listed` finds it there."""
    return store.scratch("atlases") / file_name(study.name)


def file_name(study: str) -> str:
    """What the folder of a study of this name is called."""
    return study.replace(" ", "-")


def listed(store: Store) -> dict[str, Path]:
    """The atlases at hand by name: the bundled one first, then those built into the store."""
    built = Path(store.path("atlases")) if store.is_local else store.scratch("atlases")  # not made to be looked at
    folders = [shipped.ATLAS, *(sorted(built.iterdir()) if built.is_dir() else ())]
    found = {}
    for folder in folders:
        if (folder / "atlas.json").is_file():
            found["bundled" if folder == shipped.ATLAS else folder.name] = folder
    return found


def _network(member: Member) -> dict[str, Any]:
    return {
        "name": member.name, "architecture": member.architecture, "weights": member.weights, "source": "atlas",
        "seed": member.seed, "layers": len(member.layers),
    }  # fmt: skip
