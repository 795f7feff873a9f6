"""A result and all that belongs to it in one zip: figures, numbers, provenance, how to make it again, a citation.

Dropped on another installation's Library page it is the comparison again.
"""

from __future__ import annotations

import io
import json
import shlex
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cka_core.base import npz
from cka_core.base.version import VERSION
from cka_core.results import figures, files, intervals, paper, passed_on, report, words
from cka_core.results.colours import COLOURS
from cka_core.results.differences import is_difference
from cka_core.results.provenance import command_words

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

RESULT, PROVENANCE = "result.npz", "provenance.json"
WHAT = "a result with its figures (.zip)"
BOUNDS = npz.Bounds(members=64, unpacked=files.LARGEST + (64 << 20))
MEMBERS = {
    "README.txt", "report.html", "figure.png", "figure.svg", "figure.pdf", "matrix.csv", "cells.csv", RESULT,
    PROVENANCE, "again.py", "CITATION.bib", "again.npz", "again.png",
}  # fmt: skip
"""What lies in the zip, and what its script writes beside it."""
WHEN = (2000, 1, 1, 0, 0, 0)
"""Of every member, so that the same result is the same bytes."""
README = """{title}
{facts}
{notes}
report.html      the map, offline; click a cell
figure.*         the map for a paper, PNG, SVG and PDF
matrix.csv       the numbers, layers named
{cells}result.npz       everything: cka_core.Comparison.load("result.npz"), or drop this zip on the Library page
provenance.json  networks, images, preprocessing, versions
again.py         {again}
CITATION.bib     what to cite
"""
CELLS = "cells.csv        a row a cell, with its 95 % interval, and how many images decide it\n"
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
FOR_TEX = str.maketrans({
    **{letter: f"\\{letter}" for letter in "%&#_$"}, "\\": r"{\textbackslash}", "{": r"{\textbraceleft}",
    "}": r"{\textbraceright}", "~": r"{\textasciitilde}", "^": r"{\textasciicircum}", "\n": " ",
})  # fmt: skip
"""What TeX reads as the letters that stand in a name; BibTeX counts braces, a backslash before them or not."""
AGAIN = '''"""Computes this result again, into again.npz and again.png beside this script, with cka_core installed."""

import subprocess
import sys
from pathlib import Path

TITLE = {title!r}
COMMAND = {command!r}
HERE = Path(__file__).resolve().parent
BESIDE = {beside!r}  # files that must lie beside this script, and their digests
WORDS = [{words}]

missing = [f"{{name}} (digest {{digest}})" if digest else name for name, digest in BESIDE.items()
           if not (HERE / name).is_file()]
if missing:
    sys.exit(f"Missing beside {{Path(__file__).name}}: {{', '.join(missing)}}. Put it there and run this again.")
sys.exit(subprocess.call([sys.executable, "-m", "cka_core", *map(str, WORDS)]))
'''
BY_HAND = '''"""This result was made in Python{of}. This draws it as it is kept."""

from pathlib import Path

from cka_core import Comparison

TITLE = {title!r}
HERE = Path(__file__).resolve().parent

result = Comparison.load(HERE / "result.npz")
print(result)
result.savefig(HERE / "again.png", limits={limits!r}, colours={colours!r})
# The numbers themselves{how}
'''
OWN = ("python", "-m", "cka_core", "compare")
"""How the command of a result begins that `AGAIN` runs. A result comes from anywhere, and so does its command."""
USUAL = ("cka", "cka-linear-unbiased", "flatten", "inference")
"""What options of `compare` are where nothing is said."""
WRITTEN = {"--out": "again.npz", "--figure": "again.png"}


def to_bytes(
    comparison: Comparison, *, titles: tuple[str, str] | None = None, colours: str = "magma",
    limits: tuple[float, float] | None = None,
) -> bytes:  # fmt: skip
    """The zip; ``titles``, ``colours`` and ``limits`` are those of its figures."""
    comparison = passed_on.passed_on(comparison, MEMBERS)
    title = " × ".join(titles or (comparison.name_a, comparison.name_b))
    facts = words.provenance_text({**comparison.provenance, "seconds": None})
    year = str(comparison.provenance.get("created") or "")[:4]
    about = comparison.provenance | ({"warnings": list(comparison.warnings)} if comparison.warnings else {})
    again, what = _again(comparison, title, colours, limits)
    members: dict[str, str | bytes] = {
        "README.txt": README.format(
            title=title,
            facts=facts,
            notes="".join(f"{note}\n" for note in report.notes(comparison)),
            again=what,
            cells="" if comparison.jackknife is None else CELLS,
        ),
        "report.html": report.to_html(comparison, titles=titles, colours=colours, limits=limits),
        **{
            f"figure.{format}": paper.paper_figure(
                comparison, titles=titles, colours=colours, limits=limits, format=format
            )
            for format in figures.PAPER_FORMATS
        },
        "matrix.csv": comparison.to_csv(),
        **({"cells.csv": comparison.to_cells_csv()} if comparison.jackknife is not None else {}),
        RESULT: comparison.to_bytes(),
        PROVENANCE: json.dumps(about, indent=2, default=str) + "\n",
        "again.py": again,
        "CITATION.bib": CITATION.format(
            title=title.translate(FOR_TEX), facts=facts.translate(FOR_TEX), version=VERSION, year=year or "n.d."
        ),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, WHEN), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _again(comparison: Comparison, title: str, colours: str, limits: tuple[float, float] | None) -> tuple[str, str]:
    """The script that computes it again, or draws what is kept, and a line about it."""
    limits = None if limits is None else (float(limits[0]), float(limits[1]))
    given, first = command_words(comparison.provenance)
    if tuple(given[:first]) != OWN:
        of, how = ", of models or arrays that are not here", f": cka_core.{_call(comparison)}"
        if is_difference(comparison):
            of, lines = ", one result less another", words.command(comparison).splitlines()[1:]
            how = ", in a shell:" + "".join(f"\n#   {line}" for line in lines) if lines else (
                ": cka_core.results.differences.difference(one, other, …), of two results made in Python"
            )  # fmt: skip
        script = BY_HAND.format(title=title, of=of, how=how, limits=limits, colours=colours)
        return script, "draws the result again, with cka_core installed; it was made in Python"
    command = words.command(comparison)
    command += f" --range {limits[0]!r}:{limits[1]!r}" if limits else ""
    command += f" --colours {colours}" if colours != COLOURS[0] else ""
    code, asked = [], shlex.split(command)[len(OWN) - 1 :]
    for index, (before, word) in enumerate(zip(["", *asked], asked, strict=False)):
        name = WRITTEN.get(before) or (word if index in (1, 2) and passed_on.file_in(word) else "")
        code.append(f"HERE / {name!r}" if name else repr(word))
    needed = passed_on.needed(comparison)
    beside = {one.name: one.digest for one in needed if one.is_file}
    what = "computes it again, into again.npz and again.png, with cka_core installed"
    for where, those in (("beside it", True), ("in the library", False)):
        there = "; ".join(str(one) for one in needed if one.is_file == those)
        what += f"\n                 {where} must be: {there}" if there else ""
    return AGAIN.format(title=title, command=command, beside=beside, words=", ".join(code)), what


def _call(comparison: Comparison) -> str:
    """The call that made a result of models or arrays, as far as the result says it."""
    about = comparison.provenance
    arrays = (about.get("network_a") or {}).get("source") == "arrays"
    options = ("batch_size", "tokens", "batch_norm", "measure", "layers")
    given = {name: repr(about[name]) for name in options if about.get(name) not in (None, *USUAL)}
    if intervals.measure_of(comparison) is None:
        given["measure"] = "…"  # a function of one's own
    call = "compare_activations(a, b" if arrays else "compare(model_a, model_b, images"
    return ", ".join([call, *(f"{name}={value}" for name, value in given.items())]) + ")"


def is_one(names: set[str]) -> bool:
    """Whether an archive with these members is such a zip."""
    return {RESULT, PROVENANCE} <= names


def result_in(source: IO[bytes], file_name: str) -> bytes:
    """The saved comparison in a zip; `npz.NotReadable` for anything else. What else is in it is not looked at."""
    with npz.reading(WHAT, file_name), npz.opened(source, BOUNDS) as archive:
        return archive.read(RESULT)


def result_of(path: Path) -> bytes:
    """The saved comparison in such a zip; of any other file all of its bytes. `npz.NotReadable` for a zip too large."""
    with open(path, "rb") as source:
        if zipfile.is_zipfile(source):
            with npz.reading(WHAT, path.name), npz.opened(source, BOUNDS) as archive:
                if is_one(set(archive.namelist())):
                    return archive.read(RESULT)
        source.seek(0)
        return source.read()
