"""Exports read back by the real MLflow, Weights & Biases and Trackio: `make test-export`.

They are heavy, hence no part of the test extra; TensorBoard's is tested in `test_export.py`.
"""

import struct
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from synthetic import SyntheticRun, write_runs  # noqa: E402

from nstbench.export import commands, contents  # noqa: E402
from nstbench.report.data import reader  # noqa: E402
from nstbench.run.schema import Status  # noqa: E402

BLOCK = 32768  # bytes
RUNS = [
    SyntheticRun(epochs=4, frames=(0, 2), options={"beta_1": 0.8}),
    SyntheticRun("lbfgs", 1.0, epochs=3, evaluations_per_step=3, diverged_at=3),
    SyntheticRun(lr=0.5, epochs=2, status=Status.FAILED, images=False),
]


@pytest.fixture
def results(tmp_path):
    write_runs(tmp_path / "results", RUNS)
    return tmp_path / "results"


def series(run):
    return [(step, row["loss"]) for step, _, row in contents.series(run) if "loss" in row]


def test_mlflow_in_a_sqlite_file(results):
    from mlflow import MlflowClient

    for _ in range(2):  # the second export replaces the first
        assert commands.main(["mlflow", str(results)]) == 0
    client = MlflowClient(tracking_uri=f"sqlite:///{results / 'export' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nstbench")
    found = {
        run.data.tags["nstbench.run"]: run for run in client.search_runs([experiment.experiment_id])
    }
    known = {run.id: run for run in reader.read(results).runs}
    assert set(found) == set(known)
    for name, run in known.items():
        stored = found[name]
        assert stored.info.run_name == run.label
        assert stored.data.params["lr"] == str(run.lr)
        history = client.get_metric_history(stored.info.run_id, "loss")
        assert [(m.step, m.value) for m in history] == series(run)
        ends = {k: v for k, v in contents.summary(run).items()}
        assert {k: stored.data.metrics[k] for k in ends} == ends
        fate = "FAILED" if run.status is Status.FAILED else "FINISHED"
        assert stored.info.status == fate
    (adam,) = [run for run in known.values() if run.setup.optimizer.options]
    files = {file.path for file in client.list_artifacts(found[adam.id].info.run_id)}
    assert {"image.png", "content.png", "style.png", "run.json", "epochs.csv"} <= files
    copy = client.download_artifacts(found[adam.id].info.run_id, "image.png")
    assert Path(copy).read_bytes() == (adam.path / "image.png").read_bytes()
    assert found[adam.id].data.params["optimizer.beta_1"] == "0.8"


def test_weights_and_biases_offline(results, monkeypatch):
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    assert commands.main(["wandb", str(results), "project=mine"]) == 0
    known = {run.id: run for run in reader.read(results).runs}
    files = list((results / "export" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == len(known)
    for file in files:
        records = [Record.FromString(data) for data in logged(file.read_bytes())]
        (made,) = {each.run.run_id: each.run for each in records if each.HasField("run")}.values()
        assert made.project == "mine" and made.display_name == known[made.run_id].label
        assert {"lr", "optimizer", "size"} <= {item.key for item in made.config.update}
        rows = [
            {i.key or ".".join(i.nested_key): i.value_json for i in each.history.item}
            for each in records
            if each.HasField("history")
        ]
        losses = [(int(r["evaluations"]), float(r["loss"])) for r in rows if "loss" in r]
        assert losses == series(known[made.run_id])


def logged(data):
    """The entries of a log in LevelDB's format, which W&B's offline files have."""
    at, entry = 7, b""  # behind the file's own header
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        entry += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield entry
            entry = b""


def test_trackio_on_this_machine(results, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for _ in range(2):
        assert commands.main(["trackio", str(results)]) == 0
    from trackio.sqlite_storage import SQLiteStorage

    known = reader.read(results).runs
    assert sorted(SQLiteStorage.get_runs("nstbench")) == sorted(run.id for run in known)
    for run in known:
        logs = SQLiteStorage.get_logs("nstbench", run.id)
        assert [(log["evaluations"], log["loss"]) for log in logs if "loss" in log] == series(run)
        assert logs[-1]["clocks.total_s"] == run.record.clocks.total_s
