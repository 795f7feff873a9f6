"""A press is done whole, whenever the next message of the browser comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests, ScriptRequestType
from streamlit.runtime.state import SessionState
from streamlit.runtime.state.safe_session_state import SafeSessionState

from pages.parts import presses


class Pressed(SessionState):
    """What a session holds, where a button was pressed that calls ``press``."""

    def __init__(self, press: Callable[[], None]):
        super().__init__()
        self.press = press

    def on_script_will_rerun(self, *args: Any, **kwargs: Any) -> None:
        self.press()


class Session:
    """A visitor's session in which ``callback`` is what the press calls; the browser's next message is there already.
    It comes in the way the runner of a page's script has it come: wherever the session is asked for something."""

    def __init__(self, callback):
        self.requests = ScriptRequests()
        self.requests.request_rerun(RerunData(query_string="the next message"))
        self.state = SafeSessionState(Pressed(lambda: callback(self.state)), self.look)

    def look(self) -> None:
        request = self.requests.on_scriptrunner_yield()
        if request is not None and request.type == ScriptRequestType.RERUN:
            raise RerunException(request.rerun_data)


@pytest.fixture
def as_streamlit_has_it(monkeypatch):
    """Streamlit's own methods, which come back after the test as they were."""
    for kind, name in ((SafeSessionState, "on_script_will_rerun"), (ScriptRequests, "on_scriptrunner_yield")):
        method = getattr(kind, name)
        monkeypatch.setattr(kind, name, getattr(method, "__wrapped__", method))


def swap(state: SafeSessionState) -> None:
    state["a"], state["b"] = "B", "A"


def test_a_press_comes_before_the_next_message_which_waits(as_streamlit_has_it):
    presses.are_done_whole()
    session = Session(swap)
    session.state.on_script_will_rerun(None)
    with pytest.raises(RerunException) as next_one:
        session.state["a"]
    assert next_one.value.rerun_data.query_string == "the next message"
    assert session.state["a"] == "B" and session.state["b"] == "A"


def test_a_callback_that_fails_holds_nothing_up(as_streamlit_has_it):
    def fail(state: SafeSessionState) -> None:
        raise ZeroDivisionError

    presses.are_done_whole()
    session = Session(fail)
    with pytest.raises(ZeroDivisionError):
        session.state.on_script_will_rerun(None)
    with pytest.raises(RerunException):
        session.state["a"] = "what comes after it"


def test_without_it_the_press_is_lost(as_streamlit_has_it):
    """If this fails, Streamlit does so by itself, and `presses` may go."""
    session = Session(swap)
    with pytest.raises(RerunException):
        session.state.on_script_will_rerun(None)
    assert "a" not in session.state


def test_said_again_nothing_is_wrapped_twice(as_streamlit_has_it):
    presses.are_done_whole()
    once = SafeSessionState.on_script_will_rerun, ScriptRequests.on_scriptrunner_yield
    presses.are_done_whole()
    assert (SafeSessionState.on_script_will_rerun, ScriptRequests.on_scriptrunner_yield) == once


def test_a_version_without_such_methods_is_left_as_it_is(as_streamlit_has_it, monkeypatch):
    monkeypatch.delattr(SafeSessionState, "on_script_will_rerun")
    presses.are_done_whole()
    assert not hasattr(SafeSessionState, "on_script_will_rerun")
