"""A piece of evidence for or against a claim: a difference, its figures, a clause in words and a verdict by rule.

One part of a claim, the first, decides it; the others are shown. What counts as one observation is an architecture,
its seeds averaged first, or, where one architecture alone has what is asked, a seed of it: never both as equals
(`by_unit`).

a difference (`clear`)          no: its whole 95 % t interval lies below the smallest effect that would matter, stated
                                beforehand; yes: else, if it lies above 0, or above what the claim says; else unclear
growth (`grows`)                yes: as large a rank correlation in at most 1 of 20 orders of the architectures; no: the
                                upper end of its 95 % interval is under 0.3; else unclear; not tested: if even a perfect
                                order would be chance in more than 1 of 20 cases
different networks (`differ`)   yes: as different by chance in at most 1 of 20 ways to deal the networks into two
                                groups; else unclear, and never no; not tested: if no difference could reach 1 of 20
something no two share (`none`) no: two do; yes: none of so many that fewer than half would, 95 % sure; else unclear

A yes that rests on networks the rule for a block was fixed on becomes unclear where those trained later do not repeat
it: where as many fewer with a block are chance in at most 1 of 20 ways to deal the networks (`fewer_by_chance`).

`docs/study.md` has their error rates, which `benchmarks/evidence.py` simulates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cka_core.atlas.numbers import Contrast, Spread, mean, spread

YES, UNCLEAR, NO, NOT_TESTED, CANNOT_SAY = "yes", "unclear", "no", "not tested", "cannot say"

DELETION, PROBE, CKA, SHARE = 0.02, 0.005, 0.1, 0.1
"""The smallest effects that would matter, stated before any was measured by these rules: of deleting a residual block
and of a linear probe from block to block, in accuracy; of CKA and cosines; of a share of variance."""

PAIR = "pair of seeds"
"""What one observation is where seeds of one architecture are compared with each other."""

GROWTH = 0.3
"""A rank correlation smaller than this is no growth."""

CHANCE = 0.05
ROUNDING = 1e-9

Numbers = dict[str, float | int | str | None]


@dataclasses.dataclass(frozen=True)
class Part:
    """One difference a claim is about: its ``name``, verdict (None: not known), a clause for it, its figures.

    ``figure`` and ``reach`` are the figure to see first and its uncertainty, in words; empty without any.
    """

    name: str
    verdict: str | None
    text: str
    numbers: dict[str, Any]
    figure: str = ""
    reach: str = ""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All parts of a claim, that which decides it first.

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
        found = self.parts[0].verdict if self.parts else None
        return CANNOT_SAY if self.reason or found in (None, NOT_TESTED) else str(found)

    @property
    def text(self) -> str:
        """What is seen, in whole sentences; why it is not, where nothing is."""
        text = "; ".join(part.text for part in self.parts if part.text)
        return " ".join(filter(None, (self.why_not, f"{text[:1].upper()}{text[1:]}." if text else "", self.more)))

    @property
    def why_not(self) -> str:
        """Why nothing can be said, in a sentence; empty if something can."""
        if self.reason or (self.parts and self.parts[0].text):
            return self.reason
        return f"This atlas has no figures for {self.parts[0].name}." if self.parts else "This atlas has no figures."

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


def fewer_by_chance(before: tuple[int, int], after: tuple[int, int]) -> float:
    """The share of ways to deal networks into two groups that put as many that have something, or more, into the first:
    Fisher's exact test, one-sided. Each group is how many have it and how many there are; 1.0 where one is empty."""
    (had, first), (have, second) = before, after
    total, having = first + second, had + have
    ways = sum(math.comb(having, k) * math.comb(total - having, first - k) for k in range(had, min(having, first) + 1))
    return ways / math.comb(total, first)


def by_unit(groups: Sequence[Sequence[float]], one: str = "seed") -> tuple[Spread, str]:
    """The `Spread` of values over what counts as one observation, and what that is: "architecture", or ``one``, which
    is what a value is of.

    ``groups`` has the values of each architecture's seeds, NaN for what is not known.
    """
    known = [[value for value in group if math.isfinite(value)] for group in groups]
    known = [group for group in known if group]
    if len(known) == 1:
        return spread(known[0]), one
    return spread([mean(group) for group in known]), "architecture"


def clear(found: Spread, smallest: float, least: float = 0.0) -> str | None:
    """Whether a difference is surely smaller than ``smallest``, or else above ``least``; None without any value."""
    if not found.n:
        return None
    if found.high < smallest - ROUNDING:
        return NO
    return YES if found.low > least + ROUNDING else UNCLEAR


def grows(rho: float, chance: float, n: int) -> str:
    """Whether something grows, from its rank correlation over ``n`` architectures and how often chance has as much."""
    if chance <= CHANCE:
        return YES
    return NO if highest(rho, n) < GROWTH else UNCLEAR


def highest(rho: float, n: int) -> float:
    """The upper end of a rank correlation's 95 % interval (Bonett & Wright 2000, Psychometrika 65); 1 below n = 4."""
    if n < 4 or math.isnan(rho):
        return 1.0
    z = math.atanh(max(min(rho, 1 - ROUNDING), ROUNDING - 1))
    return math.tanh(z + 1.96 * math.sqrt((1 + rho**2 / 2) / (n - 3)))


def can_grow(values: Sequence[int], others: Sequence[int]) -> int:
    """The most different ``values``, such as depths, among architectures with the same one of ``others``: a perfect
    order of k of them is chance in 1 of k! cases, so that fewer than four say nothing."""
    return max((len({v for v, o in zip(values, others, strict=True) if o == other}) for other in others), default=0)


def differ(chance: float, least: float) -> str:
    """Whether two groups of networks differ, from how often chance gives as much, and how often at the ``least``."""
    if least > CHANCE:
        return NOT_TESTED
    return YES if chance <= CHANCE else UNCLEAR


def none(shared: int, units: int) -> str | None:
    """Whether no two of so many share something: with none in k the true share is under 1 - 0.05^(1/k), 95 % sure."""
    if units < 2:
        return None
    if shared:
        return NO
    return YES if 1 - CHANCE ** (1 / units) < 0.5 else UNCLEAR


# Parts from spreads and contrasts.


def part(
    name: str,
    key: str,
    found: tuple[Spread, str],
    text: str,
    numbers: dict[str, Any],
    smallest: float,
    number: Callable[[float], str],
    least: float = 0.0,
) -> Part:
    """A part from the `Spread` of its difference over units (`by_unit`), which stands in the figures under ``key``."""
    over, unit = found
    figures = {f"{key}_difference": over.mean, f"{key}_low": over.low, f"{key}_high": over.high, f"{key}_n": over.n}
    text = f"{text}{interval(over, unit, number)}" if over.n else ""
    shown = difference(over.mean, number) if over.n else ""
    return Part(name, clear(over, smallest, least), text, {**numbers, **figures}, shown, reach(over, unit, number))


def inside_more(
    name: str,
    key: str,
    groups: Sequence[Sequence[Contrast]],
    text: str,
    number: Callable[[float], str],
    smallest: float,
    *,
    more: bool = True,
    one: str = "seed",
) -> Part:
    """A part that says there is more inside than outside, or less (``more`` False), from those that have both.

    ``groups`` has the `Contrast` of each architecture's seeds; ``text`` a place for the figure inside and one for that
    outside, which are means over architectures.
    """
    both = [[found for found in group if found.n_inside and found.n_outside] for group in groups]
    inside, outside = (
        mean([mean([getattr(found, side) for found in group]) for group in both]) for side in ("inside", "outside")
    )
    differences = [[found.difference if more else -found.difference for found in group] for group in both]
    return part(
        name, key, by_unit(differences, one), text.format(number(inside), number(outside)),
        {f"{key}_inside": inside, f"{key}_outside": outside}, smallest, number,
    )  # fmt: skip


# Words and plain values.


def percent(share: float) -> str:
    """0.5 -> "50 %"."""
    return f"{100 * share:.0f} %"


def points(share: float) -> str:
    """A difference of shares: 0.05 -> "5.0 points"."""
    return f"{100 * share:.1f} points".replace("-", "−")


def decimal(value: float) -> str:
    """-0.5 -> "−0.50"."""
    return f"{value:.2f}".replace("-", "−")


def difference(value: float, number: Callable[[float], str]) -> str:
    return decimal(value) if number is decimal else points(value)


def reach(found: Spread, unit: str, number: Callable[[float], str]) -> str:
    """The uncertainty of a difference, "95 % interval 0.40 to 0.60, over 5 architectures"; of two values these
    themselves, since their interval is wider than any difference; of one, that it is one."""
    if found.n < 2:
        return f"one {unit} only" if found.n else ""
    several = "pairs of seeds" if unit == PAIR else f"{unit}s"
    if found.n == 2:
        half = found.sd / math.sqrt(2)
        low, high = (difference(found.mean + side * half, number) for side in (-1, 1))
        return f"two {several}: {low.removesuffix(' points')} and {high}"
    low, high = (difference(value, number) for value in (found.low, found.high))
    return f"95 % interval {low.removesuffix(' points')} to {high}, over {found.n} {several}"


def interval(found: Spread, unit: str, number: Callable[[float], str]) -> str:
    """A difference in brackets, " (difference 0.50, 95 % interval 0.40 to 0.60, over 5 architectures)"."""
    return f" (difference {difference(found.mean, number)}, {reach(found, unit, number)})"


def plain(numbers: dict[str, Any]) -> Numbers:
    """The same in Python's types, with None for NaN."""
    found: Numbers = {}
    for name, value in numbers.items():
        if isinstance(value, (float, np.floating)):
            found[name] = float(value) if math.isfinite(value) else None
        else:
            found[name] = int(value) if isinstance(value, np.integer) else value
    return found
