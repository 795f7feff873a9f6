"""The original notebook's way, for comparison only: six Gram matrices for every pair of layers.

After github.com/phrasenmaeher/cka, "Do Wide and Deep Neural Networks Learn the Same Things?": its equations (1) and (2)
in numpy, with the Gram matrices computed again inside each call.
"""

from __future__ import annotations

import numpy as np


def unbiased_hsic(k: np.ndarray, gram: np.ndarray) -> float:
    n = len(k)
    ones = np.ones(n)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(gram, 0)
    trace = np.trace(np.dot(k, gram))
    middle = np.dot(np.dot(np.dot(ones, k), ones), np.dot(np.dot(ones, gram), ones)) / ((n - 1) * (n - 2))
    last = 2 / (n - 2) * np.dot(np.dot(ones, k), np.dot(gram, ones))
    return 1 / (n * (n - 3)) * (trace + middle - last)


def cka(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    top = unbiased_hsic(np.dot(x, x.T), np.dot(y, y.T))
    own_x = unbiased_hsic(np.dot(x, x.T), np.dot(x, x.T))
    own_y = unbiased_hsic(np.dot(y, y.T), np.dot(y, y.T))
    return float(top / np.sqrt(own_x * own_y))
