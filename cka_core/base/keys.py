"""Keys of what was asked for, and names that may become files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""What Windows calls devices."""
DRIVE = re.compile(r"[A-Za-z]:(?:[/\\]|$)")
"""How Windows begins a path with its drive. Any other colon is a name's own: ``relu:1``, ``conv/BiasAdd:0``."""
LATER: dict[str, bool] = {"later": True}
"""Metadata of a dataclass field that came later than files with keys: at its default it is in no key, so that what was
asked for before has the key it had."""


def plain(value: Any) -> Any:
    """Dataclasses as dicts, their `LATER` fields only where they are not the default."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {
            field.name: plain(own) for field, own in pairs if not (field.metadata.get("later") and own == field.default)
        }
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def canonical_json(value: Any) -> str:
    """One text for one value: dataclasses as objects (`plain`), keys sorted, no spaces."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(spec: Any) -> str:
    """The key of a spec: the first 24 hex digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()[:24]


def leads_out(name: str) -> bool:
    """Whether the name of an archive's member, taken as a path on any system, lies outside of where it is unpacked."""
    return "\\" in name or name.startswith("/") or ".." in name.split("/") or DRIVE.match(name) is not None


def check_file_name(name: str) -> None:
    """A ValueError unless every file system takes ``name`` as a file's name and none understands it as a path."""
    if RESERVED.fullmatch(name):
        raise ValueError(
            f"{name} is the name of a device on Windows, which takes no file of that name. Choose another."
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or name.endswith((".keras", ".npz", ".json", ".")):
        raise ValueError(
            f"Expected a name of up to 100 letters (a to z, A to Z), digits, '-', '_' and '.', beginning with a letter "
            f"or digit and not ending like a file, got {name!r}."
        )
