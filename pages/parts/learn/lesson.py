"""The lesson's frame: which chapter the address asks for, and its component, drawn and answered in the browser."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from cka_core.claims import lesson as core_lesson
from pages.parts import address, glossary

FOLDER = Path(__file__).parent
CHAPTERS = {
    "1": "Eight images to one number",
    "2": "What changes it?",
    "3": "Noise against noise",
    "4": "Name the map",
    "5": "Read the paper’s figures",
}
"""What stands in the address, and the chapter's title."""
SCRIPTS = {
    "1": ("chapter1_lens", "chapter1"),
    "2": ("chapter2",),
    "3": ("chapter3",),
    "4": ("maps", "chapter4"),
    "5": ("maps", "chapter5"),
}
HTML = '<div class="lesson"></div>'
KEY = "lesson"


@lru_cache(maxsize=8)
def script(chapter: str) -> str:
    """A component's script is one module without imports: the equations, the frame and the chapter, joined."""
    names = ("equations", "drawing", "frame", *SCRIPTS[chapter])
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)


@lru_cache(maxsize=len(CHAPTERS))
def figures(chapter: str) -> dict[str, Any] | None:
    """What a chapter is drawn from: the first one's images and layers, as docs/make_lesson.py made them; the bundled
    atlas for the last two; nothing where the chapter makes its own numbers. Not to be changed by the caller."""
    if chapter == "1":
        found: dict[str, Any] = json.loads((FOLDER / "lesson.json").read_text(encoding="utf-8"))
        return found
    drawn = {"4": core_lesson.fourth, "5": core_lesson.fifth}.get(chapter)
    return drawn(core_lesson.of_the_bundle()) if drawn else None


def chapter_asked() -> str:
    """The chapter in the address; the first one else."""
    asked = st.query_params.get("chapter")
    return asked if asked in CHAPTERS else next(iter(CHAPTERS))


def is_presented() -> bool:
    """Whether the address asks for larger type and no toolbar."""
    return st.query_params.get("present") == "1"


def _go(presenting: bool) -> None:
    """Another chapter, or in and out of presenting: the address says it, and Back in the browser undoes it."""
    asked = (st.session_state.get(KEY) or {}).get("go") or {}
    chapter, step, present = (str(asked.get(name, "")) for name in ("chapter", "step", "present"))
    to = {"chapter": chapter if chapter in CHAPTERS else chapter_asked()}
    if step.isdecimal() and step != "1":
        to["step"] = step
    if present == "1" or (presenting and present != "0"):
        to["present"] = "1"
    st.query_params.from_dict(to)


def show() -> None:
    """The chapter that the address asks for. Hover, drag and step stay in the browser; only a change of chapter comes
    back here."""
    chapter, presenting = chapter_asked(), is_presented()
    if presenting:
        st.html(FOLDER / "present.css")
    try:
        drawn_from = figures(chapter)
    except ValueError as error:  # the bundled atlas is missing or damaged
        st.error(address.plain(str(error)), icon=":material/error:")
        return
    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    component = st.components.v2.component(
        f"lesson_{chapter}",
        html=HTML,
        js=script(chapter),
        css="\n".join((FOLDER / f"{name}.css").read_text(encoding="utf-8") for name in ("learn", "maps")),
    )
    component(
        data={
            "chapter": chapter, "chapters": CHAPTERS, "glossary": glossary.terms(), "present": presenting,
            "figures": drawn_from,
        },
        key=KEY,  # one for all chapters: the next one takes the place of the last, without a jump
        on_go_change=lambda: _go(presenting),
    )  # fmt: skip
