"""What a library says when it fails, in a line that may be shown to anybody; and failures of one of several things."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

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


def each(pieces: Iterable[Callable[[], None]]) -> None:
    """Do every piece of work. One that is refused (ValueError) does not keep the others from being done: it is raised
    at the end. What two of them say is of all of them, and is raised at once."""
    refused: list[str] = []
    for piece in pieces:
        try:
            piece()
        except ValueError as error:
            if str(error) in refused:
                raise
            refused.append(str(error))
    if refused:
        raise ValueError(" ".join(refused))
