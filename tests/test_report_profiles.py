"""Profiles and ECDFs over pairs of pictures with targets."""

import numpy as np
import pytest
from synthetic import SyntheticRun, write_runs

from nstbench.report.data import reader, settings
from nstbench.report.figures.curves import rankings
from nstbench.report.figures.profiles import costs_table, of_one, profiles, shares

TARGETS = settings.load().targets


def runs_on(results, pictures, optimizers=("adam", "adagrad", "rmsprop"), repeats=1, **how):
    made = [
        SyntheticRun(optimizer, epochs=100, content=picture, repeat=repeat, images=False, **how)
        for picture in pictures
        for optimizer in optimizers
        for repeat in range(repeats)
    ]
    write_runs(results, made)
    return reader.read(results).runs


def curve(plot, label):
    (series,) = (series for series in plot.series if series.label == label)
    (points,) = series.curves.values()
    return points


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_fewer_than_three_pairs_are_said_instead(tmp_path, pairs):
    found = profiles(runs_on(tmp_path, "ab"[:pairs]), TARGETS)
    assert found.plots == []
    assert f"at least 3 pairs; here: {pairs} pair" in found.notes[0]


def test_three_pairs_give_a_profile_and_an_ecdf(tmp_path):
    found = profiles(runs_on(tmp_path, "abc"), TARGETS)
    profile, ecdf = found.plots
    assert (profile.name, ecdf.name) == ("profile", "ecdf")
    assert "3 pairs of pictures" in found.notes[0]
    best = curve(profile, "Adam 0.02")
    assert best.x[1] == 1 and best.y[1] == 1  # Adam is always the cheapest
    worst = curve(profile, "Adagrad 0.02")
    assert worst.y[-1] == pytest.approx(1 / 3, rel=1e-5)  # it comes half of the way only
    assert worst.x[1] > 2


def test_the_shares_rise_to_the_share_of_instances_solved(tmp_path):
    for plot in profiles(runs_on(tmp_path, "abcd"), TARGETS).plots:
        for series in plot.series:
            (points,) = series.curves.values()
            assert np.all(np.diff(points.x) >= 0) and np.all(np.diff(points.y) >= 0)
            assert points.y[0] >= 0 and points.y[-1] <= 1


def test_costs_are_medians_over_repeats(tmp_path):
    runs = runs_on(tmp_path, "a", optimizers=("adam",), repeats=3)
    from nstbench.report.data.compare import competitors

    costs = costs_table(competitors(runs), [runs], TARGETS)
    assert costs.shape == (1, 3)
    assert np.isfinite(costs).all() and np.all(np.diff(costs[0]) > 0)


def test_a_competitor_that_misses_a_pair_is_left_out_and_named(tmp_path):
    runs_on(tmp_path, "abc", ("adam", "adagrad"))
    found = profiles(runs_on(tmp_path, "ab", ("rmsprop",)), TARGETS)
    assert [series.label for series in found.plots[0].series] == ["Adagrad 0.02", "Adam 0.02"]
    assert any("RMSprop 0.02" in note for note in found.notes)


def test_other_sizes_are_other_problems_and_do_not_count_as_pairs(tmp_path):
    runs_on(tmp_path, "ab", size=8)
    assert profiles(runs_on(tmp_path, "a", size=12), TARGETS).plots == []


def test_one_pair_has_an_ecdf_over_many_targets(tmp_path):
    runs = runs_on(tmp_path, "a")
    [ranking] = rankings(runs, 0.02)
    [plot] = of_one(ranking, TARGETS)
    assert plot.name == "ecdf_group1" and plot.budget == ranking.budget
    best, worst = curve(plot, "Adam 0.02"), curve(plot, "Adagrad 0.02")
    assert best.y[-1] == 1 > worst.y[-1] > 0.1  # the lowest loss of all reaches every target
    start, lowest = 4e6, min(run.trace["loss"].min() for run in runs)
    half = lowest + 0.5 * (start - lowest)
    reached = next(run for run in runs if run.method == "adam").trace
    first = reached["evaluation"][reached["loss"] <= half].iloc[0]
    height = np.interp(first, best.x, best.y)
    assert height == pytest.approx(5 / 50, abs=0.03)  # of 50 from 1 to 0.001, 5 are above a half


def test_one_optimizer_alone_has_no_ecdf(tmp_path):
    [ranking] = rankings(runs_on(tmp_path, "a", ("adam",)), 0.02)
    assert of_one(ranking, TARGETS) == []


def test_shares_of_costs_with_a_failure():
    at, height = shares(np.array([3.0, 1.0, np.inf, 3.0]))
    assert at.tolist() == [1, 3] and height.tolist() == [0.25, 0.75]


def test_runs_that_all_diverged_at_once_are_said_and_not_drawn(tmp_path):
    found = profiles(runs_on(tmp_path, "abc", ("adam", "adagrad"), diverged_at=1), TARGETS)
    assert found.plots == [] and "No competitor reached a target" in found.notes[0]
