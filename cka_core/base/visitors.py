"""Who is here and what belongs to whom, where many people use one store.

A visitor has a key that only the visitor's browser keeps. The store knows its SHA-256, and under it one small file for
each thing that the visitor made, by a key that neither renaming nor time changes:

    owners/<SHA-256 of the visitor's key>/<key of the job, comparison, training or set>.json

Two who asked for the same thing have a file each. In open mode nobody is told apart, and none of this is written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import re
import secrets
import threading
import time

from cka_core.base import deployment
from cka_core.base.deployment import NotAllowed
from cka_core.base.store import Store

KEY = re.compile(r"[A-Za-z0-9_-]{22,86}")
"""A visitor's key: 128 random bits or more, in the letters of base64 for addresses."""
SHORTEST_TEACHER_KEY = 12
NOT_KNOWN = "Who you are is not known: only somebody at a browser, or the teacher, can do this while a class is on."
SHARED = "Others made this, too, and know it by its name: only the teacher can give it another."
NOT_YOURS = "This is not yours: only who made it and the teacher can change it."


@dataclasses.dataclass(frozen=True)
class Visitor:
    """Someone at a browser. ``owner`` is the SHA-256 of their key, "" as long as it is not known."""

    owner: str
    teacher: bool = False


def new_key() -> str:
    """A visitor's key: 192 random bits."""
    return secrets.token_urlsafe(24)


def owner_of(key: str) -> str:
    """What the store knows of a visitor's key; "" if it is none."""
    return hashlib.sha256(key.encode()).hexdigest() if KEY.fullmatch(key) else ""


def is_teachers_key(told: str) -> bool:
    """Whether someone told the key that ``CKA_TEACHER_KEY`` holds. ValueError where that is missing or too short."""
    expected = os.environ.get("CKA_TEACHER_KEY", "")
    if len(expected) < SHORTEST_TEACHER_KEY:
        raise ValueError(
            f"There is no teacher's key: start with `make class`, or set CKA_TEACHER_KEY to at least "
            f"{SHORTEST_TEACHER_KEY} characters."
        )
    return hmac.compare_digest(told.encode(), expected.encode())


# What may be done.


def may_act(by: Visitor | None) -> None:
    """Raise `NotAllowed` unless someone may compute and keep things here. ``by`` is None in open mode only."""
    if deployment.mode() == deployment.READ_ONLY:
        raise NotAllowed(deployment.ONLY_TO_LOOK_AT)
    if deployment.mode() == deployment.CLASS and (by is None or not (by.owner or by.teacher)):
        raise NotAllowed(NOT_KNOWN)


def may_change(by: Visitor | None, key: str, store: Store) -> None:
    """Raise `NotAllowed` unless something is one's own: in class mode the visitor's or the teacher's.

    What has no owner, because it was there before or nobody knows whose it is, is the teacher's.
    """
    may_act(by)
    if not owns(by, key, store):
        raise NotAllowed(NOT_YOURS)


def may_rename(by: Visitor | None, key: str, store: Store) -> None:
    """Raise `NotAllowed` unless something is one's own alone: whoever brings in the same file owns it, too."""
    may_change(by, key, store)
    if by is not None and not by.teacher and any(owner != by.owner for owner in owners(key, store)):
        raise NotAllowed(SHARED)


def owns(by: Visitor | None, key: str, store: Store) -> bool:
    """Whether something is someone's to change."""
    if deployment.mode() != deployment.CLASS:
        return deployment.mode() == deployment.OPEN
    return by is not None and (by.teacher or bool(by.owner and key) and store.exists(_file(by.owner, key)))


# What belongs to whom.


def give(by: Visitor | None, key: str, store: Store) -> None:
    """Let something belong to a visitor, too. Nothing happens in open mode."""
    if by is not None and by.owner and deployment.mode() == deployment.CLASS:
        store.write_record(_file(by.owner, key), {"since": time.time()})


def take_off(by: Visitor | None, key: str, store: Store) -> bool:
    """Let something belong to a visitor no longer, if it belongs to others; returns whether it does.

    A teacher's wish is for everybody, so it never only takes the teacher off.
    """
    if by is None or by.teacher or not [owner for owner in owners(key, store) if owner != by.owner]:
        return False
    store.remove(store.path(_file(by.owner, key)))
    return True


def forget(key: str, store: Store) -> None:
    """Let something belong to nobody."""
    for owner in owners(key, store):
        store.remove(store.path(_file(owner, key)))


def owners(key: str, store: Store) -> list[str]:
    """Whose something is."""
    return [owner for owner in everybody(store) if store.exists(_file(owner, key))]


def belongings(owner: str, store: Store) -> set[str]:
    """The keys of all that belongs to a visitor."""
    if not re.fullmatch(r"[0-9a-f]{64}", owner):
        return set()
    return {name.removesuffix(".json") for name in store.listed(f"owners/{owner}")}


def everybody(store: Store) -> list[str]:
    """All to whom something belongs."""
    return [name for name in store.listed("owners") if re.fullmatch(r"[0-9a-f]{64}", name)]


def _file(owner: str, key: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", owner) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}", key):
        raise ValueError(f"Expected the SHA-256 of a visitor's key and the key of something kept, got {owner}, {key}.")
    return f"owners/{owner}/{key}.json"


# One-time links.


class Links:
    """Links that carry a visitor's key to another device: each works once, and for ten minutes. In memory only."""

    SECONDS = 600.0
    MOST = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offered: dict[str, tuple[str, float]] = {}

    def offer(self, key: str, now: float | None = None) -> str:
        """A token for a link that carries ``key``; the one offered before for it works no longer."""
        now, token = time.monotonic() if now is None else now, secrets.token_urlsafe(24)
        with self._lock:
            self._offered = {
                known: (kept, until)
                for known, (kept, until) in list(self._offered.items())[-self.MOST :]
                if until > now and kept != key
            }
            self._offered[owner_of(token)] = key, now + self.SECONDS
        return token

    def take(self, token: str, now: float | None = None) -> str | None:
        """The key that a token carries, once; None for one that is unknown, used or too old."""
        now = time.monotonic() if now is None else now
        with self._lock:
            key, until = self._offered.pop(owner_of(token), ("", 0.0))
        return key if until > now else None
