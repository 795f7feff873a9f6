"""What networks predict: the same or not, right or wrong, on which images.

Nguyen, Raghu & Kornblith 2021, arXiv 2010.15327, sections 5 and 6: two networks as accurate as each other still differ
by class and by image; the variation over seeds is what a difference between architectures is to be held against.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Z95 = 1.959963984540054
"""Standard errors on each side of a 95 % interval."""

SMALLEST = 1e-12
"""Probabilities are taken to be at least this, since one of exactly 0 makes a Kullback-Leibler divergence infinite."""


def wilson_interval(correct: Any, images: Any, z: float = Z95) -> tuple[Any, Any]:
    """The score interval of a share ``correct`` / ``images``: (low, high), floats or arrays like the input.

        (s + z²/2n ± z sqrt(s(1 - s)/n + z²/4n²)) / (1 + z²/n)        Wilson 1927, JASA 22

    It stays within 0 and 1 and is right near both, unlike s ± z sqrt(s(1 - s)/n). NaN where there are no images.
    """
    correct, images = np.asarray(correct, np.float64), np.asarray(images, np.float64)
    if (correct < 0).any() or (correct > images).any():
        raise ValueError(f"Expected from 0 to {images} correct images, got {correct}.")
    n = np.where(images > 0, images, np.nan)
    share = correct / n
    middle = share + z * z / (2 * n)
    reach = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = np.maximum((middle - reach) / (1 + z * z / n), 0.0), np.minimum((middle + reach) / (1 + z * z / n), 1.0)
    low, high = np.where(correct == 0, low * 0, low), np.where(correct == images, high * 0 + 1, high)
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def log_probabilities(outputs: Any, *, logits: bool) -> np.ndarray:
    """Logarithms of a network's output distributions, float64 (n, classes), by log-softmax or from probabilities.

    ``outputs`` (n, classes): ``logits`` of any size, or probabilities, whose rows sum to 1 to 1e-3 and are made to sum
    to 1 exactly; those below 1e-12 count as 1e-12. ValueError for anything else.
    """
    values = np.asarray(outputs)
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf" or not len(values):
        raise ValueError(f"Expected outputs (images, classes) in numbers, got {values.dtype} of shape {values.shape}.")
    values = values.astype(np.float64)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise ValueError(f"Expected finite outputs, got NaN or infinity for image {int(finite.argmin())}.")
    if not logits:
        sums = values.sum(axis=1)
        if (values < 0).any() or (np.abs(sums - 1) > 1e-3).any():
            worst = int(np.abs(sums - 1).argmax())
            raise ValueError(
                f"Expected probabilities that sum to 1, got a row {worst} from {values[worst].min():.3g} to "
                f"{values[worst].max():.3g} with sum {sums[worst]:.4g}. Outputs before the softmax need logits=True."
            )
        values = np.log(np.maximum(values, SMALLEST))
    values = values - values.max(axis=1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


def kl_divergence(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """KL(p || q) = sum p (log p - log q) of each image, in nats: float64 (n,). Not symmetric."""
    return np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=1), 0.0)


def hellinger_distance(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """|sqrt p - sqrt q| / sqrt 2 of each image, from 0 (equal) to 1 (disjoint): float64 (n,). Symmetric."""
    return np.sqrt(np.square(np.exp(log_p / 2) - np.exp(log_q / 2)).sum(axis=1) / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class Accuracy:
    """Shares of correct images with their Wilson 95 % intervals: of a class each, and of all.

    ``images``, ``correct`` int (classes,); ``share``, ``low``, ``high`` float64 (classes,), NaN for a class without
    images; ``overall`` (share, low, high).
    """

    images: np.ndarray
    correct: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    overall: tuple[float, float, float]


def accuracy_by_class(predictions: Any, y: Any, classes: int = 10) -> Accuracy:
    """`Accuracy` of predicted classes (n,) against labels ``y`` (n,), both integers from 0 to ``classes`` - 1."""
    y = check_labels(y, np.size(y), classes)
    right = check_labels(predictions, len(y), classes) == y
    images, correct = np.bincount(y, minlength=classes), np.bincount(y[right], minlength=classes)
    share = np.divide(correct, images, out=np.full(classes, np.nan), where=images > 0)
    low, high = wilson_interval(correct, images)
    overall = (float(right.mean()), *wilson_interval(int(right.sum()), len(y)))
    return Accuracy(images, correct, share, low, high, overall)


@dataclasses.dataclass(frozen=True, eq=False)
class Behaviour:
    """Two networks' predictions of the same images beside each other.

    Attributes
    ----------
    agreement : (share, low, high) of images both give the same class, right or wrong, with its Wilson 95 % interval
    accuracy_a, accuracy_b : `Accuracy`
    only_a, only_b : positions of the images only A, or only B, classifies correctly
    neither : positions of the images both get wrong
    kl_ab, kl_ba : mean over images of KL(A || B) and KL(B || A), in nats
    hellinger : mean over images of the Hellinger distance, from 0 to 1
    """

    agreement: tuple[float, float, float]
    accuracy_a: Accuracy
    accuracy_b: Accuracy
    only_a: np.ndarray
    only_b: np.ndarray
    neither: np.ndarray
    kl_ab: float
    kl_ba: float
    hellinger: float

    @property
    def kl(self) -> float:
        """Symmetric: half of KL(A || B) + KL(B || A)."""
        return (self.kl_ab + self.kl_ba) / 2


def compare_behaviour(a: Any, b: Any, y: Any, *, logits: bool) -> Behaviour:
    """`Behaviour` of two networks from their outputs (n, classes) and the labels ``y`` (n,).

    ``logits`` says what both outputs are, see `log_probabilities`. Of equal outputs the first class is the prediction.
    ValueError for outputs of different shapes.
    """
    log_a, log_b = log_probabilities(a, logits=logits), log_probabilities(b, logits=logits)
    if log_a.shape != log_b.shape:
        raise ValueError(
            f"Expected outputs of the same images and classes, got shapes {log_a.shape} and {log_b.shape}."
        )
    n, classes = log_a.shape
    y = check_labels(y, n, classes)
    class_a, class_b = np.asarray(a).argmax(axis=1), np.asarray(b).argmax(axis=1)
    same, right_a, right_b = class_a == class_b, class_a == y, class_b == y
    return Behaviour(
        agreement=(float(same.mean()), *wilson_interval(int(same.sum()), n)),
        accuracy_a=accuracy_by_class(class_a, y, classes),
        accuracy_b=accuracy_by_class(class_b, y, classes),
        only_a=np.flatnonzero(right_a & ~right_b),
        only_b=np.flatnonzero(right_b & ~right_a),
        neither=np.flatnonzero(~right_a & ~right_b),
        kl_ab=float(kl_divergence(log_a, log_b).mean()),
        kl_ba=float(kl_divergence(log_b, log_a).mean()),
        hellinger=float(hellinger_distance(log_a, log_b).mean()),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class SeedVariation:
    """How far apart two networks' predictions are: over seeds of an architecture, and over architectures.

    ``architectures``; ``matrix`` float64 (architectures, architectures): the mean over all pairs of networks, on the
    diagonal over pairs of different seeds (NaN for an architecture with one seed). ``within`` and ``across``: the
    means of the diagonal and of the pairs of architectures, each architecture counting the same; NaN without any.
    """

    architectures: tuple[str, ...]
    matrix: np.ndarray
    within: float
    across: float


def seed_variation(
    predictions: Mapping[tuple[str, int], Any], distance: Callable[[Any, Any], Any] = np.not_equal
) -> SeedVariation:
    """`SeedVariation` of the predictions of the same images, by (architecture, seed).

    Predicted classes (n,) by default: the mean share of images predicted differently. With another ``distance`` of two
    networks' predictions, which gives a value an image, its mean over images and both orders: `hellinger_distance` and
    `kl_divergence` of log-probabilities (n, classes). Only where networks of different architectures differ more than
    those of one does the architecture matter.
    """
    if not predictions:
        raise ValueError("Expected the predictions of at least one network, got none.")
    arrays = {key: np.asarray(values) for key, values in predictions.items()}
    shapes, dimensions = {values.shape for values in arrays.values()}, 1 if distance is np.not_equal else 2
    if len(shapes) > 1 or len(next(iter(shapes))) != dimensions or not next(iter(shapes))[0]:
        expected = "predicted classes (images,)" if dimensions == 1 else "log-probabilities (images, classes)"
        raise ValueError(f"Expected {expected} of the same images, got shapes {sorted(shapes)}.")
    names = tuple(dict.fromkeys(architecture for architecture, _ in arrays))
    sums, pairs = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    for (one, p), (two, q) in itertools.combinations(arrays.items(), 2):
        at = tuple(sorted((names.index(one[0]), names.index(two[0]))))
        sums[at] += float(np.mean(distance(p, q)) + np.mean(distance(q, p))) / 2
        pairs[at] += 1
    upper = np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)
    matrix = np.where(np.tri(len(names), k=-1, dtype=bool), upper.T, upper)
    diagonal, across = np.diagonal(matrix), matrix[np.triu_indices(len(names), 1)]
    return SeedVariation(names, matrix, _mean(diagonal), _mean(across))


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def check_labels(y: Any, n: int, classes: int) -> np.ndarray:
    y = np.asarray(y)
    if y.shape != (n,) or y.dtype.kind not in "iu":
        raise ValueError(f"Expected {n:,} whole numbers as labels, one an image, got {y.dtype} of shape {y.shape}.")
    if n == 0 or y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"Expected labels from 0 to {classes - 1}, got {y.min() if n else 'none'} to {y.max(initial=0)}."
        )
    return y.astype(np.intp)
