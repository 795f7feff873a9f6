"""What a saved comparison and an activation set say of themselves, as the types that are held against every file.

All of these may lack fields, which are then unknown, and may have others: a later version says more. What is named here
is what something reads.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from typing_extensions import NotRequired, TypedDict

from cka_core.base.records import Count, Long, Text, Whole

Images = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""A number of images: so many minibatches can be listed."""
Side = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
"""Of a layer's output; -1 where it depends on the size of the images."""
Batch = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class LayerAbout(TypedDict):
    name: Text
    kind: Text
    shape: list[Side]
    stage: NotRequired[Text]


class NetworkAbout(TypedDict, total=False):
    name: Text | None
    architecture: Text | None
    weights: Text | None
    source: Text | None
    seed: Whole | None
    layers: Count | None
    set: Text | None


class ImagesAbout(TypedDict, total=False):
    images: Text | None
    split: Text | None
    n: Count | None
    seed: Whole | None
    balanced: bool | None
    digest: Text | None
    label: Text | None


class Provenance(TypedDict, total=False):
    network_a: NetworkAbout | None
    network_b: NetworkAbout | None
    images: ImagesAbout | None
    preprocessing: Text | None
    batch_norm: Text | None
    batch_size: Count | None
    layers: list[Text] | None
    measure: Text
    versions: dict[Text, Text]
    seconds: float | None
    command: Long | None
    created: Text | None


class ComparisonAbout(TypedDict):
    """Everything of a saved comparison but its matrix."""

    format: Text
    layers_a: list[LayerAbout]
    layers_b: list[LayerAbout]
    reasons_a: list[Text | None]
    reasons_b: list[Text | None]
    provenance: Provenance
    warnings: list[Long]


class SampleAbout(TypedDict):
    images: Text
    split: Text
    n: Images
    seed: Count | None
    balanced: bool
    digest: Text
    label: NotRequired[Text]
    ids: NotRequired[Text]
    assumed: NotRequired[bool]


class SetNetwork(TypedDict, total=False):
    name: Text | None
    architecture: Text | None
    weights: Text | None
    source: Text | None
    seed: Whole | None


class Minibatch(TypedDict):
    sha256: Text
    reasons: list[Text | None]


class SetAbout(TypedDict):
    """Everything of an activation set but its Gram matrices."""

    format: Text
    name: Text
    network: SetNetwork
    layers: list[LayerAbout]
    sample: SampleAbout
    preprocessing: Text
    batch_size: Batch
    versions: dict[Text, Text]
    created: Text
    minibatches: list[Minibatch]


class GramsAbout(TypedDict):
    """What the store says of the Gram matrices that comparisons kept; versions before 0.2 said less."""

    layers: list[LayerAbout]
    steps: Count
    weights: Text
    fit: NotRequired[Text]
    network: NotRequired[NetworkAbout]
    sample: NotRequired[SampleAbout]
    batch_size: NotRequired[Batch]
    preprocessing: NotRequired[Text]
    batch_norm: NotRequired[Text]
    versions: NotRequired[dict[Text, Text]]
    created: NotRequired[Text]
    patterns: NotRequired[Any]
