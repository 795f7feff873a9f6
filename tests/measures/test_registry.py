"""Every measure is what its equation says, from stored Gram matrices, and what its one line says of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats

from cka_core.measures import kernels
from cka_core.measures.grams import GramBatch, grams
from cka_core.measures.matrices import doubly_centred, squared_distances
from cka_core.measures.measure import MeasureMeans
from cka_core.measures.registry import MEASURES, measure
from tests import reference

NAMES = tuple(MEASURES)
CLOSE = {"svcca": 1e-4, "procrustes": 1e-5, "rsa-spearman": 1e-5, "mutual-knn": 1e-9}
"""How far a measure may be from float64, where it is more or less than 2e-6."""


def distances(x):
    """Squared distances by SciPy, in a list of pairs."""
    return scipy.spatial.distance.pdist(np.asarray(x, np.float64), "sqeuclidean")


def scores(x):
    """Orthonormal scores of the mean-removed activations, and the singular values."""
    z = np.asarray(x, np.float64).reshape(len(x), -1)
    u, s, _ = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    kept = s > 1e-6 * s[0]
    return u[:, kept], s[kept]


def biased(x, y):
    k, w = reference.gram(x), reference.gram(y)
    return np.vdot(k, w) / np.linalg.norm(k) / np.linalg.norm(w)


def rbf(x, y):
    grams = []
    for z in (x, y):
        pairs = distances(z)
        square = scipy.spatial.distance.squareform(pairs)
        grams.append(np.exp(-square / (2 * np.median(np.sqrt(pairs)) ** 2)))
    k, w = grams
    return reference.hsic1(k, w) / np.sqrt(reference.hsic1(k, k) * reference.hsic1(w, w))


def neighbours(x, y, k=10):
    """By SciPy's tree."""
    near = []
    for z in (x, y):
        z = np.asarray(z, np.float64)
        near.append([set(found[1:]) for found in scipy.spatial.KDTree(z).query(z, k + 1)[1]])
    return np.mean([len(one & other) / k for one, other in zip(*near, strict=True)])


def svcca(x, y, components=20):
    """Canonical correlations are the cosines of the angles between the two spaces."""
    (u, _), (v, _) = scores(x), scores(y)
    u, v = u[:, :components], v[:, :components]
    angles = scipy.linalg.subspace_angles(u, v)
    return np.square(np.cos(angles)).sum() / min(u.shape[1], v.shape[1])


def ridge(x, y):
    """The fitted values of the regression of x on y, solved in the features."""
    x, y = (np.asarray(z, np.float64) - np.mean(z, axis=0, dtype=np.float64) for z in (x, y))
    penalty = 0.01 * np.square(y).sum() / len(y)
    fitted = y @ np.linalg.solve(y.T @ y + penalty * np.eye(y.shape[1]), y.T @ x)
    return np.vdot(fitted, x) / np.square(x).sum()


def procrustes(x, y):
    """1 - (residual of the best rotation) of SciPy's Procrustes analysis, which scales too: its disparity is 1 - s²."""
    width = max(x.shape[1], y.shape[1])
    padded = [np.pad(np.asarray(z, np.float64), ((0, 0), (0, width - z.shape[1]))) for z in (x, y)]
    return np.sqrt(1 - scipy.spatial.procrustes(*padded)[2])


REFERENCE = {
    "cka": reference.cka,
    "cka-biased": biased,
    "cka-rbf": rbf,
    "rsa-pearson": lambda x, y: scipy.stats.pearsonr(distances(x), distances(y)).statistic,
    "rsa-spearman": lambda x, y: scipy.stats.spearmanr(distances(x), distances(y)).statistic,
    "mutual-knn": neighbours,
    "svcca": svcca,
    "ridge": ridge,
    "procrustes": procrustes,
}


def value(name, x, y):
    """One cell, from the batches of two networks of one layer."""
    return float(MEASURES[name].pairs(grams([x]), grams([y]))[0, 0])


def two(n=60, seed=0):
    """Two representations that share something, with a falling spectrum."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 30)) * 0.9 ** np.arange(30)
    y = np.maximum(x @ rng.standard_normal((30, 45)) + 0.5 * rng.standard_normal((n, 45)), 0)
    return x.astype(np.float32), y.astype(np.float32)


def test_the_registry_is_the_nine():
    assert NAMES == tuple(REFERENCE)
    for name, made in MEASURES.items():
        assert made.name == name
        words = (made.title, made.invariant, made.range, made.chance, made.minibatches, made.source, made.undefined)
        assert all(words)
    with pytest.raises(dataclasses.FrozenInstanceError):
        MEASURES["cka"].title = "another"


@pytest.mark.parametrize("name", NAMES)
def test_many_layers_at_once_are_the_equation_in_float64(name):
    a, b = reference.network(1, 70, images_seed=3), reference.network(2, 70, layers=4, width=55, images_seed=3)
    got = MEASURES[name].pairs(grams(a), grams(b))
    expected = np.array([[REFERENCE[name](x, y) for y in b] for x in a])
    assert got.dtype == np.float64
    assert np.abs(got - expected).max() < CLOSE.get(name, 2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-9, 1, 1e9])
def test_every_scale_and_a_large_mean_keep_the_digits(name, scale):
    x, y = two()
    got = value(name, (x + 3) * np.float32(scale), y)
    assert got == pytest.approx(REFERENCE[name](x, y), abs=max(CLOSE.get(name, 0), 1e-5))


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_is_most_similar_to_itself(name):
    a = grams(reference.network(1, 64))
    own = MEASURES[name].pairs(a, a)
    if name == "ridge":
        assert (np.diagonal(own) > 0.9).all() and (np.diagonal(own) < 1).all()  # the penalty takes its share
    else:
        assert np.allclose(np.diagonal(own), 1, atol=1e-6)
        assert np.allclose(own, own.T, atol=1e-12)
        assert (own < 1 + 1e-6).all()


@pytest.mark.parametrize("name", NAMES)
def test_rotation_scale_shift_and_permutation_of_features_change_nothing(name):
    x, y = (z.astype(np.float64) for z in two())
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    before = value(name, x, y)
    for changed in (x @ turn, 7.3 * x, x + rng.standard_normal(30), x[:, rng.permutation(30)], -x):
        assert value(name, changed, y) == pytest.approx(before, abs=max(CLOSE.get(name, 0), 2e-6))


@pytest.mark.parametrize("name", NAMES)
def test_features_given_twice_change_nothing(name):
    x, y = two()
    twice = np.concatenate([x, x], axis=1)
    assert value(name, twice, y) == pytest.approx(value(name, x, y), abs=max(CLOSE.get(name, 0), 2e-6))


@pytest.mark.parametrize("name", NAMES)
def test_stretching_features_counts_for_all_but_svcca_of_few_features(name):
    x, y = (z.astype(np.float64) for z in two())
    x = x[:, :12]
    stretched = x * np.linspace(0.2, 3, 12)
    if name == "svcca":
        assert value(name, stretched, y) == pytest.approx(value(name, x, y), abs=1e-4)
    else:
        assert abs(value(name, stretched, y) - value(name, x, y)) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_only_what_says_so_depends_on_the_order(name):
    x, y = two()
    one, other = value(name, x, y), value(name, y, x)
    assert (abs(one - other) < 1e-7) == MEASURES[name].symmetric


@pytest.mark.parametrize("name", [name for name in NAMES if MEASURES[name].expected is not None])
def test_the_mean_under_permutation_is_the_one_stated(name):
    x, y = two(24, seed=3)
    made, rng = MEASURES[name], np.random.default_rng(0)
    expected = made.expected(grams([x]), grams([y]))[0, 0]
    orders = [rng.permutation(24) for _ in range(1500)]
    drawn = made.pairs(grams([x]), grams([y[order] for order in orders]))[0]
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / np.sqrt(len(drawn)) + 1e-9


def test_biased_cka_of_noise_is_what_murphy_says():
    rng = np.random.default_rng(0)
    n, p, q = 100, 400, 900
    got = np.mean([
        value("cka-biased", rng.standard_normal((n, p)), rng.standard_normal((n, q))) for _ in range(5)
    ])  # fmt: skip
    assert got == pytest.approx(np.sqrt(p * q / ((n + p) * (n + q))), abs=0.01)
    assert abs(value("cka", rng.standard_normal((n, p)), rng.standard_normal((n, q)))) < 0.1


def test_unbiased_measures_are_those_of_kernels():
    x, y = two()
    assert value("cka", x, y) == pytest.approx(kernels.cka(x, y), abs=1e-6)
    assert value("cka-rbf", x, y) == pytest.approx(kernels.cka(x, y, kernel="rbf"), abs=1e-6)
    assert value("cka-biased", x, y) == pytest.approx(kernels.cka(x, y, unbiased=False), abs=1e-6)


def test_images_given_twice_are_neighbours_of_no_consequence_to_ranks():
    x, y = two(30)
    x, y = np.concatenate([x, x[:5]]), np.concatenate([y, y[:5]])
    assert value("rsa-spearman", x, y) == pytest.approx(REFERENCE["rsa-spearman"](x, y), abs=1e-4)


def classes(labels):
    return np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]


def equal_parts(x, k=10):
    """How much of whom is near whom, of whole numbers: those equally far share the places left for them."""
    x = np.asarray(x, np.int64)
    far = np.square(x[:, None] - x[None]).sum(axis=-1).astype(float)
    np.fill_diagonal(far, np.inf)
    weights = np.zeros(far.shape)
    for image, row in enumerate(far):
        edge = np.sort(row)[k - 1]
        weights[image, row < edge] = 1
        weights[image, row == edge] = (k - (row < edge).sum()) / (row == edge).sum()
    return weights


def test_images_equally_far_are_neighbours_in_equal_parts():
    rng = np.random.default_rng(0)
    x, y = classes(rng.integers(0, 10, 80)), rng.integers(0, 4, (80, 3)).astype(np.float32)
    near, there = equal_parts(x), equal_parts(y)
    cosine = np.vdot(near, there) / np.linalg.norm(near) / np.linalg.norm(there)
    assert value("mutual-knn", x + 0.7, 3.3 * y) == pytest.approx(cosine, abs=5e-4)
    assert value("mutual-knn", x, 2 * x[:, ::-1]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_images_is_no_part_of_it_where_many_coincide(name):
    rng = np.random.default_rng(0)
    x, y = classes(rng.integers(0, 10, 120)), classes(rng.integers(0, 3, 120))
    order = rng.permutation(120)
    assert value(name, x[order], y[order]) == pytest.approx(value(name, x, y), abs=1e-6)


def test_classes_that_have_nothing_in_common_share_as_many_neighbours_as_chance():
    rng = np.random.default_rng(0)
    made, a = MEASURES["mutual-knn"], grams([classes(rng.integers(0, 10, 120))])
    b = grams([classes(rng.integers(0, 3, 120)) for _ in range(400)])
    drawn, level = made.pairs(a, b)[0], made.expected(a, b)[0]
    assert level.min() > 10 / 119, "more than of images that all differ"
    assert abs((drawn - level).mean()) < 4 * (drawn - level).std() / np.sqrt(400)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_without_variance_has_no_value_and_says_why(name):
    x, y = two()
    means = MeasureMeans(MEASURES[name], 3, 2)
    means.add(grams([x, np.ones((60, 5)), np.eye(60)[:, :1]]), grams([y, x]))
    assert np.isnan(means.matrix()[1:]).all() and np.isfinite(means.matrix()[0]).all()
    assert means.reasons_a == (None, kernels.NO_VARIANCE, kernels.ONE_IMAGE)
    assert means.reasons_b == (None, None)


def test_half_of_all_pairs_at_one_place_have_no_rbf_kernel():
    x, y = two()
    few = np.where(np.arange(60) < 8, 1.0, 0.0)[:, None] * x[:, :3]
    means = MeasureMeans(MEASURES["cka-rbf"], 1, 1)
    means.add(grams([few]), grams([y]))
    assert np.isnan(means.matrix()).all()
    assert means.reasons_a == ("half of all pairs of images coincide",)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_layer_is_not_told_the_reason_of_another(name):
    x, y = two()
    means = MeasureMeans(MEASURES[name], 1, 1)
    means.add(grams([np.ones((60, 5))]), grams([y]))
    assert np.isnan(means.matrix()).all()
    assert (means.reasons_a, means.reasons_b) == ((kernels.NO_VARIANCE,), (None,))


def test_a_layer_without_a_kernel_does_not_lend_its_reason():
    x, y = two()
    few = np.where(np.arange(60) < 8, 1.0, 0.0)[:, None] * x[:, :3]
    parts = [MeasureMeans(MEASURES["cka-rbf"], 2, 1) for _ in range(2)]
    for means in parts:
        means.add(grams([few, np.ones((60, 2))]), grams([y]))
    parts[0].merge(parts[1])
    assert parts[0].reasons_a == (MEASURES["cka-rbf"].undefined, kernels.NO_VARIANCE)
    assert parts[0].reasons_b == (None,)


@pytest.mark.parametrize("name", NAMES)
def test_minibatches_are_averaged_by_their_images(name):
    x, y = two(70)
    means = MeasureMeans(MEASURES[name], 1, 1)
    for part in (slice(0, 40), slice(40, 70)):
        means.add(grams([x[part]], first=part.start), grams([y[part]], first=part.start))
    parts = [REFERENCE[name](x[:40], y[:40]), REFERENCE[name](x[40:], y[40:])]
    assert means.matrix()[0, 0] == pytest.approx((40 * parts[0] + 30 * parts[1]) / 70, abs=1e-4)


def test_more_neighbours_than_images_are_refused():
    x, y = two(11)
    with pytest.raises(ValueError, match="more than 11 images.*got one of 11"):
        value("mutual-knn", x, y)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cka"])
def test_gram_matrices_without_norms_are_refused_in_words(name):
    x, y = two()
    a, b = grams([x]), grams([y])
    a.norms = b.norms = None
    with pytest.raises(ValueError, match="with the norms of their images, for .*before version 0.3.*Make them again"):
        MEASURES[name].pairs(a, b)


def test_names_known_of_old_and_unknown():
    assert measure("cka") is measure("cka-linear-unbiased") is MEASURES["cka"]
    with pytest.raises(ValueError, match="Unknown measure 'cca'. Valid: cka, cka-biased, .*procrustes"):
        measure("cca")
    with pytest.raises(ValueError, match="got int"):
        measure(3)


class TestOwn:
    """A function of two stacks of HKH."""

    @staticmethod
    def nuclear(a, b):
        return np.array([[np.trace(k @ w) for w in b] for k in a])

    def test_gets_whole_matrices_in_their_units(self):
        x, y = two()
        batch = grams([x * np.float32(1e12), np.zeros((60, 2)), y])
        seen = []
        made = measure(lambda a, b: seen.append((a, b)) or np.ones((len(a), len(b))))
        values = made.pairs(batch, batch)
        assert seen[0][0] is seen[0][1] and seen[0][0].shape == (2, 60, 60)
        exact = reference.gram(x * 1e12)
        assert np.abs(seen[0][0][0] - exact).max() < 1e-6 * np.abs(exact).max()
        assert np.isnan(values[1]).all() and np.isnan(values[:, 1]).all() and values[0, 2] == 1

    def test_is_averaged_like_the_others(self):
        x, y = two()
        means = MeasureMeans(measure(self.nuclear), 1, 1)
        means.add(grams([x]), grams([y]))
        assert means.matrix()[0, 0] == pytest.approx(np.vdot(reference.gram(x), reference.gram(y)), rel=1e-5)
        assert measure(self.nuclear).title == "nuclear"

    def test_without_any_value_is_not_defined(self):
        x, y = two()
        means = MeasureMeans(measure(lambda a, b: np.full((len(a), len(b)), np.nan if b is not a else 1.0)), 1, 1)
        means.add(grams([x]), grams([y]))
        assert means.reasons_a == means.reasons_b == ("not defined",)

    def test_of_another_shape_is_refused(self):
        x, y = two()
        with pytest.raises(ValueError, match="to return .1, 2. values.*got shape"):
            measure(lambda a, b: np.ones(3)).pairs(grams([x]), grams([y, y]))

    @pytest.mark.parametrize("value", ["high", 1j])
    def test_that_returns_no_real_numbers_is_refused(self, value):
        x, y = two()
        with pytest.raises(ValueError, match="real numbers, got .*(high|1j).* among them"):
            measure(lambda a, b: np.array([[value]])).pairs(grams([x]), grams([y]))


def test_whole_matrices_come_back_from_triangles_and_norms():
    a = reference.network(4, 33)
    batch = grams(a)
    stack = np.ldexp(doubly_centred(batch), batch.exponents[:, None, None])
    for layer, x in enumerate(a):
        exact = reference.gram(x)
        assert np.abs(stack[layer] - exact).max() < 1e-6 * np.abs(exact).max()
        pairs = scipy.spatial.distance.squareform(distances(x))
        got = np.ldexp(squared_distances(batch, layer), int(batch.exponents[layer]))
        assert np.abs(got - pairs).max() < 2e-6 * pairs.max()
    assert isinstance(batch, GramBatch)


def test_the_documents_show_every_measure_and_their_example_runs():
    text = (Path(__file__).parents[2] / "docs" / "measures.md").read_text()
    assert all(f"| `{name}` |" in text for name in NAMES)
    own = re.findall(r"```python\n(import numpy.*?)```", text, re.S)
    assert len(own) == 1
    names: dict = {}
    exec(own[0], names)
    assert names["result"].matrix.shape == (3, 2) and (names["result"].matrix <= 1).all()
