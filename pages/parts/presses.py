"""What a press does is done before anything else that the browser sends.

When a message of the browser comes, Streamlit ends the run of the one before at its next look at the session. Where
that look is the first one of the run, or one of a callback's own, the press that the run was for is lost, or half done.
Here the next message's turn comes when the callbacks of the one before it are through.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests
from streamlit.runtime.state.safe_session_state import SafeSessionState

_callbacks = threading.local()  # a session's callbacks run in the thread of its script
_WHOLE = "a press is done whole"


def are_done_whole() -> None:
    """Have Streamlit do so from now on, in every session. Streamlit has no setting for it: two methods of its own are
    wrapped, and one that a version does not have is left out."""
    _wrap(SafeSessionState, "on_script_will_rerun", _undisturbed)
    _wrap(ScriptRequests, "on_scriptrunner_yield", _later)


def _wrap(kind: type, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    method = getattr(kind, name, None)
    if method is not None and not hasattr(method, _WHOLE):
        wrapped = functools.wraps(method)(around(method))
        setattr(wrapped, _WHOLE, True)
        setattr(kind, name, wrapped)


def _undisturbed(do_callbacks: Callable[..., Any]) -> Callable[..., Any]:
    def done(*args: Any, **kwargs: Any) -> Any:
        _callbacks.are_running = True
        try:
            return do_callbacks(*args, **kwargs)
        finally:
            _callbacks.are_running = False

    return done


def _later(next_message: Callable[..., Any]) -> Callable[..., Any]:
    def asked(*args: Any, **kwargs: Any) -> Any:
        return None if getattr(_callbacks, "are_running", False) else next_message(*args, **kwargs)

    return asked
