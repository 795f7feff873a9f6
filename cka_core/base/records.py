"""Records from outside, held against the types that they must have before anything is done with them.

A record is JSON: in the store, in a file that somebody gave, or in a result. `parse` bounds it before it is read,
`checked` holds it against a schema (a TypedDict or a dataclass, by msgspec, which never takes a "3" for a 3). What a
schema does not name is passed on as it is.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Annotated, Any, TypeVar

import msgspec

from cka_core.base.store import Store

LARGEST = 16 << 20
"""Bytes of JSON that are read: 20,000 layers a side need a quarter of it. As Python objects they are some 20 times as
large."""
DEEPEST = 32

LONGEST_TEXT = 1000
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Long = Annotated[str, msgspec.Meta(max_length=100_000)]
LARGEST_WHOLE = 2**53
"""Of the whole numbers of a record: what is told larger ones could write what nobody reads again."""
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_WHOLE)]
Whole = Annotated[int, msgspec.Meta(ge=-LARGEST_WHOLE, le=LARGEST_WHOLE)]
LARGEST_SEED = 2**31 - 1
"""Of seeds that somebody types, in a form or in a network's name: any generator takes it, and any record."""

T = TypeVar("T")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(sign for sign in range(256) if sign not in b"[]{}")
_STEP = {sign: 1 if sign in b"[{" else -1 for sign in b"[]{}"}


class NotReadable(ValueError):
    """The file or record is not what was expected, or is damaged; the message says what is wrong with it."""


def parse(data: bytes, most: int = LARGEST, deepest: int = DEEPEST) -> Any:
    """The value that JSON in UTF-8 says; ValueError, unread, where it is longer than ``most`` or too deeply nested.

    Stricter than Python's own reader: no NaN, no infinity, no half characters.
    """
    _check_bounds(data, most, deepest)
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"its description is no JSON ({error})") from error


def parse_python(data: bytes, most: int = LARGEST, deepest: int = DEEPEST) -> Any:
    """The same of what Python's own writer makes of NaN and infinite numbers, as it does in the description of a model:
    ``NaN`` and ``Infinity``, which are no JSON."""
    _check_bounds(data, most, deepest)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its description is no JSON ({error})") from error


def _check_bounds(data: bytes, most: int, deepest: int) -> None:
    if len(data) > most:
        raise ValueError(f"it describes itself in {len(data):,} bytes, at most {most:,} are read")
    depth = depth_of(data)
    if depth > deepest:
        raise ValueError(f"it is nested {depth:,} deep, at most {deepest} are read")


def depth_of(data: bytes) -> int:
    """How deeply JSON or TOML is nested, without parsing it. Brackets inside double-quoted texts do not count."""
    brackets = _STRINGS.sub(b"", data).translate(None, _NO_BRACKETS)
    return max(itertools.accumulate(map(_STEP.__getitem__, brackets)), default=0)


def checked(value: Any, schema: type[T], what: str) -> T:
    """``value`` as it is, where it has the types of ``schema``; `NotReadable`, saying what is wrong where, if not."""
    mistake = wrong(value, schema)
    if mistake is not None:
        raise NotReadable(f"Expected {what}, got a record with something wrong in it: {mistake}.")
    found: T = value
    return found


def wrong(value: Any, schema: Any) -> str | None:
    """What is wrong with a value, None if nothing is."""
    try:
        msgspec.convert(value, schema)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        return re.sub(r"`\$\.?", "`", str(error)).replace("`", "").rstrip(".")
    return None


def is_text(value: Any) -> bool:
    """Whether it is a name that a record can say and `parse` reads: not too long a text, and no half characters."""
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_TEXT
        and not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def kept(name: str, schema: Any, store: Store) -> Any | None:
    """A record of the store; None if it is missing. One without the types of its schema is set aside and is missing."""
    value = store.read_record(name)
    mistake = wrong(value, schema) if value is not None else None
    if mistake is None:
        return value
    store.set_aside(store.path(name), mistake)
    return None
