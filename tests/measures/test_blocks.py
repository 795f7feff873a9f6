"""Planted blocks are found, similarity that only decays has none."""

from __future__ import annotations

import time

import numpy as np
import pytest

from cka_core.measures.blocks import Block, block_text, find_blocks


def distances(n):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(float)


def noisy(matrix, sd, rng, clip=False):
    """Independent symmetric noise, ones on the diagonal."""
    noise = np.triu(rng.normal(0, sd, matrix.shape), 1)
    matrix = matrix + noise + noise.T
    matrix = np.clip(matrix, 0, 1) if clip else matrix
    np.fill_diagonal(matrix, 1)
    return matrix


def plant(n, blocks, background, strengths, rng, sd=0.0, kind="flat"):
    """Blocks [start, stop) on a background that is flat or decays with distance, perhaps with every third row dim."""
    d = distances(n)
    matrix = background * np.exp(-d / rng.uniform(5, n)) if kind == "decay" else np.full((n, n), background)
    for (start, stop), strength in zip(blocks, strengths, strict=True):
        inside = slice(start, stop)
        matrix[inside, inside] = np.maximum(matrix[inside, inside], strength)
        if kind == "stripes":
            dim = rng.uniform(background, strength)
            for layer in range(start + int(rng.integers(0, 3)), stop, 3):
                matrix[layer, inside] = matrix[inside, layer] = dim
    if kind == "adjacent":
        (a, b), (_, c) = blocks
        matrix[a:b, b:c] = matrix[b:c, a:b] = rng.uniform(background, min(strengths) - 0.2)
    return noisy(matrix, sd, rng, clip=bool(rng.integers(2)))


def random_plan(rng):
    """A random map with one to three blocks, or two that touch, their contrast at least 0.2."""
    while True:
        n = int(rng.choice([20, 25, 30, 40, 50, 60, 80, 100, 134, 200, 300]))
        shortest = max(5, -(-n // 12))
        kind = str(rng.choice(["flat", "decay", "stripes", "adjacent"]))
        count = 2 if kind == "adjacent" else int(rng.integers(1, 4))
        lengths = rng.integers(shortest, max(shortest + 1, min(81, int(0.8 * n) // count + 1)), count)
        spare = n - int(lengths.sum()) - 3 * (count - 1)
        if spare < 3:
            continue
        gaps = rng.multinomial(spare, np.ones(count + 1) / (count + 1))
        if rng.random() < 0.2:
            gaps[-1] += gaps[0]
            gaps[0] = 0
        blocks, position = [], 0
        for gap, length in zip(gaps, lengths, strict=False):
            start = position + int(gap) if not (kind == "adjacent" and blocks) else position
            blocks.append((start, start + int(length)))
            position = start + int(length) + (0 if kind == "adjacent" else 3)
        background = rng.uniform(0.1, 0.6)
        strengths = [rng.uniform(max(0.7, background + 0.2), 0.99) for _ in blocks]
        sd = float(rng.choice([0, 0.05, 0.1]))
        return blocks, plant(n, blocks, background, strengths, rng, sd, kind)


def matches(block, planted, tolerance=2):
    return abs(block.start - planted[0]) <= tolerance and abs(block.stop - planted[1]) <= tolerance


def test_planted_blocks_are_found_to_within_two_layers():
    """Recall and precision over random maps: sizes, lengths, strengths, backgrounds, noise, stripes."""
    planted_count = hits = found_count = true = 0
    for seed in range(250):
        planted, matrix = random_plan(np.random.default_rng(seed))
        found = find_blocks(matrix)
        planted_count, found_count = planted_count + len(planted), found_count + len(found)
        hits += sum(any(matches(block, plan) for block in found) for plan in planted)
        true += sum(any(matches(block, plan) for plan in planted) for block in found)
    assert hits >= 0.97 * planted_count
    assert true >= 0.97 * found_count


@pytest.mark.parametrize("n", [20, 61, 134, 390])
@pytest.mark.parametrize("strength", [0.7, 0.85, 0.99])
@pytest.mark.parametrize("background", [0.1, 0.4])
def test_a_block_without_noise_is_found_exactly(n, strength, background):
    length = max(5, -(-n // 12), n // 4)
    for start in (0, n // 3, n - length):
        found = find_blocks(plant(n, [(start, start + length)], background, [strength], np.random.default_rng(0)))
        assert [(block.start, block.stop) for block in found] == [(start, start + length)]
        assert found[0].strength == pytest.approx(strength)
        assert found[0].contrast == pytest.approx(strength - background, rel=0.15)


DECAYS = {
    **{f"exp {tau}": lambda d, tau=tau: np.exp(-d / tau) for tau in (0.3, 1, 2, 5, 10, 20, 50, 100, 1e3, 1e5)},
    **{f"linear {r}": lambda d, r=r: np.maximum(0, 1 - d / (r * len(d))) for r in (0.02, 0.05, 0.1, 0.3, 1, 3)},
    **{f"inverse {a}": lambda d, a=a: 1 / (1 + d / a) for a in (0.5, 1, 5, 50)},
    **{f"gauss {r}": lambda d, r=r: np.exp(-((d / (r * len(d))) ** 2)) for r in (0.05, 0.2, 1, 5)},
    **{f"floor {tau}": lambda d, tau=tau: 0.4 + 0.6 * np.exp(-d / tau) for tau in (1, 5, 20, 100)},
}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("n", [20, 50, 134, 300])
def test_similarity_that_depends_on_distance_alone_has_no_block(decay, n):
    assert find_blocks(DECAYS[decay](distances(n))) == []


@pytest.mark.parametrize("tau", [0.5, 2, 5, 10, 20, 50])
@pytest.mark.parametrize("sd", [0.02, 0.05, 0.1])
def test_nor_with_noise(tau, sd):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(20, 150))
        assert find_blocks(noisy(np.exp(-distances(n) / tau), sd, rng)) == []


@pytest.mark.parametrize("n", [20, 50, 134])
def test_gradients_and_constants_have_no_block(n):
    depth = np.linspace(0, 1, n)
    for matrix in (
        (depth[:, None] + depth) / 2,
        1 - np.maximum.outer(depth, depth),
        np.outer(depth, depth),
        np.outer(0.3 + 0.7 * depth, 0.3 + 0.7 * depth),
        np.full((n, n), 0.5),
        np.zeros((n, n)),
        np.eye(n),
    ):
        assert find_blocks(matrix) == []


def test_noise_around_a_constant_has_no_block():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(20, 120))
        assert find_blocks(noisy(np.full((n, n), rng.uniform(0.1, 0.85)), 0.1, rng)) == []


@pytest.mark.parametrize("value", [1.0, 0.97])
def test_layers_that_are_all_the_same_are_one_block(value):
    matrix = np.full((40, 40), value)
    np.fill_diagonal(matrix, 1)
    assert find_blocks(matrix) == [Block(0, 40, value, 0.0)]


def test_two_touching_blocks_are_two_where_they_differ_and_one_where_they_do_not():
    rng = np.random.default_rng(0)
    blocks = [(10, 30), (30, 50)]
    matrix = plant(70, blocks, 0.3, [0.95, 0.9], rng, kind="adjacent")
    assert [(block.start, block.stop) for block in find_blocks(matrix)] == blocks
    matrix[10:50, 10:50] = 0.95
    assert [(block.start, block.stop) for block in find_blocks(matrix)] == [(10, 50)]


@pytest.mark.parametrize("cross", [0.5, 0.7])
@pytest.mark.parametrize("n", [50, 100, 134, 200])
def test_the_sharper_edge_of_a_block_is_found_as_well(n, cross):
    """Two touching blocks: what they share is brighter than what is around them, so that one edge is the weaker."""
    blocks = [(n // 6, n // 2), (n // 2, n - n // 6)]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        matrix = np.full((n, n), 0.1)
        matrix[n // 6 : n - n // 6, n // 6 : n - n // 6] = cross
        for start, stop in blocks:
            matrix[start:stop, start:stop] = 0.95
        found = find_blocks(noisy(matrix, 0.02, rng))
        assert len(found) == 2 and all(matches(*both) for both in zip(found, blocks, strict=True))


@pytest.mark.parametrize("n", [20, 50, 100, 134])
@pytest.mark.parametrize("waves", [1, 2, 3])
@pytest.mark.parametrize("tau", [0.2, 0.4, 0.8])
def test_similarity_that_decays_faster_in_places_has_no_block(n, waves, tau):
    depth = np.arange(n) / n
    depth += 0.05 * np.sin(2 * np.pi * waves * depth) / waves
    assert find_blocks(np.exp(-np.abs(np.subtract.outer(depth, depth)) / tau)) == []


@pytest.mark.parametrize("n", [6, 20, 50, 134])
def test_layers_that_are_all_the_same_but_for_noise_are_one_block(n):
    found = [find_blocks(noisy(np.full((n, n), 0.95), 0.01, np.random.default_rng(seed))) for seed in range(20)]
    assert sum([(block.start, block.stop) for block in blocks] == [(0, n)] for blocks in found) >= 19


def test_a_range_shorter_than_a_block_is_not_made_one():
    for n, (start, stop) in ((30, (1, 5)), (134, (44, 54)), (200, (66, 80))):
        assert find_blocks(plant(n, [(start, stop)], 0.2, [0.95], np.random.default_rng(0), sd=0.02)) == []


def test_the_inner_layers_of_residual_blocks_do_not_end_a_block():
    """Two of every three or five layers dim, or every second: the block's own layers still span it."""
    for period, bright in ((2, (0,)), (3, (0,)), (5, (0, 1, 3))):
        matrix = np.full((80, 80), 0.3)
        layers = np.arange(20, 60)
        lit = layers[np.isin(layers % period, bright)]
        matrix[20:60, 20:60] = 0.5
        matrix[np.ix_(lit, lit)] = 0.98
        (found,) = find_blocks(matrix)
        assert matches(found, (20, 60))


def test_the_order_of_layers_may_be_reversed():
    matrix = plant(60, [(5, 20), (30, 50)], 0.3, [0.9, 0.8], np.random.default_rng(1), sd=0.03)
    forward, backward = find_blocks(matrix), find_blocks(matrix[::-1, ::-1])
    assert [(60 - block.stop, 60 - block.start) for block in reversed(backward)] == [
        (block.start, block.stop) for block in forward
    ]


def test_dead_layers_are_spanned_and_positions_count_them():
    matrix = plant(60, [(20, 40)], 0.3, [0.9], np.random.default_rng(2))
    for dead in (0, 25, 26, 59):
        matrix[dead] = matrix[:, dead] = np.nan
    assert [(block.start, block.stop) for block in find_blocks(matrix)] == [(20, 40)]
    assert find_blocks(np.full((30, 30), np.nan)) == []
    assert find_blocks(np.ones((4, 4))) == []
    assert find_blocks(np.zeros((0, 0))) == []


def test_blocks_are_long_enough_and_apart():
    for seed in range(40):
        planted, matrix = random_plan(np.random.default_rng(1000 + seed))
        found = find_blocks(matrix)
        assert all(len(block) >= max(5, len(matrix) / 12) for block in found)
        assert all(one.stop <= two.start for one, two in zip(found, found[1:], strict=False))


def test_390_layers_take_less_than_a_second():
    matrix = plant(390, [(50, 110), (150, 230), (300, 390)], 0.3, [0.9] * 3, np.random.default_rng(3), sd=0.05)
    started = time.perf_counter()
    assert len(find_blocks(matrix)) == 3
    assert time.perf_counter() - started < 1


def test_what_is_no_self_comparison_is_refused():
    with pytest.raises(ValueError, match=r"map of a network with itself, got shape \(3, 4\)"):
        find_blocks(np.ones((3, 4)))
    matrix = np.ones((10, 10))
    matrix[2, 7] = np.nan
    with pytest.raises(ValueError, match="layers 2 and 7"):
        find_blocks(matrix)


def test_a_block_in_words():
    block = Block(48, 100, 0.961, 0.3)
    assert len(block) == 52
    assert block_text(block) == "layers 48–99, 0.96"
    shares = np.where(np.arange(120) < 50, np.nan, 0.71)
    assert block_text(block, shares) == "layers 48–99, 0.96, first component 71 % of the variance"
    assert block_text(block, np.full(120, np.nan)) == "layers 48–99, 0.96"
    with pytest.raises(ValueError, match="at least 100 layers"):
        block_text(block, shares[:90])
