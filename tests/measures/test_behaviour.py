"""Predictions compared, and probes that find what is linear and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from cka_core.measures import behaviour, probes
from cka_core.measures.behaviour import (
    compare_behaviour,
    hellinger_distance,
    kl_divergence,
    log_probabilities,
    seed_variation,
    wilson_interval,
)
from cka_core.measures.probes import probe, probe_grams


def draw(n, features, seed=0):
    return np.random.default_rng(seed).standard_normal((n, features))


class TestWilsonInterval:
    def test_has_the_published_values(self):
        """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
        for correct, n, expected in (
            (81, 263, (0.2553, 0.3662)),
            (15, 148, (0.0624, 0.1605)),
            (0, 20, (0.0, 0.1611)),
            (1, 29, (0.0061, 0.1718)),
        ):
            assert wilson_interval(correct, n) == pytest.approx(expected, abs=5e-5)

    def test_stays_within_0_and_1_and_mirrors(self):
        low, high = wilson_interval(np.arange(11), 10)
        assert (
            low[0] == 0 and high[10] == 1 and np.all(low <= np.arange(11) / 10) and np.all(high >= np.arange(11) / 10)
        )
        assert np.allclose(low, 1 - high[::-1])

    def test_of_no_images_is_nan_and_of_too_many_correct_refused(self):
        assert np.isnan(wilson_interval(0, 0)).all()
        with pytest.raises(ValueError, match="correct images"):
            wilson_interval(5, 4)


class TestDistances:
    def test_logits_and_probabilities_give_the_same(self):
        logits = 3 * draw(50, 10)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for outputs, is_logits in ((p, False), (p.astype(np.float32), False), (logits + 1000, True)):
            assert np.allclose(log_probabilities(outputs, logits=is_logits), np.log(p), atol=1e-5)

    def test_of_a_distribution_from_itself_is_zero(self):
        log_p = log_probabilities(draw(20, 10), logits=True)
        assert np.allclose(behaviour.kl_divergence(log_p, log_p), 0)
        assert np.allclose(behaviour.hellinger_distance(log_p, log_p), 0)

    def test_are_their_formulas(self):
        p, q = np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]])
        log_p, log_q = np.log(p), np.log(q)
        assert behaviour.kl_divergence(log_p, log_q)[0] == pytest.approx(0.5 * np.log(0.25 / 0.09))
        assert behaviour.kl_divergence(log_q, log_p)[0] == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
        expected = np.sqrt(1 - np.sqrt(p * q).sum())
        for pair in ((log_p, log_q), (log_q, log_p)):
            assert behaviour.hellinger_distance(*pair)[0] == pytest.approx(expected)

    def test_extreme_outputs_stay_finite(self):
        certain = np.array([[1e4, 0.0], [0.0, 1e4]])
        log_p, log_q = (log_probabilities(z, logits=True) for z in (certain, certain[::-1]))
        assert behaviour.hellinger_distance(log_p, log_q) == pytest.approx([1, 1])
        assert behaviour.kl_divergence(log_p, log_q) == pytest.approx([1e4, 1e4])
        log_p, log_q = (log_probabilities(z, logits=False) for z in (np.eye(2), np.eye(2)[::-1]))
        assert behaviour.kl_divergence(log_p, log_q) == pytest.approx([-np.log(1e-12)] * 2)

    def test_logits_taken_for_probabilities_are_refused(self):
        with pytest.raises(ValueError, match="logits=True"):
            log_probabilities(draw(5, 10), logits=False)
        with pytest.raises(ValueError, match="image 3"):
            log_probabilities(np.where(np.arange(10).reshape(5, 2) == 7, np.nan, 0.5), logits=True)
        with pytest.raises(ValueError, match="images, classes"):
            log_probabilities(np.ones(5), logits=True)


class TestCompareBehaviour:
    y = np.array([0, 0, 1, 1, 2, 2])
    a = np.eye(3)[[0, 0, 1, 2, 2, 0]]
    b = np.eye(3)[[0, 1, 1, 1, 0, 0]]

    def test_counts_what_each_gets_right(self):
        found = compare_behaviour(self.a, self.b, self.y, logits=False)
        assert found.agreement == (0.5, *wilson_interval(3, 6))
        assert [found.only_a.tolist(), found.only_b.tolist(), found.neither.tolist()] == [[1, 4], [3], [5]]
        assert found.accuracy_a.overall == (pytest.approx(4 / 6), *wilson_interval(4, 6))
        assert found.accuracy_a.share.tolist() == [1, 0.5, 0.5]
        assert found.accuracy_b.share.tolist() == [0.5, 1, 0]
        assert found.hellinger == pytest.approx(0.5, abs=1e-5)
        assert found.kl == pytest.approx((found.kl_ab + found.kl_ba) / 2)

    def test_is_mirrored_when_the_networks_change_places(self):
        there, back = (compare_behaviour(*pair, self.y, logits=True) for pair in ((self.a, self.b), (self.b, self.a)))
        assert there.only_a.tolist() == back.only_b.tolist()
        assert (there.kl_ab, there.kl, there.hellinger) == pytest.approx((back.kl_ba, back.kl, back.hellinger))

    def test_a_class_without_images_has_no_accuracy(self):
        found = behaviour.accuracy_by_class([0, 1], [0, 0], 3)
        assert found.share[0] == 0.5 and np.isnan(found.share[1:]).all() and np.isnan(found.low[1:]).all()

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="same images and classes"):
            compare_behaviour(self.a, self.b[:5], self.y, logits=True)
        with pytest.raises(ValueError, match="6 whole numbers"):
            compare_behaviour(self.a, self.b, self.y[:5], logits=True)
        with pytest.raises(ValueError, match="from 0 to 2"):
            compare_behaviour(self.a, self.b, self.y + 1, logits=True)


class TestSeedVariation:
    def test_tells_seeds_from_architectures(self):
        rng = np.random.default_rng(0)
        predictions = {}
        for name in ("deep", "wide"):
            base = rng.integers(0, 10, 4000)
            for seed in range(3):
                changed = rng.random(4000) < 0.1
                predictions[name, seed] = np.where(changed, (base + 1 + seed) % 10, base)
        found = seed_variation(predictions)
        assert found.architectures == ("deep", "wide")
        assert np.allclose(np.diagonal(found.matrix), 0.19, atol=0.02)
        assert np.allclose(found.matrix, found.matrix.T)
        assert found.within < 0.25 < 0.8 < found.across == found.matrix[0, 1]

    def test_is_the_mean_over_pairs(self):
        found = seed_variation({("a", 0): [0, 0, 0, 0], ("b", 0): [0, 0, 1, 1], ("a", 1): [0, 1, 1, 1]})
        assert found.matrix[0, 0] == 0.75 and found.matrix[0, 1] == 0.375 and np.isnan(found.matrix[1, 1])
        assert (found.within, found.across) == (0.75, 0.375)

    def test_by_another_distance(self):
        rng = np.random.default_rng(1)
        logs = {
            (name, seed): log_probabilities(rng.normal(size=(50, 4)), logits=True) for name in "ab" for seed in (0, 1)
        }
        found = seed_variation(logs, kl_divergence)
        both = [kl_divergence(logs["a", 0], logs["a", 1]).mean(), kl_divergence(logs["a", 1], logs["a", 0]).mean()]
        assert found.matrix[0, 0] == pytest.approx(np.mean(both))
        hellinger = seed_variation(logs, hellinger_distance)
        across = [hellinger_distance(logs["a", i], logs["b", j]).mean() for i in (0, 1) for j in (0, 1)]
        assert hellinger.across == pytest.approx(np.mean(across))
        with pytest.raises(ValueError, match="Expected log-probabilities"):
            seed_variation({("a", 0): [1, 2]}, hellinger_distance)

    def test_one_network_has_neither(self):
        found = seed_variation({("a", 0): [1, 2]})
        assert np.isnan([found.within, found.across]).all()
        with pytest.raises(ValueError, match="same images"):
            seed_variation({("a", 0): [1, 2], ("a", 1): [1]})
        with pytest.raises(ValueError, match="at least one network"):
            seed_variation({})


def clusters(n, features, distance, seed=0, classes=10):
    """Classes around random means, `distance` apart in units of the spread, and their labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    means = np.random.default_rng(99).standard_normal((classes, features)) * distance / np.sqrt(2 * features)
    return means[y] + rng.standard_normal((n, features)), y


class TestProbe:
    @pytest.mark.parametrize("features", [20, 600])
    def test_finds_classes_that_are_apart_and_none_in_noise(self, features):
        (x, y), (t, u) = clusters(400, features, 20), clusters(300, features, 20, 1)
        assert probe(x, y, t, u).accuracy > 0.97
        noise = probe(draw(400, features), y, draw(300, features, 1), u)
        assert noise.accuracy < 0.2
        assert (noise.n_train, noise.n_test) == (400, 300)

    def test_primal_dual_and_gram_are_one_probe(self):
        (x, y), (t, u) = clusters(200, 60, 4), clusters(150, 60, 4, 1)
        padded = (np.pad(z, ((0, 0), (0, 300))) for z in (x, t))
        wide = next(padded)
        one, two = probe(x, y, t, u), probe(wide, y, next(padded), u)
        three = probe_grams(x @ x.T, t @ x.T, y, u)
        assert one == two == three

    def test_does_not_see_scale_shift_or_rotation(self):
        (x, y), (t, u) = clusters(200, 60, 4), clusters(150, 60, 4, 1)
        turn = np.linalg.qr(draw(60, 60))[0]
        expected = probe(x, y, t, u)
        for scale in (1e-12, 1, 1e15):
            assert probe(scale * (x @ turn + 3), y, scale * (t @ turn + 3), u) == expected

    def test_leave_one_out_is_leaving_one_out(self):
        x, y = clusters(40, 8, 3, classes=3)
        x = x - x.mean(axis=0)
        gram, size = x @ x.T, np.square(x).sum() / 40

        def error(penalty):
            total = 0.0
            for i in range(40):
                z, targets = np.delete(x, i, 0), np.eye(3)[np.delete(y, i)]
                mean, average = z.mean(axis=0), targets.mean(axis=0)
                z = z - mean
                w = np.linalg.solve(z.T @ z + penalty * size * np.eye(8), z.T @ (targets - average))
                total += np.square((x[i] - mean) @ w + average - np.eye(3)[y[i]]).sum()
            return total

        errors = {penalty: error(penalty) for penalty in probes.PENALTIES}
        assert probes._choose_penalty(gram, y, 3, size) == min(errors, key=errors.__getitem__)

    def test_noisy_labels_ask_for_a_larger_penalty(self):
        (x, y), (t, u) = clusters(300, 100, 5), clusters(300, 100, 5, 1)
        y = np.where(np.random.default_rng(2).random(300) < 0.5, 0 * y, y)
        assert probe(x, y, t, u).penalty > probe(*clusters(300, 100, 30), t, u).penalty

    def test_a_layer_without_variance_is_at_chance(self):
        y = np.arange(100) % 10
        found = probe(np.ones((100, 5)), y, np.ones((50, 5)), y[:50])
        assert found.accuracy == 0.1

    def test_more_images_than_choose_the_penalty(self):
        (x, y), (t, u) = clusters(2500, 30, 6), clusters(500, 30, 6, 1)
        assert probe(x, y, t, u).accuracy > 0.9

    def test_what_does_not_fit_is_refused(self):
        x, y = clusters(20, 5, 3)
        for arguments, message in (
            ((x, y, x[:, :4], y), "same features"),
            ((x, y[:9], x, y), "20 whole numbers"),
            ((x, y + 1.5, x, y), "whole numbers"),
            ((x, y * 0 + 10, x, y), "from 0 to 9"),
            ((x * np.nan, y, x, y), "finite train features"),
        ):
            with pytest.raises(ValueError, match=message):
                probe(*arguments)
        with pytest.raises(ValueError, match=r"\(n_test, n_train\)"):
            probe_grams(x @ x.T, x[:, :4], y, y)
