"""Where a comparison came from, read from either side, and with the names that its networks have now."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def is_self(provenance: Mapping[str, Any]) -> bool:
    """Whether both sides are one network: same architecture and weights (or seed, where nothing was trained)."""
    a, b = provenance.get("network_a") or {}, provenance.get("network_b") or {}
    told_apart_by = ["architecture", "weights"]
    if not a.get("weights"):
        told_apart_by += ["source", "seed", "name"]
    return bool(a) and all(a.get(key) == b.get(key) for key in told_apart_by)


def swapped(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance seen from the other network: what ends in _a and in _b changes place, in the command too."""

    def other(key: str) -> str:
        for end, opposite in (("_a", "_b"), ("_b", "_a")):
            if key.endswith(end) and key[:-2] + opposite in provenance:
                return key[:-2] + opposite
        return key

    found = {key: provenance[other(key)] for key in provenance}
    if "of" in found:  # the side a measure that is not symmetric is of
        found["of"] = "columns" if found["of"] == "rows" else "rows"
    words, first = command_words(found)
    if first and "of" not in found:
        words[first], words[first + 1] = words[first + 1], words[first]
        found["command"] = shlex.join(words)
    return found


def renamed(provenance: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The same with its networks called otherwise. ``names``: of "network_a" and "network_b", the name and what the
    command line calls it."""
    changed = {
        side: dict(provenance[side]) | {"name": name}
        for side, (name, _) in names.items()
        if provenance.get(side) and provenance[side].get("name") != name
    }
    found = {**provenance, **changed}
    words, first = command_words(found)
    if first and changed:
        for position, side in enumerate(("network_a", "network_b"), first):
            if side in changed:
                words[position] = names[side][1]
        found["command"] = shlex.join(words)
    return found


def command_words(provenance: Mapping[str, Any]) -> tuple[list[str], int]:
    """The words of the command that computes it again, and where the first network stands in them; 0 where nowhere."""
    try:
        words = shlex.split(provenance.get("command") or "")
    except ValueError:  # quotes that never close: somebody wrote it by hand
        return [], 0
    return words, words.index("compare") + 1 if "compare" in words[:-2] else 0
