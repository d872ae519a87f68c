"""The two commands, on a toy problem (`tests/light`) in processes that are killed."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nstbench.benchmark import commands
from nstbench.errors import SettingsError
from nstbench.run import machine

LIGHT = Path(__file__).with_name("light")
OWN = "like: tiny\ntrials: 3\nwidenings: 0\n"


def started(folder, *arguments, **environment):
    paths = [str(LIGHT), str(LIGHT.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        # What runs the tests in the background hands SIGINT on as ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finished(folder, *arguments, **environment):
    process = started(folder, *arguments, **environment)
    out, error = process.communicate(timeout=240)
    return process.returncode, out, error


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    return tmp_path


BENCHMARK = ("nstbench.benchmark", "benchmark=own.yaml", "optimizer=adam,rmsprop")


def test_score_ends_with_one_line(folder):
    code, _, error = finished(folder, "nstbench.benchmark.score", "benchmark=own.yaml", "lr=1.0",
                              "optimizer=adam")  # fmt: skip
    assert code == 2 and "no frozen targets" in error
    assert finished(folder, *BENCHMARK, "freeze=true")[0] == 0
    assert (folder / "own.targets.yaml").is_file()
    code, out, _ = finished(
        folder, "nstbench.benchmark.score", "benchmark=own.yaml", "optimizer=adam"
    )
    line = out.splitlines()[-1]
    assert code == 0 and out.count("\n") == 1
    assert re.fullmatch(r"score: [01]\.\d{4} \+- \d\.\d{4} \(2 pairs, 4 runs, \d+ s\)", line)
    scores = json.loads((folder / "results/benchmark/own/scores.json").read_text())
    assert line.startswith(f"score: {scores['optimizers']['adam']['score']:.4f} ")
    code, out, _ = finished(
        folder, "nstbench.benchmark.score", "benchmark=own.yaml", "optimizer=adam", "lr=1e-12",
        f"workers={min(2, len(machine.usable_cores()))}",
    )  # fmt: skip
    assert code == 0 and out.startswith("score: 0.0000 +- 0.0000")


@pytest.mark.slow
def test_a_benchmark_killed_six_times_ends_as_an_undisturbed_one(folder):
    assert finished(folder, *BENCHMARK, "out=alone")[0] == 0
    chance = random.Random(0)
    for _ in range(6):
        process = started(folder, *BENCHMARK, "out=killed", TOY_EPOCH_S="0.1")
        time.sleep(chance.uniform(2.0, 4.5))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert finished(folder, *BENCHMARK, "out=killed")[0] == 0
    alone, killed = (
        json.loads((folder / f"{name}/benchmark/own/scores.json").read_text())
        for name in ("alone", "killed")
    )
    assert killed == alone


def test_a_benchmark_that_is_interrupted_says_how_to_go_on(folder):
    process = started(folder, *BENCHMARK, TOY_EPOCH_S="1")
    deadline = time.monotonic() + 60
    while (
        not list(folder.glob("results/benchmark/own/runs/*/epochs.csv"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command continues" in error
    assert "Traceback" not in error


def test_a_run_that_breaks_its_process_ends_no_benchmark(folder):
    """The pictures `raises` and `killed` do what they say; tuning goes on with the other pair."""
    (folder / "own.yaml").write_text(
        OWN + "tuning: {pairs: [[raises, wave], [killed, wave]], repeats: [0]}\n"
        "score: {pairs: [[cat, glass]], repeats: [1]}\n"
    )
    for name in ("raises", "killed"):
        (folder / name).write_bytes(b"a picture of the toy")
    code, out, error = finished(folder, *BENCHMARK, "out=my results")
    assert code == 0, error
    assert out.endswith("\n  python -m nstbench report 'my results/benchmark/own'\n")
    assert "a trial failed: RuntimeError: the toy broke" in error
    assert "its process ended with signal 9" in error
    assert "| Adam" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmark=smal"], "did you mean small"),
        (["benchmark=tiny", "size=64"], "a benchmark fixes the problem"),
        (["benchmark=tiny", "trials=0"], "trials=0 must be a whole number"),
        (["benchmark=tiny", "workers=none"], "workers=none must be a whole number"),
        (["benchmark=tiny", "freeze=1"], "must be true or false"),
        (["benchmark=tiny", "optimizer=adma"], "did you mean adam"),
        (["nonsense"], "cannot read"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        commands.read(arguments)


def test_the_reference_set_is_the_default():
    request = commands.read(["benchmark=tiny"])
    assert [each.name for each in request.competitors] == ["adam", "lbfgs", "sgd"]
    assert request.benchmark.trials == 5 and not request.freeze
    assert commands.read(["benchmark=tiny", "trials=9"]).benchmark.trials == 9


def test_help_answers_without_a_benchmark(capsys):
    assert commands.benchmark(["--help"]) == 0 and commands.score(["-h"]) == 0
    said = capsys.readouterr().out
    assert "0.8123 +- 0.0041" in said and "freeze=true" in said


def test_score_takes_one_optimizer(capsys):
    assert commands.score(["benchmark=tiny", "optimizer=adam,sgd"]) == 2
    assert "one optimizer" in capsys.readouterr().err
