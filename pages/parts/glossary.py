"""The terms of the field, each in one sentence, for every page: one file, glossary.json."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).parent / "glossary.json"


@lru_cache(maxsize=1)
def terms() -> dict[str, str]:
    """Every term and its sentence, in the order in which a lesson needs them. Not to be changed by the caller."""
    found: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def explain(term: str) -> str:
    """The one sentence that explains a term, for a hint where it first appears. ValueError for an unknown term."""
    if term not in terms():
        raise ValueError(f"The glossary has no {term!r}. It explains: {', '.join(terms())}.")
    return terms()[term]


def hint(*names: str, after: str = "") -> str:
    """Several terms explained, a paragraph each, for the hint of the place where they first stand; ``after`` is said
    below them."""
    told = [f"**{name[:1].upper()}{name[1:]}:** {explain(name)}" for name in names]
    return "\n\n".join([*told, after] if after else told)
