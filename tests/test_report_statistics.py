"""Intervals of paired ratios keep their promise, also for a handful of repeats."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nstbench.report.judge.statistics import bootstrap, paired_ratio, repeats_needed, spread_share

positive = st.floats(0.01, 100)
pairs = st.lists(st.tuples(positive, positive), min_size=2, max_size=12)


@given(pairs)
def test_swapping_the_sides_inverts_ratio_and_interval(values):
    a, b = np.array(values).T
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high, rel=0.2)
    assert there.low <= there.ratio * (1 + 1e-9) and there.ratio <= there.high * (1 + 1e-9)


@given(pairs, st.floats(0.1, 10))
def test_what_a_repeat_shares_cancels(values, factor):
    a, b = np.array(values).T
    shared = factor ** np.arange(len(a))
    assert paired_ratio(a * shared, b * shared).ratio == pytest.approx(paired_ratio(a, b).ratio)


def test_the_ratio_is_the_geometric_mean_of_the_pairs():
    assert paired_ratio([2, 8], [1, 1]).ratio == pytest.approx(4)


def test_one_pair_says_nothing_and_none_says_less():
    one = paired_ratio([1.05], [1.0])
    assert (one.ratio, one.low, one.high, one.n) == (pytest.approx(1.05), 0.0, math.inf, 1)
    none = paired_ratio([], [])
    assert (none.low, none.high, none.n) == (0.0, math.inf, 0)


def test_failures_of_one_side_in_every_pair_decide_and_a_mixture_does_not():
    always = paired_ratio([math.inf, math.inf], [1, 1])
    assert (always.low, always.high) == (math.inf, math.inf)
    mixed = paired_ratio([math.inf, 1], [1, 1])
    assert (mixed.low, mixed.high) == (0.0, math.inf)
    both = paired_ratio([math.inf, math.inf], [math.inf, math.inf])
    assert both.ratio == 1


@pytest.mark.parametrize("n", range(2, 11))
@pytest.mark.parametrize("noise", ["normal", "heavy tails"])
def test_the_interval_covers_the_truth_from_two_repeats_on(n, noise):
    """At 95 %; 1000 suites leave a standard error of 0.7 %."""
    random = np.random.default_rng(n)
    draw = random.standard_normal if noise == "normal" else lambda k: random.standard_t(3, k)
    inside = 0
    for _ in range(1000):
        estimate = paired_ratio(np.exp(0.05 * draw(n)), np.exp(0.05 * draw(n)))
        inside += estimate.low <= 1 <= estimate.high
    assert inside / 1000 > 0.93


def test_the_bootstrap_is_seeded_and_narrows():
    random = np.random.default_rng(0)
    few, many = random.normal(5, 1, 5), random.normal(5, 1, 500)
    assert bootstrap(few, np.median) == bootstrap(few, np.median)
    assert np.ptp(bootstrap(many, np.median)) < np.ptp(bootstrap(few, np.median))
    assert min(few) <= bootstrap(few, np.median)[0] <= np.median(few)


def test_the_repeats_asked_for_are_enough_and_no_fewer_would_do():
    random = np.random.default_rng(1)
    logs = random.normal(0.05, 0.03, 4)
    estimate = paired_ratio(np.exp(logs), np.ones(4))
    n = repeats_needed(estimate, margin=0.02, level=0.95, fewest=3)
    gap = abs(math.log(estimate.ratio)) - math.log(1.02)
    assert half_width(estimate.spread, n) < gap <= half_width(estimate.spread, n - 1)


def half_width(spread, n):
    from scipy import stats

    return stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n)


def test_without_a_spread_the_least_number_is_asked_for_and_no_more_than_can_be_run():
    assert repeats_needed(paired_ratio([1.1], [1.0]), 0.02, 0.95, fewest=3) == 3
    at_the_margin = paired_ratio([1.02 * 1.1, 1.02 / 1.1], [1.0, 1.0])
    assert repeats_needed(at_the_margin, 0.02, 0.95, fewest=3) is None


def test_spread_is_a_share_of_the_median():
    assert spread_share(np.array([9.0, 10.0, 11.0])) == pytest.approx(0.2)
    assert spread_share(np.array([9.0])) == 0
