"""Who is at this browser, where many people use one store: a key that the browser keeps, and ways to another device.

The key is made and kept in the browser's localStorage; it never stands in the address. The store knows its SHA-256.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from cka_core.base import deployment, full_disk, visitors
from cka_core.base.store import Store
from cka_core.base.visitors import Links, Visitor
from pages.parts import address, notes, qr

KEY = "visitor key"
DEVICE = "device"  # what the one-time link says in the address
TAKEN = "take key"  # the key that the browser is to keep from now on
RECENT = 30 * 60.0
MOST_SEEN = 10_000
WRONG_KEY_SECONDS = 1.0
KEEPER = """
export default function({ data, setStateValue }) {
  const name = 'cka-explorer-visitor';
  const whole = (key) => /^[A-Za-z0-9_-]{22,86}$/.test(key || '');
  let key = data.take || window.ckaVisitor;
  try { key = key || localStorage.getItem(name); } catch (error) { /* this browser keeps nothing */ }
  if (!whole(key)) {
    const bytes = crypto.getRandomValues(new Uint8Array(24));
    key = btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_');
  }
  window.ckaVisitor = key;
  try { localStorage.setItem(name, key); } catch (error) { /* it is kept as long as this tab is open */ }
  // A value told while Streamlit is about to open another page would call it back to this one: it waits until the page
  // stands and the browser has nothing to do, so that it is sent at once.
  let waiting = null;
  const tell = () => {
    const app = document.querySelector('[data-testid=stApp]');
    if ((app?.dataset.testScriptState ?? 'notRunning') === 'notRunning') setStateValue('key', key);
    else wait();
  };
  const wait = () => {
    waiting = setTimeout(() => (window.requestIdleCallback ?? setTimeout)(tell), 100);
  };
  if (!data.known || data.take) wait();
  return () => clearTimeout(waiting);
}
"""


# The server's memory, and not Streamlit's cache, which any browser may ask to have emptied.
LINKS = Links()
TEACHERS: set[str] = set()
"""The visitors who told the teacher's key since the server began."""
SEEN: dict[str, float] = {}
"""When each visitor last did something."""


def here() -> Visitor | None:
    """Who is at this browser; None where nobody is told apart."""
    if deployment.mode() != deployment.CLASS:
        return None
    owner = visitors.owner_of(st.session_state.get(KEY, ""))
    return Visitor(owner, bool(owner) and owner in TEACHERS)


def meet() -> None:
    """Once a run, in app.py before the page: what a link from another device brought."""
    if deployment.mode() != deployment.CLASS:
        return
    token = st.query_params.pop(DEVICE, None)
    if token is not None:
        st.session_state["offered key"] = LINKS.take(token) or ""
    _offer()


def hear() -> None:
    """Once a run, in app.py after the page, where it takes no room: the browser's key."""
    if deployment.mode() != deployment.CLASS:
        return
    known = KEY in st.session_state
    if _told() == st.session_state.get(TAKEN):
        st.session_state.pop(TAKEN, None)
    taken = st.session_state.get(TAKEN)  # until the browser says that it has it: a run may end before it hears of it
    keeper = st.components.v2.component("visitor", js=KEEPER)
    keeper(data={"known": known, "take": taken}, key="visitor", on_key_change=_heard)
    if not known and _told():  # in a visit before, which the server has forgotten: for Streamlit nothing has changed
        _heard()
        st.rerun()
    if known:
        SEEN[visitors.owner_of(st.session_state[KEY])] = time.time()
        while len(SEEN) > MOST_SEEN:
            SEEN.pop(next(iter(SEEN)), None)


def _told() -> str | None:
    """The key that the browser told last."""
    key = (st.session_state.get("visitor") or {}).get("key")
    return key if isinstance(key, str) and visitors.owner_of(key) else None


def _heard() -> None:
    key = _told()
    if key is not None and st.session_state.get(TAKEN, key) == key:  # not the one it had before that
        st.session_state[KEY] = key


def _offer() -> None:
    """What the link from another device brought, and the question whether to take it: anybody may have sent it."""
    offered = st.session_state.get("offered key")
    if offered is None:
        return
    if not offered:
        st.warning(
            "This link was used before or is older than ten minutes. Make another one.", icon=":material/link_off:"
        )
        del st.session_state["offered key"]
        return
    st.info(
        "This link is from another device of yours? Then this browser will have what you made there, and no longer "
        "what was made here. If it is from somebody else, do not take it.",
        icon=":material/devices:",
    )
    with st.container(horizontal=True):
        st.button("Take it", key="take the key", type="primary", on_click=_take)
        st.button("Do not take it", key="leave the key", on_click=lambda: st.session_state.pop("offered key"))


def _take() -> None:
    st.session_state[KEY] = st.session_state[TAKEN] = st.session_state.pop("offered key")


def other_device() -> None:
    """The way to another device: a link that works once."""
    key = st.session_state.get(KEY)
    if deployment.mode() != deployment.CLASS or key is None:
        return
    with st.popover("Go on at another device", icon=":material/devices:", type="tertiary"):
        st.markdown(
            "What you make belongs to this browser. A link makes it another one’s, too: once, within 10 minutes."
        )
        if st.button("Make a link", key="make a link"):
            link = f"{home()}/?{urlencode({DEVICE: LINKS.offer(key)})}"
            st.code(link, language=None, wrap_lines=True)
            st.image(qr.png(link), width=220)


def home() -> str:
    """The address that others reach this by."""
    told = deployment.address()
    if told:
        return told
    parts = (st.context.url or "http://127.0.0.1:8501").split("/")
    return "/".join(parts[:3])


def owns(key: str, store: Store) -> bool:
    """Whether something is this visitor's to change."""
    return visitors.owns(here(), key, store)


def own_keys(store: Store) -> set[str] | None:
    """What is this visitor's to see to; None where that is everything."""
    by = here()
    return None if by is None or by.teacher else visitors.belongings(by.owner, store)


def only_looks() -> bool:
    """Whether nothing can be computed or changed here."""
    return deployment.mode() == deployment.READ_ONLY


def cannot_act_yet() -> bool:
    """Whether nothing can be asked for: ever, or until the browser has said who is there, a moment after it came."""
    by = here()
    return only_looks() or (by is not None and not by.owner)


def largest_upload() -> int:
    """MB of the largest file that may be brought in, here and now."""
    taken = int(st.get_option("server.maxUploadSize"))  # no file that the server refuses is sent to it
    return min(taken, deployment.most("upload") or taken)


def refusal(action: Callable[[], Any]) -> str:
    """Do something; why it was refused, or why the store could not take it, or "" where it was done."""
    try:
        action()
    except ValueError as error:
        return str(error)
    except OSError as error:
        reason = full_disk.in_words(error, Store())
        if reason is None:
            raise
        return reason
    return ""


def attempt(action: Callable[[], Any]) -> bool:
    """Do something; where that is refused, say why here. Returns whether it was done."""
    refused = refusal(action)
    if refused:
        st.error(address.plain(refused), icon=":material/block:")
    return not refused


def ask(action: Callable[..., Any], *args: Any) -> None:
    """`attempt` in the name of this visitor, for a button's callback: where it is refused, a note says why."""
    refused = refusal(lambda: action(*args, by=here()))
    if refused:
        notes.leave(address.plain(refused), ":material/block:")


def became_teacher(told: str) -> bool:
    """Whether someone told the teacher's key; they are the teacher then, until the server ends. Guessing takes long."""
    by = here()
    if by is None or not by.owner or not visitors.is_teachers_key(told):
        time.sleep(WRONG_KEY_SECONDS)
        return False
    TEACHERS.add(by.owner)
    return True


def is_no_teacher_any_more() -> None:
    by = here()
    if by is not None:
        TEACHERS.discard(by.owner)


def number_seen() -> int:
    """Visitors who did something within the last half hour."""
    return sum(time.time() - when < RECENT for when in list(SEEN.values()))
