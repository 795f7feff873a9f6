"""What an image set is, and a sample of one."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """An image set one can choose.

    ``sizes``: images in each split of the usual distribution; ``part_of``: the name of a set that has all of its
    images, in the same splits. ``shape`` and ``dtype`` are those of one image, ``classes`` its classes, none where it
    has no labels. ``own``: somebody brought it in, and it lies in the store; ``held`` is then a digest of all of it.
    """

    name: str
    title: str
    sizes: dict[str, int]
    bundled: bool
    part_of: str = ""
    shape: tuple[int, ...] = (32, 32, 3)
    dtype: str = "uint8"
    classes: tuple[str, ...] = CIFAR10_CLASSES
    own: bool = False
    held: str = ""
    created: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it came in."""
        return ("all",) if "all" in self.sizes else tuple(self.sizes)


class ImagesUnavailable(ValueError):
    """The image set cannot be had here; the message says the ways to get it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """A sample of an image set.

    Attributes
    ----------
    x : (n, ...), uint8 (n, 32, 32, 3) of the CIFAR sets
    y : int64 (n,)
        Class of each image, an index into ``classes``; zeros where there are none.
    classes : tuple of str
    digest : str
        SHA-256 of pixels and classes in their order: two results with the same digest used the same images.
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.x)


def digest(x: np.ndarray, y: np.ndarray | None = None) -> str:
    """SHA-256 (32 hex digits) of images, their shape and dtype, and their classes if given."""
    sha = hashlib.sha256(f"{x.dtype} {x.shape}".encode())
    sha.update(np.ascontiguousarray(x).data)
    if y is not None:
        sha.update(np.ascontiguousarray(y, np.int64).data)
    return sha.hexdigest()[:32]


def digest_of(images: Any) -> str:
    """The same of one array, of arrays by name in any order, or of a tuple of arrays."""
    if not isinstance(images, (dict, tuple)):
        return digest(images)
    named = images if isinstance(images, dict) else dict(enumerate(images))
    parts = "".join(f"{name!r}:{digest(named[name])}\n" for name in sorted(named))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]
