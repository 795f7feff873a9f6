"""CKA in float64, term by term as the papers write it: what the package is tested against. Uses none of its code."""

from __future__ import annotations

import numpy as np


def hsic1(k, w):
    """Nguyen et al. 2021, equation 2: the three terms."""
    m = len(k)
    ones = np.ones(m)
    k, w = k - np.diag(np.diag(k)), w - np.diag(np.diag(w))
    trace = np.trace(k @ w)
    middle = (ones @ k @ ones) * (ones @ w @ ones) / ((m - 1) * (m - 2))
    last = 2 / (m - 2) * (ones @ k @ w @ ones)
    return (trace + middle - last) / (m * (m - 3))


def gram(x):
    """X X' in float64. Removing the feature means changes no HSIC1 and keeps the three terms from cancelling."""
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    x = x - x.mean(axis=0)
    return x @ x.T


def cka(x, y, parts=None):
    """Nguyen et al. 2021, equation 1, each minibatch weighted by its number of images."""
    parts = parts or [slice(0, len(x))]
    sums = np.zeros(3)
    for part in parts:
        k, w = gram(x[part]), gram(y[part])
        sums += (part.stop - part.start) * np.array([hsic1(k, w), hsic1(k, k), hsic1(w, w)])
    return sums[0] / np.sqrt(sums[1] * sums[2])


def matrix(a, b, parts=None):
    """`cka` of every layer of a with every layer of b, each Gram matrix computed once."""
    cross, own_a, own_b = np.zeros((len(a), len(b))), np.zeros(len(a)), np.zeros(len(b))
    for part in parts or [slice(0, len(a[0]))]:
        m = part.stop - part.start
        ks, ws = [gram(x[part]) for x in a], [gram(y[part]) for y in b]
        cross += m * np.array([[hsic1(k, w) for w in ws] for k in ks])
        own_a += m * np.array([hsic1(k, k) for k in ks])
        own_b += m * np.array([hsic1(w, w) for w in ws])
    return cross / np.sqrt(np.outer(own_a, own_b))


def network(seed, m, layers=6, width=40, images_seed=0):
    """Activations of a small random ReLU network whose layers resemble each other more or less."""
    images = np.random.default_rng(images_seed).standard_normal((m, 12))
    rng = np.random.default_rng(seed)
    x, made = images, []
    for layer in range(layers):
        x = np.maximum(x @ rng.standard_normal((x.shape[1], width)) / np.sqrt(x.shape[1]) + 0.1, 0)
        if layer % 2 == 0:
            x = x + 0.3 * rng.standard_normal(x.shape)
        made.append(x.astype(np.float32))
    return made
