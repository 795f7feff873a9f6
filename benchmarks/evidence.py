"""Error rates of the rules that decide the paper's claims, by simulation: prints the tables of docs/study.md.

    python benchmarks/evidence.py [--studies 20000]

Each rule of `cka_core.claims.evidence` reads made-up studies in which the truth is known: no effect, half a standard
deviation, one. Nothing is trained or looked at.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cka_core.atlas.errors import dealt  # noqa: E402
from cka_core.atlas.numbers import spread  # noqa: E402
from cka_core.claims.evidence import clear, differ, grows, none  # noqa: E402
from cka_core.measures.ranks import by_chance_exactly  # noqa: E402

EFFECTS = (0.0, 0.5, 1.0)
"""In standard deviations of one observation."""

DEPTHS = (14, 14, 14, 20, 38, 38, 56)
"""The architectures of the first study, on which the rule for a block was fixed."""

DEPTHS_NOW = (14, 14, 14, 20, 26, 38, 38, 56, 110)
"""Those of the bundled study as it is, over which the card of claim 1 decides."""

Rates = dict[str, float]
Study = Callable[[np.random.Generator, float], "str | None"]


def rates(study: Study, effect: float, studies: int, seed: int = 0) -> Rates:
    """The share of ``studies`` that read each verdict."""
    rng = np.random.default_rng(seed)
    found = Counter(study(rng, effect) for _ in range(studies))
    return {str(verdict): count / studies for verdict, count in found.items()}


def one_difference(n: int, smallest: float) -> Study:
    """A difference over ``n`` architectures; ``smallest`` is the smallest effect that matters, in the same units."""
    return lambda rng, effect: clear(spread(rng.normal(effect, 1, n)), smallest)


def by_the_mean(n: int) -> Study:
    """The rule of version 0.2: no if the mean is not above 0."""

    def study(rng: np.random.Generator, effect: float) -> str:
        found = spread(rng.normal(effect, 1, n))
        return "yes" if found.low > 0 else "unclear" if found.mean > 0 else "no"

    return study


def three_together(n: int, smallest: float) -> Study:
    """Three parts, all true, that had to agree: what one primary part replaces."""

    def study(rng: np.random.Generator, effect: float) -> str:
        found = {clear(spread(rng.normal(effect, 1, n)), smallest) for _ in range(3)}
        return str(found.pop()) if len(found) == 1 else "unclear"

    return study


def growth(sizes: Sequence[int]) -> Study:
    """Something that grows by ``effect`` noises for each standard deviation of depth."""
    size = np.asarray(sizes, float)
    z = (size - size.mean()) / size.std()

    def study(rng: np.random.Generator, effect: float) -> str:
        return grows(*by_chance_exactly(size, effect * z + rng.normal(size=len(size))), len(size))

    return study


def two_groups(seeds: int, classes: int = 10) -> Study:
    """Wide and deep networks whose accuracy in each class differs by ``effect`` standard deviations of a seed's."""

    def study(rng: np.random.Generator, effect: float) -> str:
        right = rng.normal(size=(2 * seeds, classes))
        right[:seeds] += effect * np.sqrt(classes / (classes - 1)) * _centred(rng.normal(size=classes))

        def statistic(first: np.ndarray) -> float:
            inside = np.isin(np.arange(2 * seeds), first)
            apart = right[inside].mean(axis=0) - right[~inside].mean(axis=0)
            return float(np.square(apart - apart.mean()).sum())

        found = dealt(statistic, seeds, seeds)
        return differ(found.chance, found.least)

    return study


def _centred(values: np.ndarray) -> np.ndarray:
    centred: np.ndarray = values - values.mean()
    return centred


def shared(networks: int, share: float) -> Study:
    """Whether no two of so many networks share a block, where each does with some other at the rate ``share``."""

    def study(rng: np.random.Generator, _: float) -> str | None:
        return none(int(rng.binomial(networks, share)), networks)

    return study


def tables(studies: int) -> Iterator[str]:
    """Every table, line by line, in Markdown."""
    yield from _table(
        "A difference over n architectures, smallest effect one standard deviation",
        {f"n = {n}": one_difference(n, 1.0) for n in (3, 4, 5, 7, 10)}, studies,
    )  # fmt: skip
    yield from _table(
        "The same, smallest effect half a standard deviation",
        {f"n = {n}": one_difference(n, 0.5) for n in (5, 7, 10, 20)}, studies,
    )  # fmt: skip
    yield from _table("Version 0.2: no if the mean is not above 0", {"n = 7": by_the_mean(7)}, studies)
    yield from _table(
        "Three true parts that have to agree, against one that decides; n = 7",
        {"one": one_difference(7, 0.5), "three": three_together(7, 0.5)}, studies,
    )  # fmt: skip
    few = max(100, studies // 10)  # of each all orders are gone through
    yield from _table(
        "Growth over architectures (an effect is in noises for a standard deviation of depth)",
        {"the 7 of the first study": growth(DEPTHS), "the 9 of the bundled study": growth(DEPTHS_NOW),
         "4": growth((14, 20, 38, 56)), "8, evenly": growth((14, 20, 26, 32, 38, 44, 56, 110))}, few,
    )  # fmt: skip
    yield from _table(
        "Wide against deep: permutation of networks, 10 classes (an effect is in a seed's standard deviations)",
        {f"{seeds} against {seeds}": two_groups(seeds) for seeds in (2, 3, 4, 5)}, few,
    )  # fmt: skip
    yield f"No two share a block, where each network does at a rate of 0, 1 in 4, 1 in 2 {_key(studies)}"
    yield ""
    yield "| networks | 0 | 1 in 4 | 1 in 2 |"
    yield "|---|---|---|---|"
    for networks in (3, 4, 5, 8):
        cells = [_cell(rates(shared(networks, share), 0.0, studies)) for share in (0, 0.25, 0.5)]
        yield f"| {networks} | {' | '.join(cells)} |"


def _table(title: str, rows: dict[str, Study], studies: int) -> Iterator[str]:
    yield f"{title} {_key(studies)}"
    yield ""
    yield "| | no effect | half | one |"
    yield "|---|---|---|---|"
    for name, study in rows.items():
        yield f"| {name} | {' | '.join(_cell(rates(study, effect, studies)) for effect in EFFECTS)} |"
    yield ""


def _key(studies: int) -> str:
    return f"(yes / unclear / no, %; {studies:,} studies a cell)"


def _cell(found: Rates) -> str:
    if "not tested" in found:
        return "not tested"
    return " / ".join(f"{100 * found.get(verdict, 0):.1f}" for verdict in ("yes", "unclear", "no"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000)
    for line in tables(parser.parse_args().studies):
        print(line)
