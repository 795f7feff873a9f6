"""The address bar is the state: a copied link opens the same view.

Most widgets are bound to it by Streamlit (``bind="query-params"``). Networks are not, because a bound list of choices
writes its labels there, and a link should hold the names that the command line takes. What a link asks for and cannot
be had is said above the map, once, until the reader chooses something else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

LONGEST = 500  # characters of what an address asks for


def through_the_app() -> None:
    """Every page begins with this, for links to a page that are the first a server hears.

    Until app.py has run once, Streamlit takes each file of this folder for a page and runs it alone, beside a list of
    all of them. So it does after the server was started again and an open tab is reloaded.
    """
    if "through the app" in st.session_state:
        return  # only as the first thing in a session, so that no click is lost
    st.session_state["through the app"] = True
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def read(key: str, default: Any, valid: Callable[[str], bool], parse: Callable[[str], Any] = str) -> None:
    """Put what the address says under ``key`` into the widget of that key, before it is drawn.

    The address is read when the page opens and when it changed otherwise than by `write` (the browser's Back).
    ``parse`` makes the widget's value of a text that is ``valid``.

    The widget is to have what it holds for its default, too. Streamlit says once that a value was set; a browser that
    fetches the widget's script while the page runs again misses that, shows the default and sends it as chosen. (A box
    that can be emptied has no default.)
    """
    asked = st.query_params.get(key)
    if key in st.session_state and asked == st.session_state.get(f"{key} in the address"):
        return
    usable = asked is not None and _is_valid(asked, valid)
    if asked is not None and not usable:
        _note(key, asked)
    st.session_state[key] = parse(asked) if asked is not None and usable else default


def write(key: str, value: str, default: str) -> None:
    """Say in the address what the widget holds; nothing where it is the default."""
    if value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value
    st.session_state[f"{key} in the address"] = st.query_params.get(key)


def forget(key: str) -> None:
    """Let the widget of a key take its default again (only from a callback)."""
    st.session_state.pop(key, None)
    st.query_params.pop(key, None)


def put(key: str, value: Any) -> None:
    """Let the widget of a key hold a value, whatever the address says (only from a callback)."""
    st.session_state[key] = value
    st.session_state[f"{key} in the address"] = st.query_params.get(key)


def check(key: str, valid: Callable[[str], bool]) -> None:
    """Before a bound widget is first drawn: note a value in the address that cannot be had, and take it out of there.

    Streamlit refuses most of them by itself, but not an empty one, where something has to be chosen, nor a number
    larger than any. It reads the address before the script does, so the script begins once more without the value.
    """
    checked = st.session_state.setdefault("checked in the address", set())
    if key in checked:
        return
    checked.add(key)
    asked = st.query_params.get(key)
    if asked is not None and not _is_valid(asked, valid):
        _note(key, asked)
        del st.query_params[key]
        st.rerun()


def _is_valid(asked: str, valid: Callable[[str], bool]) -> bool:
    """Whether a text of the address can be had. Nothing that can is longer; Python reads no number of 5,000 digits."""
    if len(asked) > LONGEST:
        return False
    try:
        return valid(asked)
    except ValueError:
        return False


def _note(key: str, asked: str) -> None:
    st.session_state.setdefault("refused in the address", {})[key] = {"asked": asked}


def show_notes(words: dict[str, str]) -> None:
    """A line for each thing a link asked for in vain. ``words``: what each key is called."""
    notes = st.session_state.get("refused in the address", {})
    lines = []
    for key in list(notes):
        now = st.session_state.get(key)
        if notes[key].setdefault("instead", now) != now:  # the reader has chosen since
            del notes[key]
            continue
        shown = "nothing is chosen" if now in (None, "") else f"{code(str(now))} is taken"
        lines.append(
            f"The link asks for {words.get(key, key)} {code(notes[key]['asked'])}, which cannot be had here: {shown}."
        )
    if lines:
        st.warning("  \n".join(lines), icon=":material/link_off:")


def code(text: str, most: int = 60) -> str:
    """Foreign text for Markdown: letters only, no formatting, no links, no pictures."""
    text = "".join(sign for sign in text if sign.isprintable() and sign != "`")
    return f"`{text if len(text) <= most else text[: most - 1] + '…'}`" if text else "(empty)"


def plain(text: str) -> str:
    """A message for Markdown in which names of foreign layers may stand: shown as it is, nothing in it is formatted."""
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()<>#+-!|~$:" else sign for sign in text)
