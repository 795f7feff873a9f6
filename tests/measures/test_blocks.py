"""A block is what one sentence says: planted ones are found, similarity that only decays or is the same has none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cka_core.measures import blocks
from cka_core.measures.blocks import RULE, Block, block_text, find_blocks, shortest, width

SENTENCE = (
    "A run of at least an eighth of the hidden layers (at least 8; the head left out), 95 % of whose pairs have CKA of "
    "at least 0.9, and at one of whose ends inside the network mean similarity falls by at least 0.25 within a "
    "twentieth of the depth."
)


def distances(n):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(float)


def noisy(matrix, sd, rng):
    """Independent symmetric noise, ones on the diagonal."""
    noise = np.triu(rng.normal(0, sd, matrix.shape), 1)
    matrix = np.minimum(matrix + noise + noise.T, 1)
    np.fill_diagonal(matrix, 1)
    return matrix


def plant(n, planted, strength=0.97, background=0.3, sd=0.0, seed=0):
    """Runs of alike layers [start, stop) on a background."""
    matrix = np.full((n, n), float(background))
    for start, stop in planted:
        matrix[start:stop, start:stop] = strength
    return noisy(matrix, sd, np.random.default_rng(seed))


def ends(matrix):
    return [(block.start, block.stop) for block in find_blocks(matrix)]


def by_the_letter(matrix):
    """`RULE` written as loops over its definition, without an integral image."""
    n = len(matrix)
    w = max(2, n // 20)
    values = (matrix + matrix.T) / 2
    for i in range(n):
        beside = [values[i, j] for j in (i - 1, i + 1) if 0 <= j < n]
        values[i, i] = sum(beside) / len(beside)
    for _ in range(2):  # a dip of up to 2 is lifted to the lower of what stands around it, along either axis
        values = values.T
        lifted = values.copy()
        for i, j in itertools.product(range(n), repeat=2):
            windows = [values[i, max(0, k) : min(n, k + 3)].max() for k in range(j - 2, j + 1)]
            lifted[i, j] = min(windows)
        values = lifted

    def falls(a, b):
        inside, found = values[a:b], []
        if a > 0:
            found.append(inside[:, a : a + w].mean() - inside[:, max(0, a - w) : a].mean())
        if b < n:
            found.append(inside[:, b - w : b].mean() - inside[:, b : b + w].mean())
        return found

    least = max(8, int(np.ceil(n / 8)))
    runs = [(a, b) for a in range(n) for b in range(a + least, n + 1) if (values[a:b, a:b] < 0.9).mean() <= 0.05]
    found = []
    while runs:
        longest = max(runs, key=lambda run: (run[1] - run[0], -run[0]))
        near = [run for run in runs if max(abs(run[0] - longest[0]), abs(run[1] - longest[1])) <= w]
        best = max(near, key=lambda run: sum(falls(*run)))
        if max(falls(*best), default=0) >= 0.25:
            found.append((*best, max(falls(*best))))
        runs = [run for run in runs if run[1] <= best[0] or run[0] >= best[1]]
    return sorted(found)


# The sentence.


def test_the_sentence_is_frozen():
    """Networks trained after it was fixed are its test: whoever changes it starts anew."""
    assert RULE == SENTENCE
    assert SENTENCE in " ".join((blocks.__doc__ or "").split())


@pytest.mark.parametrize("seed", range(12))
def test_it_is_found_as_it_is_written(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    start = int(rng.integers(0, n // 2))
    matrix = plant(n, [(start, start + max(8, n // 3))], 0.95, rng.uniform(0.2, 0.75), sd=0.03, seed=seed)
    matrix[:, ::7] = np.minimum(matrix[:, ::7], 0.8)
    found = find_blocks(np.array(matrix))
    expected = by_the_letter(matrix)
    assert [(b.start, b.stop) for b in found] == [(a, b) for a, b, _ in expected]
    assert [b.fall for b in found] == pytest.approx([fall for _, _, fall in expected])


# What has a block.


@pytest.mark.parametrize("n", [40, 61, 134, 390])
@pytest.mark.parametrize("background", [0.1, 0.4, 0.65])
def test_a_block_without_noise_is_found_exactly(n, background):
    length = max(shortest(n), n // 4)
    for start in (0, n // 3, n - length):
        (found,) = find_blocks(plant(n, [(start, start + length)], 0.97, background))
        assert (found.start, found.stop) == (start, start + length)
        assert found.strength == pytest.approx(0.97)
        assert found.fall == pytest.approx(0.97 - background, abs=0.03)


def test_planted_blocks_are_found_in_40_of_40():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(40, 200))
        length = int(rng.integers(n // 4, n // 2))
        start = int(rng.integers(0, n - length))
        planted = start, start + length
        (found,) = find_blocks(plant(n, [planted], rng.uniform(0.95, 0.99), rng.uniform(0.1, 0.6), 0.02, seed))
        assert abs(found.start - planted[0]) <= width(n) and abs(found.stop - planted[1]) <= width(n)


def test_blocks_apart_are_each_found():
    assert ends(plant(134, [(10, 50), (70, 120)], sd=0.01)) == [(10, 50), (70, 120)]
    assert ends(plant(60, [(10, 30), (30, 50)])) == [(10, 30), (30, 50)]


def test_an_edge_on_one_side_is_enough():
    """From the stem on similarity rises slowly: that end is no edge, the other one is."""
    n = 100
    depth = np.minimum(np.arange(n), 30) / 30
    matrix = 0.97 - 0.5 * np.abs(depth[:, None] - depth)
    matrix[:, 70:] = matrix[70:, :] = 0.3
    (found,) = find_blocks(noisy(matrix, 0.0, np.random.default_rng(0)))
    assert found.stop == 70 and found.fall == pytest.approx(0.66, abs=0.02)


def test_the_inner_layers_of_residual_blocks_do_not_end_a_block():
    """One dim layer after every two to four alike: the block's own layers still span it."""
    for period, bright in ((3, (0, 1)), (4, (0, 1, 2)), (5, (0, 1, 2, 3))):
        matrix = np.full((80, 80), 0.3)
        layers = np.arange(20, 60)
        lit = layers[np.isin(layers % period, bright)]
        matrix[20:60, 20:60] = 0.5
        matrix[np.ix_(lit, lit)] = 0.98
        (found,) = find_blocks(matrix)
        assert abs(found.start - 20) <= 2 and abs(found.stop - 60) <= 2


def test_one_pair_in_twenty_may_be_unlike():
    matrix = plant(60, [(20, 50)])
    matrix[20:26, 45:50] = matrix[45:50, 20:26] = 0.85  # 60 of 900
    assert ends(matrix) != [(20, 50)]
    matrix[20:24, 45:50] = matrix[45:50, 20:24] = 0.97  # 20 of 900
    assert ends(matrix) == [(20, 50)]


# What has none.

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


def test_nor_do_decays_with_noise_in_40_of_40():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(30, 200))
        assert find_blocks(noisy(np.exp(-distances(n) / (n * rng.uniform(0.02, 4))), 0.02, rng)) == []


def test_nor_do_flat_maps_in_40_of_40():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(30, 200))
        assert find_blocks(noisy(np.full((n, n), rng.uniform(0.1, 0.99)), 0.03, rng)) == []


@pytest.mark.parametrize("n", [20, 50, 134])
@pytest.mark.parametrize("waves", [1, 2, 3])
@pytest.mark.parametrize("tau", [0.2, 0.4, 0.8])
def test_similarity_that_decays_faster_in_places_has_no_block(n, waves, tau):
    depth = np.arange(n) / n
    depth += 0.05 * np.sin(2 * np.pi * waves * depth) / waves
    assert find_blocks(np.exp(-np.abs(np.subtract.outer(depth, depth)) / tau)) == []


@pytest.mark.parametrize("n", [20, 50, 134])
def test_gradients_have_no_block(n):
    depth = np.linspace(0, 1, n)
    for matrix in (
        (depth[:, None] + depth) / 2,
        1 - np.maximum.outer(depth, depth),
        np.outer(depth, depth),
        np.outer(0.3 + 0.7 * depth, 0.3 + 0.7 * depth),
        np.zeros((n, n)),
        np.eye(n),
    ):
        assert find_blocks(matrix) == []


@pytest.mark.parametrize("value", [1.0, 0.97, 0.5])
def test_layers_that_are_all_alike_have_no_edge_and_so_no_block(value):
    matrix = np.full((40, 40), value)
    np.fill_diagonal(matrix, 1)
    assert find_blocks(matrix) == []


def test_a_run_that_is_too_short_too_dim_or_too_soft_at_its_ends_is_none():
    for n, length in ((30, 7), (134, 16), (200, 24)):
        assert find_blocks(plant(n, [(10, 10 + length)])) == []
        assert ends(plant(n, [(10, 10 + shortest(n))])) == [(10, 10 + shortest(n))]
    assert find_blocks(plant(100, [(20, 60)], strength=0.89)) == []
    assert find_blocks(plant(100, [(20, 60)], strength=0.93, background=0.69)) == []
    assert ends(plant(100, [(20, 60)], strength=0.93, background=0.67)) == [(20, 60)]


# Of any map.


def test_the_order_of_layers_may_be_reversed():
    matrix = plant(60, [(5, 20), (30, 50)], sd=0.02, seed=1)
    forward, backward = find_blocks(matrix), find_blocks(matrix[::-1, ::-1])
    assert [(60 - block.stop, 60 - block.start) for block in reversed(backward)] == ends(matrix)
    assert [block.fall for block in reversed(backward)] == pytest.approx([block.fall for block in forward])


def test_dead_layers_are_spanned_and_positions_count_them():
    matrix = plant(60, [(20, 40)])
    for dead in (0, 25, 26, 59):
        matrix[dead] = matrix[:, dead] = np.nan
    assert ends(matrix) == [(20, 40)]
    assert find_blocks(np.full((30, 30), np.nan)) == []
    assert find_blocks(np.ones((4, 4))) == []
    assert find_blocks(np.zeros((0, 0))) == []


def test_blocks_are_long_enough_and_apart():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(30, 300))
        cuts = np.sort(rng.choice(np.arange(1, n), 5, replace=False))
        found = find_blocks(plant(n, itertools.pairwise(cuts.tolist()), sd=0.01, seed=seed))
        assert all(len(block) >= max(8, n / 8) and block.fall >= 0.25 for block in found)
        assert all(one.stop <= two.start for one, two in itertools.pairwise(found))


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
