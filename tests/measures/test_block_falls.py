"""The interval of a block's fall is the real jackknife's; one half of the images measures the other's block."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.measures.block_falls import OnHalf, on_halves, with_intervals
from cka_core.measures.blocks import Block, ends_of, find_blocks
from cka_core.measures.grams import GramBatch, grams
from cka_core.measures.hsic import HsicSums
from cka_core.measures.kernels import hsic_unbiased, linear_gram

LAYERS, BLOCK = 24, (6, 16)


def activations(images, seed=0, noise=0.25, outlier=1.0):
    """Layers of 20 features: inside the block the same but for noise, each other one on its own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(images, 20)) * np.linspace(2, 0.2, 20)
    shared[0] *= outlier
    own = [
        (shared if BLOCK[0] <= layer < BLOCK[1] else 0.6 * shared + rng.normal(size=(images, 20)))
        + noise * rng.normal(size=(images, 20))
        for layer in range(LAYERS)
    ]
    return own


def in_minibatches(arrays, sizes):
    edges = np.cumsum([0, *sizes])
    return [grams([array[a:b] for array in arrays], first=int(a)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def matrix_of(batches):
    sums = HsicSums(LAYERS, LAYERS)
    for batch in batches:
        sums.add(batch, batch)
    return sums.matrix()


def by_hand(arrays, sizes):
    """CKA from the equations in float64, HSIC1 of each minibatch weighted by its images."""
    edges = np.cumsum([0, *sizes])
    sums = np.zeros((LAYERS, LAYERS))
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        kernels = [linear_gram(array[a:b]) for array in arrays]
        sums += (b - a) * np.array([[hsic_unbiased(k, other) for other in kernels] for k in kernels])
    scale = np.sqrt(np.diagonal(sums))
    return sums / np.multiply.outer(scale, scale)


@pytest.mark.parametrize("sizes", [(20,), (16, 12)])
def test_the_interval_is_the_jackknife_of_centring_again_without_each_image(sizes):
    arrays = activations(sum(sizes), noise=0.15)
    batches = in_minibatches(arrays, sizes)
    (block,) = find_blocks(matrix_of(batches))
    (found,) = with_intervals([block], lambda: batches, LAYERS)
    side = int(np.argmax(ends_of(by_hand(arrays, sizes), block)))
    left_out, edges = [], np.cumsum(sizes)
    for image in range(sum(sizes)):
        fewer = list(sizes)
        fewer[int(np.searchsorted(edges, image, side="right"))] -= 1
        left_out.append(ends_of(by_hand([np.delete(one, image, axis=0) for one in arrays], fewer), block)[side])
    n = len(left_out)
    error = np.sqrt((n - 1) / n * np.square(np.array(left_out) - np.mean(left_out)).sum())
    assert found.high - found.fall == pytest.approx(1.96 * error, rel=1e-4)
    assert found.fall - found.low == pytest.approx(1.96 * error, rel=1e-4)
    assert dataclasses.replace(found, low=None, high=None, deciding=None) == block


def test_the_interval_covers_the_fall_of_many_images():
    """Of 60 samples of 64 images about 57 intervals contain what 4,000 images show."""
    block = Block(*BLOCK, 0.9, 0.0)
    many = ends_of(matrix_of(in_minibatches(activations(4000, seed=999), [1000] * 4)), block)
    covered = 0
    for seed in range(60):
        batches = in_minibatches(activations(64, seed), [64])
        ends = ends_of(matrix_of(batches), block)
        side = int(np.argmax(ends))
        (found,) = with_intervals([dataclasses.replace(block, fall=ends[side])], lambda found=batches: found, LAYERS)
        covered += found.low <= many[side] <= found.high
    assert 52 <= covered <= 60


def test_few_images_decide_where_one_is_far_from_the_others():
    block = Block(*BLOCK, 0.9, 0.5)
    (many,) = with_intervals([block], lambda: in_minibatches(activations(128), [64, 64]), LAYERS)
    (few,) = with_intervals([block], lambda: in_minibatches(activations(128, outlier=15.0), [64, 64]), LAYERS)
    assert many.deciding > 60 and few.deciding < 30


def test_units_and_dead_layers_make_no_difference():
    arrays = activations(40, noise=0.15)
    batches = in_minibatches(arrays, [20, 20])
    (block,) = find_blocks(matrix_of(batches))
    (plain,) = with_intervals([block], lambda: batches, LAYERS)
    scaled = [array * scale for array, scale in zip(arrays, np.logspace(-30, 30, LAYERS), strict=True)]
    (other,) = with_intervals([block], lambda: in_minibatches(scaled, [20, 20]), LAYERS)
    assert (other.low, other.high, other.deciding) == pytest.approx((plain.low, plain.high, plain.deciding), rel=1e-3)
    dead = [*arrays[:10], np.ones((40, 20)), *arrays[10:]]
    longer = dataclasses.replace(block, stop=block.stop + 1)
    (found,) = with_intervals([longer], lambda: in_minibatches(dead, [20, 20]), LAYERS + 1)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), rel=1e-6)


def test_a_block_found_on_one_half_is_measured_on_the_other():
    arrays = activations(80, noise=0.15)
    batches = in_minibatches(arrays, [48, 32])
    first, second = on_halves(lambda: batches, LAYERS)
    maps = [
        matrix_of(in_minibatches([array[half::2] for array in arrays], [24, 16])) for half in (0, 1)
    ]  # the minibatches are even, so that every second image of each is every second of all
    for found, here, there in ((first, *maps), (second, *maps[::-1])):
        (block,) = find_blocks(here)
        side = int(np.argmax(ends_of(here, block)))
        assert found == (
            OnHalf(
                block.start, block.stop, pytest.approx(block.fall, abs=1e-5),
                pytest.approx(ends_of(there, block)[side], abs=1e-5),
            ),
        )  # fmt: skip


def test_a_network_without_blocks_has_none_on_either_half():
    rng = np.random.default_rng(0)
    batches = in_minibatches([rng.normal(size=(40, 9)) for _ in range(LAYERS)], [40])
    assert on_halves(lambda: batches, LAYERS) == ((), ())
    assert with_intervals((), lambda: batches, LAYERS) == ()


def test_too_few_images_are_refused():
    arrays = activations(4)
    batches = [grams(arrays)]
    with pytest.raises(ValueError, match="at least 5 images to leave one out, got one of 4"):
        with_intervals([Block(6, 16, 0.9, 0.5)], lambda: batches, LAYERS)
    with pytest.raises(ValueError, match="at least 8 images to halve them, got one of 4"):
        on_halves(lambda: batches, LAYERS)
    assert isinstance(batches[0], GramBatch)
