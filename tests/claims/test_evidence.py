"""The rules that decide a claim: what each reads, and how often it errs where the truth is known."""

from __future__ import annotations

import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact

from cka_core.atlas.blocks import was_there
from cka_core.atlas.numbers import seed_groups, spread
from cka_core.atlas.result import bundled
from cka_core.claims.evidence import (
    NO,
    NOT_TESTED,
    PAIR,
    UNCLEAR,
    YES,
    Evidence,
    Part,
    by_unit,
    can_grow,
    clear,
    decimal,
    differ,
    fewer_by_chance,
    grows,
    highest,
    none,
    percent,
    reach,
)
from cka_core.measures.ranks import by_chance_exactly, deals, rank_correlation

spec = importlib.util.spec_from_file_location("evidence", Path(__file__).parents[2] / "benchmarks" / "evidence.py")
assert spec is not None and spec.loader is not None
simulated = importlib.util.module_from_spec(spec)
spec.loader.exec_module(simulated)

# What each reads.


@pytest.mark.parametrize(
    "values, verdict",
    [([], None), ([np.nan], None), ([0.2], UNCLEAR), ([-0.2], UNCLEAR), ([0.0] * 5, NO), ([0.2, 0.2, 0.2], YES),
     ([0.3, 0.2, 0.1, np.nan], UNCLEAR), ([0.5, -0.4, 0.1], UNCLEAR), ([-0.1, -0.2, -0.3], NO),
     ([-0.3, -0.2, 0.15], UNCLEAR),      ([-0.1, -0.11, -0.12], NO), ([0.04, 0.05, 0.06], NO)],
)  # fmt: skip
def test_a_difference_is_no_only_if_it_is_surely_smaller_than_what_would_matter(values, verdict):
    assert clear(spread(values), 0.1) == verdict


def test_a_claim_may_ask_for_more_than_nothing():
    assert [clear(spread([share] * 3), 0.5, 0.5) for share in (0.4, 0.6)] == [NO, YES]
    assert clear(spread([0.1, 0.5, 0.9]), 0.5, 0.5) == UNCLEAR


def test_seeds_are_averaged_first_and_count_where_there_is_one_architecture():
    found, unit = by_unit([[1.0, 3.0], [4.0, math.nan], [math.nan], [6.0]])
    assert (found.mean, found.n, unit) == (4.0, 3, "architecture")
    found, unit = by_unit([[1.0, 3.0], [math.nan]], PAIR)
    assert (found.mean, found.n, unit) == (2.0, 2, "pair of seeds")
    assert by_unit([])[0].n == 0


def test_growth_is_an_exact_permutation():
    depths, shares = (14, 14, 14, 20, 38, 38, 56), (0.0, 0.0, 0.0, 0.0, 0.414, 0.351, 0.614)
    rho, chance = by_chance_exactly(depths, shares)
    ways = [rank_correlation(depths, order) for order in itertools.permutations(shares)]
    assert chance == np.mean([way >= rho - 1e-9 for way in ways]) == pytest.approx(48 / 5040)
    assert rho == pytest.approx(0.929, abs=0.001) and grows(rho, chance, 7) == YES
    assert grows(0.9, 0.2, 7) == grows(0.0, 0.5, 7) == UNCLEAR and grows(-0.7, 1.0, 7) == NO
    assert by_chance_exactly(range(9), range(9)) == pytest.approx((1, 1 / math.factorial(9)))
    assert by_chance_exactly(range(12), range(12))[1] == pytest.approx(1 / 20_000)
    assert all(math.isnan(value) for value in by_chance_exactly((1, 2, 3), (1, 1, 1)))


def test_the_upper_end_of_a_rank_correlation():
    assert highest(1.0, 3) == highest(math.nan, 9) == 1.0
    assert highest(0.0, 28) == pytest.approx(math.tanh(1.96 / 5))
    assert highest(-1.0, 7) < -0.99 and highest(0.3, 1000) < 0.37


def test_what_stands_alone_in_its_row_cannot_be_seen_to_grow():
    depths, widths = (14, 20, 38, 56, 14, 14, 38), (1, 1, 1, 1, 2, 4, 2)
    assert can_grow(depths, widths) == 4 and can_grow(widths, depths) == 3 and can_grow([], []) == 0


def test_three_against_three_cannot_show_a_difference():
    assert [differ(0.01, least) for least in (1 / 3, 0.1, 2 / 70)] == [NOT_TESTED, NOT_TESTED, YES]
    assert differ(0.3, 2 / 70) == UNCLEAR
    assert len(deals(4, 4)) == 70 and deals(3, 2)[0].tolist() == [0, 1, 2]
    assert len(deals(12, 12)) == 20_000 and deals(12, 12)[0].tolist() == list(range(12))


def test_one_that_two_share_refutes_what_none_should_and_few_do_not_prove_it():
    assert [none(shared, 4) for shared in (0, 1, 3)] == [UNCLEAR, NO, NO]
    assert none(0, 5) == YES and none(0, 1) is None


def test_fewer_by_chance_counts_every_way_to_deal_the_networks():
    for before, after in (((4, 4), (0, 5)), ((3, 4), (1, 6)), ((0, 2), (3, 3)), ((2, 5), (0, 0))):
        have = [True] * (before[0] + after[0]) + [False] * (before[1] + after[1] - before[0] - after[0])
        deals = list(itertools.combinations(range(len(have)), before[1]))
        as_many = sum(sum(have[i] for i in deal) >= before[0] for deal in deals)
        assert math.isclose(fewer_by_chance(before, after), as_many / len(deals))
        table = [[n, total - n] for n, total in (before, after)]
        assert math.isclose(fewer_by_chance(before, after), fisher_exact(table, alternative="greater").pvalue)


def test_the_first_part_decides():
    parts = (Part("one", YES, "a", {}), Part("two", NO, "b", {}))
    assert Evidence(parts, {}).verdict == YES and Evidence(parts[::-1], {}).verdict == NO
    assert Evidence(parts, {}, reason="None was trained.").verdict == "cannot say"
    assert Evidence((Part("one", NOT_TESTED, "a", {}),), {}).verdict == "cannot say"
    assert Evidence((Part("one", None, "", {}), *parts), {}).missing == "Not known here: one."


def test_two_values_are_told_instead_of_their_interval():
    assert reach(spread([0.5, -0.2]), "seed", decimal) == "two seeds: −0.20 and 0.50"
    assert reach(spread([0.05, 0.02]), PAIR, percent) == "two pairs of seeds: 2.0 and 5.0 points"
    assert "95 % interval" in reach(spread([0.5, 0.4, 0.3]), "seed", decimal)
    assert reach(spread([0.5]), "architecture", decimal) == "one architecture only"


# How often they err. The whole tables: `python benchmarks/evidence.py`, printed in docs/study.md.


def within(found, **expected):
    """Rates to two points more than their own sampling error."""
    for verdict, rate in expected.items():
        assert found.get(verdict, 0.0) == pytest.approx(rate, abs=0.03), (verdict, found)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_an_effect_that_matters_is_denied_in_at_most_1_of_40_studies(n):
    for smallest in (0.5, 1.0):
        found = simulated.rates(simulated.one_difference(n, smallest), smallest, 2000)
        assert found.get(NO, 0) <= 0.035
    within(simulated.rates(simulated.one_difference(n, 1.0), 0.0, 2000), yes=0.025)


def test_the_rule_before_denied_half_a_standard_deviation_in_1_of_10():
    within(simulated.rates(simulated.by_the_mean(7), 0.5, 2000), no=0.10)
    within(simulated.rates(simulated.one_difference(7, 0.5), 0.5, 2000), yes=0.21, no=0.025)


def test_three_true_parts_that_have_to_agree_rarely_do():
    within(simulated.rates(simulated.three_together(7, 0.5), 1.0, 2000), yes=0.22)
    within(simulated.rates(simulated.one_difference(7, 0.5), 1.0, 2000), yes=0.60)


@pytest.mark.parametrize("depths", [simulated.DEPTHS, simulated.DEPTHS_NOW])
def test_growth_errs_in_at_most_1_of_20(depths):
    study = simulated.growth(depths)
    assert simulated.rates(study, 0.0, 400).get(YES, 0) <= 0.07
    found = simulated.rates(study, 1.0, 400)
    assert found[YES] > 0.5 and found.get(NO, 0) <= 0.01


def test_growth_is_tried_over_the_depths_that_the_bundled_study_has():
    atlas = bundled()
    assert atlas is not None
    first = atlas.studied.only([member.name for member in atlas.members if was_there(member.weights)])
    depths = [tuple(sorted(group[0].depth for group in seed_groups(one))) for one in (first, atlas.studied)]
    assert depths == [simulated.DEPTHS, simulated.DEPTHS_NOW]


def test_the_documents_growth_table_is_that_of_the_simulation():
    """To three times the sampling error of the 200 studies that are made again."""
    text = (Path(__file__).parents[2] / "docs" / "study.md").read_text()
    for name, depths in (("7 of the first", simulated.DEPTHS), ("9 of the bundled", simulated.DEPTHS_NOW)):
        cells = text.split(f"| the {name} study | ")[1].split(" |\n")[0].split(" | ")
        for effect, cell in zip(simulated.EFFECTS, cells, strict=True):
            found = simulated.rates(simulated.growth(depths), effect, 200)
            for verdict, percent_said in zip((YES, UNCLEAR, NO), cell.split(" / "), strict=True):
                assert found.get(verdict, 0.0) == pytest.approx(float(percent_said) / 100, abs=0.1)


def test_wide_against_deep_errs_in_at_most_1_of_20_and_needs_four_seeds():
    assert simulated.rates(simulated.two_groups(3), 1.0, 20) == {NOT_TESTED: 1.0}
    assert simulated.rates(simulated.two_groups(4), 0.0, 300).get(YES, 0) <= 0.07
    assert simulated.rates(simulated.two_groups(4), 1.0, 300)[YES] > 0.45


def test_no_shared_block_among_five_networks_is_rarely_chance():
    found = simulated.rates(simulated.shared(5, 0.5), 0.0, 2000)
    assert found[YES] <= 0.05 and simulated.rates(simulated.shared(4, 0.0), 0.0, 10) == {UNCLEAR: 1.0}
