"""`python -m nstbench.speed`: statistics and goals on known numbers, and one tiny session."""

import csv
import json
import os
import subprocess
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from nstbench.errors import SettingsError
from nstbench.speed import __main__ as command
from nstbench.speed import goals, measure, options, output, peers, plan, record, remote, worker
from nstbench.speed.goals import Fresh, Session
from nstbench.speed.options import Goal
from nstbench.speed.peers import Competitor, Missing, Task


def session(**changes):
    """Two competitors, nstbench twice as fast, on a machine whose speed doubles half way."""
    made = Session(
        evaluation={("nstbench", 256): [2.0, 2.0, 1.0], ("torch", 256): [4.0, 4.0, 2.0]},
        step={("nstbench", 256): [2.0, 2.0, 2.0], ("torch", 256): [4.0, 4.0, 4.0]},
        products={"numpy": [0.2, 0.1], "torch": [0.4, 0.3]},
        product_flops=1e9,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def goal(measure, peer=None, size=256, most=1.0, ours="nstbench"):
    return Goal(measure, peer, size, most, ours)


# ---------------------------------------------------------------- statistics


def test_a_summary_is_the_median_and_the_quartiles_distance():
    assert goals.summary([1.0, 2.0, 3.0, 4.0, 100.0]) == goals.Summary(3.0, 2 / 3)


def test_a_ratio_pairs_what_was_measured_together():
    """A machine that slows for some rounds slows both: the medians' ratio would be 1 / 3."""
    assert goals.paired_ratio([1.0, 5.0, 10.0], [2.0, 10.0, 20.0]) == 0.5
    assert goals.paired_ratio([1.0, 1.0, 9.0], [2.0, 3.0, 9.0]) == 0.5


def test_the_floor_counts_what_the_published_network_needs():
    assert goals.vgg_flops(256) == pytest.approx(97.2e9, rel=2e-3)  # Gram matrices and pools aside
    assert goals.vgg_flops(512) == 4 * goals.vgg_flops(256)


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.3])
def test_the_exponent_of_a_power_law_is_found(exponent):
    values = {size: 3e-6 * float(size**2) ** exponent for size in (128, 192, 256, 512, 768)}
    assert goals.fitted_exponent(values) == pytest.approx(exponent)


def test_one_size_has_no_exponent():
    assert goals.fitted_exponent({256: 1.0}) is None
    assert goals.fitted_exponent({}) is None


def test_the_rate_is_that_of_the_fastest_library():
    assert session().rate == pytest.approx(1e10)
    assert Session().rate is None


def test_the_table_has_ratios_floor_and_gaps():
    ours, theirs = goals.rows(session(), options.resolve([]))
    assert (ours["nstbench_over_this"], theirs["nstbench_over_this"]) == (1.0, 0.5)
    assert theirs["floor_share"] == pytest.approx(goals.vgg_flops(256) / 1e10 / 4.0)
    assert theirs["peak_gb"] is None and theirs["start_s"] is None


# ---------------------------------------------------------------- goals


@pytest.mark.parametrize(
    ("wanted", "value", "verdict"),
    [
        (goal("ratio", "torch", most=0.5), 0.5, "met"),
        (goal("ratio", "torch", most=0.49), 0.5, "not met"),
        (goal("ratio", "nstbench", ours="torch", most=2), 2.0, "met"),
        (goal("ratio_to_fastest", most=0.5), 0.5, "met"),
        (goal("ratio_to_fastest", size=512), None, "not measured"),
        (goal("again_s", most=6), 5.0, "met"),
        (goal("ratio", "pastiche"), None, "not measured"),
        (goal("ratio", "torch", size=512), None, "not measured"),
        (goal("peak_gb", most=1.2), 1.5, "not met"),
        (goal("memory_exponent", size=None), 1.0, "met"),
        (goal("start_s", most=12), 9.0, "met"),
        (goal("overhead_share", most=0.01), 0.001, "met"),
    ],
)
def test_goals_are_judged(wanted, value, verdict):
    started = {
        ("nstbench", 256): Fresh(9.0, 1_500_000_000, 5.0),
        ("nstbench", 512): Fresh(20.0, 6_000_000_000),
        ("torch", 256): Fresh(1.0, 1),
    }  # fmt: skip
    found = goals.value(session(fresh=started, overhead_s=0.002), wanted)
    assert found == (None if value is None else pytest.approx(value))
    assert goals.verdict(None if found is None else round(found, 9), wanted) == verdict


def test_nothing_measured_meets_no_goal():
    chosen = options.resolve([])
    assert {v for _, _, v in output.judgements(Session(), chosen)} == {"not measured"}


def test_the_goals_speak_of_what_is_measured():
    chosen = options.resolve([])
    assert {each.measure for each in chosen.goals} <= set(goals.MEASURES)
    assert {each.peer for each in chosen.goals if each.peer} <= set(chosen.peers)
    assert {each.size for each in chosen.goals if each.size} <= set(chosen.cpu_sizes)
    assert all(output.describe(each) for each in chosen.goals)


# ---------------------------------------------------------------- the session


class Clock:
    """A clock that only the calls advance, and what was called."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def call(self, name, seconds, fails_after=None):
        def run(count):
            self.calls.append((name, count))
            if fails_after is not None and len(self.of(name)) > fails_after:
                raise Missing("its process is gone")
            self.now += count * seconds

        return run

    def of(self, name):
        return [count for called, count in self.calls if called == name]


def timed(clock, calls, rounds=2, earlier=None, missing=None, seen=None):
    chosen = options.resolve([f"rounds={rounds}", "warm_up=1", "sample_s=1.0", "pause_s=0"])
    return measure.interleave(
        {("evaluation", name): call for name, call in calls.items()}, chosen,
        {} if missing is None else missing, (seen or []).append, lambda *words: None, earlier,
        lambda: clock.now,
    )  # fmt: skip


def test_rounds_are_interleaved_and_short_calls_repeated():
    clock = Clock()
    found = timed(clock, {"a": clock.call("a", 2.0), "b": clock.call("b", 0.1)})
    assert clock.calls[-4:] == [("a", 1), ("b", 10), ("a", 1), ("b", 10)]
    expected = {"a": [2.0, 2.0], "b": [0.1, 0.1]}
    assert found == {("evaluation", name): pytest.approx(s) for name, s in expected.items()}


def test_rounds_on_record_are_not_measured_again():
    clock = Clock()
    earlier = {("evaluation", "a"): [7.0, 8.0]}
    found = timed(clock, {"a": clock.call("a", 2.0)}, rounds=3, earlier=earlier)
    assert found == {("evaluation", "a"): [7.0, 8.0, 2.0]}
    assert len(clock.calls) == 3 + 1  # the warm-up and one round


@pytest.mark.parametrize("fails_after", [0, 2, 3, 4])
def test_who_fails_is_named_and_the_others_are_measured(fails_after):
    clock, missing = Clock(), {}
    calls = {"a": clock.call("a", 2.0), "b": clock.call("b", 2.0, fails_after)}
    found = timed(clock, calls, missing=missing)
    assert found == {("evaluation", "a"): [2.0, 2.0]}
    assert missing == {"b": "its process is gone"}


def computing(loss, gradient):
    return Competitor(None, None, lambda: (loss, np.asarray(gradient)))


def gone():
    raise Missing("its process is gone")


def test_differences_are_found_and_none_ends_the_session():
    same = {"nstbench": computing(1.0, [3.0, 4.0]), "torch": computing(1.0005, [3.0, 4.001])}
    missing = {}
    found = measure.agreement({**same, "pastiche": Competitor(None, None, gone)}, missing)
    assert found == {"nstbench": (0, 0), "torch": pytest.approx((5e-4, 2e-4))}
    assert missing == {"pastiche": "its process is gone"}


@pytest.mark.parametrize(
    ("peer", "found", "marked"),
    [
        ("torch", (1e-6, 1.1e-3), False),  # PyTorch's fast convolution: rounding at pools
        ("torch", (1e-6, 2.5e-3), True),
        ("torch", (0.1, 0.0), True),
        ("torch", (float("nan"), 0.0), True),
        ("direct", (1e-6, 3.4e-4), False),
        ("direct", (1e-6, 1.1e-3), True),  # our own are held closer
    ],
)
def test_who_computes_something_else_is_marked(peer, found, marked, capsys):
    made = session(agreement={(peer, 256): found})
    made.evaluation[peer, 256] = made.step[peer, 256] = [4.0, 4.0, 2.0]
    chosen = options.resolve([])
    label = options.LABELS[peer]
    (row,) = (row for row in goals.rows(made, chosen) if row["peer"] == label)
    assert row["differs"] is marked
    output.show(made, chosen)
    shown = capsys.readouterr().out
    assert (f"* {label} at 256 computes something else" in shown) is marked
    assert (f"{label} *" in shown) is marked


class Process:
    """A competitor's process that was never started."""

    built = ()

    def __init__(self, peer, file):
        if peer == "pastiche":
            raise Missing("not installed: pip install 'nstbench[speed]'")
        self.peer, self.closed = peer, False
        Process.built = (*Process.built, self)

    def evaluate(self, count):
        if self.peer == "torch":
            raise Missing("it failed: Killed (exit code -9)")

    def step(self, count):
        pass

    def check(self):
        return 1.0, np.ones(3)

    def close(self):
        self.closed = True


@pytest.fixture
def no_processes(monkeypatch):
    monkeypatch.setattr(Process, "built", ())
    monkeypatch.setattr(measure.remote, "Remote", Process)
    monkeypatch.setattr(measure, "products", lambda side, engine: {})
    return SimpleNamespace(devices=lambda: ["CPU"])


PEERS = "peers=[nstbench,torch,torch_cl,pastiche]"
QUICK = (PEERS, "weights=random", "pause_s=0", "sample_s=0")


def compare(engine, made, rounds, kept=()):
    chosen = options.resolve([*QUICK, f"rounds={rounds}"])
    records = list(kept)
    measure.compare(
        chosen,
        engine,
        32,
        made,
        lambda: records.append(len(made.evaluation["nstbench", 32])),
        print,
    )
    return records


def test_a_missing_competitor_is_named(no_processes, capsys):
    """One that cannot be had, and one that dies: the others are measured all the same."""
    made = Session(overhead_s=0.0, notes=["timing disturbed: something else ran"])
    assert compare(no_processes, made, rounds=2) == [1, 2]
    assert set(made.evaluation) == {("nstbench", 32), ("torch_cl", 32)}
    assert all(process.closed for process in Process.built)
    output.show(made, options.resolve([]))
    shown = capsys.readouterr().out
    assert "missing: pastiche at 32 (not installed: pip install 'nstbench[speed]')" in shown
    assert "missing: PyTorch loop at 32 (it failed: Killed (exit code -9))" in shown
    assert "timing disturbed: something else ran" in shown


def test_a_session_goes_on_with_those_who_began_it(no_processes):
    made = Session(overhead_s=0.0)
    compare(no_processes, made, rounds=2)
    first = made.evaluation["nstbench", 32]
    Process.built = ()
    assert compare(no_processes, made, rounds=3) == [3]
    assert made.evaluation["nstbench", 32][:2] == first
    assert [process.peer for process in Process.built] == ["nstbench", "torch_cl"]
    Process.built = ()
    assert compare(no_processes, made, rounds=3) == [] and Process.built == ()


def test_a_session_survives_its_file(tmp_path):
    made = session(
        fresh={("nstbench", 256): Fresh(9.0, 10**9, 5.0)}, curve={128: 0.1, 256: 0.4},
        agreement={("torch", 256): (1e-6, 1e-3)}, missing={("pastiche", 256): "why"},
        notes=["a note"], overhead_s=1e-5,
    )  # fmt: skip
    record.save(tmp_path / "out" / "session.json", "key", made, {"backend": "jax"})
    assert record.load(tmp_path / "out" / "session.json", "key") == made


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"key"', '"kex"'),
        lambda text: text.replace('"key": "mine"', '"key": "another machine"'),
        lambda text: text.replace('"measured"', '"measures"'),
        lambda text: "[]",
    ],
)
def test_a_session_of_another_machine_or_a_damaged_file_is_none(tmp_path, damage):
    path = tmp_path / "session.json"
    record.save(path, "mine", session(), {})
    path.write_text(damage(path.read_text()))
    assert record.load(path, "mine") is None


def test_a_session_is_known_by_machine_versions_and_way_of_measuring():
    chosen = options.resolve([])

    def key(*arguments, machine="a", numpy="1"):
        return record.key(options.resolve(arguments), {"cpu": machine}, {"numpy": numpy})

    assert key() == record.key(chosen, {"cpu": "a"}, {"numpy": "1"})
    assert key("rounds=9", "sizes=[64]", "out=elsewhere", "tolerance=1", "force=true") == key()
    others = [key(machine="b"), key(numpy="2"), key("weights=random"), key("sample_s=1")]
    assert len({key(), *others}) == 5


# ---------------------------------------------------------------- how long it will take


def test_a_session_says_how_long_it_will_take():
    """On two cores with 224 GFLOP/s the whole of it takes a quarter of an hour."""
    chosen = options.resolve([])
    whole = plan.expected_s(chosen, [256, 512], Session(), 2.24e11)
    assert 10 * 60 < whole < 25 * 60
    assert plan.expected_s(chosen, [256, 512], Session(), 1.12e11) > 1.4 * whole
    assert plan.expected_s(chosen, [256], Session(), 2.24e11) < 0.6 * whole


def test_what_is_on_record_takes_no_time():
    chosen = options.resolve(["curve=[128]", "sizes=[256]", "rounds=3"])
    rows = {(peer, 256): [1.0] * 3 for peer in chosen.peers}
    starts = {key: Fresh(9.0, 1) for key in rows}
    done = session(evaluation=rows, step=rows, fresh=starts, curve={128: 1.0})
    assert plan.expected_s(chosen, [256], done, 1e11) == 0
    done.fresh.popitem()
    assert 0 < plan.expected_s(chosen, [256], done, 1e11) < 60


# ---------------------------------------------------------------- processes


def test_a_process_that_cannot_be_is_missing_with_its_last_words(tmp_path):
    (tmp_path / "torch.npz").write_bytes(b"no task")
    with pytest.raises(Missing, match=r"^it failed: .*pickle.* \(exit code 1\)$"):
        remote.Remote("torch", tmp_path / "torch.npz")


def test_a_task_survives_its_file(tmp_path):
    pixels = np.random.default_rng(0).random((32, 32, 3)).astype("float32")
    layers = {"block1_conv1": (np.ones((3, 3, 3, 4), "float32"), np.zeros(4, "float32"))}
    task = Task(
        pixels, pixels / 2, pixels / 3, layers, "block5_conv2", 1e4, ("block1_conv1",), 2e-3, 30.0,
        (0.02, 0.9, 0.999, 1e-7), False,
    )  # fmt: skip
    worker.save_task(tmp_path / "task.npz", task, own_weights=False)
    back = worker.load_task(tmp_path / "task.npz")
    assert (back.style_layers, back.adam, back.accelerator) == (task.style_layers, task.adam, False)
    np.testing.assert_array_equal(back.start, task.start)
    np.testing.assert_array_equal(back.layers["block1_conv1"][0], layers["block1_conv1"][0])
    worker.save_task(tmp_path / "own.npz", task, own_weights=True)
    assert worker.load_task(tmp_path / "own.npz").layers is None


# ---------------------------------------------------------------- the command


def test_a_tiny_session_writes_tables_and_figures(tmp_path):
    """PyTorch compiles nothing, so this takes seconds; the second command has nothing to do."""
    pytest.importorskip("torch")
    chosen = [
        "sizes=[32]", "curve=[32,48]", "rounds=2", "warm_up=0", "sample_s=0", "matrix=64",
        "weights=random", "fresh=false", "peers=[nstbench,torch,torch_cl]", f"out={tmp_path}",
    ]  # fmt: skip

    def run():
        return subprocess.run(
            [sys.executable, "-m", "nstbench.speed", *chosen], capture_output=True, text=True,
            env=os.environ | {"KERAS_BACKEND": "torch"}, check=False,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("about 1 minute.")
    with (tmp_path / "speed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["peer"] for row in rows] == [
        options.LABELS[peer] for peer in ("nstbench", "torch", "torch_cl")
    ]
    assert all(float(row["evaluation_s"]) > 0 and float(row["step_s"]) > 0 for row in rows)
    assert all(float(row["gradient_difference"]) < 1e-3 for row in rows)
    facts = json.loads((tmp_path / "session.json").read_text())
    assert facts["backend"] == "torch" and np.isfinite(facts["cost_exponent"])
    assert 0 < facts["overhead_s_per_step"] < 0.1
    for name in ("speed.png", "speed.svg", "curve.png", "curve.svg", "curve.csv", "samples.csv"):
        assert (tmp_path / name).stat().st_size > 0
    assert "cost curve: seconds grow as pixels^" in done.stdout
    again = run()
    assert again.stderr == "on record here: 2 of 2 rounds at 32\ncomplete already.\n"
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("size=[256]", "unknown setting 'size'; did you mean size"),
        ("peers=[nstbench,pastich]", "unknown peer 'pastich'; did you mean pastiche"),
        ("peers=[torch]", "peers needs nstbench"),
        ("rounds=many", "rounds"),
        ("rounds=0", "rounds=0 must be at least 1"),
        ("sizes=[16]", "size 16 must be at least 32"),
        ("sizes=[256", "a list is written [256,512]"),
        ("quick", "settings look like rounds=5"),
    ],
)
def test_a_mistake_is_one_line(argument, words, capsys):
    assert command.main([argument]) == SettingsError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nstbench speed: ") and words in line


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from nstbench.speed.__main__ import main; main(['--help']); "
        "assert not {'keras', 'tensorflow', 'torch', 'hydra', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "results/speed" in done.stdout


def test_every_evaluation_is_waited_for():
    # JAX returns before it has computed, and waits for nothing that nobody holds.
    class Result:
        pass

    pending, computed = [], []

    def evaluation():
        result = Result()
        pending.append(weakref.ref(result))
        return result

    def wait():
        computed.append(sum(result() is not None for result in pending))

    peers.repeated(evaluation, wait)(3)
    assert computed == [1, 1, 1]
