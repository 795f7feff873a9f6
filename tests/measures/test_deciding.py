"""Which images decide, the map without them, and the map without the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.measures import components, deciding, partial, spectra
from cka_core.measures.grams import grams
from cka_core.measures.hsic import HsicSums, minibatches
from cka_core.measures.kernels import u_centre
from cka_core.measures.matrices import doubly_centred, squared_distances
from tests import reference

PARTS = minibatches(50, 25)


def batches(a, b, parts=PARTS):
    return [(grams([x[p] for x in a], first=p.start), grams([y[p] for y in b], first=p.start)) for p in parts]


def pair(seed=0):
    a, b = reference.network(1 + seed, 50, layers=3), reference.network(2 + seed, 50, layers=2)
    a[1][[3, 30]] *= 20
    return a, b


def test_shares_are_those_of_hsic():
    a, b = pair()
    found = deciding.shares([one for one, _ in batches(a, b)])
    for x, row in zip(a, found, strict=True):
        parts = [np.square(u_centre(reference.gram(x[p]))).sum(axis=1) / 22 for p in PARTS]
        assert np.allclose(row, np.concatenate(parts) / np.concatenate(parts).sum(), atol=1e-6)
    assert set(deciding.most(found[1], 2)) == {3, 30}
    one = deciding.shares([grams(a)])
    stack = np.array([reference.gram(x) for x in a])
    assert np.allclose(one, components.influence(stack, "hsic"), atol=1e-6)


def test_cell_shares_sum_to_the_cell():
    a, b = pair()
    made = batches(a, b)
    exact = reference.matrix(a, b, PARTS)
    assert deciding.cell_shares(made, 1, 0).sum() == pytest.approx(exact[1, 0], abs=1e-6)
    assert np.isnan(deciding.cell_shares(batches([np.ones((50, 2))], b), 0, 0)).all()


def test_the_map_without_images_is_that_of_the_others():
    a, b = pair()
    removed = [3, 30, 31, 49]
    kept = [np.setdiff1d(np.arange(p.start, p.stop), removed) for p in PARTS]
    order = np.concatenate(kept)
    parts = [slice(0, len(kept[0])), slice(len(kept[0]), len(order))]
    exact = reference.matrix([x[order] for x in a], [y[order] for y in b], parts)
    assert np.abs(deciding.map_without(batches(a, b), removed) - exact).max() < 1e-6
    assert np.abs(deciding.map_without(batches(a, b), []) - reference.matrix(a, b, PARTS)).max() < 1e-6


def test_what_is_left_must_be_enough_and_must_vary():
    x = np.zeros((20, 2))
    x[:2] = [[1, 2], [3, 4]]
    batch = grams([x, reference.network(1, 20, layers=1)[0]])
    left = deciding.without_images(batch, [0, 1])
    assert left.reasons[0] is not None and left.reasons[1] is None
    with pytest.raises(ValueError, match="at least 4 images to be left"):
        deciding.without_images(batch, range(17))
    with pytest.raises(ValueError, match="from 0 to 19"):
        deciding.without_images(batch, [20])
    with pytest.raises(ValueError, match="from 0 to 49"):
        deciding.map_without(batches(*pair()), [50])
    with pytest.raises(ValueError, match="images, got 21"):
        deciding.most(np.ones(20), 21)


def test_without_pixels_is_the_partial_distance_correlation():
    """Székely & Rizzo 2014, definition 3: project both U-centred matrices off the third, then take the cosine."""
    a, b = reference.network(1, 40, layers=3), reference.network(2, 40, layers=2)
    pixels = np.random.default_rng(0).standard_normal((40, 12)) + np.asarray(a[0][:, :12], np.float64)
    sums = HsicSums(4, 3)
    sums.add(grams([*a, pixels]), grams([*b, pixels]))
    whole = sums.matrix()
    found = partial.without(whole[:3, :2], whole[:3, 2], whole[3, :2])
    c = u_centre(reference.gram(pixels))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            rest = [u_centre(reference.gram(z)) for z in (x, y)]
            rest = [k - np.vdot(k, c) / np.vdot(c, c) * c for k in rest]
            cosine = np.vdot(*rest) / np.linalg.norm(rest[0]) / np.linalg.norm(rest[1])
            assert found[i, j] == pytest.approx(cosine, abs=1e-6)


def test_what_pixels_explain_almost_wholly_is_hidden():
    found = partial.without(np.array([[0.9, 0.5]]), np.array([0.5]), np.array([0.98, 0.5]))
    assert np.isnan(found[0, 0]) and found[0, 1] == pytest.approx((0.5 - 0.25) / 0.75)
    with pytest.raises(ValueError, match="as many values"):
        partial.without(np.ones((2, 2)), np.ones(2), np.ones(3))


def test_spectrum_and_effective_dimension_are_those_of_the_activations():
    x = reference.network(3, 30, layers=1, width=12)[0]
    gram = doubly_centred(grams([x]))[0]
    singular = np.linalg.svd(x - x.mean(axis=0, dtype=np.float64), compute_uv=False) ** 2
    exact = singular / singular.sum()
    found = spectra.spectrum(gram)
    assert np.allclose(found[:12], exact[:12], atol=1e-6) and not found[12:].any()
    assert spectra.effective_dimension(gram) == pytest.approx(1 / np.square(exact).sum(), rel=1e-5)
    assert (
        np.isnan(spectra.effective_dimension(np.zeros((5, 5)))) and np.isnan(spectra.spectrum(np.zeros((5, 5)))).all()
    )


def test_components_of_stored_gram_matrices_are_those_of_the_activations():
    x = reference.network(3, 30, layers=1, width=12)[0].astype(np.float64)
    found = components.principal_components(doubly_centred(grams([x])), 2)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    for component in range(2):
        cosine = found.scores[0, component] @ u[:, component] / np.linalg.norm(found.scores[0, component])
        assert abs(cosine) == pytest.approx(1, abs=1e-6)


def test_neighbours_are_the_nearest_images():
    x = reference.network(3, 30, layers=1)[0].astype(np.float64)
    nearest, distance = spectra.neighbours(squared_distances(grams([x]), 0), 7, 5)
    exact = np.square(x - x[7]).sum(axis=1)
    assert nearest.tolist() == np.argsort(exact)[1:6].tolist()
    assert np.all(np.diff(distance) >= 0)
    with pytest.raises(ValueError, match="an image from 0 to 29"):
        spectra.neighbours(np.zeros((30, 30)), 30, 5)
