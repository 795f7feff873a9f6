"""A result as it is passed on: no folder of whoever made it, and what must be there to compute it again."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cka_core.images.sets import IMAGE_SETS
from cka_core.results import provenance as provenances

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

SIDES = ("network_a", "network_b")
FUNCTION = re.compile(r"(?P<path>.+\.py):(?P<function>[A-Za-z_]\w*)")
"""How the command line names a function of a Python file that builds a network."""


@dataclasses.dataclass(frozen=True)
class Needed:
    """What computes a result again: a file beside the script, or else something of the library.

    ``digest`` is that of the weights, of what an activation set holds, or of the images; empty where not known.
    """

    name: str
    digest: str
    is_file: bool

    def __str__(self) -> str:
        return f"{self.name} (digest {self.digest})" if self.digest else self.name


def passed_on(comparison: Comparison, taken: Iterable[str] = ()) -> Comparison:
    """The same result, its provenance naming files without their folders.

    Two files of one name, and one called as in ``taken``, are told apart by "a-" and "b-" before it.
    """
    both = comparison.provenance.get("commands")
    if both:
        provenance = comparison.provenance | {"commands": [line and _bare(line) for line in both]}
        return dataclasses.replace(comparison, provenance=provenance)
    words, first = provenances.command_words(comparison.provenance)
    if not first or not any(map(file_in, words[first : first + 2])):
        return comparison
    given = words[first : first + 2]
    files = [file_in(word) for word in given]
    bare = [Path(file).name for file in files]
    clash = bare[0] == bare[1] and files[0] != files[1]
    provenance = dict(comparison.provenance)
    for index, (side, file, name) in enumerate(zip(SIDES, files, bare, strict=True)):
        if not file:
            continue
        told_apart = f"{side[-1]}-{name}" if clash or name in taken else name
        words[first + index] = told_apart + given[index].removeprefix(file)
        network = provenance.get(side) or {}
        if network.get("name") in (given[index], Path(given[index]).name):
            provenance[side] = network | {"name": words[first + index]}
    return dataclasses.replace(comparison, provenance=provenance | {"command": shlex.join(words)})


def _bare(line: str) -> str:
    """A command that names files without their folders."""
    words, first = provenances.command_words({"command": line})
    for index in range(first, first + 2) if first else ():
        file = file_in(words[index])
        words[index] = Path(file).name + words[index].removeprefix(file) if file else words[index]
    return shlex.join(words)


def needed(comparison: Comparison) -> list[Needed]:
    """What must be there to compute a result again that was `passed_on`, but for what ships."""
    words, first = provenances.command_words(comparison.provenance)
    found = []
    for side, word in zip(SIDES, words[first : first + 2] if first else (), strict=False):
        network = comparison.provenance.get(side) or {}
        file = file_in(word)
        digest = str(network.get("set") or network.get("weights") or "")
        if file or network.get("source") in ("own", "trained", "activations"):
            found.append(Needed(file or word, digest, bool(file)))
    images = comparison.provenance.get("images") or {}
    if first and "--images" in words and images.get("images") not in IMAGE_SETS:
        found.append(Needed(f"the images {images.get('images')}", str(images.get("digest") or ""), False))
    return list(dict.fromkeys(found))


def file_in(word: str) -> str:
    """The path in a word that says which network; empty where it names one of the library."""
    function = FUNCTION.fullmatch(word)
    if function:
        return function["path"]
    return word if word.endswith(".keras") or Path(word).name != word else ""
