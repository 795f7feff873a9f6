"""How biased and unbiased CKA of a pair of layers depend on the images: kept in the store or bundled, and drawn."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import npz, shipped
from cka_core.base.keys import key_of
from cka_core.base.store import Store
from cka_core.measures import estimators
from cka_core.measures.estimators import DRAWS, Estimates
from cka_core.results import room
from cka_core.results.colours import CURVE_A, CURVE_B
from cka_core.results.figures import band
from cka_core.results.spec import MEASURE, CompareSpec

if TYPE_CHECKING:
    import plotly.graph_objects

KIND = "estimates"
MOST_IMAGES = 1024
LIMIT = 64 << 20
"""Bytes that such a file may unpack to."""
UNBIASED, BIASED = CURVE_B, CURVE_A


@dataclasses.dataclass(frozen=True)
class EstimatorSpec:
    """A layer of each network of a comparison, on at most 1,024 of its images."""

    of: CompareSpec
    layer_a: str
    layer_b: str
    draws: int = DRAWS

    @property
    def key(self) -> str:
        same = dataclasses.replace(self.of, measure=MEASURE, passes=1, without="")
        return key_of({"estimators": same.key, "layers": [self.layer_a, self.layer_b], "draws": self.draws})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EstimatorSpec:
        """The one whose ``dataclasses.asdict`` is ``values``."""
        return cls(CompareSpec.from_json(values["of"]), values["layer_a"], values["layer_b"], int(values["draws"]))


def to_bytes(found: Estimates) -> bytes:
    """An npz file of it; `from_bytes` reads it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("images", "sizes"):
            npz.add(archive, name, np.asarray(getattr(found, name), "<i8"))
        npz.add(archive, "draws", np.array([len(found.biased)], "<i8"))
        for name in ("unbiased", "biased", "level"):
            npz.add(archive, name, np.asarray(getattr(found, name), "<f8"))
    return buffer.getvalue()


def from_bytes(data: bytes) -> Estimates:
    """Read what `to_bytes` wrote; `npz.NotReadable`, a ValueError, for anything else. Nothing is unpickled."""
    with npz.reading("estimates of CKA"), npz.opened(io.BytesIO(data), npz.Bounds(unpacked=LIMIT)) as archive:
        images, sizes = (npz.array(archive, name, "<i8") for name in ("images", "sizes"))
        shape = (int(npz.array(archive, "draws", "<i8", (1,))[0]), len(images), len(sizes))
        values = [npz.array(archive, name, "<f8", shape) for name in ("unbiased", "biased")]
        return Estimates(images, sizes, values[0], values[1], npz.array(archive, "level", "<f8", shape[2:]))


def find(spec: EstimatorSpec, store: Store) -> Estimates | None:
    """What is kept or bundled of it; None if nothing is."""
    bundled = shipped.ESTIMATES / f"{spec.key}.npz"
    data = bundled.read_bytes() if bundled.is_file() else store.get(KIND, spec.key)
    if data is None:
        return None
    try:
        return from_bytes(data)
    except ValueError as error:
        store.set_aside_object(KIND, spec.key, str(error))
        return None


def keep(spec: EstimatorSpec, found: Estimates, store: Store) -> None:
    """Into the store."""
    store.put(KIND, spec.key, to_bytes(found))


def against_images(
    found: Estimates, size: int, features: tuple[int, int], *, narrow: bool = False
) -> plotly.graph_objects.Figure:
    """Both estimators against the number of images, in minibatches of ``size`` (0: all images at once). ``narrow``: for
    a phone."""
    columns = [int(np.flatnonzero(found.sizes == (size or n))[0]) for n in found.images]
    rows = np.arange(len(found.images))
    kept = [n % (size or n) == 0 for n in found.images]
    picked = (found.unbiased[:, rows, columns], found.biased[:, rows, columns])
    at = found.images if not size else np.full(len(found.images), size)
    return _figure(found.images, kept, picked, (found.level[columns], at), features, "images", narrow)


def against_sizes(
    found: Estimates, n: int, features: tuple[int, int], *, narrow: bool = False
) -> plotly.graph_objects.Figure:
    """Both estimators of ``n`` images against how many of them a minibatch has. ``narrow``: for a phone."""
    row = int(np.flatnonzero(found.images == n)[0])
    kept = [n % size == 0 for size in found.sizes]
    picked = (found.unbiased[:, row], found.biased[:, row])
    return _figure(found.sizes, kept, picked, (found.level, found.sizes), features, "images in a minibatch", narrow)


def _figure(
    x: np.ndarray,
    kept: list[bool],
    picked: tuple[np.ndarray, np.ndarray],
    theory: tuple[np.ndarray, np.ndarray],
    features: tuple[int, int],
    title: str,
    narrow: bool,
) -> plotly.graph_objects.Figure:
    """Mean and spread of both estimators, and two levels of chance of the biased one."""
    import plotly.graph_objects as go

    figure, chosen = go.Figure(), np.array(kept, bool)
    level, at = theory
    for name, values, colour in zip(("unbiased", "biased"), picked, (UNBIASED, BIASED), strict=True):
        mean, low, high = (found[chosen] for found in estimators.summary(values))
        band(figure, x[chosen], low, high, colour)
        figure.add_scatter(
            x=x[chosen],
            y=mean,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            name=f"{name} CKA",
            customdata=np.stack([low, high], axis=1),
            hovertemplate=f"{name}  %{{y:.3f}}  [%{{customdata[0]:.3f}}, %{{customdata[1]:.3f}}]<extra></extra>",
        )
    p, q = features
    for values, dash, name in (
        (level, "dash", "biased, images of one layer permuted"),
        (estimators.murphy(at, p, q), "dot", f"biased, independent noise of {p:,} and {q:,} features"),
    ):
        figure.add_scatter(
            x=x[chosen],
            y=values[chosen],
            mode="lines",
            line={"color": BIASED, "width": 1, "dash": dash},
            name=name,
            hovertemplate=f"{name}  %{{y:.3f}}<extra></extra>",
        )
    ticks = [f"{n:,}" for n in x[chosen]]
    figure.update_layout(
        room.legend_below([trace.name for trace in figure.data if trace.name], 380, narrow),
        xaxis={
            "title": {"text": title},
            "type": "log",
            "tickvals": x[chosen],
            "ticktext": ticks,
        },
        yaxis={"title": {"text": "CKA"}, "range": [-0.3, 1.02]},
        hovermode="x",
    )
    return figure
