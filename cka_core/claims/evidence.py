"""A piece of evidence for or against a claim: a difference, its figures, a clause in words and a verdict by rule.

a difference over networks (`clear`)   yes: its 95 % interval is above 0, and it is as large as it has to be; partly: it
                                       is above 0, but smaller; no: its mean is not above 0; unclear: otherwise
growth with capacity (`growing`)       yes: rank correlation of at least 0.5, as much by chance in at most 1 of 20
                                       orders of the architectures; no: less than 0.3; unclear: otherwise
something seen in networks (`most`)    yes: in more of them than a coin would give in 19 of 20 cases; no: in at most
                                       half; unclear: otherwise
classes (`beyond_chance`)              yes: more differ than would by chance; no: none does; unclear: otherwise
together (`together`)                  what all say if they agree; partly if they do not and one is yes, or if one that
                                       belongs to a yes is not known; cannot say if none is known; unclear otherwise
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cka_core.atlas.numbers import Contrast, Spread, mean, spread, spread_over_pairs

YES, PARTLY, UNCLEAR, NO, CANNOT_SAY = "yes", "partly", "unclear", "no", "cannot say"

STRONG, WEAK = 0.5, 0.3
"""Rank correlations."""

CHANCE = 0.05
ROUNDING = 1e-9

Numbers = dict[str, float | int | str | None]


@dataclasses.dataclass(frozen=True)
class Part:
    """One difference a claim is about: its ``name``, verdict (None: not known), a clause for it, its figures."""

    name: str
    verdict: str | None
    text: str
    numbers: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All parts of a claim.

    ``reason`` says why nothing can be said, whatever is known of some part; empty if something can. ``more`` is a
    sentence on what no verdict depends on, ``caveat`` what to know before believing it.
    """

    parts: tuple[Part, ...]
    numbers: dict[str, Any]
    caveat: str = ""
    reason: str = ""
    more: str = ""

    @property
    def verdict(self) -> str:
        return CANNOT_SAY if self.reason else together([part.verdict for part in self.parts])

    @property
    def text(self) -> str:
        """What is seen, in whole sentences; why it is not, where nothing is."""
        text = "; ".join(part.text for part in self.parts if part.text)
        return " ".join(filter(None, (self.why_not, f"{text[:1].upper()}{text[1:]}." if text else "", self.more)))

    @property
    def why_not(self) -> str:
        """Why nothing can be said, in a sentence; empty if something can."""
        if self.reason or any(part.text for part in self.parts):
            return self.reason
        return f"This atlas has no figures for {' or '.join(part.name for part in self.parts)}."

    @property
    def missing(self) -> str:
        """Which of the parts are not known, in a sentence, where others are."""
        names = [part.name for part in self.parts if part.verdict is None]
        return f"Not known here: {', '.join(names)}." if 0 < len(names) < len(self.parts) else ""

    @property
    def figures(self) -> Numbers:
        """The figures of all parts as plain values, None for what is not known."""
        return plain({**self.numbers, **{name: value for part in self.parts for name, value in part.numbers.items()}})


# Rules.


def clear(found: Spread, least: float = 0.0) -> str | None:
    """Whether a difference is above 0, as the claim says, and at least ``least``; None without any value. One value
    alone is unclear at most."""
    if not found.n:
        return None
    if found.low > ROUNDING:
        return YES if found.mean >= least - ROUNDING else PARTLY
    return UNCLEAR if found.mean > ROUNDING else NO


def growing(rho: float, chance: float | None = None) -> str:
    """Whether something grows with capacity, from its rank correlation; NaN is that of what does not change."""
    if rho >= STRONG - ROUNDING and (chance is None or chance <= CHANCE):
        return YES
    return UNCLEAR if rho >= WEAK - ROUNDING else NO


def most(found: int, networks: int) -> str | None:
    """Whether something is seen in most networks, in ``found`` of them; None without any."""
    if not networks:
        return None
    by_coin = sum(math.comb(networks, i) for i in range(found, networks + 1)) / 2**networks
    return YES if by_coin <= CHANCE else UNCLEAR if 2 * found > networks else NO


def beyond_chance(found: int, classes: int) -> str:
    """Whether more classes differ than if each did in 1 of 20 cases (at least so many in at most 1 of 20 draws)."""
    draws = (math.comb(classes, i) * CHANCE**i * (1 - CHANCE) ** (classes - i) for i in range(found, classes + 1))
    return NO if not found else YES if sum(draws) <= CHANCE else UNCLEAR


def together(verdicts: Sequence[str | None]) -> str:
    """One verdict of several; None for what is not known."""
    found = {verdict for verdict in verdicts if verdict is not None}
    if not found:
        return CANNOT_SAY
    if found == {YES}:
        return PARTLY if None in verdicts else YES
    if len(found) > 1:
        return PARTLY if found & {YES, PARTLY} else UNCLEAR
    return found.pop()


# Parts from spreads and contrasts.


def part(name: str, key: str, found: Spread, text: str, numbers: dict[str, Any], least: float = 0.0) -> Part:
    """A part from the `Spread` of its difference, which stands in the figures under ``key``."""
    figures = {f"{key}_difference": found.mean, f"{key}_low": found.low, f"{key}_high": found.high, f"{key}_n": found.n}
    return Part(name, clear(found, least), text if found.n else "", {**numbers, **figures})


def inside_more(
    name: str,
    key: str,
    found: Sequence[Contrast],
    text: str,
    number: Callable[[float], str],
    *,
    more: bool = True,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> Part:
    """A part that says there is more inside than outside, or less (``more`` False), from those that have both.

    ``text`` has a place for the figure inside and one for that outside. ``pairs`` says which two things each of
    ``found`` is of, where it is of two.
    """
    at = [number for number, one in enumerate(found) if one.n_inside and one.n_outside]
    both = [found[number] for number in at]
    inside, outside = mean([one.inside for one in both]), mean([one.outside for one in both])
    differences = [one.difference if more else -one.difference for one in both]
    difference = spread(differences) if pairs is None else spread_over_pairs([pairs[i] for i in at], differences)
    clause = text.format(number(inside), number(outside))
    return part(
        name, key, difference, f"{clause}{interval(difference, number)}",
        {f"{key}_inside": inside, f"{key}_outside": outside},
    )  # fmt: skip


# Words and plain values.


def count(number: int, what: str) -> str:
    """1, "network" -> "1 network"; 3 -> "3 networks"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """0.5 -> "50 %"."""
    return f"{100 * share:.0f} %"


def points(share: float) -> str:
    """A difference of shares: 0.05 -> "5.0 points"."""
    return f"{100 * share:.1f} points".replace("-", "−")


def decimal(value: float) -> str:
    """-0.5 -> "−0.50"."""
    return f"{value:.2f}".replace("-", "−")


def interval(found: Spread, number: Callable[[float], str]) -> str:
    """A difference in brackets, " (difference 0.50, 95 % interval 0.40 to 0.60)"; of two values these themselves,
    since their interval is wider than any difference; empty for one value alone."""
    if found.n < 2:
        return ""
    show = decimal if number is decimal else points
    if found.n == 2:
        half = found.sd / math.sqrt(2)
        return f" (two differences, {show(found.mean - half).removesuffix(' points')} and {show(found.mean + half)})"
    low = show(found.low).removesuffix(" points")
    return f" (difference {show(found.mean)}, 95 % interval {low} to {show(found.high)})"


def plain(numbers: dict[str, Any]) -> Numbers:
    """The same in Python's types, with None for NaN."""
    found: Numbers = {}
    for name, value in numbers.items():
        if isinstance(value, (float, np.floating)):
            found[name] = float(value) if math.isfinite(value) else None
        else:
            found[name] = int(value) if isinstance(value, np.integer) else value
    return found
