"""The command line as a user meets it: answers, mistakes, runs, stops and continuations.

Where the network does not matter, the toy of `light/` stands in its place; one run is real.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forks import Forks
from PIL import Image

from nstbench import cli
from nstbench.arguments import COMMANDS
from nstbench.run.record import read_record, read_rows
from nstbench.run.schema import EPOCH_COLUMNS, Status
from nstbench.settings import compose

HERE = Path(__file__).resolve().parent
SLOW = pytest.mark.slow
HELP_S = 1.5  # seconds of processor time in which --help answers


def environment(light, epoch_s=0.0):
    path = [str(HERE / "light")] * light + [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "TOY_EPOCH_S": str(epoch_s)}


def command(folder, *arguments, light=True):
    """Exit code, output and errors of one command line."""
    done = subprocess.run(
        [sys.executable, "-m", "nstbench", *arguments],
        cwd=folder, env=environment(light), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def warm():
    with Forks() as forks:
        yield forks


@pytest.fixture
def notes(tmp_path_factory):
    return tmp_path_factory.mktemp("notes")


def only_run(folder):
    (directory,) = (folder / "results" / "runs").iterdir()
    return directory


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_help_answers_at_once_and_names_every_optimizer(tmp_path):
    before = processor_seconds()
    code, output, errors = command(tmp_path, "--help", light=False)
    assert processor_seconds() - before < HELP_S
    assert (code, errors) == (0, "")
    for group in ("optimizer", "schedule", "objective", "extractor", "experiment", "suite"):
        assert all(name in output.split() for name in compose.choices(group))
    assert all(option in output for option in ("-m", "suite=", "--cfg", "--dry-run"))
    assert max(map(len, output.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_a_help_of_its_own(tmp_path, name):
    before = processor_seconds()
    code, output, errors = command(tmp_path, name, "--help", light=False)
    assert processor_seconds() - before < HELP_S
    assert (code, errors) == (0, "") and name in output
    assert list(tmp_path.iterdir()) == []


def test_commands_are_reached_by_the_one_front_door(tmp_path):
    code, output, errors = command(tmp_path, "report", "nowhere", light=False)
    assert (code, output) == (2, "") and "no runs in nowhere" in errors
    code, _, errors = command(tmp_path, "reprot", light=False)
    assert code == 2 and "unknown command 'reprot'; did you mean report" in errors
    assert set(COMMANDS) == set(cli.COMMANDS)


def test_version_and_settings(tmp_path):
    code, output, _ = command(tmp_path, "--version")
    assert code == 0 and output.strip()[0].isdigit()
    code, output, _ = command(tmp_path, "--cfg", "optimizer=sgd", "lr=0.5")
    assert code == 0 and "momentum: 0.0" in output and "lr: 0.5" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["optimizer=adan"], ["unknown optimizer 'adan'", "adam"]),
        (["optimiser=adam"], ["unknown setting 'optimiser'", "optimizer"]),
        (["optimizer.beta1=0.5"], ["optimizer.beta1", "optimizer.beta_1"]),
        (["lr=-1"], ["lr=-1", "positive"]),
        (["lr=fast"], ["lr", "fast"]),
        (["epochs=0", "epochs_scale=1"], ["epochs", "1"]),
        (["size=16"], ["size=16", "32"]),
        (["precision=float16"], ["precision", "float16", "bfloat16"]),
        (["kernels=quick"], ["kernels", "quick"]),
        (["optimizer=lbfgs", "optimizer.line_search=wolfe"], ["wolfe", "strong_wolfe"]),
        (["style=[dots,wave]", "style_blend=[1]"], ["style_blend", "1", "2"]),
        (["--verbose"], ["--verbose"]),
        (["lr"], ["lr"]),
        (["suite=table2"], ["table2", "table1"]),
        (["suite=table1", "vectorize=8"], ["unknown setting 'vectorize'"]),
        (["optimizer=adam,rmsprop"], ["-m"]),
        (["style=glass,wave"], ["-m", "style=[glass,wave]"]),
        (["content=nosuch"], ["unknown content 'nosuch'"]),
        (["content=no (1).png"], ["content=no (1).png", "no such file"]),
        (["-m", "content=astronaut,nosuch"], ["unknown content 'nosuch'"]),
        (["style=[]"], ["style=[]"]),
        (["init=nosuch.png"], ["init=nosuch.png", "no such file"]),
        (["weights=no.npz"], ["weights=no.npz", "no such file"]),
        (["optimizer=optax.adam"], ["KERAS_BACKEND=jax"]),
        (["--config-dir"], ["--config-dir needs a folder"]),
        (["--config-dir", "none"], ["none", "no such folder"]),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(tmp_path, warm, notes, arguments, words):
    code, output, errors, _ = warm.command(tmp_path, notes, *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("nstbench: ") and errors.count("\n") == 1, errors
    for word in words:
        assert word in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["content=nosuch"],
        ["weights=no.npz"],
        ["style=[]"],
        ["lr=0.1,0.2"],
        ["size=999999999"],
        ["objective.style.layers=[block9_conv1]"],
        ["visualize", "features", "layer=block9_conv1"],
        ["optimizer=./no.py:Mine"],
        ["optimizer=nowhere.Adam"],
        ["device=cuda"],
        ["out=/dev/null/results"],
    ],
)
def test_a_slip_is_told_before_a_framework_is_loaded(tmp_path, warm, notes, arguments):
    code, _, errors, loaded = warm.command(tmp_path, notes, *arguments)
    assert (code, errors.count("\n"), loaded) == (2, 1, [])
    assert list(tmp_path.iterdir()) == []


def test_a_slip_is_told_at_once(tmp_path):
    before = processor_seconds()
    code, _, errors = command(tmp_path, "content=nosuch", light=False)
    assert (code, errors.count("\n")) == (2, 1) and processor_seconds() - before < HELP_S


def test_a_dry_run_says_what_would_run_and_runs_nothing(tmp_path, warm, notes):
    def dry(*arguments):
        return warm.command(tmp_path, notes, *arguments, "--dry-run")

    arguments = ("-m", "optimizer=adam,sgd", "lr=0.1,0.2", "epochs=3")
    code, output, errors, _ = dry(*arguments)
    assert (code, errors) == (0, "") and list(tmp_path.iterdir()) == []
    assert "4 runs, 0 complete, 4 to run; 60 steps, and no earlier run" in output
    assert output.splitlines()[0].split() == ["run", "now"]  # names tell these runs apart
    assert command(tmp_path, "-m", "optimizer=adam,sgd", "lr=0.1", "epochs=3")[0] == 0
    code, output, *_ = dry(*arguments)
    assert code == 0 and "4 runs, 2 complete, 2 to run; about" in output
    assert "guessed" not in output
    other = dry(*arguments, "size=128").output
    assert re.search(r"about .*, one after the other \(guessed from runs at \d+ pixels\)", other)
    assert output.count("complete (completed)") == 2 and len(re.findall("to run *\n", output)) == 2
    code, output, *_ = dry("epochs=3")
    assert code == 0 and "1 run, 0 complete, 1 to run" in output


def test_names_of_files_are_taken_as_the_shell_gives_them(tmp_path):
    for name in ("IMG (1).png", "größe=1.png", "a, b.png", "${oc.env:HOME}.png"):
        Image.new("RGB", (40, 40), color=(len(name), 0, 0)).save(tmp_path / name)
        code, output, errors = command(tmp_path, f"content={name}", "epochs=2", f"out={name[0]}")
        assert code == 0, errors
        (record,) = tmp_path.glob(f"{name[0]}/runs/*/run.json")
        assert json.loads(record.read_text())["settings"]["content"] == name


def test_a_completed_run_is_not_computed_again(tmp_path):
    assert command(tmp_path, "epochs=3")[0] == 0
    directory = only_run(tmp_path)
    before = (directory / "run.json").read_bytes()
    code, output, _ = command(tmp_path, "epochs=3")
    assert code == 0 and "complete already (completed on " in output
    assert (directory / "run.json").read_bytes() == before
    assert command(tmp_path, "epochs=3", "force=true")[0] == 0
    assert (directory / "run.json").read_bytes() != before


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(n, marks=SLOW) for n in (signal.SIGTERM, signal.SIGHUP))],
)
def test_a_stopped_run_ends_with_130_and_the_same_command_continues(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "nstbench", "epochs=40"], cwd=tmp_path,
        env=environment(True, epoch_s=0.2), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        # What runs the tests in the background hands SIGINT or SIGHUP on as ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(read_rows(p, EPOCH_COLUMNS) for p in tmp_path.glob("results/runs/*/epochs.csv")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    directory = only_run(tmp_path)
    assert read_record(directory).status == Status.INTERRUPTED
    rows = len(read_rows(directory / "epochs.csv", EPOCH_COLUMNS))
    assert 0 < rows < 40
    assert command(tmp_path, "epochs=40")[0] == 0
    record = read_record(directory)
    assert record.status == Status.COMPLETED
    assert any("continued from a checkpoint" in note for note in record.timing_notes)
    epochs = [int(row["epoch"]) for row in read_rows(directory / "epochs.csv", EPOCH_COLUMNS)]
    assert epochs == list(range(1, 41))


@pytest.mark.slow
def test_a_device_that_is_not_there_is_one_line_and_exit_code_2(tmp_path):
    arguments = ("device=gpu:9", "weights=random", "size=32")
    code, output, errors = command(tmp_path, *arguments, light=False)
    assert (code, output) == (2, "")
    assert "device=gpu:9: there is no such accelerator" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("results/runs/*/run.json"))


@pytest.mark.slow
def test_a_real_run(tmp_path):
    arguments = ("size=32", "weights=random", "epochs=2", "steps_per_epoch=2", "kernels=direct")
    code, output, errors = command(tmp_path, *arguments, "snapshots=1", light=False)
    assert code == 0, errors
    assert "Traceback" not in errors and "oneDNN" not in errors
    directory = only_run(tmp_path)
    assert "completed" in output and directory.name in output
    record = json.loads((directory / "run.json").read_text())
    assert record["status"] == "completed" and record["final"]["steps"] == 4
    assert record["weights"]["source"] == "He initialisation, seed 0"
    assert {p.name for p in directory.iterdir()} >= {"image.png", "content.png", "style.png"}
    assert len(read_rows(directory / "epochs.csv", EPOCH_COLUMNS)) == 2


def test_a_backend_that_keras_has_not(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jacks")
    code, _, errors = command(tmp_path, "epochs=1", light=False)
    assert code == 2
    assert errors == "nstbench: unknown KERAS_BACKEND 'jacks'; did you mean jax?\n"
