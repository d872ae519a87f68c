"""`nstbench.results`: what a notebook gets of a results folder."""

from pathlib import Path

import numpy as np
import pytest
from synthetic import SyntheticRun, write_runs

import nstbench
from nstbench.errors import SettingsError
from nstbench.report.data import reader
from nstbench.run.schema import EPOCH_COLUMNS, Status

REFERENCE = Path(__file__).parents[1] / "results" / "reference"


def test_a_row_for_each_run_and_one_for_each_epoch(tmp_path):
    made = [
        SyntheticRun(epochs=3, options={"beta_1": 0.8}),
        SyntheticRun("lbfgs", 1.0, epochs=4, evaluations_per_step=3),
    ]
    write_runs(tmp_path, made)
    runs, epochs = nstbench.results(tmp_path)
    assert list(runs["run"]) == sorted(run.id for run in made)
    adam = runs.set_index("run").loc[made[0].id]
    assert (adam["optimizer"], adam["lr"], adam["epochs"]) == ("adam", 0.02, 3)
    assert adam["optimizer.beta_1"] == 0.8 and adam["style"] == "waves"
    assert adam["status"] == "completed" and adam["content"] == "portrait"
    known = {run.id: run for run in reader.read(tmp_path).runs}
    assert adam["final.loss"] == known[made[0].id].record.final.loss
    assert adam["clocks.total_s"] == known[made[0].id].record.clocks.total_s
    assert adam["quality.ssim"] == 0.5 and "final.terms.style" in runs
    assert len(epochs) == 7 and set(EPOCH_COLUMNS) <= set(epochs)
    losses = epochs.loc[epochs["run"] == made[1].id, "loss"]
    assert np.array_equal(losses, known[made[1].id].epochs["loss"])
    assert set(epochs["label"]) == set(runs["label"])


def test_every_cell_can_be_grouped_by(tmp_path):
    write_runs(tmp_path, [SyntheticRun(), SyntheticRun(repeat=1)])
    runs, _ = nstbench.results(tmp_path)
    for column in runs:
        assert sum(len(group) for _, group in runs.groupby(column, dropna=False)) == 2, column


def test_a_run_that_is_under_way_has_its_epochs_and_no_result(tmp_path):
    write_runs(tmp_path, [SyntheticRun(), SyntheticRun(lr=0.1, status=Status.RUNNING)])
    runs, epochs = nstbench.results(tmp_path)
    assert sorted(runs["status"]) == ["completed", "running"] and len(epochs) == 20


def test_damage_is_a_warning_and_nothing_an_error(tmp_path):
    write_runs(tmp_path, [SyntheticRun(), SyntheticRun(lr=0.1)])
    (tmp_path / "runs" / SyntheticRun().id / "run.json").write_text("{")
    with pytest.warns(UserWarning, match="not JSON"):
        runs, _ = nstbench.results(tmp_path)
    assert len(runs) == 1
    with pytest.raises(SettingsError, match="no runs in nowhere"):
        nstbench.results("nowhere")


def test_the_reference_results_are_whole_frames():
    runs, epochs = nstbench.results(REFERENCE)
    assert len(runs) == 44 and runs["final.loss"].notna().all()
    assert len(epochs) == runs["final.epochs"].sum()
