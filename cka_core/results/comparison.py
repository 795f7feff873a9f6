"""The result of a comparison: the CKA of every layer of A with every layer of B, what it means and where it came from.

Light: numpy only. pandas and plotly are imported by the methods that need them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.base import extras, npz, shipped
from cka_core.base.atomic import write_atomically
from cka_core.base.store import Store
from cka_core.measures import registry as measures
from cka_core.measures.jackknife import Jackknife
from cka_core.networks.layers import Layer
from cka_core.results import files, intervals
from cka_core.results import provenance as provenances
from cka_core.results.files import read_about as read_about  # it is asked of a comparison
from cka_core.results.provenance import is_self as is_self
from cka_core.results.spec import MEASURE as MEASURE
from cka_core.results.spec import CompareSpec as CompareSpec

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects


log = logging.getLogger(__name__)

UPLOADED = "uploaded-"
"""How the keys of comparisons begin that were brought in from a file: they answer no question unasked."""


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Similarity of the layers of two networks.

    Attributes
    ----------
    matrix : float64 (layers of A, layers of B), read-only
        CKA, not clamped. NaN where one of the two layers has none.
    layers_a, layers_b : tuple of Layer
        What the rows and the columns are, from the input to the output.
    reasons_a, reasons_b : tuple of str or None
        Why a layer has no CKA ("no variance", "one image only"); None for a layer that has.
    provenance : dict of JSON values
        ``network_a``, ``network_b`` (name, architecture, weights, source, seed), ``images``, ``batch_size``,
        ``measure``, ``versions``, ``seconds``, ``command``, ``created``, …
    warnings : tuple of str
        What a reader should know before trusting the last digits.
    jackknife : `Jackknife` or None
        Standard errors of unbiased CKA, and how many images decide a layer; None of other measures and older results.
    """

    matrix: np.ndarray
    layers_a: tuple[Layer, ...]
    layers_b: tuple[Layer, ...]
    reasons_a: tuple[str | None, ...] = ()
    reasons_b: tuple[str | None, ...] = ()
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    jackknife: Jackknife | None = None

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, np.float64)
        matrix.setflags(write=False)
        expected = (len(self.layers_a), len(self.layers_b))
        if matrix.shape != expected:
            raise ValueError(f"Expected a matrix of {expected}, layers of A by layers of B, got {matrix.shape}.")
        fields: dict[str, Any] = {
            "matrix": matrix,
            "layers_a": tuple(self.layers_a),
            "layers_b": tuple(self.layers_b),
            "reasons_a": tuple(self.reasons_a) or (None,) * expected[0],
            "reasons_b": tuple(self.reasons_b) or (None,) * expected[1],
            "warnings": tuple(self.warnings),
        }
        for side, count in zip("ab", expected, strict=True):
            if len(fields[f"reasons_{side}"]) != count:
                raise ValueError(f"Expected {count} reasons_{side}, one a layer, got {len(fields[f'reasons_{side}'])}.")
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if self.jackknife is not None:
            intervals.check(self.jackknife, expected)

    def __repr__(self) -> str:
        n, size = (self.provenance.get("images") or {}).get("n", "?"), self.matrix.shape
        return f"Comparison({self.name_a} × {self.name_b}, {size[0]} × {size[1]} layers, {n} images)"

    @property
    def name_a(self) -> str:
        return (self.provenance.get("network_a") or {}).get("name") or "A"

    @property
    def name_b(self) -> str:
        return (self.provenance.get("network_b") or {}).get("name") or "B"

    @property
    def is_self(self) -> bool:
        return is_self(self.provenance)

    # Views of the same result.

    def transpose(self) -> Comparison:
        """The same comparison with the networks swapped."""
        return Comparison(
            matrix=self.matrix.T,
            layers_a=self.layers_b,
            layers_b=self.layers_a,
            reasons_a=self.reasons_b,
            reasons_b=self.reasons_a,
            provenance=provenances.swapped(self.provenance),
            warnings=self.warnings,
            jackknife=None if self.jackknife is None else self.jackknife.transpose(),
        )

    def select(self, a: Any = None, b: Any = None) -> Comparison:
        """Only some layers: ``a`` and ``b`` are boolean masks or lists of positions; None keeps all."""
        rows = _positions(a, len(self.layers_a), self.name_a)
        columns = _positions(b, len(self.layers_b), self.name_b)
        return dataclasses.replace(
            self,
            matrix=self.matrix[np.ix_(rows, columns)],
            layers_a=tuple(self.layers_a[i] for i in rows),
            layers_b=tuple(self.layers_b[i] for i in columns),
            reasons_a=tuple(self.reasons_a[i] for i in rows),
            reasons_b=tuple(self.reasons_b[i] for i in columns),
            jackknife=None if self.jackknife is None else self.jackknife.select(rows, columns),
        )

    def best_match(self, axis: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The most similar layer of the other network.

        ``axis=1`` answers for each layer of A (a row), ``axis=0`` for each layer of B (a column). Returns positions
        (int, -1 where a layer has no CKA with any) and their CKA (float64, NaN there).
        """
        if axis not in (0, 1):
            raise ValueError(f"Expected axis 1 (for each layer of A) or 0 (for each layer of B), got {axis!r}.")
        rows = self.matrix if axis == 1 else self.matrix.T
        if rows.shape[1] == 0:
            return np.full(len(rows), -1), np.full(len(rows), np.nan)
        position = np.where(np.isnan(rows), -np.inf, rows).argmax(axis=1)
        value = rows[np.arange(len(rows)), position]
        return np.where(np.isnan(value), -1, position), value

    # How far to trust it.

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of every cell of unbiased CKA, float64 like ``matrix``, NaN where that is (`jackknife.interval`).

        Where few images decide (`n_eff` under 30) it is too short. ValueError for another measure, and for a result
        that was kept without standard errors.
        """
        return intervals.interval(self, level)

    @property
    def n_eff(self) -> np.ndarray:
        """How many images decide each cell, float64 like ``matrix``. Raises as `interval` does."""
        return intervals.kept(self).n_eff

    @property
    def chance(self) -> float:
        """Standard deviation of unbiased CKA when one network's images are permuted (`measures.chance.chance`).

        "Above chance" means 5 of them. ValueError for another measure, and where the number of images is not known.
        """
        return intervals.chance(self)

    # Ways out.

    @extras.told()
    def to_frame(self) -> pandas.DataFrame:
        """pandas, rows and columns labelled with the layers' names and the networks' names."""
        import pandas

        return pandas.DataFrame(
            self.matrix,
            index=pandas.Index([layer.name for layer in self.layers_a], name=self.name_a),
            columns=pandas.Index([layer.name for layer in self.layers_b], name=self.name_b),
        )

    def to_csv(self) -> str:
        """The matrix as CSV, full precision, layer names as header and first column, empty where there is no CKA.

        A name that a spreadsheet would take for a formula gets an apostrophe before it.
        """
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(["layer", *(cell_text(layer.name) for layer in self.layers_b)])
        for layer, row in zip(self.layers_a, self.matrix, strict=True):
            writer.writerow([cell_text(layer.name), *(None if value != value else value for value in row.tolist())])
        return text.getvalue()

    def to_cells_csv(self, level: float = 0.95) -> str:
        """A row a cell as CSV: both layers, the value, and where known ``n_eff`` and, from 30 of them, the interval."""
        return intervals.cells_csv(self, level)

    def heatmap(self, **options: Any) -> plotly.graph_objects.Figure:
        """The matrix as an interactive plotly figure (`cka_core.results.figures.heatmap`)."""
        from cka_core.results import figures

        return figures.heatmap(self, **options)

    def savefig(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write the map to a file, by its ending .png, .svg, .pdf or .html; see `results.paper.save_figure`.

        ``width=`` (inches), ``font_size=`` (points), ``stages=`` (labels where stages begin, and lines), ``limits=``
        (values of the darkest and the lightest colour), ``colours=``, ``titles=``, ``dpi=``, ``size=``.
        """
        from cka_core.results.paper import save_figure

        return save_figure(self, path, **options)

    def _repr_html_(self) -> str:
        from cka_core.results.notebook import html_of

        return html_of(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an npz file, in one piece or not at all; `load` reads it back. ValueError for an ending but .npz or
        none."""
        files.check_ending(path)
        return write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The npz file that `save` writes. The same result is the same bytes."""
        return files.write(
            self.matrix,
            {
                "layers_a": [dataclasses.asdict(layer) for layer in self.layers_a],
                "layers_b": [dataclasses.asdict(layer) for layer in self.layers_b],
                "reasons_a": self.reasons_a,
                "reasons_b": self.reasons_b,
                "provenance": self.provenance,
                "warnings": self.warnings,
            },
            intervals.to_arrays(self.jackknife),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Comparison:
        """Read what `to_bytes` wrote; `npz.NotReadable`, a ValueError, if it is anything else. Nothing is unpickled."""
        with npz.reading(files.WHAT):
            matrix, about, arrays = files.read(data)
            return cls(
                matrix=matrix,
                layers_a=tuple(Layer.from_json(layer) for layer in about["layers_a"]),
                layers_b=tuple(Layer.from_json(layer) for layer in about["layers_b"]),
                reasons_a=tuple(about["reasons_a"]),
                reasons_b=tuple(about["reasons_b"]),
                provenance=dict(about["provenance"]),
                warnings=tuple(about["warnings"]),
                jackknife=intervals.from_arrays(arrays),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Comparison:
        """Read a file that `save` wrote, or the result in a zip of `compare --bundle`.

        Raises
        ------
        FileNotFoundError
            If there is none.
        ValueError
            If it is no comparison or is damaged.
        """
        from cka_core.results import package

        try:
            return cls.from_bytes(package.result_of(Path(path).expanduser()))
        except ValueError as error:
            raise npz.NotReadable(f"{path}: {error} Save the comparison again, or compare again.") from error


def find(spec: CompareSpec, store: Store) -> Comparison | None:
    """A finished comparison: bundled, or in the store, or the other way round (then transposed); None if there is none.

    A file that cannot be read is reported and passed over, the store's is set aside: it will be computed again.
    The networks are called what ``spec`` calls them: one may have been renamed since.
    """
    found = read(spec.key, store)
    if found is None and spec.swapped().key != spec.key and measures.measure(spec.measure).symmetric:
        found = read(spec.swapped().key, store)
        found = found.transpose() if found is not None else None
    return _renamed(found, spec) if found is not None else None


def read(key: str, store: Store) -> Comparison | None:
    """The comparison stored or bundled under a key; see `find`. One with standard errors goes before one without."""
    bundled = _bundled(key)
    data = store.get("comparisons", key) if bundled is None or bundled.jackknife is None else None
    if data is None:
        return bundled
    try:
        stored = Comparison.from_bytes(data)
    except ValueError as error:
        store.set_aside_object("comparisons", key, str(error))
        return bundled
    return stored if bundled is None or stored.jackknife is not None else bundled


def _bundled(key: str) -> Comparison | None:
    bundled = shipped.COMPARISONS / f"{key}.npz"
    if bundled.is_file():
        try:
            return Comparison.load(bundled)
        except ValueError as error:
            log.warning("A bundled comparison is passed over. %s", error)
    return None


def _positions(which: Any, count: int, network: str) -> np.ndarray:
    if which is None:
        return np.arange(count)
    given, which = which, np.asarray(which)
    if which.dtype.kind in "SU":
        raise ValueError(
            f"Expected a mask or a list of positions in the layers of {network}, got names: {given!r:.60}. Positions "
            "are [i for i, layer in enumerate(result.layers_a) if layer.name in names], and layers_b for b."
        )
    if which.dtype == bool:
        if which.shape != (count,):
            raise ValueError(f"Expected a mask of {count} values, one a layer of {network}, got {which.shape}.")
        return np.flatnonzero(which)
    whole = which.ndim == 1 and (which.dtype.kind in "iu" or not which.size)
    if not whole or (which.size and not (0 <= which.min() and which.max() < count)):
        raise ValueError(
            f"Expected a mask or a list of positions 0 to {count - 1} in the layers of {network}, got {given!r:.60}."
        )
    return which.astype(np.intp)


def cell_text(name: str) -> str:
    """A name as a cell. Spreadsheets pass by white space before they see a formula."""
    return f"'{name}" if name.lstrip().startswith(("=", "+", "-", "@")) or name.startswith(("\t", "\r", "\n")) else name


def _renamed(result: Comparison, spec: CompareSpec) -> Comparison:
    """The same result, its networks called as in ``spec``."""
    names = {side: (one.name, one.path or one.name) for side, one in (("network_a", spec.a), ("network_b", spec.b))}
    provenance = provenances.renamed(result.provenance, names)
    return dataclasses.replace(result, provenance=provenance) if provenance != result.provenance else result
