"""Whether small pictures rank optimizers as large ones do, on runs whose order is known."""

import math

import pytest
from synthetic import SyntheticRun, write_run

from nstbench.report.__main__ import main as report
from nstbench.report.data.reader import read
from nstbench.report.data.settings import TargetSettings
from nstbench.report.judge.sizes import FEWEST, agreements

TARGETS = TargetSettings(shares=(0.5, 0.1), decisive=0.1, penalty=2)
SPEEDS = (0.02, 0.05, 0.1, 0.3, 0.9)


def write(results, size, speeds, content="portrait"):
    for lr, speed in enumerate(speeds, start=1):
        run = SyntheticRun("adam", lr / 100, speed=speed, size=size, content=content)
        write_run(results, run)


def test_the_same_order_correlates_fully_and_the_reverse_negatively(tmp_path):
    write(tmp_path, 16, SPEEDS)
    write(tmp_path, 32, SPEEDS)
    write(tmp_path, 48, SPEEDS[::-1])
    alike = {(a.small, a.large): a for a in agreements(read(tmp_path).runs, TARGETS)}
    assert list(alike) == [(16, 32), (16, 48), (32, 48)]
    assert alike[16, 32].loss == alike[16, 32].evaluations == (pytest.approx(1),)
    assert alike[16, 32].best == 1 and alike[16, 32].competitors == len(SPEEDS)
    assert alike[16, 48].loss == (pytest.approx(-1),)
    assert alike[16, 48].evaluations[0] < -0.5  # who misses the target ties with others who do
    assert alike[16, 48].best == 0


def test_two_neighbours_that_change_places_cost_what_the_formula_says(tmp_path):
    """1 - 6 sum d^2 / (n (n^2 - 1)), with d = 1 twice and n = 5: 0.9."""
    swapped = (SPEEDS[1], SPEEDS[0], *SPEEDS[2:])
    write(tmp_path, 16, SPEEDS)
    write(tmp_path, 32, swapped)
    [agreement] = agreements(read(tmp_path).runs, TARGETS)
    assert agreement.loss == (pytest.approx(0.9),)


def test_too_few_settings_or_other_pictures_say_nothing(tmp_path):
    write(tmp_path, 16, SPEEDS)
    write(tmp_path, 32, SPEEDS[: FEWEST - 1])
    write(tmp_path, 48, SPEEDS, content="boat")
    assert agreements(read(tmp_path).runs, TARGETS) == []


def test_a_short_run_shrinks_no_budget_and_takes_no_part(tmp_path):
    write(tmp_path, 16, SPEEDS)
    write(tmp_path, 32, SPEEDS)
    for size in (16, 32):
        write_run(tmp_path, SyntheticRun("sgd", 1.0, epochs=1, speed=99.0, size=size))
    [agreement] = agreements(read(tmp_path).runs, TARGETS)
    assert agreement.competitors == len(SPEEDS)
    assert agreement.loss == (pytest.approx(1),)


def test_settings_that_all_tie_have_no_correlation(tmp_path):
    write(tmp_path, 16, SPEEDS)
    write(tmp_path, 32, [SPEEDS[0]] * len(SPEEDS))
    [agreement] = agreements(read(tmp_path).runs, TARGETS)
    assert math.isnan(agreement.loss[0])


@pytest.mark.slow
def test_the_report_of_a_sweep_over_sizes_has_the_table(tmp_path):
    for content in ("portrait", "boat"):
        write(tmp_path, 16, SPEEDS, content)
        write(tmp_path, 32, SPEEDS, content)
    assert report([str(tmp_path)]) in (None, 0)
    text = (tmp_path / "report" / "tables" / "sizes.md").read_text(encoding="utf-8")
    assert "| 16 and 32 | 5 | 2 | 1.00 | 1.00 | 2 of 2 |" in text
    assert "Does the small size predict the large one?" in (
        tmp_path / "report" / "index.html"
    ).read_text(encoding="utf-8")
