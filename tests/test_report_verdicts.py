"""Known effects get the right verdict, and no effect gets none."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import TABLE1, table1, write_runs

from nstbench.report.data import reader, settings
from nstbench.report.judge import verdicts
from nstbench.report.judge.verdicts import Decision, Reported, combine
from nstbench.run.schema import Clocks

SETTINGS = settings.load()
SUPPORTED, REFUTED = Decision.SUPPORTED, Decision.REFUTED
NO_DIFFERENCE, NOT_DECIDED = Decision.NO_DIFFERENCE, Decision.NOT_DECIDED


def judged(results, runs):
    write_runs(results, [replace(run, images=False, trace=False) for run in runs])
    found = reader.read(results)
    assert found.damaged == []
    return {verdict.id: verdict for verdict in verdicts.judge(SETTINGS, found.runs)}


def outcomes(results, runs):
    return {name: verdict.outcome for name, verdict in judged(results, runs).items()}


def test_a_competitor_that_is_five_per_cent_slower_is_found(tmp_path):
    found = outcomes(tmp_path, table1(6, effects={"rmsprop": 1.05}))
    assert found["observation_3"] == SUPPORTED
    assert found["observation_2"] == SUPPORTED
    assert found["observation_5"] == SUPPORTED


def test_a_competitor_that_is_five_per_cent_faster_refutes_that_it_is_slower(tmp_path):
    found = outcomes(tmp_path, table1(6, effects={"rmsprop": 0.95}))
    assert found["observation_3"] == REFUTED
    assert found["observation_1"] == REFUTED  # Adagrad is not below RMSprop


def test_consistently_faster_means_than_each_at_every_length(tmp_path):
    found = outcomes(tmp_path, table1(6, effects={"adagrad": 0.95}))
    assert found["observation_1"] == SUPPORTED
    assert found["observation_2"] == REFUTED


def test_a_tenth_of_a_per_cent_is_no_difference(tmp_path):
    found = judged(tmp_path, table1(6, effects={"rmsprop": 1.001}, spread=0.003))
    assert found["observation_3"].outcome == NO_DIFFERENCE
    assert found["observation_1"].outcome == NO_DIFFERENCE
    assert found["observation_2"].outcome == SUPPORTED


def test_one_repeat_decides_nothing_however_large_the_effect(tmp_path):
    found = judged(tmp_path, table1(1, effects={"rmsprop": 3.0}))
    assert {verdict.verdict for verdict in found.values()} == {"not decided: 2 more repeats needed"}


def test_following_the_advice_to_repeat_ends_in_the_right_verdict(tmp_path):
    def measured(repeats):
        rows = table1(repeats, effects={"rmsprop": 1.05}, spread=0.01, seed=2)
        short = [replace(run, epochs=run.epochs // 50) for run in rows]
        return judged(tmp_path / str(repeats), short)["observation_3"]

    verdict, repeats = measured(3), 3
    assert verdict.outcome == NOT_DECIDED
    while verdict.outcome == NOT_DECIDED and repeats < 30:
        assert str(verdict.more_repeats) in verdict.verdict
        repeats += verdict.more_repeats
        verdict = measured(repeats)
    assert verdict.outcome == SUPPORTED


def test_a_majority_waits_only_for_the_comparisons_that_it_lacks(tmp_path):
    """Two comparisons support, one is a repeat away from it, and one has hardly any effect."""
    effects = {"table1_09_rmsprop": 1.05, "table1_06_rmsprop": 1.05}
    rows = [
        replace(run, epochs=run.epochs // 50, slowness=effects.get(run.experiment, 1.0))
        for run in table1(4, spread=0)
    ]
    nudge = {"table1_04_adam": (1, 1.03, 1, 1.03), "table1_05_adagrad": (1, 1.03, 0.99, 1.04)}
    runs = [
        replace(run, slowness=run.slowness * nudge.get(run.experiment, [1.0] * 4)[run.repeat])
        for run in rows
    ]
    verdict = judged(tmp_path, runs)["observation_3"]
    waits = sorted(c.more_repeats for c in verdict.comparisons if c.outcome == NOT_DECIDED)
    assert len(waits) == 2 and waits[0] < waits[1]
    assert verdict.more_repeats == waits[0]


def test_no_runs_at_all_are_not_decided():
    for verdict in verdicts.judge(SETTINGS, []):
        assert verdict.verdict == "not decided: 3 more repeats needed"
        assert verdict.n == 0


def test_disturbed_runs_do_not_enter_verdicts_on_time(tmp_path):
    runs = [replace(run, timing_valid=run.repeat > 0) for run in table1(3)]
    found = judged(tmp_path, runs)
    assert found["observation_5"].n == 2
    assert found["observation_5"].verdict == "not decided: 1 more repeat needed"
    assert found["question_2_epochs"].n == 3  # losses do not mind a busy machine


def test_seconds_of_two_machines_are_never_in_one_ratio(tmp_path):
    other = [run for run in table1(3) if run.repeat == 2]
    other = [replace(run, host="other", slowness=9.0 if run.epochs > 50 else 1) for run in other]
    first = judged(tmp_path, [*table1(2), *other])["observation_5"].comparisons[0]
    assert first.estimate.n == 2 and first.estimate.ratio < 2


def test_a_mixed_up_suite_is_judged_by_its_largest_comparable_part(tmp_path):
    slow = {"optimizer": "adagrad"}
    runs = [
        replace(run, weights_sha256="v" * 64) if run.optimizer == slow["optimizer"] else run
        for run in table1(3)
    ]
    found = judged(tmp_path, runs)
    assert found["observation_1"].n == 0
    assert "no pair of repeats" in found["observation_1"].explanation
    assert found["observation_5"].outcome == NOT_DECIDED  # two of its comparisons lack a side


def test_a_diverged_row_counts_as_the_worse_loss(tmp_path):
    runs = [replace(r, diverged_at=5) if r.experiment == TABLE1_10 else r for r in table1(3)]
    verdict = judged(tmp_path, runs)["question_2_rate"]
    (comparison,) = (each for each in verdict.comparisons if each.a.row == 10)
    assert comparison.outcome == SUPPORTED and comparison.estimate.ratio == np.inf


TABLE1_10 = f"table1_10_{TABLE1[9][0]}"


def test_faster_convergence_and_better_losses_are_found(tmp_path):
    found = judged(tmp_path, table1(3))
    assert found["question_1_speed"].outcome == SUPPORTED  # speeds .05, .04 and .01
    assert found["question_2_epochs"].outcome == SUPPORTED
    assert found["question_2_rate"].outcome == NO_DIFFERENCE  # the synthetic loss has no rate
    assert "deterministic" in found["question_2_epochs"].explanation


def test_the_reports_own_table_contradicts_two_of_its_sentences():
    found = {verdict.id: verdict for verdict in verdicts.judge(SETTINGS, [])}
    reported = {name: verdict.reported_verdict for name, verdict in found.items()}
    assert reported["observation_1"] == Reported.CONTRADICTS
    assert reported["observation_2"] == Reported.AGREES
    assert reported["observation_3"] == Reported.CONTRADICTS
    assert reported["observation_4"] == Reported.AGREES
    assert reported["observation_5"] == Reported.AGREES
    assert reported["question_1_quality"] == Reported.SILENT
    for seconds in ("57.2 s", "58.0 s", "149.6 s", "151.6 s"):
        assert seconds in found["observation_3"].reported_explanation
    assert "4 of 4" in found["observation_3"].reported_explanation


def test_the_explanation_gives_direction_size_interval_and_repeats(tmp_path):
    said = judged(tmp_path, table1(6, effects={"rmsprop": 1.05}))["observation_3"].explanation
    assert "RMSprop 0.02" in said and "more total time than" in said
    assert "95% interval of the ratio" in said and "6 paired repeats" in said
    assert "time in updates alone: supported" in said


@pytest.mark.parametrize(
    ("quantifier", "parts", "whole"),
    [
        ("all", [SUPPORTED, SUPPORTED], SUPPORTED),
        ("all", [SUPPORTED, REFUTED], REFUTED),
        ("all", [NOT_DECIDED, REFUTED], REFUTED),
        ("all", [SUPPORTED, NOT_DECIDED], NOT_DECIDED),
        ("all", [SUPPORTED, NO_DIFFERENCE], NO_DIFFERENCE),
        ("most", [SUPPORTED, SUPPORTED, REFUTED], SUPPORTED),
        ("most", [SUPPORTED, REFUTED, NOT_DECIDED], NOT_DECIDED),
        ("most", [SUPPORTED, REFUTED, REFUTED, NOT_DECIDED], NOT_DECIDED),
        ("most", [SUPPORTED, REFUTED], REFUTED),
        ("most", [SUPPORTED, NO_DIFFERENCE], NO_DIFFERENCE),
        ("most", [NO_DIFFERENCE, NO_DIFFERENCE, SUPPORTED], NO_DIFFERENCE),
    ],
)
def test_conjunctions_and_majorities(quantifier, parts, whole):
    assert combine(quantifier, parts) == whole


@pytest.mark.parametrize(("repeats", "spread"), [(2, 0.05), (3, 0.03), (5, 0.01)])
def test_without_effects_at_most_one_suite_in_twenty_has_a_false_verdict(tmp_path, repeats, spread):
    """500 suites in which every optimizer takes the same time: no sentence that says that one is
    faster or slower may be supported or refuted in more than 5 % of them, all sentences together;
    nor may "close" be refuted. ("More epochs take longer" is true and must not be refuted.)"""
    claims = [c for c in SETTINGS.claims.claims if c.metric == "total_s"]
    claims = [claim.model_copy(update={"also": None}) for claim in claims]
    only_time = SETTINGS.claims.model_copy(update={"claims": tuple(claims)})
    runs = table1(repeats, spread=0, drift=0)
    quick = [replace(run, trace=False, images=False, epochs=run.epochs // 10) for run in runs]
    write_runs(tmp_path, quick)
    runs = reader.read(tmp_path).runs
    random = np.random.default_rng(repeats)
    wrong = 0
    for _ in range(500):
        shaken = [_slowed(run, np.exp(random.normal(0, spread))) for run in runs]
        made = verdicts.judge(replace(SETTINGS, claims=only_time), shaken)
        wrong += any(_is_false(verdict) for verdict in made)
    assert wrong / 500 <= 0.05


def _slowed(run, factor):
    clocks = Clocks(**{name: s * factor for name, s in run.record.clocks.model_dump().items()})
    return replace(run, record=run.record.model_copy(update={"clocks": clocks}))


def _is_false(verdict):
    if verdict.id in ("observation_2", "observation_5"):
        return verdict.outcome == REFUTED
    return verdict.outcome in (SUPPORTED, REFUTED)


def test_the_cited_table_is_the_one_that_the_experiments_run():
    import yaml

    for row in SETTINGS.table.rows:
        path = settings.folder().parent / "experiment" / f"{row.experiment}.yaml"
        experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
        chosen = {k: v for part in experiment["defaults"] for k, v in part.items()}
        assert chosen["override /optimizer"] == row.optimizer
        for name in ("lr", "epochs", "steps_per_epoch", "reported_seconds"):
            assert experiment[name] == getattr(row, name)
