"""Linear probes: what a linear classifier reads from a layer."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cka_core.measures.behaviour import check_labels
from cka_core.measures.kernels import centre

PENALTY_IMAGES = 1000
"""At most this many training images choose a probe's penalty: decomposing the Gram of 3,000 takes ten seconds."""


PENALTIES = tuple(float(10.0 ** (exponent / 2)) for exponent in range(-10, 7))
"""Candidates, in units of an image's mean squared distance from the mean."""


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """A linear probe: shares of images classified correctly, its penalty in units of the mean squared norm."""

    accuracy: float
    train_accuracy: float
    penalty: float
    n_train: int
    n_test: int


def probe(train: Any, y_train: Any, test: Any, y_test: Any, classes: int = 10) -> ProbeResult:
    """How well a linear classifier reads the class from a layer: ridge regression on one-hot labels, in closed form.

    The features' training mean is removed; the class of the largest output is predicted. The penalty is the one of 17,
    from 1e-5 to 1e3 times an image's mean squared norm, with the smallest leave-one-out squared error, known in closed
    form from the hat matrix: e_i / (1 - H_ii) (Allen's PRESS); it is chosen on the training images alone, on a fixed
    draw of 1,000 where there are more. Alain & Bengio 2016, arXiv 1610.01644, for probes; Nguyen et al. 2021 train
    theirs by gradient descent.

    Parameters
    ----------
    train, test : (n, ...) arrays of features, float32 products unless both are float64
    y_train, y_test : (n,) integers from 0 to ``classes`` - 1

    Raises
    ------
    ValueError
        For labels, shapes or features that do not fit.
    """
    x, t = _features(train, "train"), _features(test, "test")
    if x.shape[1] != t.shape[1]:
        raise ValueError(f"Expected the same features in train and test, got {x.shape[1]:,} and {t.shape[1]:,}.")
    labels, held_out = check_labels(y_train, len(x), classes), check_labels(y_test, len(t), classes)
    precision = np.result_type(x.dtype, t.dtype)
    scale = -int(np.frexp(max(float(np.abs(x).max()), float(np.finfo(np.float32).tiny)))[1])
    x, t = (np.ldexp(z.astype(precision, copy=False), scale) for z in (x, t))
    mean = x.mean(axis=0, dtype=np.float64).astype(precision)
    x, t = x - mean, t - mean
    if x.shape[1] >= len(x):
        return probe_grams(x @ x.T, t @ x.T, labels, held_out, classes)
    some = _sample(len(x))
    size = float(np.vdot(x, x)) / len(x)
    part = x[some]
    targets, average = _one_hot(labels, classes)
    penalty = _choose_penalty(centre((part @ part.T).astype(np.float64)), labels[some], classes, size)
    covariance = (x.T @ x).astype(np.float64)
    covariance[np.diag_indices_from(covariance)] += max(penalty * size, np.finfo(float).tiny)
    weights = np.linalg.solve(covariance, x.T.astype(np.float64) @ targets)
    return _result(x @ weights + average, t @ weights + average, labels, held_out, penalty)


def probe_grams(train_gram: Any, cross_gram: Any, y_train: Any, y_test: Any, classes: int = 10) -> ProbeResult:
    """`probe` from Gram matrices alone: train with train (n_train, n_train) and test with train (n_test, n_train).

    Both of the same features; their mean over the training images is removed here.
    """
    k, cross = np.asarray(train_gram, np.float64), np.asarray(cross_gram, np.float64)
    n = len(k)
    if k.shape != (n, n) or cross.ndim != 2 or cross.shape[1] != n:
        raise ValueError(
            f"Expected Gram matrices (n_train, n_train) and (n_test, n_train), got {k.shape} and {cross.shape}."
        )
    if not (np.isfinite(k).all() and np.isfinite(cross).all()):
        raise ValueError("Expected finite Gram matrices, got NaN or infinity.")
    labels, held_out = check_labels(y_train, n, classes), check_labels(y_test, len(cross), classes)
    columns = k.mean(axis=0)
    cross = cross - cross.mean(axis=1, keepdims=True) - columns + columns.mean()
    k = centre(k)
    size, some = float(np.trace(k)) / n, _sample(n)
    targets, average = _one_hot(labels, classes)
    penalty = _choose_penalty(centre(k[np.ix_(some, some)]), labels[some], classes, size)
    ridge = k.copy()
    ridge[np.diag_indices(n)] += max(penalty * size, np.finfo(float).tiny)
    weights = np.linalg.solve(ridge, targets)
    return _result(k @ weights + average, cross @ weights + average, labels, held_out, penalty)


def _choose_penalty(gram: np.ndarray, labels: np.ndarray, classes: int, size: float) -> float:
    """The penalty of the smallest leave-one-out squared error; the largest of those that are as good."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    targets, _ = _one_hot(labels, classes)
    projected = vectors.T @ targets
    best = (np.inf, PENALTIES[-1])
    for penalty in reversed(PENALTIES):
        shrink = values / np.maximum(values + penalty * size, np.finfo(float).tiny)
        leverage = 1 / len(gram) + np.square(vectors) @ shrink
        left_out = (targets - vectors @ (shrink[:, None] * projected)) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = float(np.square(left_out).sum())
        best = min(best, (error, penalty), key=lambda pair: pair[0])
    return best[1]


def _sample(n: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n)[:PENALTY_IMAGES])


def _one_hot(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels as indicator vectors less their mean, and the mean."""
    targets = np.eye(classes)[labels]
    average = targets.mean(axis=0)
    return targets - average, average


def _result(
    fitted: np.ndarray, predicted: np.ndarray, labels: np.ndarray, held_out: np.ndarray, penalty: float
) -> ProbeResult:
    accuracy, train_accuracy = (
        float((outputs.argmax(axis=1) == y).mean()) for outputs, y in ((predicted, held_out), (fitted, labels))
    )
    return ProbeResult(accuracy, train_accuracy, penalty, len(labels), len(held_out))


def _features(x: Any, name: str) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" or x.ndim == 0 or x.size == 0:
        raise ValueError(f"Expected {name} features as numbers (images, ...), got {x.dtype} of shape {x.shape}.")
    x = x.reshape(len(x), -1).astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False)
    if not np.isfinite(x).all():
        raise ValueError(f"Expected finite {name} features, got NaN or infinity. Leave this layer out.")
    return x
