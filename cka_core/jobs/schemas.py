"""The records of jobs and of local clusters, as the types that are held against what the store holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from typing_extensions import NotRequired, TypedDict

from cka_core.base.records import Count, Long, Text, Whole

Cluster = Annotated[str, msgspec.Meta(pattern=r"^$|://|^[^/]+/[^/]+/[^/]+$", max_length=1000)]


class ProgressRecord(TypedDict):
    phase: Text
    done: float
    total: float
    detail: Long


class JobRecord(TypedDict):
    """What is known of a job: ``jobs/<key>/status.json``."""

    kind: Text
    title: Text
    spec: dict[str, Any]
    state: Literal["queued", "running", "done", "failed", "stopped"]
    progress: ProgressRecord | None
    error: Long | None
    submitted: float
    started: float | None
    finished: float | None
    cluster: Cluster
    attempt: Count
    restarts: Count
    process: NotRequired[Whole]
    turn: NotRequired[Count]


class StopRecord(TypedDict):
    """The wish to stop an attempt: ``jobs/<key>/stop``."""

    attempt: Count
    asked: float


class NetworkAsked(TypedDict):
    name: Text
    source: Text
    architecture: Text
    seed: NotRequired[Whole | None]
    weights: NotRequired[Text]
    path: NotRequired[Long]


class SampleAsked(TypedDict):
    images: Text
    split: Text
    n: NotRequired[Count | None]
    seed: NotRequired[Count | None]
    balanced: NotRequired[bool]


class ComparisonAsked(TypedDict):
    """The spec of a job of the kind "compare"."""

    a: NetworkAsked
    b: NetworkAsked
    sample: SampleAsked
    batch_size: NotRequired[Count]
    layers: NotRequired[list[Text] | None]


class SeveralAsked(TypedDict):
    """The spec of a job of the kind "several"."""

    specs: list[ComparisonAsked]


class ClusterRecord(TypedDict):
    """Where a local cluster listens: ``cluster/<host>/<digest>.json``."""

    id: Text
    digest: Text
    address: Text
    pid: Count
    created: float
    host: Text
    memory_limits: NotRequired[dict[Text, Count]]
