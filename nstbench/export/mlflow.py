"""Runs in an MLflow tracking store, a SQLite file unless another one is named."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from nstbench.export import contents
from nstbench.export.commands import Options
from nstbench.report.data.reader import RecordedRun
from nstbench.run.schema import Status

ID = "nstbench.run"  # the tag by which an earlier export of a run is found
FATES = {  # MLflow's word for each status
    Status.COMPLETED: "FINISHED", Status.DIVERGED: "FINISHED", Status.FAILED: "FAILED",
    Status.INTERRUPTED: "KILLED", Status.RUNNING: "RUNNING",
}  # fmt: skip
METRICS, PARAMETERS, LETTERS = 1000, 100, 6000  # limits of one call, and of one value
FILES = ("image.png", "run.json", "epochs.csv", "trace.csv")


def view(options: Options) -> str:
    """The command that shows what was exported."""
    return f"mlflow ui --backend-store-uri {_uri(options)}"


def _uri(options: Options) -> str:
    return options.to or f"sqlite:///{options.folder / 'mlflow.db'}"


class Writer:
    """An experiment of a tracking store."""

    def __init__(self, options: Options):
        options.folder.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=_uri(options))
        known = self._client.get_experiment_by_name(options.project)
        artifacts = None if options.to else (options.folder / "mlflow-files").as_uri()
        self._experiment = (
            known.experiment_id
            if known
            else self._client.create_experiment(options.project, artifacts)
        )

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def update(self, run: RecordedRun) -> None:
        """Write a run, in the place of an earlier export of it."""
        client, name = self._client, run.id.replace("'", "")
        for old in client.search_runs([self._experiment], f"tags.`{ID}` = '{name}'"):
            client.delete_run(old.info.run_id)
        start = _milliseconds(contents.began(run))
        tags = {ID: name, MLFLOW_RUN_NAME: run.label, "status": str(run.status)}
        made = client.create_run(self._experiment, start, tags)
        key = made.info.run_id
        parameters = [
            Param(n, str(v)[:LETTERS]) for n, v in contents.parameters(run).items() if n != "label"
        ]
        for part in _parts(parameters, PARAMETERS):
            client.log_batch(key, params=part)
        metrics, end = _metrics(run)
        for part in _parts(metrics, METRICS):
            client.log_batch(key, metrics=part)
        client.log_batch(key, tags=[RunTag("problem", run.problem)])
        for path in [run.path / name for name in FILES] + list(contents.inputs(run).values()):
            if path.is_file():
                client.log_artifact(key, str(path))
        client.set_terminated(key, FATES[run.status], end)


def _metrics(run: RecordedRun) -> tuple[list[Metric], int]:
    """All values with their times, and the time of the last."""
    end, last, metrics = _milliseconds(contents.began(run)), 0, []
    for evaluations, time, values in contents.series(run):
        end, last = _milliseconds(time), evaluations
        metrics += [Metric(name, value, end, evaluations) for name, value in values.items()]
    metrics += [Metric(name, value, end, last) for name, value in contents.summary(run).items()]
    return metrics, end


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _parts(whole: Sequence[Any], length: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(whole), length):
        yield whole[start : start + length]
