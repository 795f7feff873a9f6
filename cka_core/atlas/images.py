"""The images of an atlas: those behind a block, and those that wide and deep networks tell apart differently.

Light: numpy only. A few images may make most of a layer's first component: Nguyen, Raghu & Kornblith 2022,
arXiv 2202.07184.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cka_core.atlas.errors import disagreement, errors_by_class, predictions, right_by_image, wide_and_deep
from cka_core.atlas.numbers import mean, seed_groups
from cka_core.atlas.result import Atlas, Member
from cka_core.base.words import counted
from cka_core.measures.behaviour import accuracy_by_class
from cka_core.measures.blocks import Block

MANY_TIMES, MOST = 5, 0.5
"""A few images stand for a component if they make 5 times their part of it, or half of it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dominant:
    """The images that make most of the first component, over some layers.

    ``positions`` in the sample, ``shares`` of the component's variance, falling; ``together`` their sum;
    ``expected`` what as many would make if all images made the same.
    """

    positions: np.ndarray
    shares: np.ndarray
    together: float
    expected: float


def dominant_images(atlas: Atlas, name: str, block: Block | None = None, n: int = 12) -> Dominant:
    """The ``n`` images with the largest share of the first component's variance, the mean over the block's layers.

    Over every layer where ``block`` is None. A layer's share of an image is score² / sum of score².
    """
    scores = np.square(atlas.scores(name))
    if block is not None:
        scores = scores[block.start : block.stop]
    totals = scores.sum(axis=1)
    alive = np.isfinite(totals) & (totals > 0)
    images = scores.shape[1]
    if not alive.any():
        return Dominant(np.zeros(0, int), np.zeros(0), float("nan"), min(n, images) / images)
    shares = (scores[alive] / totals[alive, None]).mean(axis=0)
    order = np.argsort(-shares, kind="stable")[:n]
    return Dominant(order, shares[order], float(shares[order].sum()), len(order) / images)


def dominant_text(found: Dominant, where: str, images: int) -> str:
    """What the dominant images mean, in Markdown."""
    if not len(found.positions):
        return "No layer here has a first component."
    said = (
        f"These {len(found.positions)} of {images:,} images make **{100 * found.together:.0f} %** of the first "
        f"component’s variance {where}; if all images counted the same they would make {100 * found.expected:.0f} %."
    )
    if found.together >= min(MANY_TIMES * found.expected, MOST):
        return f"{said} A few images stand for it: each of these layers sets the same few images apart."
    return f"{said} No few images stand for it: the component is spread over many."


# Wide against deep.


def groups(atlas: Atlas) -> dict[str, tuple[Member, ...]]:
    """The networks that differ in their seed only, by the name of the first."""
    return {group[0].name: group for group in seed_groups(atlas)}


def group_text(group: Sequence[Member]) -> str:
    """ "ResNet 38x1, 2 seeds"."""
    return f"{group[0].title}, {counted(len(group), 'seed')}"


def wide_and_deep_groups(atlas: Atlas) -> tuple[str, str]:
    """The keys of the two `groups` to begin with: of similar accuracy, two seeds each, if there are such.

    Else the widest (the shallowest of those) and the deepest (the narrowest), of those with two seeds if they can be.
    """
    alike = wide_and_deep(atlas)
    several = [pair for pair in alike if min(map(len, pair)) > 1] or alike
    if several:
        return several[0][0][0].name, several[0][1][0].name
    every = seed_groups(atlas.studied)
    twice = [group[0] for group in every if len(group) > 1]
    differ = len({member.width for member in twice}) > 1 and len({member.depth for member in twice}) > 1
    first = twice if differ else [group[0] for group in every]
    wide = max(first, key=lambda member: (member.width, -member.depth))
    rest = [member for member in first if member is not wide] or first
    return wide.name, max(rest, key=lambda member: (member.depth, -member.width)).name


@dataclasses.dataclass(frozen=True, eq=False)
class ClassAccuracies:
    """Accuracy of a group by class: mean, and from where to where, float64 (classes,).

    ``low`` and ``high`` are the least and the greatest over ``seeds``; of one seed, its 95 % interval over images.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int


def class_accuracies(atlas: Atlas, group: Sequence[Member], classes: int) -> ClassAccuracies:
    if len(group) == 1:
        found = accuracy_by_class(np.maximum(predictions(atlas, group[0]), 0), atlas.labels, classes)
        return ClassAccuracies(found.share, found.low, found.high, 1)
    shares = errors_by_class(atlas, group, group).a
    return ClassAccuracies(shares.mean(axis=0), shares.min(axis=0), shares.max(axis=0), len(group))


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Of each test image, for two groups: the mean probability of its class, and the share of networks that are right.

    float64 (images,) each.
    """

    chance_a: np.ndarray
    chance_b: np.ndarray
    right_a: np.ndarray
    right_b: np.ndarray
    seeds_a: int
    seeds_b: int

    @property
    def mostly_a(self) -> np.ndarray:
        return self.right_a > 0.5

    @property
    def mostly_b(self) -> np.ndarray:
        return self.right_b > 0.5

    def only(self, side: str) -> np.ndarray:
        """The images that every network of one side ("a", "b") gets right and none of the other, the surest first."""
        sign = 1 if side == "a" else -1
        found = np.flatnonzero(sign * (self.right_a - self.right_b) == 1)
        order: np.ndarray = found[np.argsort(-sign * (self.chance_a - self.chance_b)[found], kind="stable")]
        return order


def examples(atlas: Atlas, a: Sequence[Member], b: Sequence[Member]) -> Examples:
    every = np.arange(len(atlas.labels))
    chance_a, chance_b = (
        np.mean([np.exp(atlas.outputs(member.name)[every, atlas.labels]) for member in group], axis=0)
        for group in (a, b)
    )
    return Examples(chance_a, chance_b, right_by_image(atlas, a), right_by_image(atlas, b), len(a), len(b))


def answers(atlas: Atlas, group: Sequence[Member], image: int) -> list[tuple[Member, int, float, float]]:
    """What each network takes a test image for: member, class, its probability, and that of the right class."""
    found = []
    for member in group:
        chances = np.exp(atlas.outputs(member.name)[image])
        taken = int(chances.argmax())
        found.append((member, taken, float(chances[taken]), float(chances[atlas.labels[image]])))
    return found


def difference_text(atlas: Atlas, a: Sequence[Member], b: Sequence[Member]) -> str:
    """How often the two groups differ, and how often seeds do: what the first is to be held against."""
    found = disagreement(atlas, a, b)
    across, within = mean(found.across), mean(found.within)
    said = f"A {a[0].title} and a {b[0].title} give different answers for **{100 * across:.0f} %** of the test images"
    if within != within:
        return f"{said}. How often two seeds of one differ is not known: one of them has a single seed."
    return f"{said}, two seeds of one of them for **{100 * within:.0f} %**. Only what is above that is the shape’s."
