"""What to compare, in plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cka_core.base.keys import key_of
from cka_core.images.sets import SampleSpec
from cka_core.measures import registry as measures
from cka_core.networks.layer_graph import INFERENCE
from cka_core.networks.preprocessing import AUTO

if TYPE_CHECKING:
    from cka_core.networks.architectures import NetworkSpec

MEASURE = measures.STORED["cka"]
PIXELS = "pixels"
OF_IDS = (
    "What the pixels explain is taken out of pictures and measurements, and {network} takes ids: how far one is from "
    "another says nothing of what they stand for."
)
USUAL = {"preprocessing": AUTO, "batch_norm": INFERENCE, "passes": 1, "without": "", "fit": False}
"""Choices that came later, as all comparisons were made before: they are no part of a key."""


@dataclasses.dataclass(frozen=True)
class CompareSpec:
    """What to compare. ``key`` names its job and its file; what networks and images are called is no part of it.

    ``layers`` keeps only the layers with these names, of either network; None keeps every layer. ``preprocessing`` is
    one of `cka_core.networks.preprocessing.FORMS`, ``batch_norm`` one of `cka_core.networks.layer_graph.BATCH_NORMS`,
    ``measure`` a name of `measures.registry` (ValueError for another). ``passes`` is how often the images go by, each
    time in other minibatches. ``without`` "pixels" takes what the images' pixels explain out of both
    (`measures.partial`), of unbiased CKA only. ``fit``: images are resized, and grey made colour or colour grey, for a
    network that takes others (`cka_core.networks.fitting`).
    """

    a: NetworkSpec
    b: NetworkSpec
    sample: SampleSpec
    batch_size: int = 256
    layers: tuple[str, ...] | None = None
    measure: str = MEASURE
    version: int = 1
    preprocessing: str = AUTO
    batch_norm: str = INFERENCE
    passes: int = 1
    without: str = ""
    fit: bool = False

    def __post_init__(self) -> None:
        chosen = measures.measure(self.measure)
        object.__setattr__(self, "measure", measures.STORED.get(chosen.name, chosen.name))
        if self.passes < 1:
            raise ValueError(f"Expected at least one pass over the images, got {self.passes}.")
        if self.without not in ("", PIXELS):
            raise ValueError(f"Expected {PIXELS!r} or nothing to be taken out, got {self.without!r}.")
        if self.without and self.measure != MEASURE:
            raise ValueError(f"What the pixels explain is taken out of unbiased CKA only, not of {chosen.title}.")

    @property
    def key(self) -> str:
        same = {"a": self.a.identity, "b": self.b.identity, "sample": self.sample.identity}
        values = dataclasses.asdict(self) | same
        for name, usual in USUAL.items():
            if values[name] == usual:  # so that what was kept before there was a choice is still found
                del values[name]
        return key_of(values)

    def swapped(self) -> CompareSpec:
        """The same comparison seen from the other network: its result is the transpose."""
        return dataclasses.replace(self, a=self.b, b=self.a)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CompareSpec:
        """The spec whose ``dataclasses.asdict`` is ``values``."""
        from cka_core.networks.architectures import NetworkSpec

        try:
            fields = dict(values)
            fields["a"], fields["b"] = NetworkSpec(**values["a"]), NetworkSpec(**values["b"])
            fields["sample"] = SampleSpec(**values["sample"])
            if values.get("layers") is not None:
                fields["layers"] = tuple(values["layers"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"Expected the fields of a comparison's spec, got {values!r} ({error}).") from error


@dataclasses.dataclass(frozen=True)
class Several:
    """Comparisons that are asked for together and made one after the other; each is kept under its own key."""

    specs: tuple[CompareSpec, ...]

    @property
    def key(self) -> str:
        return key_of({"several": [spec.key for spec in self.specs]})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Several:
        """The one whose ``dataclasses.asdict`` is ``values``."""
        return cls(tuple(CompareSpec.from_json(spec) for spec in values["specs"]))
