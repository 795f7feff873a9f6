"""Rank correlations, and how often chance does as well."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

PERMUTATIONS = 2000


def rank_correlation(x: Any, y: Any) -> float:
    """Spearman's: the correlation of the ranks, of equal values their mean rank; NaN if either does not vary."""
    a, b = (_ranks(np.asarray(values, np.float64)) for values in (x, y))
    if len(a) < 2 or not a.std() or not b.std():
        return float("nan")
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def concordance(sizes: Any, values: Any) -> tuple[int, int, int]:
    """Of pairs of things of which one is larger: in how many its value is larger, in how many smaller, and all.

    ``sizes`` (things, dimensions): one is larger if it is in some dimension and smaller in none; other pairs do not
    count. The first less the second over the third is Kendall's rank correlation for what is ordered in part.
    """
    sizes, values = np.asarray(sizes, np.float64), np.asarray(values, np.float64)
    larger = (sizes[:, None] >= sizes).all(axis=2) & (sizes[:, None] > sizes).any(axis=2)
    signs = np.sign(values[:, None] - values)[larger]
    return int((signs > 0).sum()), int((signs < 0).sum()), len(signs)


def by_chance(statistic: Callable[[np.ndarray], float], count: int) -> float:
    """How often a statistic of ``count`` things is at least as large in another order of them: from 0 to 1, or NaN.

    ``statistic`` gets the order, int (count,). All orders for up to six things, else 2,000 of them drawn, the given one
    among them.
    """
    given = np.arange(count)
    observed = statistic(given)
    if not np.isfinite(observed):
        return float("nan")
    rng = np.random.default_rng(0)
    orders = (
        map(np.array, itertools.permutations(range(count)))
        if count <= 6
        else itertools.chain([given], (rng.permutation(count) for _ in range(PERMUTATIONS - 1)))
    )
    return float(np.mean([statistic(order) >= observed - 1e-9 for order in orders]))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
