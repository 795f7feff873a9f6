"""Biased and unbiased CKA of two layers against how many images there are, and how many a minibatch has.

The biased one rises as images become few: of independent noise with p and q features it is about
sqrt(pq / ((n + p)(n + q))) (Murphy, Zylberberg & Fyshe 2024, arXiv 2405.01012). Where features outnumber images it says
nothing else. In minibatches it has the bias of the minibatch, however many there are.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from cka_core.measures.grams import in_threads
from cka_core.measures.kernels import centre, u_centre

FEWEST = 8
DRAWS = 40
"""Random samples that the spread is over."""


@dataclasses.dataclass(frozen=True, eq=False)
class Estimates:
    """CKA of two layers on random samples of some images, float64.

    Attributes
    ----------
    images : int (n,), numbers of images
    sizes : int (m,), images in a minibatch
    unbiased, biased : (draws, n, m), NaN where the images are no whole number of minibatches, or the sample has no CKA
    level : (m,), what biased CKA is on average where one layer's images are permuted, exactly, for these two layers
    """

    images: np.ndarray
    sizes: np.ndarray
    unbiased: np.ndarray
    biased: np.ndarray
    level: np.ndarray


def steps(total: int) -> list[int]:
    """Numbers of images to look at: powers of two from 8, and all ``total`` of them."""
    powers = [1 << power for power in range(3, total.bit_length()) if 1 << power <= total]
    return sorted({*powers, total})


def murphy(n: float | np.ndarray, p: int, q: int) -> np.ndarray:
    """sqrt(pq / ((n + p)(n + q))): biased CKA of independent noise with p and q features, of n images."""
    n = np.asarray(n, np.float64)
    return np.sqrt(p * q / ((n + p) * (n + q)))


def estimates(gram_a: np.ndarray, gram_b: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Estimates:
    """`Estimates` from the Gram matrices (N, N) of two layers on the same N images, centred or not.

    A draw is one random order of the images; n of them are its first n, cut into minibatches in that order. Unbiased
    HSIC is summed over minibatches before the ratio is taken (Nguyen et al. 2021, equation 1); biased CKA is averaged.
    ValueError for fewer than 8 images, or two that are not of the same ones.
    """
    total = len(gram_a)
    if gram_a.shape != (total, total) or gram_b.shape != gram_a.shape:
        raise ValueError(f"Expected two Gram matrices of the same images, got {gram_a.shape} and {gram_b.shape}.")
    if total < FEWEST:
        raise ValueError(f"Expected at least {FEWEST} images, got {total}.")
    numbers = steps(total)
    unbiased, biased = (np.full((draws, len(numbers), len(numbers)), np.nan) for _ in range(2))
    level = np.zeros((draws, len(numbers)))
    orders = [np.random.default_rng((seed, draw)).permutation(total) for draw in range(draws)]

    def one(draw: int) -> None:
        order = orders[draw]
        a, b = gram_a[np.ix_(order, order)], gram_b[np.ix_(order, order)]
        for column, size in enumerate(numbers):
            sums = _blocks(a, b, size)
            level[draw, column] = sums[:, 4].mean()
            for row, n in enumerate(numbers):
                if n % size == 0:
                    cross, own_a, own_b = sums[: n // size, :3].sum(axis=0)
                    if own_a > 0 and own_b > 0:
                        unbiased[draw, row, column] = cross / math.sqrt(own_a * own_b)
                    biased[draw, row, column] = sums[: n // size, 3].mean()

    in_threads(one, range(draws))
    return Estimates(np.array(numbers), np.array(numbers), unbiased, biased, level.mean(axis=0))


def _blocks(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """Of each minibatch: <U(K~), U(L~)>, <U(K~), U(K~)>, <U(L~), U(L~)>, biased CKA, its mean by chance."""
    found = np.empty((len(a) // size, 5))
    for block in range(len(found)):
        part = slice(block * size, (block + 1) * size)
        k, l_ = a[part, part], b[part, part]
        u, v = u_centre(k), u_centre(l_)
        c, d = centre(k), centre(l_)
        norms = math.sqrt(np.vdot(c, c) * np.vdot(d, d))
        traces = np.trace(c) * np.trace(d)
        whole = (np.vdot(c, d) / norms, traces / ((size - 1) * norms)) if norms > 0 else (np.nan, np.nan)
        found[block] = np.vdot(u, v), np.vdot(u, u), np.vdot(v, v), *whole
    return found


def summary(values: np.ndarray, inside: float = 0.9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over draws (the first axis), and between which bounds ``inside`` of them lie; NaN where none is known."""
    known = np.isfinite(values).any(axis=0)
    filled = np.where(known, values, 0.0)
    low, high = np.nanquantile(filled, [(1 - inside) / 2, (1 + inside) / 2], axis=0)
    return tuple(np.where(known, found, np.nan) for found in (np.nanmean(filled, axis=0), low, high))  # type: ignore[return-value]
