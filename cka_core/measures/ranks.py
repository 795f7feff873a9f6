"""Rank correlations, and how often chance does as well."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np

PERMUTATIONS = 20_000

EXACT = 9
"""Up to so many things all orders are looked at, 362,880 of nine."""


def rank_correlation(x: Any, y: Any) -> float:
    """Spearman's: the correlation of the ranks, of equal values their mean rank; NaN if either does not vary."""
    a, b = (_ranks(np.asarray(values, np.float64)) for values in (x, y))
    if len(a) < 2 or not a.std() or not b.std():
        return float("nan")
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def by_chance_exactly(x: Any, y: Any) -> tuple[float, float]:
    """Spearman's rank correlation, and in which share of all orders of the things it is at least as large; NaN, NaN if
    either does not vary.

    All orders for up to nine things, else 20,000 of them drawn, the given one among them.
    """
    a, b = (_ranks(np.asarray(values, np.float64)) for values in (x, y))
    rho = rank_correlation(x, y)
    if np.isnan(rho):
        return rho, rho
    sums = (a - a.mean())[_orders(len(a))] @ (b - b.mean())
    return rho, float((sums >= (a - a.mean()) @ (b - b.mean()) - 1e-9).mean())


@lru_cache(maxsize=2)
def _orders(n: int) -> np.ndarray:
    """Orders of n things, int (orders, n)."""
    if n <= EXACT:
        return np.array(list(itertools.permutations(range(n))), np.uint8)
    rng = np.random.default_rng(0)
    return np.array([np.arange(n), *(rng.permutation(n) for _ in range(PERMUTATIONS - 1))])


def deals(first: int, second: int) -> np.ndarray:
    """Ways to deal first + second things into two groups of these sizes: int (ways, first), which are in the first.

    All of them up to 20,000, else as many drawn; the given one, 0 to first - 1, is the first row.
    """
    n = first + second
    if math.comb(n, first) <= PERMUTATIONS:
        return np.array(list(itertools.combinations(range(n), first)), np.intp)
    rng = np.random.default_rng(0)
    drawn = (rng.permutation(n)[:first] for _ in range(PERMUTATIONS - 1))
    return np.array([np.arange(first), *drawn], np.intp)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
