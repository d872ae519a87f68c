"""Run directories are read whole, or named and skipped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import TERMS, SyntheticRun, record, table1, write_run, write_runs

from nstbench.report.data import reader
from nstbench.run.schema import SCHEMA_VERSION, Status, epoch_columns, trace_columns


@pytest.fixture
def results(tmp_path):
    """One sound run; a test spoils it or adds to it."""
    write_run(tmp_path, SyntheticRun())
    return tmp_path


def only_damage(results):
    found = reader.read(results)
    assert found.runs == []
    (damage,) = found.damaged
    return damage


def path_of(results):
    (path,) = (results / "runs").iterdir()
    return path


def change(path, line, old, new):
    """Replace `old` by `new` in one line (the header is 1) of a file."""
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("".join(lines))


def change_record(path, **fields):
    document = json.loads((path / "run.json").read_text()) | fields
    (path / "run.json").write_text(json.dumps(document))


def test_a_run_is_read_as_it_was_written(results):
    (run,) = reader.read(results).runs
    assert run.label == "Adam 0.02"
    assert (run.optimizer, run.lr, run.repeat, run.steps) == ("Adam", 0.02, 0, 50)
    assert list(run.epochs) == list(epoch_columns(TERMS))
    assert list(run.trace) == list(trace_columns(TERMS))
    assert len(run.epochs) == 10 and len(run.trace) == 50
    assert run.epochs["loss"].iloc[0] == pytest.approx(run.trace["loss"][:5].mean())


def test_nothing_there_is_no_runs(tmp_path):
    assert reader.read(tmp_path) == reader.Runs([], [])
    (tmp_path / "runs").mkdir()
    assert reader.read(tmp_path) == reader.Runs([], [])


def test_the_layout_of_the_reference_results_is_the_same(tmp_path):
    write_run(tmp_path / "reference", replace(SyntheticRun(), images=False))
    assert len(reader.read(tmp_path / "reference").runs) == 1


def test_one_damaged_run_does_not_hide_the_others(tmp_path):
    paths = write_runs(tmp_path, table1(1))
    (paths[3] / "run.json").write_text("{")
    found = reader.read(tmp_path)
    assert len(found.runs) == 9
    assert [damage.path for damage in found.damaged] == [paths[3]]


@pytest.mark.parametrize(
    ("file", "line", "old", "new", "row", "column"),
    [
        ("epochs.csv", 4, "3,15,", "3,fifteen,", 4, "step"),
        ("epochs.csv", 4, "3,15,", "4,15,", 4, "epoch"),
        ("epochs.csv", 4, "3,15,", "3,9,", 4, "step"),
        ("epochs.csv", 1, "loss_best", "loss_beast", 1, "loss_best"),
        ("epochs.csv", 3, "2,10,", "2,", 3, None),
        ("epochs.csv", 5, "4,20,", "4,20,1,", 5, None),
        ("trace.csv", 7, "6,2,", "6,x,", 7, "epoch"),
        ("trace.csv", 7, "6,2,", "9,2,", 7, "evaluation"),
        ("trace.csv", 1, "grad_norm", "grad", 1, "grad_norm"),
    ],
)
def test_a_bad_cell_is_named_by_file_row_and_column(results, file, line, old, new, row, column):
    change(path_of(results) / file, line, old, new)
    damage = only_damage(results)
    assert (damage.file, damage.row) == (file, row)
    if column:
        assert damage.column == column
    assert f"{file}, row {row}" in str(damage)


def test_a_loss_that_is_no_number_is_damage_only_where_the_run_claims_success(tmp_path):
    path = write_run(tmp_path, SyntheticRun(diverged_at=4))
    (run,) = reader.read(tmp_path).runs
    assert run.status is Status.DIVERGED
    assert np.isnan(run.epochs["loss"].iloc[-1])
    change_record(path, status="completed")
    damage = only_damage(tmp_path)
    assert (damage.file, damage.row, damage.column) == ("epochs.csv", 5, "loss")


def test_a_completed_run_that_lost_rows_is_damage(results):
    path = path_of(results) / "epochs.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    damage = only_damage(results)
    assert (damage.row, damage.column) == (9, "epoch")
    assert "run.json says 10" in damage.message


def test_the_half_written_row_of_a_running_run_is_not_a_row(results):
    path = path_of(results)
    change_record(path, status="running", final=None, clocks=None)
    (path / "epochs.csv").write_text((path / "epochs.csv").read_text()[:-40])
    (run,) = reader.read(results).runs
    assert len(run.epochs) == 9


@pytest.mark.parametrize("name", ["epochs.csv", "run.json"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00"])
def test_missing_empty_and_binary_files(results, name, content):
    path = path_of(results) / name
    path.unlink() if content is None else path.write_bytes(content)
    assert only_damage(results).file == name


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"problem": None}, "problem"),
        ({"status": "finished"}, "status"),
        ({"settings": {"lr": 0.02, "epochs": 1, "steps_per_epoch": 5}}, "settings.optimizer"),
        (
            {"settings": {"optimizer": {"name": "adam"}, "epochs": 0, "steps_per_epoch": 5}},
            "settings.epochs",
        ),
        ({"final": None}, "final"),
        ({"content": {"name": "x", "sha256": "y", "height": "tall", "width": 3}}, "content.height"),
    ],
)
def test_a_bad_field_of_the_record_is_named(results, fields, column):
    change_record(path_of(results), **fields)
    damage = only_damage(results)
    assert (damage.file, damage.column) == ("run.json", column)


def test_a_record_that_is_cut_off_is_named_with_its_line(results):
    path = path_of(results) / "run.json"
    path.write_text(path.read_text()[:400])
    damage = only_damage(results)
    assert damage.file == "run.json" and damage.row > 5


def test_a_record_of_a_newer_schema_asks_for_an_update(results):
    change_record(path_of(results), schema=SCHEMA_VERSION + 1)
    damage = only_damage(results)
    assert damage.column == "schema" and "update nstbench" in damage.message


def test_a_record_from_before_the_schema_was_numbered_is_read(results):
    path = path_of(results) / "run.json"
    document = json.loads(path.read_text())
    del document["schema"]
    path.write_text(json.dumps(document))
    (run,) = reader.read(results).runs
    assert run.record.schema_version == SCHEMA_VERSION


def test_a_run_of_schema_1_is_read_as_the_same_run_of_today(tmp_path):
    new = SyntheticRun("adagrad", options={"epsilon": 1e-7})
    write_run(tmp_path / "new", new)
    write_run(tmp_path / "old", replace(new, schema=1))
    (now,), (then,) = (reader.read(tmp_path / name).runs for name in ("new", "old"))
    assert then.record.schema_version == SCHEMA_VERSION
    assert (then.label, then.method, then.changed) == (now.label, now.method, now.changed)
    assert then.hyperparameters == now.hyperparameters == {"epsilon": 1e-7}
    assert then.record.final.terms == now.record.final.terms
    assert list(then.epochs) == list(now.epochs) and list(then.trace) == list(now.trace)
    assert set(then.record.reference.terms) == {"content", "style"}


def test_the_falling_rate_of_schema_1_is_a_schedule(tmp_path):
    decay = {"decay": 0.8, "decay_steps": 100}
    write_run(tmp_path, SyntheticRun("adam_decay", options=decay, schema=1))
    (run,) = reader.read(tmp_path).runs
    assert (run.method, run.setup.schedule.name) == ("adam", "exponential")
    assert run.label == "Adam 0.02, exponential"


def test_every_record_of_the_reference_results_is_read():
    results = Path(__file__).parents[1] / "results" / "reference"
    found, directories = reader.read(results), list((results / "runs").iterdir())
    assert directories and found.damaged == [] and len(found.runs) == len(directories)


def test_terms_go_by_the_names_that_the_run_gave_them(tmp_path):
    path = write_run(tmp_path, SyntheticRun())
    for name in ("epochs.csv", "trace.csv"):
        text = (path / name).read_text().replace("term_style", "term_activation")
        (path / name).write_text(text)
    (run,) = reader.read(tmp_path).runs
    assert "term_activation" in run.epochs and "term_activation" in run.trace


def test_what_is_unusual_of_an_optimizer_is_part_of_its_label(tmp_path):
    write_run(tmp_path, SyntheticRun(options={"beta_1": 0.5, "beta_2": 0.999}))
    (run,) = reader.read(tmp_path).runs
    assert run.label == "Adam 0.02, beta_1=0.5"


def test_a_label_has_the_one_notation_of_a_number_and_all_that_a_setting_needs(tmp_path):
    write_run(tmp_path, SyntheticRun(lr=0.012345, options={"epsilon": 1e-05, "amsgrad": True}))
    (run,) = reader.read(tmp_path).runs
    assert run.label == "Adam 0.012345, epsilon=1e-5, amsgrad=True"


def test_the_synthetic_record_is_complete(results):
    """Tests that rely on the generator rely on it writing what a run writes."""
    (run,) = reader.read(results).runs
    assert set(record(SyntheticRun(), run.epochs)) >= {
        field.alias or name for name, field in type(run.record).model_fields.items()
    }


def test_files_and_hidden_folders_beside_the_runs_are_no_runs(results):
    (results / "runs" / ".locks").mkdir()
    (results / "runs" / "notes.txt").write_text("mine")
    assert len(reader.read(results).runs) == 1
    assert reader.read(results).damaged == []
