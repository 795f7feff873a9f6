"""Image sets: what they are, where they come from, and which images a comparison uses.

``cifar10-mini`` is bundled: 3,125 training images (a sixteenth of CIFAR-10's, balanced over the classes) and 1,000 test
images (100 a class), pixel for pixel as in CIFAR-10. ``cifar10`` is the full set, fetched once by Keras or imported
from a file, then kept in the store; so are CIFAR-100, MNIST and Fashion-MNIST. Those of one's own lie in it (`own`).

CIFAR-10: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from cka_core.base import shipped, switches
from cka_core.base.keys import LATER
from cka_core.base.records import LARGEST_WHOLE
from cka_core.base.store import Store
from cka_core.images import downloads, full_sets, own
from cka_core.images.image_set import CIFAR10_CLASSES as CIFAR10_CLASSES
from cka_core.images.image_set import Images as Images
from cka_core.images.image_set import ImageSet as ImageSet
from cka_core.images.image_set import ImagesUnavailable as ImagesUnavailable
from cka_core.images.image_set import digest as digest

SPLITS = ("test", "train")


IMAGE_SETS = {
    "cifar10-mini": ImageSet(
        "cifar10-mini", "CIFAR-10, one sixteenth (bundled)", {"test": 1000, "train": 3125}, True, part_of="cifar10"
    ),
    "cifar10": ImageSet("cifar10", "CIFAR-10, all images", {"test": 10000, "train": 50000}, False),
    "cifar100": ImageSet(
        "cifar100", "CIFAR-100", {"test": 10000, "train": 50000}, False, classes=downloads.CIFAR100_CLASSES
    ),
    "mnist": ImageSet(
        "mnist", "MNIST", {"test": 10000, "train": 60000}, False, shape=(28, 28, 1), classes=downloads.DIGITS
    ),
    "fashion-mnist": ImageSet(
        "fashion-mnist",
        "Fashion-MNIST",
        {"test": 10000, "train": 60000},
        False,
        shape=(28, 28, 1),
        classes=downloads.FASHION,
    ),
}


@dataclasses.dataclass(frozen=True)
class SampleSpec:
    """Which images: the first ``n`` (``seed`` None), or ``n`` drawn without replacement with ``seed``; n None: all.

    ``held`` tells a set of one's own by what is in it (`ImageSet.held`), since its name may become that of another.
    Where it is not given it is that of the set with this name.
    """

    images: str = "cifar10-mini"
    split: str = "test"
    n: int | None = None
    seed: int | None = 0
    balanced: bool = False
    held: str = dataclasses.field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        if self.seed is not None and self.seed > LARGEST_WHOLE:
            raise ValueError(f"Expected a seed of at most {LARGEST_WHOLE:,}, as a record holds it, got {self.seed}.")
        if not self.held:
            object.__setattr__(self, "held", held_by(self.images))

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two samples the same one, whatever their set is called."""
        values = dataclasses.asdict(self)
        held = values.pop("held")
        return values | ({"images": held} if held else {})

    def load(self, store: Store | None = None) -> Images:
        return load_images(
            self.images, self.split, self.n, self.seed, balanced=self.balanced, held=self.held, store=store
        )


def image_sets(store: Store | None = None) -> dict[str, ImageSet]:
    """Every image set one can choose by name: one's own first."""
    return own.registered(store or Store()) | IMAGE_SETS


def held_by(name: str, store: Store | None = None) -> str:
    """`ImageSet.held` of the set of one's own with this name; "" for any other name."""
    found = None if not name or name in IMAGE_SETS else image_sets(store).get(name)
    return found.held if found is not None else ""


def image_set(name: str, store: Store | None = None, *, held: str = "") -> ImageSet:
    """The image set of a name; a ValueError with the valid names for any other.

    With ``held`` the set of one's own that holds this, whatever it is called now; `ImagesUnavailable` where none does.
    """
    if name in IMAGE_SETS:
        return IMAGE_SETS[name]
    known = image_sets(store)
    if held:
        found = next((one for one in known.values() if one.held == held), None)
        if found is None:
            other = f" What is called {name} now holds other images: choose it again to use them." * (name in known)
            raise ImagesUnavailable(f"The images that were called {name} are not here any more.{other}")
        return found
    if name not in known:
        todo = f" Bring the file in first: python -m cka_core data import NAME {shlex.quote(name)}"
        is_file = str(name).lower().endswith((".npz", ".zip"))
        raise ValueError(f"Unknown image set {name!r}. Valid: {', '.join(known)}.{todo if is_file else ''}")
    return known[name]


def load_images(
    name: str,
    split: str = "test",
    n: int | None = None,
    seed: int | None = None,
    *,
    balanced: bool = False,
    held: str = "",
    store: Store | None = None,
) -> Images:
    """Load a sample of an image set.

    Parameters
    ----------
    name : one of `IMAGE_SETS`, or a set of one's own
    split : "test" or "train"; "all" of a set of one's own that came in one part
    n : number of images; None means all
    seed : None takes the first ``n`` in the set's order; an integer draws ``n`` without replacement, in random order
    balanced : as many of each class as possible (the counts differ by at most one)
    held : see `image_set`

    Raises
    ------
    ValueError
        For an unknown set or split, or more images than there are.
    ImagesUnavailable
        If the set is neither in the store nor can be downloaded.
    """
    switches.check(balanced=balanced)
    store = store or Store()
    found = image_set(name, store, held=held)
    if split not in found.sizes:
        raise ValueError(f"Unknown split {split!r} of {name}. Valid: {', '.join(found.sizes)}.")
    if balanced and not found.classes:
        raise ValueError(f"{name} has no labels: its images cannot be balanced over classes.")
    if found.own:
        x, y = own.load(found, split, store)
    else:
        x, y = _bundled(split) if found.bundled else full_sets.read(found, split, store)
    part = "" if split == own.WHOLE else f"{split} "
    order = choose(y, n, seed, balanced=balanced, what=f"the {part}images of {name}")
    x, y = x[order], y[order]
    return Images(x, y, found.classes, digest(x, y))


def choose(
    y: np.ndarray, n: int | None, seed: int | None, *, balanced: bool = False, what: str = "the images"
) -> np.ndarray:
    """Indices of a sample of ``n`` of the images with classes ``y`` (see `load_images`)."""
    total = len(y)
    if n is not None and not isinstance(n, Integral):
        raise ValueError(f"Expected n as a whole number of images, or None for all, got {n!r:.60}.")
    if seed is not None and not (isinstance(seed, Integral) and seed >= 0):
        raise ValueError(f"Expected seed as a whole number from 0, or None for the first images, got {seed!r:.60}.")
    count = total if n is None else int(n)
    if not 1 <= count <= total:
        raise ValueError(f"Expected 1 to {total:,} of {what}, got n={count:,}.")
    order = np.arange(total) if seed is None else np.random.default_rng(seed).permutation(total)
    if not balanced:
        return order[:count]
    classes = np.unique(y)
    quota = {c: count // len(classes) + (i < count % len(classes)) for i, c in enumerate(classes)}
    available = {c: int((y == c).sum()) for c in classes}
    short = [int(c) for c in classes if available[c] < quota[c]]
    if short:
        most = min(available.values()) * len(classes)
        raise ValueError(
            f"{what.capitalize()} cannot give {count:,} balanced over the classes: class {short[0]} has only "
            f"{available[short[0]]:,}. Ask for at most {most:,}, or do not ask for balance."
        )
    keep = []
    for index in order:
        if quota[y[index]] > 0:
            quota[y[index]] -= 1
            keep.append(index)
    return np.array(keep)


def is_available(name: str, store: Store | None = None) -> bool:
    """Whether the set is here already, so that loading it needs no network."""
    store = store or Store()
    return image_set(name, store).bundled or store.has("images", name)


@lru_cache(maxsize=2)
def _bundled(split: str) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    facts = json.loads((shipped.IMAGES / "cifar10-mini.json").read_text())[split]
    with Image.open(shipped.IMAGES / f"cifar10-mini-{split}.webp") as picture:
        sheet = np.asarray(picture.convert("RGB"))
    columns = facts["columns"]
    rows = sheet.shape[0] // 32
    x = sheet.reshape(rows, 32, columns, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)[: len(facts["classes"])]
    y = np.array(facts["classes"], np.int64)
    if digest(x, y) != facts["digest"]:
        raise ValueError(f"The bundled images in {shipped.IMAGES} are damaged. Install the package again.")
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def import_cifar10(path: str | os.PathLike[str], store: Store | None = None) -> dict[str, int]:
    """Bring the full CIFAR-10 into the store from a file.

    ``path`` is an npz with x_train, y_train, x_test, y_test, or the official binary archive
    ``cifar-10-binary.tar.gz``. Nothing in it is unpickled or unpacked to disk. Returns the number of images a split.
    """
    return full_sets.import_cifar10(IMAGE_SETS["cifar10"], Path(path).expanduser(), store or Store())


def build_mini(store: Store, folder: Path = shipped.IMAGES) -> None:
    """Make the bundled ``cifar10-mini`` from the full CIFAR-10: a balanced choice with seed 0, in its order there."""
    from PIL import Image

    facts = {}
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, columns in (("train", 3125, 25), ("test", 1000, 25)):
        x, y = full_sets.read(IMAGE_SETS["cifar10"], split, store)
        source = np.sort(choose(y, count, 0, balanced=True))
        x, y = x[source], y[source]
        rows = -(-count // columns)
        sheet = x.reshape(rows, columns, 32, 32, 3).swapaxes(1, 2).reshape(rows * 32, columns * 32, 3)
        Image.fromarray(sheet).save(folder / f"cifar10-mini-{split}.webp", lossless=True, quality=100, method=6)
        facts[split] = {
            "digest": digest(x, y),
            "columns": columns,
            "classes": y.tolist(),
            "index_in_cifar10": source.tolist(),
        }
    (folder / "cifar10-mini.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")
