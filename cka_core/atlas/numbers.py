"""What an atlas's blocks, probes, deletions and predictions come to, in numbers: `claims` puts them into words.

"Inside" is in one of a network's blocks (`blocks.find_blocks`, at the end of its training), "outside" is everywhere
else. What cannot be known (no block, no layer outside one, a part the study was not asked for) is NaN, never an error.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cka_core.atlas.result import Atlas, Member
from cka_core.measures.blocks import Block, strength
from cka_core.networks.surgery import residual_blocks

SIMILAR = 0.03
"""Architectures are as accurate as each other if their mean test accuracies differ by at most this."""

T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10)
"""Student's t for a 95 % interval, by degrees of freedom from 1."""

NAN = float("nan")


def mean(values: Any) -> float:
    """Mean of what is a number among ``values``, NaN if nothing is."""
    found = np.ravel(np.asarray(values, np.float64))
    found = found[np.isfinite(found)]
    return float(found.mean()) if found.size else NAN


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean of ``n`` values, their standard deviation and the mean's 95 % t interval (NaN below two values)."""

    mean: float
    sd: float
    low: float
    high: float
    n: int


def spread(values: Any) -> Spread:
    """`Spread` of numbers, those that are NaN left out."""
    found = np.ravel(np.asarray(values, np.float64))
    found = found[np.isfinite(found)]
    if len(found) < 2:
        return Spread(float(found[0]) if len(found) else NAN, NAN, NAN, NAN, len(found))
    mean, sd = float(found.mean()), float(found.std(ddof=1))
    reach = student(len(found) - 1) * sd / np.sqrt(len(found))
    return Spread(mean, sd, mean - reach, mean + reach, len(found))


def student(freedom: int) -> float:
    """Student's t for a 95 % interval; beyond the table the normal quantile, corrected to the first order."""
    return T95[freedom - 1] if freedom <= len(T95) else 1.96 + 2.5 / freedom


@dataclasses.dataclass(frozen=True)
class Contrast:
    """A mean inside blocks and one outside, and how many values each is of."""

    inside: float
    outside: float
    n_inside: int
    n_outside: int

    @property
    def difference(self) -> float:
        """Inside less outside."""
        return self.inside - self.outside


def contrast(values: Any, inside: np.ndarray) -> Contrast:
    """`Contrast` of numbers by a mask of the same shape."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    one, other = known & inside, known & ~inside
    return Contrast(mean(values[one]), mean(values[other]), int(one.sum()), int(other.sum()))


def seed_groups(atlas: Atlas) -> list[tuple[Member, ...]]:
    """The networks of each architecture and recipe, which differ in their seed only, in the study's order."""
    groups: dict[tuple[str, str], list[Member]] = {}
    for member in atlas.members:
        groups.setdefault((member.architecture, recipe_text(member)), []).append(member)
    return [tuple(group) for group in groups.values()]


def recipe_text(member: Member) -> str:
    """A network's recipe without what tells seeds and architectures apart, or keeps weights only: equal for networks
    trained alike."""
    recipe = {key: value for key, value in member.recipe.items() if key not in ("seed", "architecture", "keep_every")}
    return json.dumps(recipe, sort_keys=True, default=str)


# Blocks.


def block_of(blocks: Sequence[Block], layers: int) -> np.ndarray:
    """The number of the block each layer lies in, -1 outside all: int (layers,)."""
    numbers = np.full(layers, -1)
    for number, block in enumerate(blocks):
        numbers[block.start : block.stop] = number
    return numbers


def inside_blocks(member: Member, epoch: int | None = None) -> np.ndarray:
    """Which of a network's layers lie in a block after an epoch (None: the last): bool (layers,)."""
    return block_of(member.at(epoch).blocks, len(member.layers)) >= 0


def block_share(member: Member, epoch: int | None = None) -> float:
    """The share of a network's layers that lie in blocks after an epoch (None: the last), from 0 to 1."""
    return float(inside_blocks(member, epoch).mean()) if member.layers else 0.0


def share_of(blocks: Sequence[Block], member: Member) -> float:
    """The share of a network's layers that lie in blocks found in some map of it."""
    return float((block_of(blocks, len(member.layers)) >= 0).mean()) if member.layers else 0.0


def clearness(member: Member) -> float:
    """How clear a network's blocks are in the end: the mean over its layers of the fall at the edge of their block."""
    return sum(len(block) * block.fall for block in member.final.blocks) / len(member.layers)


def blocks_along_epochs(member: Member) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """How blocks form: the epochs a network was kept after, and `block_share` after each."""
    return member.epochs, tuple(block_share(member, epoch) for epoch in member.epochs)


# The first principal component.


@dataclasses.dataclass(frozen=True)
class FirstComponent:
    """What a network's first principal components have to do with its blocks.

    Attributes
    ----------
    shares : `Contrast` of the medians over layers of the component's share of the variance
    before, after : similarity of the layers of a block to each other (`blocks.strength`), with everything and without
        each layer's component; the mean over blocks, weighted by their layers
    left : share of the layers in blocks that are still in one without the component
    cosines : `Contrast` of |cos| between the components of two layers of one block and of two that are not, over pairs
        as many layers apart
    """

    shares: Contrast
    before: float
    after: float
    left: float
    cosines: Contrast


def first_component(atlas: Atlas, member: Member) -> FirstComponent:
    """`FirstComponent` of a network at the end of its training."""
    numbers = block_of(member.final.blocks, len(member.layers))
    inside = numbers >= 0
    same = (numbers[:, None] == numbers) & inside & ~np.eye(len(numbers), dtype=bool)
    before = or_none(lambda: atlas.map(member.name))
    after = or_none(lambda: atlas.map(member.name, removed="component"))
    cosines = or_none(lambda: atlas.component_cosines(member.name))
    left = NAN
    if inside.any() and "component" in member.blocks_without:
        left = float((block_of(member.blocks_without["component"], len(numbers)) >= 0)[inside].mean())
    shares = np.asarray(member.final.shares, np.float64)
    one, other = shares[np.isfinite(shares) & inside], shares[np.isfinite(shares) & ~inside]
    medians = [float(np.median(part)) if part.size else NAN for part in (one, other)]
    return FirstComponent(
        Contrast(medians[0], medians[1], one.size, other.size),
        _strength(before, member.final.blocks),
        _strength(after, member.final.blocks),
        left,
        Contrast(NAN, NAN, 0, 0) if cosines is None else _at_equal_distance(cosines, same),
    )


def _strength(matrix: np.ndarray | None, blocks: Sequence[Block]) -> float:
    if matrix is None or not blocks:
        return NAN
    found = np.array([strength(matrix, block.start, block.stop) for block in blocks])
    known, sizes = np.isfinite(found), np.array([len(block) for block in blocks])
    return float(np.average(found[known], weights=sizes[known])) if known.any() else NAN


def _at_equal_distance(matrix: np.ndarray, same: np.ndarray) -> Contrast:
    """`Contrast` of pairs of layers by a mask, each distance weighted by its pairs inside: neighbours are more alike
    wherever they are, and those of one block are close."""
    sums, pairs, outside = np.zeros(2), 0, 0
    for distance in range(1, len(matrix)):
        found = contrast(np.diagonal(matrix, distance), np.diagonal(same, distance))
        if found.n_inside and found.n_outside:
            sums += np.array([found.inside, found.outside]) * found.n_inside
            pairs, outside = pairs + found.n_inside, outside + found.n_outside
    return Contrast(sums[0] / pairs, sums[1] / pairs, pairs, outside) if pairs else Contrast(NAN, NAN, 0, 0)


# Probes and deletions.


def probe_slopes(member: Member) -> Contrast:
    """Mean rise of probe accuracy from one residual block's output to the next's: both in one block, or not."""
    probes = sorted(member.probes, key=lambda probe: probe.position)
    numbers = block_of(member.final.blocks, len(member.layers))[[probe.position for probe in probes]]
    if len(probes) < 2:
        return Contrast(NAN, NAN, 0, 0)
    steps = np.diff([probe.accuracy for probe in probes])
    return contrast(steps, (numbers[1:] == numbers[:-1]) & (numbers[1:] >= 0))


def deletion_losses(member: Member) -> Contrast:
    """Mean accuracy lost by deleting one residual block: one that lies in a block with all its layers, or another."""
    before, inside = _undeleted(member), set(_residual_inside(member))
    known = {found.name for found in residual_blocks(member.layers)}
    single = [deletion for deletion in member.deletions if len(deletion.blocks) == 1 and deletion.blocks[0] in known]
    where = np.array([deletion.blocks[0] in inside for deletion in single], bool)
    return contrast([before - deletion.accuracy for deletion in single], where)


def deletion_of_all(member: Member) -> float:
    """Mean accuracy lost by deleting at once all residual blocks that lie in a block of the map; NaN if just those were
    not tried, as when another rule had found the block."""
    numbers = block_of(member.final.blocks, len(member.layers))
    inside: dict[int, set[str]] = {}
    for found in residual_blocks(member.layers):
        if found.name in _residual_inside(member):
            inside.setdefault(int(numbers[found.first]), set()).add(found.name)
    several = [deletion for deletion in member.deletions if len(deletion.blocks) > 1]
    return mean([_undeleted(member) - one.accuracy for one in several if set(one.blocks) in inside.values()])


def _undeleted(member: Member) -> float:
    """Accuracy with no residual block deleted, on the same images if the atlas has it."""
    found = [deletion.accuracy for deletion in member.deletions if not deletion.blocks]
    return found[0] if found else member.final.test_accuracy


def _residual_inside(member: Member) -> list[str]:
    numbers = block_of(member.final.blocks, len(member.layers))
    return [
        found.name
        for found in residual_blocks(member.layers)
        if numbers[found.first] >= 0 and (numbers[found.first : found.add + 1] == numbers[found.first]).all()
    ]


# Two networks.


@dataclasses.dataclass(frozen=True, eq=False)
class InsideOutside:
    """CKA of corresponding layers of two networks, inside a block of either and outside the blocks of both.

    Attributes
    ----------
    inside, outside : float64: CKA of each layer of A with its `corresponding` layer of B; layers without CKA left out
    layers_inside, layers_outside : int, as long: the layers' positions in A
    partners : int (layers of A,): the position in B of each layer's corresponding layer
    """

    inside: np.ndarray
    outside: np.ndarray
    layers_inside: np.ndarray
    layers_outside: np.ndarray
    partners: np.ndarray

    @property
    def contrast(self) -> Contrast:
        return Contrast(mean(self.inside), mean(self.outside), len(self.inside), len(self.outside))


def inside_and_outside(atlas: Atlas, a: Member, b: Member) -> InsideOutside:
    """`InsideOutside` of two networks at the end of their training; ValueError if the atlas did not compare them."""
    partners = corresponding(a, b)
    values = atlas.pair(a.name, b.name)[np.arange(len(partners)), partners]
    inside = inside_blocks(a) | inside_blocks(b)[partners]
    one, other = np.flatnonzero(np.isfinite(values) & inside), np.flatnonzero(np.isfinite(values) & ~inside)
    return InsideOutside(values[one], values[other], one, other, partners)


def corresponding(a: Member, b: Member) -> np.ndarray:
    """For each layer of A the position of the layer of B that corresponds to it: int (layers of A,).

    The same layer, where both have the same layers; else, of B's layers of the same kind, the one whose share of the
    way through the network is closest (of all B's layers if it has none of that kind).
    """
    if [layer.name for layer in a.layers] == [layer.name for layer in b.layers]:
        return np.arange(len(a.layers))
    depth_a, depth_b = (np.linspace(0, 1, len(member.layers)) for member in (a, b))
    kinds = np.array([layer.kind for layer in b.layers])
    partners = np.empty(len(a.layers), np.intp)
    for i, layer in enumerate(a.layers):
        alike = np.flatnonzero(kinds == layer.kind)
        alike = alike if len(alike) else np.arange(len(kinds))
        partners[i] = alike[np.abs(depth_b[alike] - depth_a[i]).argmin()]
    return partners


def or_none(get: Callable[[], np.ndarray]) -> np.ndarray | None:
    """What an atlas has, or None where the study was not asked for it."""
    try:
        return get()
    except ValueError:
        return None
