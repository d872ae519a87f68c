"""What a step costs decides claims on time: where it may, in which words, and where it may not."""

import json
from dataclasses import replace

import pytest
from synthetic import COST_METHODS, SyntheticRun, cost_session, suite, table1, write_runs

from nstbench.report.data import costs, reader, settings
from nstbench.report.data.settings import Claims
from nstbench.report.judge import comparing, verdicts
from nstbench.report.judge.decide import Decision
from nstbench.report.tables.verdicts import verdict_table

EVERY = settings.load()
ON_TIME = [f"observation_{number}" for number in range(1, 6)]
CLAIMS = tuple(claim for claim in EVERY.claims.claims if claim.id in ON_TIME)
SETTINGS = replace(EVERY, claims=EVERY.claims.model_copy(update={"claims": CLAIMS}))


@pytest.fixture(autouse=True)
def no_advice(monkeypatch):
    """How many repeats are missing takes long to simulate and is not at issue."""
    monkeypatch.setattr(comparing, "pairs_needed", lambda *_: None)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three repeats whose seconds decide nothing."""
    folder = tmp_path_factory.mktemp("runs")
    rows = table1(3, spread=0.05)
    write_runs(folder, [replace(run, images=False, trace=False) for run in rows])
    return reader.read(folder).runs


def judged(runs, *sessions, chosen=SETTINGS):
    return {each.id: each for each in verdicts.judge(chosen, runs, sessions)}


def by_cost(verdict):
    return [each.cost is not None for each in verdict.comparisons]


def test_equal_steps_decide_what_the_runs_leave_open(runs):
    alone, found = judged(runs), judged(runs, cost_session())
    for name in ON_TIME[:4]:
        assert alone[name].decision is Decision.NOT_DECIDED and not any(by_cost(alone[name]))
        assert all(by_cost(found[name]))
    said = [found[name].verdict for name in ON_TIME[:4]]
    no_difference = "no difference beyond 1 %, by the cost of a step"
    assert said == [
        no_difference, "supported, by the cost of a step", no_difference, no_difference
    ]  # fmt: skip


def test_more_steps_take_longer_by_the_runs_and_by_their_number_where_these_are_too_few(runs):
    verdict = judged(runs, cost_session())["observation_5"]
    assert verdict.verdict == "supported" and not any(by_cost(verdict))
    fewer = [run for run in runs if run.setup.epochs < 500 or run.repeat == 0]
    verdict = judged(fewer, cost_session())["observation_5"]
    assert verdict.verdict == "supported, by the cost of a step in 3 of 5"
    assert by_cost(verdict) == [False, True, False, True, True]
    assert "3 pairs of repeats). Decided by the cost of a step (0.125 s" in verdict.explanation
    several = [run for run in runs if run.repeat == 0]
    said = judged(several, cost_session(size=16))["observation_5"].explanation
    assert (
        "Decided by the cost of a step (0.125 s at 16 x 16 pixels): Adam 0.02's step is the "
        in said
    )
    assert "is the same in both, and 500 take 2 times as long as 250. What you waited: " in said
    assert "1 is open" not in said and "in one pair of repeats" in said


@pytest.mark.parametrize(
    ("slower", "decision"), [(0.03, Decision.SUPPORTED), (-0.03, Decision.REFUTED)]
)
def test_a_costlier_step_is_found_whichever_way_it_was_compared(runs, slower, decision):
    found = judged(runs, cost_session({("rmsprop", 0.02): slower}))
    assert found["observation_3"].decision is decision  # compared as (0, 2) and as (2, 1)
    assert found["observation_2"].decision is Decision.SUPPORTED


def test_the_sentence_says_what_decided_and_what_one_waited(runs):
    said = judged(runs, cost_session({("rmsprop", 0.001): 0.03}))["observation_4"].explanation
    assert said.split(". ")[1].startswith(
        "Decided by the cost of a step (30 comparisons A B B A in one process at 256 x 256 pixels"
    )
    assert "; the runs have 16 x 16)" in said
    assert "What you waited: " in said and "total time" in said and "3 pairs of repeats" in said
    own = judged(runs, cost_session({("rmsprop", 0.02): -0.03}))["observation_3"].explanation
    assert "RMSprop 0.02's step costs between" in own and "less than" in own
    assert "faster by more than 1 %" in own


@pytest.mark.parametrize(
    "change",
    [
        {"n": 0}, {"size": 64}, {"precision": "float64"}, {"backend": "jax"}, {"cpu": "Another"},
        {"kernels": "direct"}, {"objective": {"style": {"weight": 1.0}}},
        {"extractor": {"name": "vgg16"}},
        {"methods": [("adam", 0.5), ("adagrad", 0.5), ("sgd", 1.0), *COST_METHODS[3:]]},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_session_on_something_else_decides_nothing(runs, change):
    other = cost_session(**change)
    for name in ON_TIME[:3]:
        assert not any(by_cost(judged(runs, other)[name]))


@pytest.mark.parametrize(
    "change",
    [{"options": {"rho": 0.5}}, {"schedule": "cosine"}, {"source": {"sha256": "0"}}],
    ids=lambda change: next(iter(change)),
)
def test_another_version_of_a_method_is_another_competitor(tmp_path, change):
    rows = [
        replace(run, images=False, trace=False, options={"rho": 0.9})
        for run in suite([SyntheticRun("rmsprop", 0.001), SyntheticRun("rmsprop", 0.02)], 1)
    ]
    write_runs(tmp_path, rows)
    runs = reader.read(tmp_path).runs
    sides = [costs.Rule.of_run(run) for run in runs]
    known = cost_session()
    assert costs.between([known], *sides, runs[0], [256]) is not None
    known.methods["2"] = known.methods["2"].model_copy(update=change)
    assert costs.between([known], *sides, runs[0], [256]) is None


def test_the_reports_size_counts_first_and_the_runs_size_where_it_is_missing(runs):
    small, large = cost_session(size=16), cost_session({("rmsprop", 0.02): 0.03})
    assert judged(runs, small, large)["observation_3"].decision is Decision.SUPPORTED
    verdict = judged(runs, small)["observation_3"]
    assert verdict.decision is Decision.NO_DIFFERENCE and "the runs have" not in verdict.explanation


def test_a_comparison_that_was_not_run_is_decided_too_where_others_were(runs):
    """A step knows nothing of the number of epochs."""
    short = [run for run in runs if run.setup.epochs == 50]
    verdict = judged(short, cost_session())["observation_1"]
    assert all(by_cost(verdict)) and verdict.decision is Decision.NO_DIFFERENCE
    assert verdict.commands == ()
    verdict = judged(short)["observation_1"]
    assert verdict.verdict == "not decided: 4 of 5 comparisons not run"
    unknown = cost_session(methods=[("adam", 0.02), ("adagrad", 0.02), ("sgd", 1.0)] * 2)
    verdict = judged(short, unknown)["observation_1"]
    assert verdict.verdict == "not decided: 2 of 5 comparisons not run"
    assert judged([], cost_session())["observation_1"].decision is Decision.NOT_RUN


def test_a_claim_of_ones_own_asks_for_the_cost_of_a_step_and_may_have_its_margin(runs):
    claim = {"claim": "slower", "metric": "total_s", "expect": "more", "margin": 0.05}
    claim |= {side: {"optimizer": "rmsprop", "lr": lr, "epochs": 500}
              for side, lr in (("a", 0.001), ("b", 0.02))}  # fmt: skip
    small = cost_session({("rmsprop", 0.001): 0.03}, size=16)
    outcomes = []
    for how in ({}, {"decided_by": "cost"}, {"decided_by": "cost", "margin": None}):
        own = Claims.model_validate({"claims": [claim | how]})
        (verdict,) = verdicts.judge(replace(SETTINGS, claims=own, own_claims=True), runs, [small])
        outcomes.append(verdict.verdict)
    assert outcomes[1:] == [
        "no difference beyond 5 %, by the cost of a step", "supported, by the cost of a step"
    ]  # fmt: skip
    assert "by the cost" not in outcomes[0]


def test_what_would_decide_is_said_where_nothing_does(runs):
    (note,) = [n for n in judged(runs)["observation_1"].notes if "nstbench cost" in n]
    assert note.endswith("nstbench cost optimizer=adagrad,adam,rmsprop lr=0.02 size=256")
    (note,) = [n for n in judged(runs)["observation_4"].notes if "nstbench cost" in n]
    assert "optimizer=rmsprop lr=0.001,0.02 size=256; " in note
    assert note.endswith("optimizer=adagrad lr=0.02,0.1 size=256")
    short = judged(runs, cost_session(n=4))["observation_1"]
    assert short.verdict == "not decided, by the cost of a step"
    assert any("nstbench cost" in note for note in short.notes)
    assert not any(
        "nstbench cost" in n for n in judged(runs, cost_session())["observation_1"].notes
    )


def test_the_table_says_which_decided(runs):
    table = verdict_table(verdicts.judge(SETTINGS, runs, [cost_session()]))
    by_id = table.frame.set_index("id")
    assert by_id.loc["observation_1", "decided_by"] == "the cost of a step"
    assert by_id.loc["observation_5", "decided_by"] == "total time"
    first = by_id.loc["observation_1"]
    assert 0.99 < first["step_low"] < first["step_ratio"] < first["step_high"] < 1.01
    assert (first["step_size"], first["margin"], first["n"]) == (256, 0.01, 3)
    assert "Decided by" in table.shown


def test_sessions_are_read_and_a_damaged_one_is_told(tmp_path):
    for name in ("256-a", "256-b"):
        (tmp_path / "cost" / name).mkdir(parents=True)
    cost_session().save(tmp_path / "cost" / "256-a")
    (tmp_path / "cost" / "256-b" / "cost.json").write_text(json.dumps({"version": 1}))
    (known,), (damage,) = costs.read(tmp_path)
    assert known == cost_session()
    assert "256-b: cost.json: " in str(damage) and "is no record of costs" in str(damage)
    assert costs.read(tmp_path / "nowhere") == ([], [])
