"""Components, deflation and influence from Gram matrices are those of the activations themselves."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core import analysis
from cka_core.measures import components
from cka_core.measures.centring import NonFiniteActivation
from cka_core.measures.kernels import cka, u_centre
from tests import reference


def draw(m, features, seed=0):
    return np.random.default_rng(seed).standard_normal((m, features))


def planted(m, strengths, features=30, seed=0):
    """Activations whose principal components are known: orthonormal images' scores u times strengths."""
    u = np.linalg.qr(draw(m, len(strengths), seed) - draw(m, len(strengths), seed).mean(axis=0))[0]
    v = np.linalg.qr(draw(features, len(strengths), seed + 1))[0]
    return u, (u * strengths) @ v.T + draw(1, features, seed + 2)


def stack(*layers):
    return np.array([components.centred_gram(x) for x in layers])


def without_first(x, k):
    """The activations themselves with their first k components removed, by SVD."""
    u, s, v = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return (u[:, k:] * s[k:]) @ v[k:]


class TestCentredGram:
    def test_is_the_product_of_mean_removed_activations(self):
        x = draw(20, 7) + 100
        assert np.allclose(components.centred_gram(x), reference.gram(x), atol=1e-10)
        assert np.allclose(components.centred_gram(x.reshape(20, 7, 1)), reference.gram(x), atol=1e-10)

    @pytest.mark.parametrize("scale", [1e-12, 1, 1e15])
    def test_keeps_its_digits_at_every_scale(self, scale):
        x = (draw(40, 9000) + 3).astype(np.float32) * np.float32(scale)
        got, exact = components.centred_gram(x), reference.gram(x)
        assert np.linalg.norm(got - exact) < 1e-6 * np.linalg.norm(exact)

    def test_of_equal_images_is_exactly_zero(self):
        assert not components.centred_gram(np.full((10, 3), 0.1, np.float32)).any()
        assert not components.centred_gram(np.zeros((10, 3))).any()

    def test_what_is_no_layer_is_refused(self):
        with pytest.raises(NonFiniteActivation, match="'conv'.*image 107"):
            components.centred_gram(np.where(np.arange(10) == 7, np.nan, 1.0)[:, None], "conv", first=100)
        with pytest.raises(ValueError, match="at least 4"):
            components.centred_gram(draw(3, 2))
        with pytest.raises(ValueError, match="numbers"):
            components.centred_gram(np.array([["a"]] * 5))
        with pytest.raises(ValueError, match="1e150"):
            components.centred_gram(draw(5, 2) * 1e160)


class TestPrincipalComponents:
    @pytest.mark.parametrize("m", [40, 400])
    def test_are_those_of_the_activations(self, m):
        u, x = planted(m, [6.0, 3.0, 2.0])
        found = components.principal_components(stack(x), 3)
        assert np.allclose(found.shares[0], np.array([36, 9, 4]) / 49, atol=1e-10)
        assert np.allclose(np.abs(found.scores[0]), np.abs(u.T) * np.array([[6.0], [3.0], [2.0]]), atol=1e-8)

    def test_the_largest_score_is_positive_whatever_the_sign_of_the_activations(self):
        x = draw(30, 8)
        one, other = (components.principal_components(stack(z), 2).scores for z in (x, -x))
        assert np.allclose(one, other)
        assert np.all(np.take_along_axis(one, np.abs(one).argmax(axis=2)[..., None], axis=2) > 0)

    def test_iteration_agrees_with_the_full_decomposition(self):
        x = draw(450, 600)
        found = components.principal_components(stack(x), 2)
        values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
        assert np.allclose(found.shares[0], values[:2] / values.sum(), rtol=1e-6)

    def test_scores_have_the_units_of_the_activations_and_shares_none(self):
        x = draw(30, 8)
        small, large = (components.principal_components(stack(x * scale)) for scale in (1e-12, 1e12))
        assert np.allclose(small.shares, large.shares)
        assert np.allclose(small.scores * 1e24, large.scores)

    def test_a_float32_gram_will_do(self):
        grams = stack(draw(30, 8))
        one, other = (components.principal_components(g).shares for g in (grams, grams.astype(np.float32)))
        assert np.allclose(one, other, atol=1e-6)

    def test_a_layer_without_variance_has_none(self):
        found = components.principal_components(stack(draw(10, 3), np.ones((10, 3))))
        assert np.isfinite(found.shares[0]).all() and np.isnan(found.shares[1]).all()
        assert np.isnan(components.component_cosines(found)[1]).all()

    def test_cosine_of_components_is_that_of_their_scores(self):
        u, x = planted(40, [6.0, 3.0])
        tilted = np.outer(np.cos(0.5) * u[:, 0] + np.sin(0.5) * u[:, 1], np.ones(4))
        cosines = components.component_cosines(components.principal_components(stack(x, -3 * tilted, u[:, 1:])))
        assert np.allclose(np.diagonal(cosines), 1)
        assert np.allclose([cosines[0, 1], cosines[1, 2], cosines[0, 2]], [np.cos(0.5), np.sin(0.5), 0], atol=1e-7)


class TestWithoutComponents:
    @pytest.mark.parametrize(("m", "k"), [(40, 0), (40, 1), (40, 3), (350, 2)])
    def test_equals_removing_them_from_the_activations(self, m, k):
        a, b = [draw(m, 60, s) @ np.diag(1 / np.arange(1, 61)) for s in (0, 1)], [draw(m, 25, 2)]
        b.append(np.maximum(a[0] + 0.2 * a[1], 0))
        got = components.cka_matrix(
            components.without_components(stack(*a), k), components.without_components(stack(*b), k)
        )
        expected = [[cka(without_first(x, k), without_first(y, k)) for y in b] for x in a]
        assert np.allclose(got, expected, atol=1e-7)

    def test_two_layers_alike_only_in_their_first_component_are_no_longer_alike(self):
        shared = np.outer(draw(100, 1, 5), np.ones(50))
        a, b = draw(100, 50) + 5 * shared, draw(100, 50, 1) + 5 * shared
        assert components.cka_matrix(stack(a), stack(b))[0, 0] > 0.99
        left = (components.without_components(stack(x)) for x in (a, b))
        assert abs(components.cka_matrix(*left)[0, 0]) < 0.1

    def test_a_layer_of_one_component_has_no_similarity_left(self):
        line = np.outer(draw(50, 1), draw(1, 20, 1)).astype(np.float32)
        left = components.without_components(stack(line, draw(50, 20)))
        matrix = components.cka_matrix(left)
        assert np.isnan(matrix[0]).all() and matrix[1, 1] == pytest.approx(1)


class TestInfluence:
    @pytest.mark.parametrize("rule", components.INFLUENCES)
    def test_sums_to_one_and_is_largest_where_an_outlier_is(self, rule):
        x = draw(60, 10)
        x[[7, 30]] += 40
        for scale in (1e-60, 1, 1e60):
            shares = components.influence(stack(x * scale, draw(60, 5, 1)), rule)
            assert np.allclose(shares.sum(axis=1), 1)
            assert set(np.argsort(shares[0])[-2:]) == {7, 30}
        assert components.most_influential(stack(x), 2, rule)[0].tolist() == [7, 30]

    def test_is_its_definition(self):
        x = draw(20, 6)
        u = np.linalg.svd(x - x.mean(axis=0))[0][:, 0]
        assert np.allclose(components.influence(stack(x))[0], u**2)
        whole = reference.hsic1(reference.gram(x), reference.gram(x)) * 20 * 17
        rows = np.square(u_centre(reference.gram(x))).sum(axis=1)
        assert np.allclose(components.influence(stack(x), "hsic")[0], rows / whole)

    @pytest.mark.parametrize("rule", components.INFLUENCES)
    def test_removed_images_leave_what_the_others_say(self, rule):
        a, b = [draw(40, 6), draw(40, 5, 1)], [draw(40, 9, 2) ** 3]
        grams_a, grams_b = stack(*a), stack(*b)
        images = components.most_influential(np.concatenate([grams_a, grams_b]), 5, rule)[0]
        kept = np.delete(np.arange(40), images)
        got = components.cka_matrix(
            components.without_images(grams_a, images), components.without_images(grams_b, images)
        )
        assert np.allclose(got, [[cka(x[kept], y[kept]) for y in b] for x in a], atol=1e-7)

    def test_three_images_take_cka_from_one_to_nothing_and_without_them_it_is_one(self):
        """Davari et al. 2022."""
        x = draw(256, 20)
        moved = x.copy()
        moved[:3] += 1e3 * draw(3, 20, 1)
        assert cka(x, moved) < 0.2
        grams = stack(x, moved)
        images = components.most_influential(grams[1:], 3)[0]
        assert images.tolist() == [0, 1, 2]
        assert components.cka_matrix(components.without_images(grams, images))[0, 1] == pytest.approx(1, abs=1e-6)

    def test_outliers_are_found_in_whichever_minibatch_they_are(self):
        x = draw(100, 10)
        x[[70, 80]] *= 30
        batches = [stack(x[:60]), stack(x[60:])]
        assert [part.tolist() for part in components.most_influential(batches, 2, "hsic")] == [[], [10, 20]]

    def test_dead_layers_have_no_say(self):
        grams = stack(np.ones((20, 2)), draw(20, 5))
        assert np.array_equal(components.most_influential(grams, 3)[0], components.most_influential(grams[1:], 3)[0])


class TestCkaMatrix:
    def test_equals_the_reference_over_minibatches(self):
        a, b = reference.network(0, 70, layers=4), reference.network(1, 70, layers=3)
        parts = [slice(0, 40), slice(40, 70)]
        stacks_a, stacks_b = ([stack(*[x[part] for x in net]) for part in parts] for net in (a, b))
        assert np.allclose(components.cka_matrix(stacks_a, stacks_b), reference.matrix(a, b, parts), atol=1e-6)

    def test_minibatches_of_different_scale_keep_their_weight(self):
        x, y = draw(40, 5), draw(40, 7, 1)
        x[20:] *= 1e9
        parts = [slice(0, 20), slice(20, 40)]
        got = components.cka_matrix([stack(x[p]) for p in parts], [stack(y[p]) for p in parts])
        assert got[0, 0] == pytest.approx(reference.cka(x, y, parts), abs=1e-6)

    def test_of_a_network_with_itself_is_symmetric_with_ones(self):
        matrix = components.cka_matrix(stack(*reference.network(0, 30)))
        assert np.array_equal(matrix, matrix.T) and np.allclose(np.diagonal(matrix), 1)

    def test_a_layer_that_one_image_activates_has_none(self):
        one = np.eye(20)[:, :1] * [[1.0, 2.0]]
        assert np.isnan(components.cka_matrix(stack(one, draw(20, 3)))[0]).all()


@pytest.mark.parametrize("removed", [[True, False], [6], [-1], [1.7]])
def test_images_to_remove_are_positions(removed):
    grams = np.stack([np.eye(6)] * 2)
    with pytest.raises(ValueError, match="positions of images from 0 to 5"):
        components.without_images(grams, removed)
    assert components.without_images(grams, []).shape == (2, 6, 6)


@pytest.mark.parametrize("k", [1.5, "1", None, 0, 6])
def test_so_many_components_are_a_whole_number_of_them(k):
    with pytest.raises(ValueError, match="components of 6 images"):
        components.principal_components(np.eye(6), k)


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_components_are_removed_whatever_the_units(scale):
    x = np.random.default_rng(0).standard_normal((12, 30))
    plain, scaled = (components.without_components(components.centred_gram(x * s)) for s in (1.0, scale))
    assert np.abs(scaled[0] / scale**2 - plain[0]).max() < 1e-9 * np.abs(plain).max()


def test_the_other_analyses_are_names_of_this_module():
    assert {"find_blocks", "Block", "probe", "compare_behaviour", "without_blocks"} <= set(analysis.__all__)
    assert all(hasattr(analysis, name) for name in analysis.__all__)


def test_what_does_not_fit_is_refused():
    grams = stack(draw(10, 3), draw(10, 4, 1))
    for call, message in (
        (lambda: components.principal_components(grams, 10), "from 1 to 9 components"),
        (lambda: components.principal_components(grams[:, :5]), r"\(layers, m, m\)"),
        (lambda: components.principal_components(np.full((5, 5), np.nan)), "finite Gram"),
        (lambda: components.influence(grams, "rank"), "Valid: component, hsic"),
        (lambda: components.most_influential(grams, 7), "at least 4 images left"),
        (lambda: components.most_influential(grams, 10), "from 0 to 9 images"),
        (lambda: components.without_images(grams, range(7)), "at least 4 images"),
        (lambda: components.cka_matrix(grams, stack(draw(11, 3))), "same images in the same minibatches"),
        (lambda: components.cka_matrix([grams, grams[:1]]), "as many layers in each"),
        (
            lambda: components.component_cosines(
                *(components.principal_components(stack(draw(m, 3))) for m in (10, 11))
            ),
            "same images",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
