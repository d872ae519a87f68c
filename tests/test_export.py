"""Recorded runs in other tools: TensorBoard's own files, read back by TensorBoard."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
from synthetic import SyntheticRun, write_runs

from nstbench.errors import SettingsError
from nstbench.export import commands, contents
from nstbench.report.data import reader
from nstbench.run.schema import Status

RUNS = [
    SyntheticRun(epochs=4, frames=(0, 2), options={"beta_1": 0.8}),
    SyntheticRun("lbfgs", 1.0, epochs=3, evaluations_per_step=3, diverged_at=3),
]


@pytest.fixture
def results(tmp_path):
    write_runs(tmp_path / "results", RUNS)
    return tmp_path / "results"


@pytest.fixture
def accumulated():
    """What TensorBoard reads from a folder of event files."""
    if find_spec("tensorboard") is None:
        missing = "tensorboard is not installed: pip install 'nstbench[tensorboard]'"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()

    return read


def export(*arguments):
    assert commands.main(list(map(str, arguments))) == 0


def test_tensorboard_reads_every_value_at_its_evaluation(results, accumulated, capsys):
    export("tensorboard", results)
    folder = results / "export" / "tensorboard"
    assert f"2 runs; look at them with: tensorboard --logdir {folder}" in capsys.readouterr().out
    for run in reader.read(results).runs:
        events = accumulated(folder / run.id)
        for column in ("loss", "loss_best", "grad_norm", "term_style", "optimise_s"):
            read = [(e.step, e.value) for e in events.Scalars(column)]
            values = zip(run.epochs["evaluations"], run.epochs[column], strict=True)
            expected = [(int(n), np.float32(v)) for n, v in values if np.isfinite(v)]
            assert read == expected, column
        times = [event.wall_time for event in events.Scalars("loss")]
        assert times[0] == contents.began(run) + run.epochs["wall_s"].iloc[0]
    run = next(run for run in reader.read(results).runs if run.setup.optimizer.name == "adam")
    events = accumulated(folder / run.id)
    assert [event.step for event in events.Images("image")] == [0, 10, 20]
    image = events.Images("image")[2]
    assert image.encoded_image_string == (run.path / "image.png").read_bytes()
    assert events.Scalars("final.loss")[0].value == np.float32(run.record.final.loss)
    assert {"content", "style"} <= set(events.Tags()["images"])
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_exporting_again_replaces(results, accumulated):
    export("tensorboard", results / "runs")
    export("tensorboard", results / "runs", f"to={results / 'export' / 'tensorboard'}")
    (folder,) = (results / "export" / "tensorboard").glob("adam-*")
    assert len(list(folder.iterdir())) == 1
    assert len(accumulated(folder).Scalars("loss")) == 4


def test_a_live_view_grows_with_the_run(tmp_path, accumulated):
    growing = SyntheticRun(epochs=6, frames=(0,))
    (path,) = write_runs(tmp_path, [growing])
    whole, record = (path / "epochs.csv").read_bytes(), (path / "run.json").read_text()
    lines = whole.splitlines(keepends=True)
    (path / "epochs.csv").write_bytes(b"".join(lines[:3]))
    (path / "run.json").write_text(record.replace('"completed"', '"running"'))
    follower = subprocess.Popen(
        [sys.executable, "-m", "nstbench", "export", "tensorboard", tmp_path, "--follow"],
        stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert follower.stdout.readline().startswith("following; look at it with: tensorboard")
        folder = tmp_path / "export" / "tensorboard" / path.name
        wait_for(lambda: folder.exists() and steps(accumulated(folder)) == [5, 10])
        (path / "epochs.csv").write_bytes(b"".join(lines[:5]) + lines[5][:9])
        wait_for(lambda: steps(accumulated(folder)) == [5, 10, 15, 20])
        (path / "epochs.csv").write_bytes(whole)
        (path / "run.json").write_text(record)
        wait_for(lambda: steps(accumulated(folder)) == [5, 10, 15, 20, 25, 30])
        wait_for(lambda: "final.loss" in accumulated(folder).Tags()["scalars"])
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 130
    finally:
        follower.kill()


def steps(events):
    return [e.step for e in events.Scalars("loss")] if "loss" in events.Tags()["scalars"] else []


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def test_what_is_handed_on(results):
    write_runs(results, [SyntheticRun(lr=0.3, epochs=2, status=Status.FAILED, images=False)])
    for run in reader.read(results).runs:
        parameters = contents.parameters(run)
        assert parameters["size"] == 16 and "force" not in parameters and "out" not in parameters
        assert all(isinstance(value, str | int | float | bool) for value in parameters.values())
        assert all(np.isfinite(v) for _, _, row in contents.series(run) for v in row.values())


def test_paths_are_results_folders_or_runs(results):
    every = sorted((results / "runs").iterdir())
    assert list(commands.directories([results])) == every
    assert list(commands.directories([results / "runs"])) == every
    assert list(commands.directories([every[1]])) == every[1:]
    for path in (results, results / "runs", every[0]):
        assert commands.Options("mlflow", (path,)).folder == results / "export"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tensorbord"], "did you mean tensorboard"),
        (["mlflow", "nowhere"], "there is no folder nowhere"),
        (["mlflow", "--follow"], "--follow is for tensorboard"),
        (["mlflow", "--folow"], "did you mean --follow"),
        (["mlflow", "projekt=x"], "did you mean project"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    with pytest.raises(SettingsError, match=message) as caught:
        commands.parse(arguments)
    assert "\n" not in str(caught.value)


def test_a_missing_tool_is_named_with_its_extra(results, monkeypatch, capsys):
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    assert commands.main(["wandb", str(results)]) == 2
    assert "pip install 'nstbench[wandb]'" in capsys.readouterr().err
