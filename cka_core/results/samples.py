"""Which images something was made from, and whether two of them are certainly the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cka_core.images.sets import Images, SampleSpec


@dataclasses.dataclass(frozen=True)
class Sample:
    """Which images a set was made from, ``n`` of them.

    ``digest`` is that of `Images`. Where the image set is not known, ``images`` is empty; the images are then known by
    their digest alone, or by a ``label`` that someone gave them, or not at all. ``ids`` is a digest of the ids of the
    rows of arrays that somebody brought. ``assumed``: they are such arrays, and what says that row i is image i is
    whoever compares them. ``held`` is that of `SampleSpec`.
    """

    images: str
    split: str
    n: int
    seed: int | None
    balanced: bool
    digest: str
    label: str = ""
    ids: str = ""
    assumed: bool = False
    held: str = ""

    @classmethod
    def of(cls, spec: SampleSpec, images: Images) -> Sample:
        return cls(spec.images, spec.split, len(images), spec.seed, spec.balanced, images.digest, held=spec.held)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Sample:
        """The sample whose `dataclasses.asdict` is ``values``, of checked types; what a later version adds is left."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})

    @property
    def spec(self) -> SampleSpec:
        return SampleSpec(self.images, self.split, self.n, self.seed, self.balanced, self.held)

    def is_sure_to_be(self, other: Sample) -> bool:
        """Whether these are certainly the same images, in the same order."""
        if self.n != other.n:
            return False
        if self.digest or other.digest:
            return self.digest == other.digest
        if self.ids or other.ids:
            return self.ids == other.ids
        return bool(self.label) and self.label == other.label

    def may_be(self, other: Sample) -> bool:
        """Whether nothing but the word of whoever compares them says that these are the same images in one order."""
        known = (self.digest and other.digest) or (self.ids and other.ids) or (self.label and other.label)
        return self.n == other.n and (self.assumed or other.assumed) and not known

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; without what version 0.3 did not know, where it says nothing."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if value or name not in ("ids", "assumed", "held")}

    def __str__(self) -> str:
        if not self.images:
            which = f"labelled “{self.label}”" if self.label else "of which nothing is known"
            which = f"with ids {self.ids[:8]}" if self.ids else which
            return f"{self.n:,} images {f'with digest {self.digest[:8]}' if self.digest else which}"
        return drawn_text(self.spec, f", digest {self.digest[:8]}")


def drawn_text(spec: SampleSpec, more: str = "") -> str:
    """Which images of a set: "768 test images of cifar10-mini (seed 0, balanced over the classes)"."""
    count = "all" if spec.n is None else f"{spec.n:,}"
    draw = "the first" if spec.seed is None else f"seed {spec.seed}"
    balance = ", balanced over the classes" if spec.balanced else ""
    part = "" if spec.split == "all" else f"{spec.split} "
    return f"{count} {part}images of {spec.images} ({draw}{balance}{more})"
