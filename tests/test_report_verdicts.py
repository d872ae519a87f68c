"""Known effects get the right verdict, no effect gets none, and sentences are true."""

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import SyntheticRun, suite, table1, write_runs

from nstbench.report.data import reader, settings
from nstbench.report.data.settings import Claims
from nstbench.report.judge import comparing, decide, pairs, verdicts
from nstbench.report.judge.decide import Decision, combine
from nstbench.report.judge.wording import Reported
from nstbench.run.schema import Clocks

SETTINGS = settings.load()
SUPPORTED, REFUTED, PARTLY = Decision.SUPPORTED, Decision.REFUTED, Decision.PARTLY
NO_DIFFERENCE, NOT_DECIDED = Decision.NO_DIFFERENCE, Decision.NOT_DECIDED
NOT_RUN = Decision.NOT_RUN
ROW_10 = ("rmsprop", 0.001, 500)


def read(results, runs):
    write_runs(results, [replace(run, images=False, trace=False) for run in runs])
    found = reader.read(results)
    assert found.damaged == []
    return found.runs


def judged(results, runs, chosen=SETTINGS):
    return {each.id: each for each in verdicts.judge(chosen, read(results, runs))}


def decisions(results, runs):
    return {name: verdict.decision for name, verdict in judged(results, runs).items()}


def own(*claims, **options):
    """Settings with these claims instead of the report's."""
    made = Claims.model_validate({"claims": list(claims), **options})
    return replace(SETTINGS, claims=made, own_claims=True)


def row_of(run):
    return (run.optimizer, run.lr, run.epochs)


# Effects


def test_a_competitor_that_is_five_per_cent_slower_is_found(tmp_path):
    found = decisions(tmp_path, table1(8, effects={"rmsprop": 1.05}))
    assert found["observation_3"] == SUPPORTED
    assert found["observation_2"] == SUPPORTED
    assert found["observation_5"] == SUPPORTED


def test_a_competitor_that_is_five_per_cent_faster_refutes_that_it_is_slower(tmp_path):
    found = decisions(tmp_path, table1(8, effects={"rmsprop": 0.95}))
    assert found["observation_3"] == REFUTED
    assert found["observation_1"] == REFUTED  # Adagrad is not below RMSprop


def test_consistently_faster_means_than_each_at_every_length(tmp_path):
    found = decisions(tmp_path, table1(8, effects={"adagrad": 0.95}))
    assert found["observation_1"] == SUPPORTED
    assert found["observation_2"] == REFUTED


def test_a_tenth_of_a_per_cent_is_no_difference(tmp_path):
    found = judged(tmp_path, table1(6, effects={"rmsprop": 1.001}, spread=0.003))
    assert found["observation_3"].decision == NO_DIFFERENCE
    assert found["observation_3"].verdict == "no difference beyond 2 %"
    assert found["observation_1"].decision == NO_DIFFERENCE
    assert found["observation_2"].decision == SUPPORTED


def test_one_repeat_decides_nothing_of_times_however_large_the_effect(tmp_path):
    found = judged(tmp_path, table1(1, effects={"rmsprop": 3.0}))
    for name, verdict in found.items():
        if name.startswith("observation"):
            assert verdict.verdict == "not decided: about 2 more repeats needed"


def test_following_the_advice_to_repeat_ends_in_the_right_verdict(tmp_path):
    def measured(repeats):
        rows = table1(repeats, effects={"rmsprop": 1.05}, spread=0.01, seed=2)
        return judged(tmp_path / str(repeats), rows)["observation_3"]

    verdict, repeats = measured(3), 3
    assert verdict.decision == NOT_DECIDED
    while verdict.decision == NOT_DECIDED and repeats < 60:
        assert f"about {verdict.more} more" in verdict.verdict
        repeats += verdict.more
        verdict = measured(repeats)
    assert verdict.decision == SUPPORTED


def test_what_no_number_of_repeats_decides_is_said_so(tmp_path):
    runs = table1(4, effects={"rmsprop": 1.02}, spread=0.05)
    assert judged(tmp_path, runs)["observation_3"].verdict == (
        "cannot be decided on this machine at 2 %"
    )


# What was run (S1)


def test_claims_of_which_nothing_was_run_are_not_run_and_say_the_command(tmp_path):
    own_sweep = suite([SyntheticRun("adam", 0.5), SyntheticRun("lbfgs", 1.0)], 3)
    for runs in ([], own_sweep):
        for verdict in judged(tmp_path / str(len(runs)), runs).values():
            assert (verdict.decision, verdict.verdict) == (NOT_RUN, "not run")
            assert verdict.commands == ("python -m nstbench suite=table1 repeats=3",)
            assert verdict.explanation == "" and "needed" not in verdict.verdict


@pytest.mark.parametrize(
    "altered",
    [{"lr": 0.5}, {"epochs": 10}, {"steps_per_epoch": 1}],
    ids=lambda each: next(iter(each)),
)
def test_runs_that_name_a_row_but_were_altered_are_not_that_row(tmp_path, altered):
    runs = [replace(run, **altered) for run in table1(1) if run.epochs == 50][:1]
    runs = suite(runs, 3)
    assert all(each.decision == NOT_RUN for each in judged(tmp_path, runs).values())


def test_altered_hyperparameters_are_named_in_the_verdict(tmp_path):
    runs = [
        replace(run, options={"beta_1": 0.5}) if run.optimizer == "adam" else run
        for run in table1(3)
    ]
    verdict = judged(tmp_path, runs)["observation_2"]
    assert "Adam 0.02, beta_1=0.5, 5" in verdict.explanation


def test_a_claim_of_which_a_part_was_not_run_says_how_much(tmp_path):
    runs = [run for run in table1(6) if run.epochs != 500]
    verdict = judged(tmp_path, runs)["observation_5"]
    assert verdict.verdict == "not decided: 3 of 5 comparisons not run"
    assert verdict.commands


def test_a_refuted_part_refutes_although_another_was_not_run(tmp_path):
    runs = [run for run in table1(8, effects={"adagrad": 1.1}) if run.epochs != 500]
    assert judged(tmp_path, runs)["observation_1"].decision == REFUTED


# Several comparisons (S2, S7)


def constant(decision):
    return lambda alpha: decision


@pytest.mark.parametrize(
    ("quantifier", "parts", "whole", "holding"),
    [
        ("all", [SUPPORTED, SUPPORTED], SUPPORTED, 2),
        ("all", [SUPPORTED, REFUTED], REFUTED, 1),
        ("all", [NOT_DECIDED, REFUTED], REFUTED, 0),
        ("all", [SUPPORTED, NOT_DECIDED], NOT_DECIDED, 1),
        ("all", [SUPPORTED] * 4 + [NO_DIFFERENCE], PARTLY, 4),
        ("all", [NO_DIFFERENCE, NO_DIFFERENCE], NO_DIFFERENCE, 0),
        ("all", [NOT_RUN, NOT_RUN], NOT_RUN, 0),
        ("all", [SUPPORTED, NOT_RUN], NOT_DECIDED, 1),
        ("all", [REFUTED, NOT_RUN], REFUTED, 0),
        ("most", [SUPPORTED, SUPPORTED, REFUTED], SUPPORTED, 2),
        ("most", [SUPPORTED, REFUTED, NOT_DECIDED], NOT_DECIDED, 1),
        ("most", [SUPPORTED, REFUTED, REFUTED, NOT_DECIDED], NOT_DECIDED, 1),
        ("most", [SUPPORTED, REFUTED], PARTLY, 1),
        ("most", [SUPPORTED, NO_DIFFERENCE], PARTLY, 1),
        ("most", [NO_DIFFERENCE, NO_DIFFERENCE, SUPPORTED], PARTLY, 1),
        ("most", [REFUTED, NO_DIFFERENCE, NO_DIFFERENCE], REFUTED, 0),
    ],
)
def test_conjunctions_and_majorities(quantifier, parts, whole, holding):
    assert combine(quantifier, list(map(constant, parts)), 0.05) == (whole, holding)


def test_a_claim_that_holds_in_some_says_in_how_many(tmp_path):
    slow = {("rmsprop", 0.02, 100): 1.1, ("rmsprop", 0.02, 500): 1.1}
    runs = [
        replace(run, slowness=run.slowness * slow.get(row_of(run), 1.0))
        for run in table1(8, spread=0.003)
    ]
    verdict = judged(tmp_path, runs)["observation_1"]  # Adagrad below RMSprop, as fast as Adam
    assert verdict.decision == PARTLY
    assert verdict.verdict == "holds in 2 of 5"


@pytest.mark.parametrize(
    ("quantifier", "k", "true"), [("most", 4, 2), ("most", 8, 4), ("all", 5, 4)]
)
def test_what_holds_in_too_few_carries_no_claim_by_chance(quantifier, k, true):
    """As many true effects as leave the claim false, the rest at the margin's edge: false support
    in one of twenty suites at most (uncorrected: one of ten for four, more for eight)."""
    random, margin, n, wrong = np.random.default_rng(k), math.log(1.02), 8, 0

    def at(column):
        def judge(alpha):
            found = decide.bounds(column.mean(), column.std(ddof=1), n, alpha)
            return decide.decide("more", found, margin)

        return judge

    for _ in range(1000):
        means = np.where(np.arange(k) < true, 0.5, margin)
        logs = means + random.normal(0, 0.02, (n, k))
        wrong += combine(quantifier, [at(column) for column in logs.T], 0.05)[0] is SUPPORTED
    assert wrong / 1000 <= 0.05


# Advice (S3, S5, S9)


def test_a_majority_waits_only_for_the_comparisons_that_it_lacks(tmp_path):
    rows = suite(
        [
            SyntheticRun("rmsprop", slowness=1.2),
            SyntheticRun("adam"),
            SyntheticRun("adagrad", slowness=1.0),
            SyntheticRun("sgd", slowness=1.0),
        ],
        8,
        spread=0.004,
        effects={"sgd": 1.17},
    )
    comparisons = [
        {"a": {"optimizer": "rmsprop"}, "b": {"optimizer": other}}
        for other in ("adam", "adagrad", "sgd")
    ]
    claim = {"claim": "slower", "metric": "total_s", "expect": "more", "quantifier": "most"}
    (verdict,) = verdicts.judge(own({**claim, "comparisons": comparisons}), read(tmp_path, rows))
    assert verdict.decision == SUPPORTED and verdict.holding >= 2


@pytest.mark.parametrize("margin", [0, 0.5])
def test_a_claims_own_margin_counts_also_where_it_is_zero(tmp_path, margin):
    rows = suite([SyntheticRun("adam", slowness=1.1), SyntheticRun("sgd")], 6, spread=0.002)
    claim = {"claim": "slower", "metric": "total_s", "expect": "more", "margin": margin}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (verdict,) = verdicts.judge(own(claim), read(tmp_path, rows))
    assert verdict.decision == (SUPPORTED if margin == 0 else NO_DIFFERENCE)


@pytest.mark.filterwarnings("error")
def test_failures_in_some_pairs_only_are_said_and_decide_nothing(tmp_path):
    rows = [
        SyntheticRun(name, content=content, diverged_at=5 if (name, content) == bad else None)
        for content in "abcd"
        for name in ("adam", "sgd")
        for bad in [("adam", "b")]
    ]
    claim = {"claim": "x", "metric": "loss", "expect": "less"}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (verdict,) = verdicts.judge(own(claim), read(tmp_path, rows))
    assert verdict.verdict == "not decided: one side fails in some pairs only"
    assert "one side fails in 1 of 4 pairs" in verdict.explanation


# Pairs (S8)


def test_disturbed_runs_do_not_enter_verdicts_on_time(tmp_path):
    runs = [replace(run, timing_valid=run.repeat > 0) for run in table1(3)]
    found = judged(tmp_path, runs)
    assert found["observation_5"].deciding.estimate.n == 2
    assert found["observation_5"].decision == NOT_DECIDED
    assert found["question_2_epochs"].decision == SUPPORTED  # losses do not mind a busy machine


def times(result, a, b, **how):
    runs = read(result, [*a, *b])
    sides = [[run for run in runs if run.setup.optimizer.name == name] for name in ("adam", "sgd")]
    return pairs.neighbours(*sides, **{"neighbours_s": 21600, **how})


def test_repeats_in_turn_are_pairs_and_of_repeats_in_blocks_only_those_that_meet(tmp_path):
    a = [SyntheticRun("adam", repeat=n) for n in range(3)]
    b = [SyntheticRun("sgd", repeat=n, order=1) for n in range(3)]
    assert len(times(tmp_path, a, b)) == 3
    runs = reader.read(tmp_path).runs
    adam, sgd = ([r for r in runs if r.setup.optimizer.name == name] for name in ("adam", "sgd"))
    late = [started_at(run, f"2026-01-09T0{run.repeat}:00:00+00:00") for run in sgd]
    assert pairs.neighbours(adam, late, neighbours_s=21600) == []
    ((last, first),) = pairs.neighbours(adam, late, neighbours_s=1e9)
    assert (last.repeat, first.repeat) == (2, 0)


def started_at(run, time):
    return replace(run, record=run.record.model_copy(update={"created": time}))


def test_a_run_made_again_a_month_later_has_no_pair_and_is_said(tmp_path):
    runs = read(tmp_path, suite([SyntheticRun("adam"), SyntheticRun("sgd")], 4))
    again = [
        started_at(run, "2026-03-01T00:00:00+00:00")
        if (run.setup.optimizer.name, run.repeat) == ("sgd", 1)
        else run
        for run in runs
    ]
    claim = {"claim": "x", "metric": "total_s", "expect": "close"}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (verdict,) = verdicts.judge(own(claim), again)
    assert verdict.deciding.estimate.n == 3
    assert "1 of 4 repeats left out: not run one soon after the other." in verdict.notes


def test_a_repeat_made_again_at_the_end_is_paired_with_its_neighbour_there(tmp_path):
    """As disturbed runs are made again: a1 b0 a0 b1 a2 b2 in the order of their starts."""
    a = [SyntheticRun("adam", repeat=n) for n in range(3)]
    b = [SyntheticRun("sgd", repeat=n, order=1) for n in range(3)]
    runs = read(tmp_path, [*a, *b])
    minutes = {("adam", 1): 0, ("sgd", 0): 1, ("adam", 0): 2, ("sgd", 1): 3, ("adam", 2): 9,
               ("sgd", 2): 10}  # fmt: skip
    moved = [
        started_at(run, f"2026-01-01T00:{minutes[run.optimizer.lower(), run.repeat]:02d}:00+00:00")
        for run in runs
    ]
    adam, sgd = ([r for r in moved if r.setup.optimizer.name == name] for name in ("adam", "sgd"))
    found = pairs.neighbours(adam, sgd, neighbours_s=21600)
    assert [(one.repeat, other.repeat) for one, other in found] == [(1, 0), (0, 1), (2, 2)]
    fewer = pairs.neighbours(adam, [run for run in sgd if run.repeat != 1], neighbours_s=21600)
    assert [other.repeat for _, other in fewer] == [0, 2]


def test_competitors_in_random_order_are_neighbours_too(tmp_path):
    a = [SyntheticRun("adam", repeat=n, order=n % 2) for n in range(4)]
    b = [SyntheticRun("sgd", repeat=n, order=1 - n % 2) for n in range(4)]
    assert len(times(tmp_path, a, b)) == 4


def test_seconds_of_two_machines_are_never_in_one_ratio(tmp_path):
    other = [run for run in table1(3) if run.repeat == 2]
    other = [replace(run, host="other", slowness=9.0 if run.epochs > 50 else 1) for run in other]
    first = judged(tmp_path, [*table1(2), *other])["observation_5"].comparisons[0]
    assert first.estimate.n == 2 and first.estimate.ratio < 2


# Losses are deterministic: pairs of pictures


def test_losses_on_one_pair_of_pictures_hold_for_this_pair_only(tmp_path):
    found = judged(tmp_path, table1(3))
    for name in ("question_1_speed", "question_2_epochs"):
        assert found[name].verdict == "supported on this pair of pictures"
        assert found[name].deciding.estimate.n == 1  # four repeats are not four observations
    assert found["question_2_rate"].verdict == "no difference beyond 2 % on this pair of pictures"


def losses(results, contents, floor):
    runs = [
        SyntheticRun(name, content=content, repeat=repeat, floor=floor(name, n))
        for n, content in enumerate(contents)
        for name in ("adam", "sgd")
        for repeat in range(2)
    ]
    claim = {"claim": "lower", "metric": "loss", "expect": "less"}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (verdict,) = verdicts.judge(own(claim), read(results, runs))
    return verdict


def test_losses_on_several_pairs_are_judged_over_pairs(tmp_path):
    verdict = losses(
        tmp_path, "abcdefgh", lambda name, n: 0.1 + 0.02 * n if name == "adam" else 0.4
    )
    assert verdict.decision == SUPPORTED and verdict.verdict == "supported"
    assert verdict.deciding.estimate.n == 8
    assert "8 pairs of pictures" in verdict.explanation


def test_pairs_of_pictures_that_disagree_ask_for_more_of_them(tmp_path):
    verdict = losses(
        tmp_path, "abcd", lambda name, n: (0.1, 0.3, 0.15, 0.2)[n] if name == "adam" else 0.3
    )
    assert verdict.decision == NOT_DECIDED
    assert "more pairs of pictures needed" in verdict.verdict or "pictures like these" in (
        verdict.verdict
    )


def test_a_diverged_row_counts_as_the_worse_loss(tmp_path):
    runs = [replace(r, diverged_at=5) if row_of(r) == ROW_10 else r for r in table1(3)]
    verdict = judged(tmp_path, runs)["question_2_rate"]
    comparison = verdict.comparisons[1]
    assert comparison.decision == SUPPORTED and comparison.estimate.ratio == np.inf


def test_that_targets_depend_on_the_other_runs_is_said_beside_the_verdict(tmp_path):
    found = judged(tmp_path, table1(1))
    assert any("another run beside these" in note for note in found["question_1_speed"].notes)
    assert found["observation_5"].notes == ()


# Early ends (R5)


def test_a_run_that_stopped_by_itself_is_no_whole_schedule_and_is_said(tmp_path):
    why = "no further decrease"
    rows = [SyntheticRun("adam", finished_early=why), SyntheticRun("sgd")]
    runs = read(tmp_path, suite(rows, 4))
    claim = {"claim": "x", "metric": "total_s", "expect": "less"}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (timed,) = verdicts.judge(own(claim), runs)
    assert timed.deciding.estimate.n == 0 and timed.decision == NOT_DECIDED
    (lost,) = verdicts.judge(own({**claim, "metric": "loss"}), runs)
    for verdict in (timed, lost):
        assert any("stopped by itself" in note and why in note for note in verdict.notes)


# The report's own table, and the words


def test_the_reports_own_table_contradicts_two_of_its_sentences():
    found = {verdict.id: verdict for verdict in verdicts.judge(SETTINGS, [])}
    reported = {name: verdict.reported for name, verdict in found.items()}
    assert reported["observation_1"] == Reported.CONTRADICTS
    assert reported["observation_2"] == Reported.AGREES
    assert reported["observation_3"] == Reported.CONTRADICTS
    assert reported["observation_4"] == Reported.AGREES
    assert reported["observation_5"] == Reported.AGREES
    assert reported["question_1_quality"] == Reported.SILENT
    for seconds in ("57.2 s", "58.0 s", "149.6 s", "151.6 s"):
        assert seconds in found["observation_3"].reported_explanation
    assert "4 of 4" in found["observation_3"].reported_explanation


def test_the_explanation_gives_direction_size_interval_and_pairs(tmp_path):
    said = judged(tmp_path, table1(8, effects={"rmsprop": 1.05}))["observation_3"].explanation
    assert "RMSprop 0.02" in said and "more total time than" in said
    assert "90% interval" in said and "8 pairs of repeats" in said
    assert "time in updates alone: supported" in said


def test_of_several_competitors_that_match_one_is_taken_and_it_is_said(tmp_path):
    rows = [SyntheticRun("adam", lr) for lr in (0.02, 0.1)] + [SyntheticRun("sgd", 1.0)]
    claim = {"claim": "x", "metric": "loss", "expect": "less"}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (verdict,) = verdicts.judge(own(claim), read(tmp_path, rows))
    assert any("2 competitors match" in note for note in verdict.notes)


@pytest.mark.parametrize("metric", ["optimise_s", "step_s", "quiet_step_s", "seconds_to_target"])
def test_every_metric_of_time_finds_a_slower_competitor(tmp_path, metric):
    rows = suite([SyntheticRun("adam", slowness=1.3), SyntheticRun("sgd", speed=0.05)], 6)
    claim = {"claim": "x", "metric": metric, "expect": "more"}
    claim |= {"a": {"optimizer": "adam"}, "b": {"optimizer": "sgd"}}
    (verdict,) = verdicts.judge(own(claim), read(tmp_path, rows))
    assert verdict.decision == SUPPORTED


@pytest.mark.parametrize(("repeats", "spread"), [(3, 0.05), (4, 0.03), (8, 0.01)])
def test_without_effects_at_most_one_suite_in_twenty_has_a_false_verdict(
    tmp_path, monkeypatch, repeats, spread
):
    """200 suites in which every optimizer takes the same time: no sentence that says that one is
    faster or slower may be supported or refuted, nor "close" be refuted, in more than 5 % of them,
    all sentences together. ("More epochs take longer" is true and must not be refuted.)"""
    monkeypatch.setattr(comparing, "pairs_needed", lambda *_: None)  # the advice is not at issue
    claims = [c for c in SETTINGS.claims.claims if c.metric == "total_s"]
    claims = [claim.model_copy(update={"also": None}) for claim in claims]
    only_time = SETTINGS.claims.model_copy(update={"claims": tuple(claims)})
    runs = read(tmp_path, table1(repeats, spread=0, drift=0))
    random = np.random.default_rng(repeats)
    wrong = 0
    for _ in range(200):
        shaken = [_slowed(run, np.exp(random.normal(0, spread))) for run in runs]
        made = verdicts.judge(replace(SETTINGS, claims=only_time), shaken)
        wrong += any(_is_false(verdict) for verdict in made)
    assert wrong / 200 <= 0.05


def _slowed(run, factor):
    clocks = Clocks(**{name: s * factor for name, s in run.record.clocks.model_dump().items()})
    return replace(run, record=run.record.model_copy(update={"clocks": clocks}))


def _is_false(verdict):
    if verdict.id in ("observation_2", "observation_5"):
        return verdict.decision == REFUTED
    return verdict.decision in (SUPPORTED, REFUTED, PARTLY)


def test_the_same_runs_get_the_same_verdicts(tmp_path):
    runs = read(tmp_path, table1(4, spread=0.02))
    one, other = (verdicts.judge(SETTINGS, runs) for _ in range(2))
    assert [each.verdict for each in one] == [each.verdict for each in other]
