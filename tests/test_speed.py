"""`python -m nstbench.speed`: statistics and goals on known numbers, and one tiny session."""

import csv
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nstbench.errors import NstbenchError, SettingsError
from nstbench.speed import __main__ as command
from nstbench.speed import fresh, goals, measure, options, output
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


def goal(measure, peer=None, size=256, most=1.0):
    return Goal(measure, peer, size, most)


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
    ours, theirs = goals.rows(session(), options.LABELS)
    assert (ours["nstbench_over_this"], theirs["nstbench_over_this"]) == (1.0, 0.5)
    assert theirs["floor_share"] == pytest.approx(goals.vgg_flops(256) / 1e10 / 4.0)
    assert theirs["peak_gb"] is None and theirs["start_s"] is None


# ---------------------------------------------------------------- goals


@pytest.mark.parametrize(
    ("wanted", "value", "verdict"),
    [
        (goal("ratio", "torch", most=0.5), 0.5, "met"),
        (goal("ratio", "torch", most=0.49), 0.5, "not met"),
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
        ("nstbench", 256): Fresh(9.0, 1_500_000_000), ("nstbench", 512): Fresh(20.0, 6_000_000_000),
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


def test_rounds_are_interleaved_and_short_calls_repeated():
    clock, calls = [0.0], []

    def call(name, seconds):
        def run(count):
            calls.append((name, count))
            clock[0] += count * seconds

        return run

    chosen = options.resolve(["rounds=2", "warm_up=1", "sample_s=1.0", "pause_s=0"])
    found = measure.interleave(
        {"a": call("a", 2.0), "b": call("b", 0.1)}, chosen, print, lambda: clock[0]
    )
    assert calls[-4:] == [("a", 1), ("b", 10), ("a", 1), ("b", 10)]
    assert found == {"a": pytest.approx([2.0, 2.0]), "b": pytest.approx([0.1, 0.1])}


def computing(loss, gradient):
    return Competitor(None, None, lambda: (loss, np.asarray(gradient)))


def test_competitors_must_compute_the_same():
    same = {"nstbench": computing(1.0, [3.0, 4.0]), "torch": computing(1.0005, [3.0, 4.001])}
    assert measure.agreement(same, 1e-3)["torch"] == pytest.approx((5e-4, 2e-4))
    for wrong in (
        computing(1.1, [3.0, 4.0]),
        computing(1.0, [3.0, 4.1]),
        computing(np.nan, [3, 4]),
    ):
        with pytest.raises(NstbenchError, match="PyTorch loop computes something else"):
            measure.agreement({**same, "torch": wrong}, 1e-3)


def test_a_missing_competitor_is_named(monkeypatch, capsys):
    """The others are measured all the same."""

    def build(peer, task, settings, engine):
        if peer == "pastiche":
            raise Missing("not installed: pip install it")
        return Competitor(lambda n: None, lambda n: None, lambda: (1.0, np.ones(3)))

    monkeypatch.setattr(measure, "_build", build)
    monkeypatch.setattr(measure, "products", lambda side, engine: {})
    chosen = options.resolve(
        ["peers=[nstbench,pastiche]", "weights=random", "rounds=1", "pause_s=0", "sample_s=0"]
    )
    made = Session(overhead_s=0.0)
    measure.compare(chosen, SimpleNamespace(devices=lambda: ["CPU"]), 32, made, lambda *words: None)
    assert set(made.evaluation) == {("nstbench", 32)}
    output.show(made, chosen, ["something else ran"])
    shown = capsys.readouterr().out
    assert "missing: pastiche (not installed: pip install it)" in shown
    assert "timing disturbed: something else ran" in shown


def test_a_task_survives_its_file(tmp_path):
    pixels = np.random.default_rng(0).random((32, 32, 3)).astype("float32")
    layers = {"block1_conv1": (np.ones((3, 3, 3, 4), "float32"), np.zeros(4, "float32"))}
    task = Task(
        pixels, pixels / 2, pixels / 3, layers, "block5_conv2", 1e4, ("block1_conv1",), 2e-3, 30.0,
        (0.02, 0.9, 0.999, 1e-7), False,
    )  # fmt: skip
    fresh.save_task(tmp_path / "task.npz", task, own_weights=False)
    back = fresh.load_task(tmp_path / "task.npz")
    assert (back.style_layers, back.adam, back.accelerator) == (task.style_layers, task.adam, False)
    np.testing.assert_array_equal(back.start, task.start)
    np.testing.assert_array_equal(back.layers["block1_conv1"][0], layers["block1_conv1"][0])
    fresh.save_task(tmp_path / "own.npz", task, own_weights=True)
    assert fresh.load_task(tmp_path / "own.npz").layers is None


# ---------------------------------------------------------------- the command


def test_a_tiny_session_writes_tables_and_figures(tmp_path):
    """PyTorch compiles nothing, so this takes seconds; the figures of every backend are alike."""
    pytest.importorskip("torch")
    chosen = [
        "sizes=[32]", "curve=[32,48]", "rounds=2", "warm_up=0", "sample_s=0", "matrix=64",
        "weights=random", "fresh=false", "peers=[nstbench,torch,torch_cl]", f"out={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "nstbench.speed", *chosen], capture_output=True, text=True,
        env=os.environ | {"KERAS_BACKEND": "torch"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
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
    assert line.startswith("nstbench.speed: ") and words in line


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from nstbench.speed.__main__ import main; main(['--help']); "
        "assert not {'keras', 'tensorflow', 'torch', 'hydra', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "results/speed" in done.stdout
