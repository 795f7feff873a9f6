"""What the app puts into widgets is held until the browser has heard of it.

A button that sets a picker does so on the server. What the browser sends before it has heard of that, for a second
press or because something on the page reports, still tells what the picker held before. Streamlit would take it for a
choice, and end the run that was about to say the value. So values put into widgets are noted, each with a number; the
browser answers with the number of the last run that reached it (`listen`), and until then what it sends of these
widgets is not taken for a choice.

The browser's Back and Forward are choices whenever they come: the address they lead to counts, and what was said is
over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

PUTS, SAID, TOLD, ECHO = "put into widgets", "said to the browser", "told in a whole run", "echo"
OVER = "said before the reader went through the history"
LEFT = "as the last run left it"
NOTHING = object()
"""Put into a widget that is to take its default again."""
UNHEARD_FOR = 10.0
"""Seconds after which the browser is taken to have heard, should it never answer."""

A_DAY = 86_400.0
"""Seconds between runs of the page's foot. What counts is that there is something to be run: then a browser whose line
was down (a phone that slept) has the page run when it is back, and else not before something is pressed. That would be
lost where the server has forgotten the visit meanwhile, which it does after two minutes."""

PRESSES = (Path(__file__).parent / "presses.js").read_text(encoding="utf-8")
ANSWER = """
export default function({ data, parentElement, setStateValue }) {
  if ((parentElement.heard ?? 0) === data.said) return; // nothing said, nothing to answer
  parentElement.heard = data.said;
  const answer = setTimeout(() => { // not in the moment in which others report to be there
    forgo();
    setStateValue('heard', data.said);
  }, 30);
  const forgo = () => { // Streamlit would take it for a choice of what its widgets held before, or of this page
    clearTimeout(answer);
    for (const kind of ['popstate', 'leave']) removeEventListener(kind, forgo);
  };
  for (const kind of ['popstate', 'leave']) addEventListener(kind, forgo);
}
"""


@dataclass(frozen=True)
class Said:
    """Something said to the browser: its number, and when (seconds, monotonic)."""

    number: int
    at: float

    @property
    def is_heard(self) -> bool:
        """Whether the browser knows of it. Where there is none, what a whole run has told is known."""
        heard = (st.session_state.get(ECHO) or {}).get("heard")
        told = 0 if st.context.headers else st.session_state.get(TOLD, 0)  # a browser just opened has yet to answer
        known = max(heard if isinstance(heard, int) else told, st.session_state.get(OVER, 0))
        return bool(self.number <= known) or time.monotonic() - self.at > UNHEARD_FOR


@dataclass
class Put:
    """A value put into a widget, and what the browser may send of the widget until it has heard."""

    value: Any
    said: Said
    before: list[Any] = field(default_factory=list)


def say() -> Said:
    """Number what is said to the browser in this run. The numbers begin with the time (ms), so that what the browser of
    a visit that the server has forgotten answered is less than what is said from now on."""
    st.session_state[SAID] = st.session_state.get(SAID, int(1000 * time.time())) + 1
    return Said(st.session_state[SAID], time.monotonic())


def put(key: str, value: Any) -> None:
    """Let the widget of a key hold a value, or its default for NOTHING (from a callback, or before it is drawn)."""
    now, noted = st.session_state.get(key, NOTHING), _puts().get(key)
    older = [] if noted is None or noted.said.is_heard else [*noted.before, noted.value]
    if now != value or older:
        before = [one for one in (*older, now) if one is not NOTHING and one != value]
        _puts()[key] = Put(value, say(), before)
    _give(key, value)


def _give(key: str, value: Any) -> None:
    if value is NOTHING:
        st.session_state.pop(key, None)
    else:
        st.session_state[key] = value


def _puts() -> dict[str, Put]:
    found: dict[str, Put] = st.session_state.setdefault(PUTS, {})
    return found


def _is_old(key: str) -> bool:
    """Whether what the browser sends of a widget is what it held before something was put there."""
    noted, now = _puts().get(key), st.session_state.get(key, NOTHING)
    return noted is not None and not noted.said.is_heard and now != noted.value and now in noted.before


def held(key: str) -> Any:
    """What the widget of a key holds, in a callback too."""
    value = _puts()[key].value if _is_old(key) else st.session_state.get(key)
    return None if value is NOTHING else value


def on_choice(key: str, call: Callable[[], None]) -> Callable[[], None]:
    """For ``on_change``: ``call`` where the reader chose, not where the browser sends what was there before a put."""
    return lambda: None if _is_old(key) else call()


def hold(page: str) -> None:
    """Before a run of a page: what was put into its widgets is there, whatever a browser sends that has not heard."""
    if went_through_history():
        st.session_state[OVER] = st.session_state.get(SAID, 0)
    if st.session_state.get("page before") != page:
        st.session_state["page before"] = page
        _puts().clear()
    for key, noted in list(_puts().items()):
        if _is_old(key) or (not noted.said.is_heard and st.session_state.get(key, NOTHING) == noted.value):
            _give(key, noted.value)  # once more, since Streamlit tells the browser in one run only
        else:
            del _puts()[key]  # the browser has heard, or the reader has chosen since


def went_through_history() -> bool:
    """Whether this run is for the browser's Back or Forward."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def listen() -> None:
    """At the end of a whole run of a page, below all of it: have the browser answer that everything has arrived."""
    st.session_state[TOLD] = st.session_state.get(SAID, 0)
    st.session_state[LEFT] = _as_it_is()
    _answer(st.session_state[TOLD])


@st.fragment(run_every=A_DAY)  # so that no page runs again for the answer
def _answer(said: int) -> None:
    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    echo = st.components.v2.component("echo", js=PRESSES + ANSWER)
    echo(data={"said": said}, key=ECHO, on_heard_change=lambda: None)
    if was_something_else_said():
        st.rerun()


def was_something_else_said() -> bool:
    """Whether the answer brought something else with it. The browser sends what happens within a moment as one message,
    and where an answer is in it, Streamlit takes all of it for the answer: the page would not run for a press."""
    left: dict[str, str] = st.session_state.get(LEFT, {})
    return any(left.get(key) != value for key, value in _as_it_is().items())


def _as_it_is() -> dict[str, str]:
    """What the session holds, but for the answers, and for what is off or None: a press is over after its run."""
    simple = (str, int, float, bool, tuple, list)
    found: dict[str, str] = {}
    for key, value in st.session_state.items():
        if key in (ECHO, LEFT):
            continue
        if isinstance(value, Mapping):
            found |= {f"{key}.{part}": repr(one) for part, one in value.items() if one is not None and one is not False}
        elif isinstance(value, simple) and value is not False:
            found[str(key)] = repr(value)
    return found
