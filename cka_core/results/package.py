"""A result and all that belongs to it in one zip: figures, numbers, provenance, how to make it again, a citation.

Dropped on another installation's Library page it is the comparison again.
"""

from __future__ import annotations

import io
import json
import zipfile
from importlib.metadata import PackageNotFoundError, version
from typing import IO, TYPE_CHECKING

from cka_core.base import npz
from cka_core.results import files, paper, report, words

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

RESULT, PROVENANCE = "result.npz", "provenance.json"
WHAT = "a result with its figures (.zip)"
BOUNDS = npz.Bounds(members=64, unpacked=files.LARGEST + (64 << 20))
WHEN = (2000, 1, 1, 0, 0, 0)
"""Of every member, so that the same result is the same bytes."""
README = """{title}
{facts}

report.html      the map, offline; click a cell
figure.*         the map for a paper, PNG, SVG and PDF
matrix.csv       the numbers, layers named
cells.csv        a row a cell, with its 95 % interval (where there are intervals)
result.npz       everything: cka_core.Comparison.load("result.npz"), or drop this zip on the Library page
provenance.json  networks, images, preprocessing, versions
again.py         computes it again, with cka_core installed
CITATION.bib     what to cite
"""
CITATION = """@misc{{cka_explorer,
  title = {{CKA Explorer {version}: which layers of two neural networks represent images alike}},
  note = {{{title}: {facts}}},
  year = {{{year}}}
}}

@inproceedings{{nguyen2021wide,
  title = {{Do Wide and Deep Networks Learn the Same Things? Uncovering How Neural Network Representations Vary with
           Width and Depth}},
  author = {{Nguyen, Thao and Raghu, Maithra and Kornblith, Simon}},
  booktitle = {{International Conference on Learning Representations}},
  year = {{2021}},
  note = {{arXiv:2010.15327}}
}}
"""
AGAIN = '''"""Computes this result again: {title}."""

import shlex
import subprocess
import sys

COMMAND = {command!r}

words = shlex.split(COMMAND)
sys.exit(subprocess.call([sys.executable, *words[1:]]))
'''
BY_HAND = '''"""{title}: made in Python of models or arrays that are not here. This draws the result that is kept."""

from pathlib import Path

from cka_core import Comparison

result = Comparison.load(Path(__file__).with_name("result.npz"))
print(result)
result.savefig("again.png")
# The numbers themselves: cka_core.compare(model_a, model_b, images, batch_size={batch_size})
'''


def to_bytes(
    comparison: Comparison, *, titles: tuple[str, str] | None = None, colours: str = "magma",
    limits: tuple[float, float] | None = None,
) -> bytes:  # fmt: skip
    """The zip; ``titles``, ``colours`` and ``limits`` are those of its figures."""
    title = " × ".join(titles or (comparison.name_a, comparison.name_b))
    facts, command = words.facts(comparison), comparison.provenance.get("command")
    year = str(comparison.provenance.get("created") or "")[:4]
    batch_size = comparison.provenance.get("batch_size")
    members: dict[str, str | bytes] = {
        "README.txt": README.format(title=title, facts=facts),
        "report.html": report.to_html(comparison, titles=titles, colours=colours, limits=limits),
        **{
            f"figure.{format}": paper.paper_figure(
                comparison, titles=titles, colours=colours, limits=limits, format=format
            )
            for format in ("png", "svg", "pdf")
        },
        "matrix.csv": comparison.to_csv(),
        **({"cells.csv": comparison.to_cells_csv()} if comparison.jackknife is not None else {}),
        RESULT: comparison.to_bytes(),
        PROVENANCE: json.dumps(comparison.provenance, indent=2, default=str) + "\n",
        "again.py": AGAIN.format(title=title, command=command)
        if command
        else BY_HAND.format(title=title, batch_size=batch_size),
        "CITATION.bib": CITATION.format(title=title, facts=facts, version=_version(), year=year or "n.d."),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, WHEN), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def is_one(names: set[str]) -> bool:
    """Whether an archive with these members is such a zip."""
    return {RESULT, PROVENANCE} <= names


def result_in(source: IO[bytes], file_name: str) -> bytes:
    """The saved comparison in a zip; `npz.NotReadable` for anything else. What else is in it is not looked at."""
    with npz.reading(WHAT, file_name), npz.opened(source, BOUNDS) as archive:
        return archive.read(RESULT)


def _version() -> str:
    try:
        return version("cka-explorer")
    except PackageNotFoundError:
        return ""
