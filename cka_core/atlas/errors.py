"""Which test images the networks of an atlas get right: one image at a time, by class, wide against deep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cka_core.atlas.numbers import SIMILAR, mean, recipe_text, seed_groups, student
from cka_core.atlas.result import Atlas, Member
from cka_core.measures.behaviour import hellinger_distance, kl_divergence, seed_variation
from cka_core.measures.ranks import deals

UNKNOWN = -1
"""The class predicted for an image whose outputs are not numbers."""

ROUNDING = 1e-9


def predictions(atlas: Atlas, member: Member) -> np.ndarray:
    """Classes a network predicts for all test images: int (images,), `UNKNOWN` where its outputs are not numbers.

    ValueError if the atlas has no outputs of it.
    """
    outputs = atlas.outputs(member.name)
    known = ~np.isnan(outputs).any(axis=1)
    return np.where(known, np.where(known[:, None], outputs, 0).argmax(axis=1), UNKNOWN)


def right_by_image(atlas: Atlas, members: Sequence[Member]) -> np.ndarray:
    """The share of ``members`` that classify each test image correctly: float64 (images,), from 0 to 1.

    NaN for an image none of them has an output for. Two groups' shares plotted against each other show which images
    one group knows and the other does not.
    """
    found = np.array([predictions(atlas, member) for member in members])
    known = found != UNKNOWN
    right = ((found == atlas.labels) & known).sum(axis=0)
    return np.divide(right, known.sum(axis=0), out=np.full(len(atlas.labels), np.nan), where=known.any(axis=0))


@dataclasses.dataclass(frozen=True, eq=False)
class ClassErrors:
    """Two groups of networks, class by class.

    Attributes
    ----------
    a, b : float64 (networks of the group, classes): share of each class's test images that a network gets right
    difference : float64 (classes,): mean of A less mean of B
    low, high : float64 (classes,): its 95 % t interval over the networks of a group, NaN below two in either
    """

    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def beyond(self) -> np.ndarray:
        """Classes whose difference is beyond the spread within the groups, the largest first: int positions."""
        found = np.flatnonzero((self.low > ROUNDING) | (self.high < -ROUNDING))
        return found[np.argsort(-np.abs(self.difference[found]), kind="stable")]


def errors_by_class(
    atlas: Atlas, group_a: Sequence[Member], group_b: Sequence[Member], *, relative: bool = False
) -> ClassErrors:
    """`ClassErrors` of two groups, such as the seeds of a wide network and those of a deep one.

    The spread is that of the networks within both groups, pooled. With ``relative`` shares are less the network's mean
    over classes: what remains when one is better everywhere. ValueError for an empty group or missing outputs.
    """
    if not group_a or not group_b:
        raise ValueError(f"Expected at least one network in each group, got {len(group_a)} and {len(group_b)}.")
    classes = atlas.outputs(group_a[0].name).shape[1]
    a, b = (np.array([_by_class(atlas, member, classes) for member in group]) for group in (group_a, group_b))
    if relative:
        a, b = (group - np.nanmean(group, axis=1, keepdims=True) for group in (a, b))
    difference = a.mean(axis=0) - b.mean(axis=0)
    reach = np.full(classes, np.nan)
    if len(a) > 1 and len(b) > 1:
        freedom = len(a) + len(b) - 2
        squares = sum(np.square(group - group.mean(axis=0)).sum(axis=0) for group in (a, b))
        reach = student(freedom) * np.sqrt(squares / freedom * (1 / len(a) + 1 / len(b)))
    return ClassErrors(a, b, difference, difference - reach, difference + reach)


@dataclasses.dataclass(frozen=True, eq=False)
class Disagreement:
    """How often two networks predict different classes: float64 (images,) each, NaN for an image without outputs.

    ``across`` is the share of pairs of one network of each group that differ on an image, ``within`` that of pairs of
    one group, both groups counting the same. NaN throughout for ``within`` if a group has one network only.
    """

    across: np.ndarray
    within: np.ndarray


def disagreement(atlas: Atlas, group_a: Sequence[Member], group_b: Sequence[Member]) -> Disagreement:
    """`Disagreement` image by image; its means over images are those of `behaviour.seed_variation`."""
    a, b = (np.array([predictions(atlas, member) for member in group]) for group in (group_a, group_b))
    known = (a != UNKNOWN).all(axis=0) & (b != UNKNOWN).all(axis=0)
    across = (a[:, None] != b).mean(axis=(0, 1))
    within = np.full(len(known), np.nan)
    if len(a) > 1 and len(b) > 1:
        pairs = [np.triu_indices(len(group), 1) for group in (a, b)]
        within = np.mean([(g[i] != g[j]).mean(axis=0) for g, (i, j) in zip((a, b), pairs, strict=True)], axis=0)
    return Disagreement(np.where(known, across, np.nan), np.where(known, within, np.nan))


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far apart predictions are by one measure: of two networks of different groups, and of two seeds of each."""

    name: str
    across: float
    within_a: float
    within_b: float


def distances(atlas: Atlas, group_a: Sequence[Member], group_b: Sequence[Member]) -> list[Distance]:
    """`Distance` by several measures, means over images and pairs of networks; NaN for seeds of a group of one.

    Images that any network has no outputs for are left out. ValueError for missing outputs.
    """
    every = [*group_a, *group_b]
    outputs = np.array([atlas.outputs(member.name) for member in every])
    known = np.isfinite(outputs).all(axis=(0, 2))
    logs, labels = outputs[:, known], atlas.labels[known]
    if not known.any():
        return []
    classes = logs.argmax(axis=2)
    groups = [("a", at) if at < len(group_a) else ("b", at) for at in range(len(every))]

    def one(name: str, values: Sequence[np.ndarray], distance: Callable[[Any, Any], Any] = np.not_equal) -> Distance:
        matrix = seed_variation(dict(zip(groups, values, strict=True)), distance).matrix
        return Distance(name, float(matrix[0, 1]), float(matrix[0, 0]), float(matrix[1, 1]))

    return [
        one("different class", list(classes)),
        one("only one is right", list(classes == labels)),
        one("Hellinger distance", list(logs), hellinger_distance),
        one("KL divergence, nats", list(logs), kl_divergence),
    ]


@dataclasses.dataclass(frozen=True)
class Dealt:
    """How different two groups of networks are, against every other way to deal the same networks into two groups.

    ``chance`` is the share of ways that are as different, the given one among them; ``least`` the smallest it could be.
    """

    found: float
    chance: float
    least: float


def dealt_by_class(atlas: Atlas, group_a: Sequence[Member], group_b: Sequence[Member]) -> Dealt:
    """`Dealt` by the sum over classes of (difference of mean accuracy less the mean of these differences)²."""
    classes = atlas.outputs(group_a[0].name).shape[1]
    right = np.array([_by_class(atlas, member, classes) for member in (*group_a, *group_b)])
    right = right[:, np.isfinite(right).all(axis=0)]

    def statistic(first: np.ndarray) -> float:
        inside = np.isin(np.arange(len(right)), first)
        apart = right[inside].mean(axis=0) - right[~inside].mean(axis=0)
        return float(np.square(apart - apart.mean()).sum())

    return dealt(statistic, len(group_a), len(group_b))


def dealt_by_image(atlas: Atlas, group_a: Sequence[Member], group_b: Sequence[Member]) -> Dealt:
    """`Dealt` by the share of images on which networks of different groups predict different classes, less that of
    networks of one group, both groups counting the same."""
    found = np.array([predictions(atlas, member) for member in (*group_a, *group_b)])
    found = found[:, (found != UNKNOWN).all(axis=0)]
    differ = (found[:, None] != found).mean(axis=2)

    def statistic(first: np.ndarray) -> float:
        inside = np.isin(np.arange(len(differ)), first)
        within = [differ[np.ix_(group, group)][np.triu_indices(group.sum(), 1)].mean() for group in (inside, ~inside)]
        return float(differ[np.ix_(inside, ~inside)].mean() - np.mean(within))

    return dealt(statistic, len(group_a), len(group_b))


def dealt(statistic: Callable[[np.ndarray], float], a: int, b: int) -> Dealt:
    values = np.array([statistic(first) for first in deals(a, b)])
    as_large = values >= values[0] - ROUNDING
    return Dealt(float(values[0]), float(as_large.mean()), (2 if a == b else 1) / len(values))


def accuracy_of(group: Sequence[Member]) -> float:
    """Mean test accuracy of a group's networks."""
    return mean([member.final.test_accuracy for member in group])


def wide_and_deep(atlas: Atlas) -> list[tuple[tuple[Member, ...], tuple[Member, ...]]]:
    """Pairs (wide, deep) of CIFAR ResNets trained alike whose mean test accuracies are within `SIMILAR`, the most
    similar first: the seeds of one that is wider and those of one that is deeper."""
    groups = [group for group in seed_groups(atlas) if group[0].architecture.startswith("cifar-resnet")]
    found = [
        (wide, deep)
        for wide in groups
        for deep in groups
        if wide[0].width > deep[0].width and wide[0].depth < deep[0].depth
        if recipe_text(wide[0]) == recipe_text(deep[0])
        if abs(accuracy_of(wide) - accuracy_of(deep)) <= SIMILAR + ROUNDING
    ]
    return sorted(found, key=lambda pair: abs(accuracy_of(pair[0]) - accuracy_of(pair[1])))


def _by_class(atlas: Atlas, member: Member, classes: int) -> np.ndarray:
    """Shares right of each class, NaN for a class without images."""
    found = predictions(atlas, member)
    return np.array([mean((found == label)[(atlas.labels == label) & (found != UNKNOWN)]) for label in range(classes)])
