"""Layers on a few images, as one looks at them, held to float64 references written from the equations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cka_core.measures import spectra
from cka_core.measures.grams import grams
from cka_core.measures.portraits import portraits
from tests import reference

ALL, FEW = 60, 40


def layers(seed: int) -> list[np.ndarray]:
    return reference.network(seed, ALL, layers=3)


def test_the_mean_of_products_is_cka_on_the_first_images():
    a, b = layers(1), layers(2)
    found = portraits(grams(a), FEW).cka(portraits(grams(b), FEW))
    assert np.abs(found - reference.matrix([x[:FEW] for x in a], [y[:FEW] for y in b])).max() < 1e-6
    whole = portraits(grams(a)).cka(portraits(grams(b)))
    assert np.abs(whole - reference.matrix(a, b)).max() < 1e-6, "60 are fewer than 64: all of them"


def test_entries_are_the_u_centred_matrix_in_multiples_of_its_root_mean_square():
    x = layers(1)[2][:FEW]
    k = reference.gram(x)
    np.fill_diagonal(k, 0)
    rows, m = k.sum(axis=1), FEW
    u = k - rows[:, None] / (m - 2) - rows[None, :] / (m - 2) + k.sum() / ((m - 1) * (m - 2))
    expected = u[np.triu_indices(m, 1)]
    found = portraits(grams(layers(1)), FEW).entries[2]
    assert np.allclose(found, expected / np.sqrt(np.mean(expected**2)), atol=1e-5)


def test_components_spectrum_and_dimension_are_those_of_the_activations():
    made = portraits(grams(layers(1)), FEW)
    for layer, x in enumerate(layers(1)):
        z = x[:FEW].astype(np.float64)
        z -= z.mean(axis=0)
        left, singular, _ = np.linalg.svd(z, full_matrices=False)
        variances = singular**2
        scores = (left * singular)[:, :2].T / np.sqrt(variances.sum() / FEW)
        found = made.scores[layer] * np.sign((made.scores[layer] * scores).sum(axis=1, keepdims=True))
        assert np.allclose(found, scores, atol=1e-3)
        shares = variances / variances.sum()
        assert np.allclose(made.shares[layer], shares[:32], atol=1e-6)
        assert made.dimensions[layer] == pytest.approx(1 / (shares**2).sum(), rel=1e-5)


def test_neighbours_are_the_nearest_by_distance():
    made = portraits(grams(layers(1)), FEW)
    for layer, x in enumerate(layers(1)):
        z = x[:FEW].astype(np.float64)
        distances = np.square(z[:, None] - z[None]).sum(axis=2)
        np.fill_diagonal(distances, np.inf)
        assert (made.neighbours[layer] == distances.argsort(axis=1, kind="stable")[:, :8]).all()


def test_nearest_is_neighbours_of_every_image():
    distances = np.square(np.random.default_rng(0).standard_normal((12, 12)))
    distances = np.minimum(distances + distances.T, 2.0)  # some are equal
    assert all(
        (row == spectra.neighbours(distances, i, 5)[0]).all() for i, row in enumerate(spectra.nearest(distances, 5))
    )
    with pytest.raises(ValueError, match="from 1 to 11 neighbours, got 12"):
        spectra.nearest(distances, 12)


def test_a_layer_that_says_nothing_is_not_a_number():
    same, one = np.ones((ALL, 4), np.float32), np.ones((ALL, 4), np.float32)
    one[50, 0] = 9  # an image that is not among the first
    made = portraits(grams([same, one, layers(1)[0]]), FEW)
    assert np.isnan(made.entries[:2]).all() and np.isfinite(made.entries[2]).all()
    assert np.isnan(made.scores[:2]).all() and np.isnan(made.dimensions[:2]).all()
    assert (made.neighbours[:2] == -1).all()


def test_without_norms_there_are_similarities_and_nothing_else():
    batch = grams(layers(1))
    old = portraits(dataclasses.replace(batch, norms=None), FEW)
    assert np.array_equal(old.entries, portraits(batch, FEW).entries)
    assert np.isnan(old.scores).all() and np.isnan(old.shares).all() and (old.neighbours == -1).all()
