"""The address bar is the state: a copied link opens the same view.

Most widgets are bound to it by Streamlit (``bind="query-params"``). Networks are not, because a bound list of choices
writes its labels there, and a link should hold the names that the command line takes. What a link asks for and cannot
be had is said above the map, once, until the reader chooses something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.state.session_state_proxy import get_session_state

from pages.parts import holding

LEFT, PAGE = "addresses of the pages as they were left", "page in the address"
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


def come_back(page: StreamlitPage) -> None:
    """Before a run of a page: where the reader comes to it from another one by its name alone, it opens as it was left.
    Whoever asks for its name once more, being there, has it as it first was; and so has who goes Back to it."""
    left = st.session_state.get(LEFT, {}).get(page.url_path)
    comes = st.session_state.get(PAGE) != page.url_path and not holding.went_through_history()
    if left and comes and not st.query_params:
        st.switch_page(page, query_params=left)
    st.session_state[PAGE] = page.url_path


def remember(page: StreamlitPage) -> None:
    """At the end of a whole run of a page: what stands in the address, for `come_back`."""
    st.session_state.setdefault(LEFT, {})[page.url_path] = st.query_params.to_dict()


def read(key: str, default: Any, valid: Callable[[str], bool], parse: Callable[[str], Any] = str) -> None:
    """Put what the address says under ``key`` into the widget of that key, before it is drawn.

    The address is read when the page opens and when it changed otherwise than by `write` (the browser's Back).
    ``parse`` makes the widget's value of a text that is ``valid``.

    The widget is to have what it holds for its default, too. Streamlit says once that a value was set; a browser that
    fetches the widget's script while the page runs again misses that, shows the default and sends it as chosen. (A box
    that can be emptied has no default.)
    """
    asked = st.query_params.get(key)
    if not _moved(key, asked):
        if key in st.session_state:
            return
        asked = st.session_state.get(_written(key))
    usable = asked is not None and _is_valid(asked, valid)
    if asked is not None and not usable:
        note(key, asked)
    st.session_state[key] = parse(asked) if asked is not None and usable else default


def write(key: str, value: str, default: str) -> None:
    """Say in the address what the widget holds; nothing where it is the default."""
    write_together({key: (value, default)})


def write_together(held: Mapping[str, tuple[str, str]]) -> None:
    """The same of several widgets, what each holds and its default, as one step of the browser's history: Back leads to
    none where some of them have changed and others have not."""
    _say({key: None if value == default else value for key, (value, default) in held.items()})


def _say(texts: Mapping[str, str | None]) -> None:
    changed = {}
    for key, text in texts.items():
        now, written = st.query_params.get(key), st.session_state.get(_written(key))
        under_way = bool(_older(key)) and written != text  # the browser may yet be told what was written before
        if now != text or under_way:
            st.session_state[_before(key)] = {*_older(key), now, written} - {text}, holding.say()
            changed[key] = text
        st.session_state[_written(key)] = text
    if changed:
        _tell(changed)


def _tell(changed: Mapping[str, str | None]) -> None:
    """Change the address in one message. What `st.query_params` offers deletes in a message of its own, and only where
    there was something; and each message is a step of the browser's history."""
    with get_session_state().query_params() as params:
        said: dict[str, str | list[str] | None] = {key: params.get_all(key) for key in params}
        said.update(changed)
        params.clear_with_no_forward_msg(preserve_embed=True)
        for key, text in said.items():
            if text is not None:
                params.set_with_no_forward_msg(key, text)
        params.update(())


def _written(key: str) -> str:
    return f"{key} in the address"


def _before(key: str) -> str:
    return f"{key} in the address before"


def _moved(key: str, asked: str | None) -> bool:
    """Whether the reader went to another address: through the history, or it is not what was written there last, nor
    what stood there before, which the browser sends until it has heard.

    Back and Forward move what they leave as it was, too: what the address does not name is at its default there, which
    may be another one than here (of a recipe's values, that of another preset).
    """
    if holding.went_through_history():
        return True
    return asked != st.session_state.get(_written(key)) and asked not in _older(key)


def _older(key: str) -> set[str | None]:
    """What the browser may send of the address, as long as it has not heard that something else was written there."""
    older, said = st.session_state.get(_before(key), (set(), None))
    return set() if said is None or said.is_heard else older


def put(key: str, value: Any) -> None:
    """Let the widget of a key hold a value, whatever the address says (from a callback, or before it is drawn)."""
    st.session_state.setdefault(_written(key), st.query_params.get(key))
    holding.put(key, value)


def put_together(held: Mapping[str, tuple[Any, Any]]) -> None:
    """The same of several widgets that Streamlit binds to the address, what each is to hold and its default, as one
    step of the browser's history: left to itself, Streamlit makes one of each, and Back leads to a half of the choice.
    """
    for key, (value, _) in held.items():
        put(key, value)
    _say({key: None if value == default else str(value) for key, (value, default) in held.items()})


def forget(key: str) -> None:
    """Let the widget of a key take its default again (from a callback, or before it is drawn)."""
    holding.put(key, holding.NOTHING)
    _say({key: None})


def give_up(key: str, valid: Callable[[str], bool]) -> bool:
    """Before a widget is drawn: what it holds and can no longer be had, since somebody removed it, is said, and the
    widget takes its default again. Returns whether it was so: a button pressed for it is not for what is there now."""
    held = st.session_state.get(key)
    if held is None or _is_valid(held, valid):
        return False
    note(key, held, was_here=True)
    forget(key)
    return True


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
        note(key, asked)
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


def note(key: str, asked: str, *, was_here: bool = False) -> None:
    """Remember what was asked for in vain, or has gone since it was chosen, to be said by `show_notes`."""
    st.session_state.setdefault("refused in the address", {})[key] = {"asked": asked, "was here": was_here}


def show_notes(words: dict[str, str], titles: Mapping[str, Callable[[str], str]] | None = None) -> None:
    """A line for each thing that a link asked for in vain, or that somebody removed. ``words``: what each key is
    called; ``titles``: what its values are called on the screen, where that is not their name."""
    notes = st.session_state.get("refused in the address", {})
    lines = []
    for key in list(notes):
        now = st.session_state.get(key)
        if notes[key].setdefault("instead", now) != now:  # the reader has chosen since
            del notes[key]
            continue
        shown = "nothing is chosen"
        if now not in (None, ""):
            titled = (titles or {}).get(key)
            shown = f"{titled(str(now)) if titled else code(str(now))} is taken"
        what = f"{words.get(key, key)} {code(notes[key]['asked'])}"
        lines.append(
            f"Somebody removed {what} meanwhile: {shown}."
            if notes[key]["was here"]
            else f"The link asks for {what}, which cannot be had here: {shown}."
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
