"""For whom this runs: for one person, for a class, or to be looked at only; and what a deployer allows.

``CKA_MODE`` is empty for one's own machine, where everybody may do everything; "class" where what a visitor makes is
the visitor's and the teacher's (`cka_core.base.visitors`); "read-only" where nothing is computed or kept.
"""

from __future__ import annotations

import dataclasses
import os
import re

OPEN, CLASS, READ_ONLY = "", "class", "read-only"
MODES = (OPEN, CLASS, READ_ONLY)
ONLY_TO_LOOK_AT = "This is to be looked at only: nothing is computed or changed here. Run it yourself for that."


class NotAllowed(ValueError):
    """Someone asked for what is not theirs to do here; the message says why."""


class LimitReached(ValueError):
    """More was asked for than this deployment allows; the message has the limit and what to do."""


@dataclasses.dataclass(frozen=True)
class Limit:
    """The most of something. ``variable`` changes it; ``open`` and ``classroom`` are its defaults, None for no limit.

    ``reached`` is what is said beyond it, with the limit and its unit put in, and what to do.
    """

    name: str
    variable: str
    unit: str
    open: int | None
    classroom: int | None
    what: str
    reached: str


LIMITS = {
    limit.name: limit
    for limit in (
        Limit(
            "jobs", "CKA_MAX_JOBS", "jobs", None, 10, "jobs of one visitor that wait or are at work",
            "At most {} of yours may wait or be at work. Stop one, or wait until one is done.",
        ),
        Limit(
            "all jobs", "CKA_MAX_ALL_JOBS", "jobs", None, 300, "jobs of all visitors that wait or are at work",
            "At most {} may wait or be at work here. Try again when some are done.",
        ),
        Limit(
            "images", "CKA_MAX_IMAGES", "images", None, 1024, "images of one comparison",
            "A comparison takes at most {} here. Choose fewer.",
        ),
        Limit(
            "layers", "CKA_MAX_LAYERS", "layers", None, 400, "layers of one network",
            "A network may have at most {} here. Choose a less deep one.",
        ),
        Limit(
            "parameters", "CKA_MAX_PARAMETERS", "million parameters", None, 100, "parameters of one network",
            "A network may have at most {} here. Choose a less wide one.",
        ),
        Limit(
            "epochs", "CKA_MAX_EPOCHS", "epochs", None, 40, "epochs of one training",
            "A training takes at most {} here. Choose fewer.",
        ),
        Limit(
            "minutes", "CKA_MAX_MINUTES", "minutes", None, 30, "minutes of one job",
            "One job may take at most {} here. What is finished is kept: ask again to go on, or choose less.",
        ),
        Limit(
            "upload", "CKA_MAX_UPLOAD", "MB", 400, 50, "size of one file that is brought in",
            "A file may have at most {} here. Make it with fewer images or layers.",
        ),
        Limit(
            "uploads", "CKA_MAX_UPLOADS", "files", None, 10, "files that one visitor has brought in",
            "At most {} that you brought in are kept. Delete one on the Library page.",
        ),
        Limit(
            "disk", "CKA_MAX_DISK", "MB", None, 1000, "what one visitor made and brought in",
            "What you made and brought in takes more than {} already. Delete some of it on the Library page.",
        ),
        Limit(
            "all disk", "CKA_MAX_ALL_DISK", "MB", None, 20_000, "the whole store",
            "The store takes more than {} already. Ask whoever runs this to make room.",
        ),
    )
}  # fmt: skip
"""Every limit by its name. They are enforced where work is accepted, and again where it is done."""
_VARIABLES = {limit.variable for limit in LIMITS.values()}


def mode() -> str:
    """For whom this runs, one of `MODES`; a ValueError for anything else in ``CKA_MODE``."""
    found = os.environ.get("CKA_MODE", OPEN).strip()
    if found not in MODES:
        raise ValueError(f'Expected CKA_MODE to be empty, "class" or "read-only", got {found!r}.')
    return found


def address() -> str:
    """The address that a class reaches this by, from ``CKA_ADDRESS``; "" where nobody said."""
    return os.environ.get("CKA_ADDRESS", "").strip().rstrip("/")


def rules() -> str:
    """The mode and every limit as they are set here; "" where nothing is set."""
    told = {name: value for name, value in sorted(os.environ.items()) if name == "CKA_MODE" or name in _VARIABLES}
    return " ".join(f"{name}={value.strip()}" for name, value in told.items() if value.strip())


def most(name: str) -> int | None:
    """The most of something here, in the unit of its limit; None for no limit."""
    limit = LIMITS[name]
    told = os.environ.get(limit.variable, "").strip()
    if not told:
        return limit.classroom if mode() == CLASS else limit.open
    if told == "none":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,11}", told):
        raise ValueError(f'Expected {limit.variable} to be a number of {limit.unit} or "none", got {told!r}.')
    return int(told)


def check(name: str, amount: float) -> None:
    """Raise `LimitReached` where ``amount``, in the limit's unit, is more than is allowed."""
    allowed = most(name)
    if allowed is not None and amount > allowed:
        raise LimitReached(sentence(name))


def sentence(name: str) -> str:
    """What is said beyond a limit."""
    return LIMITS[name].reached.format(amount_text(name))


def amount_text(name: str) -> str:
    """A limit with its unit: "1,024 images"; "no limit" where there is none."""
    allowed, unit = most(name), LIMITS[name].unit
    if allowed is None:
        return "no limit"
    return f"{allowed:,} {unit.removesuffix('s') if allowed == 1 else unit}"
