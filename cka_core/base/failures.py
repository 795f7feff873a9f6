"""What a library says when it fails, in a line that may be shown to anybody."""

from __future__ import annotations

import re

LONGEST = 300
"""Letters of a line that are shown."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s'\"<>/\\]+[/\\])+")


def in_short(error: BaseException) -> str:
    """ "KeyError: 'layer'": the kind of an error and the last line of it that says something.

    Frames, code and headings are left out (they are indented, or end in a colon), and so are the folders of this
    machine; what is longer than `LONGEST` letters is cut.
    """
    lines = [line.rstrip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    said = [line for line in lines if not line[0].isspace() and not line.endswith(":")] or [
        line.strip() for line in lines
    ]
    text = f"{type(error).__name__}: {without_folders(said[-1]) if said else 'it says nothing more'}".rstrip(".")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def without_folders(line: str) -> str:
    """A line in which files of this machine have their names only."""
    return _FOLDERS.sub("", line)
