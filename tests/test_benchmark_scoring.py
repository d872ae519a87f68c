"""Scores against closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from nstbench.benchmark import best_of, scoring

BOUNDS = (1.0, 100.0)


def test_hits_are_the_first_evaluation_at_or_below_a_target():
    assert scoring.hits([9, 5, 7, 3], [10, 5, 4, 3, 2]).tolist() == [1, 2, 4, 4, math.inf]


def test_what_is_not_a_number_reaches_nothing():
    assert scoring.hits([9, math.nan, math.inf], [9, 8]).tolist() == [1, math.inf]
    assert scoring.hits([math.nan], [9]).tolist() == [math.inf]


def test_ecdf_of_the_uniform_grid_is_a_straight_line():
    found = np.arange(1.0, 11.0)
    assert scoring.ecdf(found, [0, 5, 10, 20]).tolist() == [0, 0.5, 1, 1]
    assert scoring.ecdf(np.array([[2.0, math.inf]]), [1, 2, 99]).tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("found", "area"), [(1, 1), (10, 0.5), (100, 0), (1000, 0), (math.inf, 0), (0.5, 1)]
)
def test_area_of_one_item(found, area):
    assert scoring.areas(np.array([found]), BOUNDS) == pytest.approx([area])


def test_mean_of_areas_is_the_integral_under_the_ecdf():
    found = np.exp(np.random.default_rng(0).uniform(-1, 6, 40))
    found[::7] = math.inf
    grid = np.linspace(0, math.log(100), 200_001)
    height = scoring.ecdf(found, np.exp((grid[1:] + grid[:-1]) / 2)).mean()
    assert scoring.areas(found, BOUNDS).mean() == pytest.approx(height, abs=1e-5)


def test_score_is_the_mean_over_instances_not_over_items():
    score = scoring.score([np.array([[1.0, 1.0, 1.0]]), np.array([math.inf])], BOUNDS)
    assert score.value == 0.5
    assert score.instances == (1.0, 0.0)
    assert 0 <= score.low <= 0.5 <= score.high <= 1
    assert score.half_width == (score.high - score.low) / 2


def test_equal_instances_leave_no_doubt():
    score = scoring.score([np.array([10.0])] * 8, BOUNDS)
    assert (score.low, score.high) == (pytest.approx(0.5), pytest.approx(0.5))


def test_bootstrap_is_as_wide_as_the_normal_law_says():
    values = np.random.default_rng(1).normal(size=200)
    low, high = scoring.bootstrap(values.tolist(), seed=2)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert high - low == pytest.approx(2 * half, rel=0.05)
    assert scoring.bootstrap(values.tolist(), seed=2) == (low, high)


def test_bootstrap_covers_the_mean_of_eight_instances():
    random = np.random.default_rng(5)
    held = 0
    for trial in range(300):
        low, high = scoring.bootstrap(random.normal(size=8).tolist(), seed=trial, draws=1000)
        held += low <= 0 <= high
    assert 0.87 < held / 300 < 0.99


def test_leading_group_keeps_the_best_and_its_copy_and_leaves_out_the_worse():
    base = np.array([0.5, 0.6, 0.7, 0.8, 0.4, 0.5, 0.6, 0.7])
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 0.01
    group = scoring.leading_group(
        {"copy": base, "best": base, "near": base - 0.001 + noise, "worse": base - 0.1 + noise}
    )
    assert group == ["best", "copy", "near"]


def test_leading_group_agrees_with_the_t_test_where_there_are_two():
    random = np.random.default_rng(3)
    for _ in range(20):
        first, second = random.normal(0.3, 1, 8), random.normal(0, 1, 8)
        if first.mean() < second.mean():
            first, second = second, first
        chance = stats.ttest_rel(first, second, alternative="greater").pvalue
        group = scoring.leading_group({"a": first, "b": second})
        assert group == (["a"] if chance <= 0.05 else ["a", "b"])


def test_leading_group_of_one_and_of_one_instance():
    assert scoring.leading_group({"a": [0.5]}) == ["a"]
    assert scoring.leading_group({"a": [0.5], "b": [0.1]}) == ["a", "b"]


def test_fixed_target():
    table = scoring.fixed_target([10, 30, math.inf, math.inf], [10, 30, 100, 60], 100)
    assert table.expected == (10 + 30 + 100 + 60) / 2
    assert table.success_rate == 0.5
    assert table.par10 == (10 + 30 + 1000 + 1000) / 4
    assert table.median == math.inf
    none = scoring.fixed_target([math.inf], [100], 100)
    assert (none.expected, none.success_rate, none.par10) == (math.inf, 0, 1000)


def test_expected_running_time_of_a_coin_is_the_geometric_law():
    """Restarts that succeed with chance p after n evaluations each need n / p of them."""
    random = np.random.default_rng(0)
    found = np.where(random.random(20_000) < 0.2, 50.0, math.inf)
    table = scoring.fixed_target(found, np.full(20_000, 50.0), 50)
    assert table.expected == pytest.approx(50 / 0.2, rel=0.03)


def test_losses_at_budgets():
    assert scoring.at_budgets([9, 5, 7, 3], [1, 3, 4, 100]).tolist() == [9, 5, 3, 3]


def test_progress_of_a_power_law_has_a_closed_form():
    """loss = t^-1: the mean of log over log evaluations is -log(T) / 2."""
    times = np.arange(1, 10_001)
    assert scoring.progress(1.0 / times, (1, 10_000)) == pytest.approx(
        -math.log(10_000) / 2, rel=0.05
    )


def test_progress_of_one_step_down():
    losses = [8.0, 8.0, 8.0, 2.0]  # from evaluation 4 on a quarter
    expected = math.log(1 / 4) * math.log(16 / 4) / math.log(16)
    assert scoring.progress(losses, (1, 16)) == pytest.approx(expected)
    assert scoring.progress([*losses, *[5.0] * 40], (1, 16)) == pytest.approx(expected)


def test_divergence_is_no_progress():
    assert scoring.progress([1.0, 5.0, math.inf, math.nan], (1, 100)) == 0
    assert scoring.progress([math.inf], (1, 100)) == 0


def test_expected_best_against_all_subsets():
    values = [3.0, 1.0, 4.0, 2.0]
    assert best_of.expected_best(values) == pytest.approx([2.5, 5 / 3, 1.25, 1.0])


def test_tuning_curve_covers_the_true_median_of_the_best_of_k():
    """Uniform trials: the median best of k is 1 - 0.5^(1/k); bands hold for all k together."""
    random = np.random.default_rng(7)
    held = 0
    for _ in range(60):
        curve = best_of.tuning_curve(random.random(10), level=0.8, bounds=(0, 1))
        truth = 1 - 0.5 ** (1 / np.array(curve.ks))
        held += bool(((curve.low <= truth) & (truth <= curve.high)).all())
        assert (curve.low <= curve.median).all() and (curve.median <= curve.high).all()
    assert held / 60 > 0.65


def test_probability_of_best_is_a_share_and_follows_the_trials():
    chances = best_of.probability_of_best(
        {"steady": [2.0, 2.0, 2.0, 2.0], "lucky": [9.0, 9.0, 9.0, 1.0]}, [1, 2, 4]
    )
    assert chances["lucky"] == pytest.approx([0.25, 0.5, 1.0], abs=0.04)
    assert chances["steady"] + chances["lucky"] == pytest.approx([1, 1, 1])
    tied = best_of.probability_of_best({"a": [1.0], "b": [1.0]}, [1])
    assert tied["a"] == tied["b"] == 0.5


def test_trials_needed_come_from_the_expected_best():
    """Of n trials with one good one, k find it with chance k / n: the rest is the mean distance."""
    assert best_of.above_best(math.log(1.2) - 3, [-3.0, -2.0]) == pytest.approx(0.2)
    assert best_of.trials_needed([-3.0] * 4) == 1
    distance = 10 * math.log1p(best_of.CLOSE)  # so that (1 - k / n) / 10 of it may be left
    assert best_of.trials_needed([0.0] * 19 + [-distance]) == 18
    assert best_of.trials_needed([-distance, *[0.0] * 19]) == 18  # whatever their order


def test_sensitivity_of_a_roof_has_a_closed_form():
    """log(loss / best) = |log10(rate)|: over 1.5 decades either side its mean is 0.75."""
    rates = np.logspace(-3, 3, 61)
    assert best_of.sensitivity(rates, np.abs(np.log10(rates)) - 5) == pytest.approx(0.75)
    assert best_of.sensitivity(rates, np.full(61, -3.0)) == 0
    assert best_of.sensitivity([0.1], [-3.0]) == 0
