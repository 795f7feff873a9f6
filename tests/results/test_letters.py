"""Names in any letters in a figure for paper: drawn by a font that has them, or said where none has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import rcParams
from matplotlib.font_manager import fontManager

from cka_core.results import letters, paper
from tests.synthetic import comparison

HAD, NOBODYS = "神", "経"
"""Letters that matplotlib's usual font has not; `font` has the first."""


@pytest.fixture
def font(tmp_path: Path) -> Iterator[str]:
    """The name of the one font installed beside the usual ones. It has one letter, a full square."""
    pen = TTGlyphPen(None)
    for start, point in enumerate(((0, 0), (0, 900), (900, 900), (900, 0))):
        (pen.lineTo if start else pen.moveTo)(point)
    pen.closePath()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", "one"])
    made.setupCharacterMap({ord(HAD): "one"})
    made.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "one": pen.glyph()})
    made.setupHorizontalMetrics({".notdef": (1000, 0), "one": (1000, 0)})
    made.setupHorizontalHeader(ascent=1000, descent=0)
    made.setupNameTable({"familyName": "One Letter", "styleName": "Regular"})
    made.setupOS2()
    made.setupPost()
    made.save(tmp_path / "one.ttf")
    before = list(fontManager.ttflist)
    fontManager.ttflist[:] = [one for one in before if one.name.startswith(("DejaVu", "Last Resort"))]
    fontManager.addfont(tmp_path / "one.ttf")
    yield "One Letter"
    fontManager.ttflist[:] = before
    letters._fonts_for.cache_clear()


def test_a_letter_that_the_usual_font_has_not_is_drawn_by_one_that_has(font: str):
    assert letters.fonts_for(["ResNet", f"net {HAD}"]) == ((font,), "")
    usual = list(rcParams["font.family"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = [paper.paper_figure(comparison(), titles=(name, "b"), dpi=100) for name in (8 * HAD, 8 * " ")]
    assert pictures[0] != pictures[1]
    fonts = [
        paper.paper_figure(comparison(), titles=(name, "b"), format="pdf").count(b"/FontFile2") for name in (HAD, "a")
    ]
    assert fonts[0] > fonts[1]
    assert rcParams["font.family"] == usual


@pytest.mark.parametrize("format, told", [("png", 1), ("pdf", 1), ("svg", 0)])
def test_of_letters_that_no_font_has_it_is_said_once(font: str, format: str, told: int):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        paper.paper_figure(comparison(), titles=(f"a{NOBODYS}", f"b{NOBODYS}"), format=format, dpi=100)
    assert [str(one.message).split(":")[0] for one in caught] == told * [f"No installed font has {NOBODYS}"]


def test_names_in_usual_letters_ask_for_no_font(monkeypatch: pytest.MonkeyPatch):
    assert letters.fonts_for(["ResNet-38", "Größe × Ω Ж …"]) == ((), "")
    monkeypatch.setattr(letters, "_fonts_for", None)
    assert letters.lacking(["ResNet-38 x 1"]) == "", "nothing is looked at"
    assert letters.lacking([]) == ""
