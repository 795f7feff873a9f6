"""Letters that the usual font of a figure for paper has not: which installed fonts have them, and which nobody has."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

EMPTY = ("lastresort", ".lastresort", "adobeblank")
"""Fonts that have every letter, and show none: a box for each, or nothing."""


def fonts_for(texts: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Installed families to fall back to, the first one first, and the letters that none has, in order of their codes.

    Fonts are looked at only where a letter is not in matplotlib's usual one, which has Latin, Greek, Cyrillic and more.
    """
    letters = {letter for text in texts if not text.isascii() for letter in text}
    wanted = frozenset(letter for letter in letters if letter.isprintable() and not letter.isspace())
    if not wanted:
        return (), ""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    return _fonts_for(wanted, findfont(FontProperties()), len(fontManager.ttflist))


def lacking(texts: Iterable[str]) -> str:
    """A sentence about the letters that no installed font has, "" where each has one."""
    nobodys = fonts_for(texts)[1]
    if not nobodys:
        return ""
    shown = nobodys if len(nobodys) <= 8 else f"{nobodys[:8]} …"
    return (
        f"No installed font has {shown}: in the figure a box stands for each. Install a font that has them, such as "
        "Noto Sans CJK, or save the figure as SVG or HTML, whose letters come from where it is read."
    )


@functools.lru_cache(maxsize=64)
def _fonts_for(letters: frozenset[str], usual: str, installed: int) -> tuple[tuple[str, ...], str]:
    """``installed``: how many fonts there are, so that a new one is found."""
    from matplotlib.font_manager import fontManager

    left = letters - _had(usual, letters)
    families: list[str] = []
    fonts = [entry for entry in fontManager.ttflist if not entry.name.lower().replace(" ", "").startswith(EMPTY)]
    having = {entry.fname: (entry, _had(entry.fname, left)) for entry in fonts} if left else {}
    while left and having:
        best, had = max(having.values(), key=lambda one: (len(one[1] & left), *_plainness(one[0])))
        if not had & left:
            break
        families.append(best.name)
        left -= had
    return tuple(families), "".join(sorted(left))


def _had(path: str, letters: frozenset[str]) -> frozenset[str]:
    """Those of the letters that a font has and matplotlib can draw: not from fonts that are made of pictures."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # listed once, and gone or of another format by now
        return frozenset()
    return frozenset(letter for letter in letters if font.scalable and font.get_char_index(ord(letter)))


def _plainness(font: FontEntry) -> tuple[bool, bool, bool]:
    """What is to be preferred of two fonts that have as many of the letters."""
    return font.style == "normal", font.weight in (400, "normal", "regular"), "sans" in font.name.lower()
