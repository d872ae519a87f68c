"""Tuning, targets and standings on losses that are known by a formula; nothing is computed."""

import copy
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from nstbench.benchmark import (
    carry,
    competitors,
    instances,
    output,
    reference,
    runs,
    seconds,
    spaces,
    standing,
    targets,
    tuning,
)  # fmt: skip
from nstbench.cost import options, record
from nstbench.errors import SettingsError
from nstbench.run import machine
from nstbench.settings import compose, identity, values

OUT = ("out=nowhere",)


class Formula:
    """A `Carry` whose runs have losses without computing: best at one rate for each optimizer."""

    def __init__(self, monkeypatch, **best):
        self.best, self.carried = best, []
        monkeypatch.setattr(runs, "read", self.read)

    def __call__(self, wanted):
        new = [run for run in dict.fromkeys(wanted) if run not in self.carried]
        self.carried += new
        return {}

    def read(self, run, horizon):
        assert run in self.carried, "a result is read of a run that was not made"
        settings = run.settings
        away = abs(np.log10((settings.lr or 1.0) / self.best.get(settings.optimizer.name, 1.0)))
        times = np.arange(horizon)
        noise = 1 + 0.01 * (settings.repeat + len(settings.content))
        losses = noise * 100 * np.exp(-times / (3 + 3 * away)) + 1 + away
        record = SimpleNamespace(
            content=SimpleNamespace(sha256=settings.content),
            style=[SimpleNamespace(sha256=name) for name in settings.style],
            weights=SimpleNamespace(sha256="w"),
        )
        return runs.Result(f"{settings.optimizer.name}-{settings.content}", losses, record)


@pytest.fixture
def tiny():
    return instances.load("tiny")


def tuned(benchmark, carry, names):
    found = competitors.read([f"optimizer={names}"], benchmark.arguments)
    return tuning.tune(benchmark, found, OUT, carry)


def stands(benchmark, carry, each, chosen):
    planned = {t.competitor.name: standing.score_runs(benchmark, t.arguments, OUT) for t in each}
    results, _ = standing.measure(benchmark, planned, carry)
    return {name: standing.stand(name, benchmark, of, chosen) for name, of in results.items()}


def made(benchmark, carry, each):
    planned = {t.competitor.name: standing.score_runs(benchmark, t.arguments, OUT) for t in each}
    results, _ = standing.measure(benchmark, planned, carry)
    return targets.make(benchmark, results, targets.facts(list(results), "2026-11-24"))


def test_no_picture_of_the_score_is_read_while_tuning(tiny, monkeypatch):
    carry = Formula(monkeypatch, adam=0.05)
    tuned(tiny, carry, "adam,lbfgs,sgd")
    for run in carry.carried:
        assert not {run.settings.content, *run.settings.style} & tiny.score.pictures
        assert run.settings.repeat not in tiny.score.repeats  # fresh noise, too


def test_everybody_gets_the_same_budget_and_methods_without_a_rate_one_trial(tiny, monkeypatch):
    adam, lbfgs = tuned(tiny, Formula(monkeypatch, adam=0.05), "adam,lbfgs")
    assert len(adam.trials) == tiny.trials and len(lbfgs.trials) == 1
    assert adam.trials[0].point == {"lr": 0.02}  # its default
    assert lbfgs.arguments == ("optimizer=lbfgs",)


def test_the_best_trial_wins(tiny, monkeypatch):
    big = tiny.model_copy(update={"trials": 20})
    (adam,) = tuned(big, Formula(monkeypatch, adam=0.05), "adam")
    assert adam.best.point["lr"] == pytest.approx(0.05, rel=0.3)
    assert not adam.on_edge and not adam.widened and not adam.extra


def test_a_larger_budget_extends_a_smaller_one(tiny, monkeypatch):
    carry = Formula(monkeypatch, adam=0.05)
    (few,) = tuned(tiny.model_copy(update={"trials": 10}), carry, "adam")
    made_before = len(carry.carried)
    (many,) = tuned(tiny.model_copy(update={"trials": 20}), carry, "adam")
    assert many.trials[:10] == few.trials
    assert len(carry.carried) == 2 * made_before


def test_an_optimum_beyond_the_edge_is_followed(tiny, monkeypatch):
    (adam,) = tuned(tiny, Formula(monkeypatch, adam=4.0), "adam")
    assert adam.widened[0] == "lr high" and adam.space[0].high == pytest.approx(10)
    assert adam.best.point["lr"] > 1


def test_one_that_stays_on_the_edge_is_labelled(tiny, monkeypatch):
    (adam,) = tuned(tiny, Formula(monkeypatch, adam=1e6), "adam")
    assert adam.on_edge == ("lr high",) and "under-tuned" in output.in_words(adam)


def test_where_nothing_helps_nothing_is_widened(tiny, monkeypatch):
    carry = Formula(monkeypatch)
    monkeypatch.setattr(runs, "read", lambda run, horizon: None)  # all of them failed
    (adam,) = tuned(tiny, carry, "adam")
    assert adam.best.point == {"lr": 0.02} and adam.best.value == 0 and not adam.widened


def test_a_method_that_loses_to_its_special_case_is_named(tiny, monkeypatch):
    both = tuned(tiny, Formula(monkeypatch, adam=0.02, adamw=1e6), "adam,adamw")
    (sentence,) = tuning.contained_lost(both, {"adamw": ("adam",), "nadam": ("adam",)})
    assert sentence.startswith("adamw lost to adam")
    assert tuning.contained_lost(both, {"adam": ("adamw",)}) == []


def test_a_newcomer_changes_no_other_score(tiny, monkeypatch):
    carry = Formula(monkeypatch, adam=0.05, sgd=0.3)
    few = tuned(tiny, carry, "adam,lbfgs")
    frozen = made(tiny, carry, few)
    before = stands(tiny, carry, few, frozen)
    after = stands(tiny, carry, tuned(tiny, carry, "adam,lbfgs,sgd,rmsprop"), frozen)
    for name, each in before.items():
        assert after[name].score == each.score  # bitwise
        assert after[name].levels == each.levels and after[name].curve == each.curve


def test_a_copy_under_another_name_scores_the_same(tiny, monkeypatch, tmp_path):
    (tmp_path / "mine.py").write_text("from keras.optimizers import Adam\nMyAdam = Adam\n")
    carry = Formula(monkeypatch, adam=0.05, MyAdam=0.05)
    both = tuned(tiny, carry, f"adam,{tmp_path}/mine.py:MyAdam")
    each = stands(tiny, carry, both, made(tiny, carry, both))
    assert abs(each["adam"].score.value - each["MyAdam"].score.value) < 0.1


def test_targets_come_back_as_they_were_frozen(tiny, monkeypatch, tmp_path):
    carry = Formula(monkeypatch, adam=0.05)
    each = tuned(tiny, carry, "adam,lbfgs")
    fresh = made(tiny, carry, each)
    file = tmp_path / "tiny.targets.yaml"
    targets.write(file, tiny, fresh)
    frozen = targets.load(file, tiny)
    assert frozen.frozen and frozen.targets == fresh.targets
    assert frozen.made["date"] == "2026-11-24" and "keras" in frozen.made["versions"]
    assert stands(tiny, carry, each, frozen).keys() == {"adam", "lbfgs"}
    longer = tiny.model_copy(update={"horizon": 60})
    with pytest.raises(SettingsError, match="freeze it anew"):
        targets.load(file, longer)
    assert targets.load(tmp_path / "none.yaml", tiny) is None
    file.write_text("nonsense: [")
    with pytest.raises(SettingsError, match="holds no targets"):
        targets.load(file, tiny)


def test_other_pictures_than_the_targets_are_refused(tiny, monkeypatch):
    carry = Formula(monkeypatch, adam=0.05)
    each = tuned(tiny, carry, "adam")
    fresh = made(tiny, carry, each)
    changed = {
        name: targets.Targets(t.start, t.best, t.losses, t.digests | {"style": "other"})
        for name, t in fresh.targets.items()
    }
    with pytest.raises(SettingsError, match="another style than the targets"):
        stands(tiny, carry, each, targets.TargetSet(changed, True, {}))


def test_a_level_is_a_share_of_what_is_left_to_gain(tiny, monkeypatch):
    carry = Formula(monkeypatch)
    fresh = made(tiny, carry, tuned(tiny, carry, "lbfgs"))
    for each in fresh.targets.values():
        wanted = [each.best + level * (each.start - each.best) for level in tiny.levels]
        assert list(each.losses) == wanted and each.best < each.start


def test_the_reference_set_comes_back_and_places_a_newcomer(tiny, monkeypatch, tmp_path):
    carry = Formula(monkeypatch, adam=0.05)
    each = tuned(tiny, carry, "adam,lbfgs")
    fresh = made(tiny, carry, each)
    order = list(stands(tiny, carry, each, fresh).values())
    file = reference.location(tmp_path / "tiny.yaml")
    assert reference.load(file, tiny) == []
    reference.write(file, tiny, output.document(tiny, each, order, fresh))
    best, worst = reference.load(file, tiny)
    assert (best.name, best.score) == ("lbfgs", max(one.score.value for one in order))
    for archived in (best, worst):
        now = next(one for one in order if one.name == archived.name)
        assert all(map(np.array_equal, archived.hits, now.hits))
    assert reference.place(1.0, [best, worst]).endswith("above all")
    assert reference.place(worst.score, [best, worst]).startswith("place 2 beside 2")
    assert "below Adam" in reference.place(0.0, [best, worst])
    assert reference.load(file, tiny.model_copy(update={"horizon": 60})) == []
    few = order[:1]
    output.write(tmp_path, tiny, each[:1], few, fresh, [best, worst])  # the others in grey
    assert (tmp_path / "ecdf.svg").is_file()
    page = output.text(tiny, each[:1], few, fresh, [best])
    assert "Adam: place 2 beside 1 of the reference set: below L-BFGS" in page
    assert "Leading group" not in page  # one that is alone leads nobody


def test_a_run_that_failed_reaches_nothing(tiny, monkeypatch):
    carry = Formula(monkeypatch, adam=0.05)
    each = tuned(tiny, carry, "adam")
    fresh = made(tiny, carry, each)
    monkeypatch.setattr(runs, "read", lambda run, horizon: None)
    alone = stands(tiny, carry, each, fresh)["adam"]
    assert alone.score.value == 0 and alone.failures == 4
    assert all(level.success_rate == 0 for level in alone.levels)


def test_what_is_written_is_json_and_tables(tiny, monkeypatch, tmp_path):
    carry = Formula(monkeypatch, adam=0.05)
    each = tuned(tiny, carry, "adam,lbfgs,sgd")
    fresh = made(tiny, carry, each)
    order = list(stands(tiny, carry, each, fresh).values())
    output.write(tmp_path, tiny, each, order, fresh)
    names = {path.stem for path in tmp_path.glob("*.png")}
    assert names == {
        "ecdf", "loss", "best_of_k", "best_of_cost", "probability_of_best", "loss_against_rate",
        "profile",
    }  # fmt: skip
    page = (tmp_path / "report.md").read_text()
    assert "Leading group" in page and "not frozen" in page and "| Adam" in page
    _, brought = page.split("What tuning brings")
    assert "| Adam" in brought and "| L-BFGS" not in brought  # which has nothing to tune
    import json

    whole = json.loads((tmp_path / "scores.json").read_text())
    assert list(whole["optimizers"])[0] == output.ranked(order)[0].name
    assert 0 <= whole["optimizers"]["adam"]["score"] <= 1
    again = copy.deepcopy(whole)
    output.write(tmp_path, tiny, each, order, fresh)
    assert json.loads((tmp_path / "scores.json").read_text()) == again


def test_seconds_are_evaluations_times_what_cost_measured(tiny, monkeypatch, tmp_path):
    """Of a record of this machine and this problem alone; a method without one has no seconds."""
    carry = Formula(monkeypatch, adam=0.05)
    each = tuned(tiny, carry, "adam,lbfgs,sgd")
    fresh = made(tiny, carry, each)
    order = list(stands(tiny, carry, each, fresh).values())
    found = [one.competitor for one in each]
    assert seconds.per_evaluation(tmp_path, found) == {}
    problem = {k: v for k, v in identity.identity(found[0].settings).items() if k != "optimizer"}
    facts = {"machine": {"host": machine.host()}}
    visit = {"started": "2026-11-24", "seconds": 1.0, "disturbances": [], "command": []}

    def keep(name, problem, step_s, **facts):
        kept = record.Record(problem=problem, facts=facts, visits=[record.Visit(**visit)])
        for competitor in found[:2]:
            method = kept.add(options.Competitor(competitor.name, "", competitor.settings))
            method.step_s, method.counts = step_s, record.Counts(evaluations=1.0)
        kept.methods[found[1].name].counts = record.Counts()  # an unknown number in a step
        (tmp_path / "cost" / name).mkdir(parents=True)
        kept.save(tmp_path / "cost" / name)

    keep("elsewhere", problem, 1.0, machine={"host": "other"})
    keep("larger", problem | {"size": 64}, 2.0, **facts)
    assert seconds.per_evaluation(tmp_path, found) == {}
    keep("here", problem, 0.05, **facts)
    costs = seconds.per_evaluation(tmp_path, found)
    assert costs == {"adam": 0.05}
    page = output.text(tiny, each, order, fresh, seconds=costs)
    _, table = page.split("in seconds")
    (row,) = [line for line in table.splitlines() if line.startswith("| Adam")]
    adam = next(one for one in order if one.name == "adam")
    assert "50.0 ms" in row and f"{adam.levels[0].expected * 0.05:.2g}" in row
    assert "in seconds" not in output.text(tiny, each, order, fresh)


def test_fixed_hyperparameters_are_not_tuned(tiny):
    (adam,) = competitors.read(["optimizer=adam", "lr=3.0"], tiny.arguments)
    assert adam.space == () and adam.settings.lr == 3.0
    (sgd,) = competitors.read(["optimizer=sgd", "optimizer.momentum=0.5"], tiny.arguments)
    assert [each.name for each in sgd.space] == ["lr"]
    (slow,) = competitors.read(["optimizer=adam", "schedule=cosine"], tiny.arguments)
    assert slow.name == "adam (cosine)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer=adma"], "did you mean adam"),
        (["lr=0.1"], "optimizer=... is missing"),
        (["optimizer=adam", "size=64"], "a benchmark fixes the problem"),
        (["optimizer=adam,keras.optimizers.Adam"], None),
        (["optimizer=./none.py:Adam"], "there is no file"),
    ],
)
def test_competitors_that_cannot_be(tiny, arguments, message):
    if message is None:
        assert len(competitors.read(arguments, tiny.arguments)) == 2
        return
    with pytest.raises(SettingsError, match=message):
        competitors.read(arguments, tiny.arguments)


def test_a_point_is_what_the_run_gets(tiny):
    (sgd,) = competitors.read(["optimizer=sgd"], tiny.arguments)
    for point in tuning.trials_of(sgd, 8):
        settings = compose.resolve([*sgd.arguments, *spaces.arguments(point)])
        assert settings.lr == point["lr"]
        assert settings.optimizer.options["momentum"] == point["momentum"]
        assert all(values.split(each) for each in spaces.arguments(point))


@pytest.fixture
def wanted(tiny, monkeypatch):
    """Three runs of each of the score's problems and repeats, none of them there yet."""
    monkeypatch.setattr(runs.Run, "is_over", False)
    return [
        runs.Run((f"optimizer={name}", f"lr={rate}", *pair))
        for rate, name in zip((0.1, 0.2, 0.3), ("adam", "sgd", "adam"), strict=True)
        for _, pair in tiny.runs(tiny.score)
    ]


def test_runs_of_one_problem_and_one_method_come_together_in_few_processes(wanted, monkeypatch):
    calls, closed = [], []
    monkeypatch.setattr(carry.Worker, "close", lambda self: closed.append(len(calls)))
    monkeypatch.setattr(
        carry.Worker, "_ask", lambda self, a: calls.append(a) or ("completed", None)
    )
    monkeypatch.setattr(carry, "RUNS_OF_A_PROCESS", 5)
    with carry.Staying(lambda text: None) as staying:
        assert staying([*wanted, *wanted]) == {}
    order = [(a[-2:-1], a[0]) for a in calls]
    assert len(calls) == len(wanted) and len({a for a in calls}) == len(wanted)
    changes = sum(one != next_one for one, next_one in zip(order, order[1:], strict=False))
    assert changes == 3  # two problems with two methods each
    assert closed == [6, 12]  # a new process for the second problem, and the end


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_worker_has_its_cores_before_anything_is_loaded():
    """NumPy's threads once outnumbered the cores: 0.14 s an evaluation in place of 0.06."""
    ours = os.sched_getaffinity(0)
    worker = carry.Worker([min(ours)])
    try:
        assert os.sched_getaffinity(worker._started().pid) == {min(ours)}
    finally:
        worker.close()
    assert os.sched_getaffinity(0) == ours


def test_several_workers_share_the_runs_and_the_cores_out(wanted, monkeypatch):
    """Each at a problem of its own; one that has nothing left helps another. Nothing runs twice."""
    calls = []

    def ask(worker, arguments):
        slow = "content=coffee" in arguments
        time.sleep(0.02 if slow else 0.001)
        calls.append((worker, arguments))
        return ("failed", "why") if "repeat=2" in arguments else ("completed", None)

    monkeypatch.setattr(machine, "usable_cores", lambda: [2, 3, 5])
    monkeypatch.setattr(carry.Worker, "_ask", ask)
    with carry.Staying(lambda text: None, workers=2) as staying:
        failures = staying(wanted)
    assert sorted(arguments for _, arguments in calls) == sorted(run.arguments for run in wanted)
    assert failures == {run: "why" for run in wanted if "repeat=2" in run.arguments}
    of_coffee = {worker for worker, arguments in calls if "content=coffee" in arguments}
    of_rocket = {worker for worker, arguments in calls if "content=rocket" in arguments}
    assert len(of_coffee) == 2 and len(of_rocket) == 1
    assert carry.shares(2) == [[2], [3, 5]] and carry.shares(1) == [None]
    with pytest.raises(SettingsError, match="workers=4 is more than the 3 cores"):
        carry.shares(4)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_interrupted_ends_all(wanted, monkeypatch, workers):
    closed, calls = [], []
    monkeypatch.setattr(machine, "usable_cores", lambda: [0, 1])
    monkeypatch.setattr(carry.Worker, "close", lambda self: closed.append(self))
    monkeypatch.setattr(
        carry.Worker, "_ask", lambda self, a: calls.append(a) or ("interrupted", None)
    )
    with pytest.raises(KeyboardInterrupt), carry.Staying(print, workers) as staying:
        staying(wanted)
    assert len(set(closed)) == workers and len(calls) <= workers
