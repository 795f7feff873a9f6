"""What chance reaches is what permuting images gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cka_core.measures import chance
from cka_core.measures.grams import grams
from cka_core.measures.hsic import HsicSums, minibatches
from tests import reference


def batches(a, b, parts):
    made = [(grams([x[p] for x in a], first=p.start), grams([y[p] for y in b], first=p.start)) for p in parts]
    sums = HsicSums(len(a), len(b))
    for one, other in made:
        sums.add(one, other)
    return made, sums


def shuffled(b, parts, rng):
    order = np.concatenate([part.start + rng.permutation(part.stop - part.start) for part in parts])
    return [y[order] for y in b]


def test_over_all_permutations_the_deviation_is_exact():
    x, y = reference.network(1, 6, layers=2, width=4), reference.network(2, 6, layers=2, width=9)
    values = np.array([reference.matrix(x, [z[list(order)] for z in y]) for order in itertools.permutations(range(6))])
    assert np.allclose(values.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(values.std(axis=0), chance.chance([6]), rtol=1e-9)


@pytest.mark.parametrize(
    "parts", [minibatches(20, 10), [slice(0, 12), slice(12, 17), slice(17, 24)]], ids=["equal", "unequal"]
)
def test_over_several_minibatches_it_is_that_of_permuting_within_each(parts):
    n, rng = parts[-1].stop, np.random.default_rng(0)
    a, b = reference.network(1, n, layers=2), reference.network(2, n, layers=2)
    exact = chance.chance_of(*batches(a, b, parts))
    drawn = np.array([reference.matrix(a, shuffled(b, parts, rng), parts) for _ in range(1500)])
    assert np.allclose(drawn.std(axis=0), exact, rtol=0.07)
    assert np.abs(drawn.mean(axis=0)).max() < 4 * exact.max() / np.sqrt(1500)


def test_the_number_is_the_cells_where_minibatches_are_alike():
    a, b = reference.network(1, 12, layers=2), reference.network(2, 12, layers=3)
    parts = [slice(0, 12), slice(12, 24)]
    made, sums = batches([np.concatenate([x, x]) for x in a], [np.concatenate([y, y]) for y in b], parts)
    assert np.allclose(chance.chance_of(made, sums), chance.chance([12, 12]))
    assert chance.chance([12, 12]) == pytest.approx(np.sqrt(2 / (2 * 12 * 9)))
    assert chance.chance([256]) == pytest.approx(0.0056, abs=5e-5)
    one, only = batches(a, b, [slice(0, 12)])
    assert np.allclose(chance.chance_of(one, only), chance.chance([12]), rtol=1e-6)
    with pytest.raises(ValueError, match="at least 4"):
        chance.chance([256, 3])


@pytest.mark.parametrize("parts", [[slice(0, 25)], [slice(0, 16), slice(16, 25)]], ids=["one minibatch", "two"])
def test_the_best_match_by_chance_is_the_maximum_of_permuted_maps(parts):
    rng = np.random.default_rng(1)
    a, b = reference.network(1, 25, layers=4), reference.network(2, 25, layers=5)
    found = chance.best_match_chance(*batches(a, b, parts), draws=1200)
    maps = np.array([reference.matrix(a, shuffled(b, parts, rng), parts) for _ in range(1200)])
    for mean, high, axis in ((found.mean, found.high, 2), (found.mean_b, found.high_b, 1)):
        best = maps.max(axis=axis)
        error = best.std(axis=0).max() / np.sqrt(1200)
        assert np.abs(mean - best.mean(axis=0)).max() < 6 * error
        assert np.abs(high - np.quantile(best, 0.95, axis=0)).max() < 20 * error
    assert (found.mean > 0.5 * chance.chance([25])).all(), "the maximum of nothing is not nothing"


@pytest.mark.parametrize("m", [9, 12])
def test_shifts_of_an_order_are_permuted_maps(m):
    a, b = reference.network(1, m, layers=3), reference.network(2, m, layers=2)
    made, sums = batches(a, b, [slice(0, m)])
    order = np.random.default_rng(0).permutation(m)
    total = np.zeros((m, 3, 2), np.float32)
    chance._add_shifted(total, *made[0], sums.units(*made[0]), order, np.arange(m))
    for shift in range(m):
        expected = reference.matrix(a, [y[np.roll(order, -shift)] for y in b])
        assert np.abs(total[shift] - expected).max() < 1e-6


def test_layers_without_cka_have_no_best_match():
    a, b = reference.network(1, 20, layers=2), reference.network(2, 20, layers=2)
    made, sums = batches([a[0], np.ones((20, 2))], b, [slice(0, 20)])
    found = chance.best_match_chance(made, sums, draws=8)
    assert np.isnan(found.mean[1]) and np.isfinite(found.mean[0]) and np.isfinite(found.mean_b).all()
    assert np.isnan(chance.chance_of(made, sums)[1]).all()
    with pytest.raises(ValueError, match="at least one draw"):
        chance.best_match_chance(made, sums, draws=0)
