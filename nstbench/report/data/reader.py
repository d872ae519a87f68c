"""Run directories in, checked runs out: the one place where the report reads what a run wrote.

A directory that cannot be trusted becomes a `Damage` that names file, row and column; it is never
fatal and never half used.
"""

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nstbench.notation import assigned, setting
from nstbench.report.data import presets
from nstbench.report.data.presets import Preset
from nstbench.run import migrate
from nstbench.run.schema import (
    EPOCH_COLUMNS,
    SCHEMA_VERSION,
    TERM,
    TRACE_COLUMNS,
    RunRecord,
    Status,
)


@dataclass(frozen=True)
class Damage:
    """What is wrong with a run directory. `row` is the line of the file, its header being 1."""

    path: Path
    file: str
    row: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        row = f", row {self.row}" if self.row is not None else ""
        column = f", column {self.column}" if self.column is not None else ""
        return f"{self.path.name}: {self.file}{row}{column}: {self.message}"


class Method(BaseModel):
    """The optimizer of a run; `options` are its hyperparameters without the rate."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    name: str
    target: str = ""
    label: str = ""
    options: dict[str, Any] = {}


class Schedule(BaseModel):
    """How the rate changes over the run's steps."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    name: str = "constant"
    options: dict[str, Any] = {}


class Setup(BaseModel):
    """The settings that tell competitors apart; everything else stays in `record.settings`."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    optimizer: Method
    schedule: Schedule = Schedule()
    lr: float | None = None
    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)
    repeat: int = 0
    experiment: str | None = None


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """One run as it lies on the disk.

    `epochs` has the columns `schema.EPOCH_COLUMNS` and a `term_<name>` for each loss term;
    `preset` is what `conf/` says of an optimizer of this name.
    """

    path: Path
    record: RunRecord
    setup: Setup
    epochs: pd.DataFrame
    preset: Preset
    start_loss: float | None = None  # of the first evaluation, where there is a trace

    @cached_property
    def trace(self) -> pd.DataFrame:
        """One row per evaluation (`schema.TRACE_COLUMNS` and the terms), read when asked for; may
        be empty."""
        return _read_trace(self.path, self.record)

    @cached_property
    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """(evaluations, lowest finite loss so far), each (n,): per evaluation, or per epoch without
        a trace."""
        if len(self.trace):
            evaluations, losses = self.trace["evaluation"], self.trace["loss"]
        else:
            evaluations, losses = self.epochs["evaluations"], self.epochs["loss_best"]
        finite = np.where(np.isfinite(losses), losses, np.inf)
        return evaluations.to_numpy(float), np.minimum.accumulate(finite)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def status(self) -> Status:
        return self.record.status

    @property
    def optimizer(self) -> str:
        """The optimizer's name as people write it."""
        return self.setup.optimizer.label or self.preset.label

    @property
    def method(self) -> str:
        """What tells optimizers apart: the name, and the class where it is not the preset's."""
        name, target = self.setup.optimizer.name, self.setup.optimizer.target
        return name if target in ("", self.preset.target) else f"{name} ({target})"

    @property
    def note(self) -> str:
        """What its preset says to whoever ranks this optimizer."""
        return self.preset.note if self.method == self.setup.optimizer.name else ""

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """All but the rate, which `lr` gives; a schedule's are named `schedule.<option>`."""
        schedule = self.setup.schedule.options.items()
        return self.setup.optimizer.options | {f"schedule.{n}": value for n, value in schedule}

    @property
    def changed(self) -> dict[str, Any]:
        """The hyperparameters that differ from the preset of this name."""
        own, usual = self.setup.optimizer.options, self.preset.options
        return {name: own[name] for name in own if name in usual and own[name] != usual[name]}

    @property
    def lr(self) -> float | None:
        return self.setup.lr

    @property
    def label(self) -> str:
        """Optimizer, rate, and what is unusual: "Adam 0.02", "Adam 0.02, beta_1=0.5"."""
        rate = self.optimizer if self.lr is None else f"{self.optimizer} {setting(self.lr)}"
        schedule = [self.setup.schedule.name] if self.setup.schedule.name != "constant" else []
        return ", ".join([rate, *schedule, *assigned(self.changed)])

    @property
    def epochs_made(self) -> int:
        """Epochs that were run: fewer than planned where the optimizer stopped by itself."""
        return self.record.final.epochs if self.record.final else len(self.epochs)

    @property
    def steps(self) -> int:
        """Planned updates of the image."""
        return self.setup.epochs * self.setup.steps_per_epoch

    @property
    def evaluations(self) -> int:
        """Values-and-gradients that were made, as far as the rows say."""
        return int(self.epochs["evaluations"].iloc[-1]) if len(self.epochs) else 0

    @property
    def ends_above_start(self) -> bool:
        """Whether the saved picture's loss is higher than that of the start: a rate too large."""
        end = self.record.final.loss if self.record.final else None
        return end is not None and self.start_loss is not None and end > self.start_loss

    @property
    def experiment(self) -> str | None:
        return self.setup.experiment

    @property
    def repeat(self) -> int:
        return self.setup.repeat

    @property
    def problem(self) -> str:
        return self.record.problem

    @property
    def host(self) -> str:
        return str(self.record.machine.get("host", "unknown"))

    @property
    def comparable_key(self) -> tuple[str, str]:
        """Equal for runs whose seconds may be compared: one problem, one machine and use of it."""
        return (self.problem, self.host)


@dataclass(frozen=True)
class Runs:
    """All that was found: runs in the order of their names, and what could not be used."""

    runs: list[RecordedRun]
    damaged: list[Damage]


class _DamagedFile(Exception):
    """Carries file, row, column and message up to the run that they belong to."""

    def __init__(self, file: str, row: int | None, column: str | None, message: str):
        super().__init__(message)
        self.where = (file, row, column, message)


def read(results: Path) -> Runs:
    """Every run directory in `results/runs`."""
    folder = Path(results) / "runs"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return read_directories(p for p in paths if p.is_dir() and not p.name.startswith("."))


def read_directories(paths: Iterable[Path]) -> Runs:
    """The runs in these directories."""
    runs, damaged = [], []
    known = presets.load()
    for path in paths:
        try:
            runs.append(read_run(path, known))
        except _DamagedFile as damage:
            damaged.append(Damage(path, *damage.where))
        except OSError as error:
            damaged.append(Damage(path, Path(error.filename or "").name, None, None, str(error)))
    return Runs(runs, damaged)


def read_run(path: Path, known: Mapping[str, Preset]) -> RecordedRun:
    """The run in `path`, every file of it checked; `known` are the presets by name."""
    record = _read_record(path / "run.json")
    setup = _validated("run.json", Setup, record.settings, prefix="settings.")
    epochs = _read_epochs(path, record)
    trace = _read_trace(path, record)  # checked now, so that reading it later cannot fail
    start_loss = float(trace["loss"].iloc[0]) if len(trace) else None
    name = setup.optimizer.name
    return RecordedRun(path, record, setup, epochs, known.get(name, Preset(name)), start_loss)


def _read_record(path: Path) -> RunRecord:
    if not path.is_file():
        raise _DamagedFile(path.name, None, None, "is missing")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg}"
        raise _DamagedFile(path.name, error.lineno, str(error.colno), message) from None
    except UnicodeDecodeError:
        raise _DamagedFile(path.name, None, None, "is not text in UTF-8") from None
    except RecursionError:
        raise _DamagedFile(path.name, None, None, "is nested too deep") from None
    if not isinstance(document, dict):
        raise _DamagedFile(path.name, 1, None, "holds no JSON object")
    version = document.get("schema", 0)
    if not isinstance(version, int):
        raise _DamagedFile(path.name, None, "schema", "is no number")
    if version > SCHEMA_VERSION:
        message = f"schema {version} is newer than this report's {SCHEMA_VERSION}; update nstbench"
        raise _DamagedFile(path.name, None, "schema", message)
    try:
        document = migrate.record(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"is not as its schema says ({type(error).__name__}: {error})"
        raise _DamagedFile(path.name, None, None, message) from None
    return _validated(path.name, RunRecord, document)


def _validated(file: str, model: type[BaseModel], document: Any, prefix: str = "") -> Any:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        column = prefix + ".".join(map(str, first["loc"]))
        raise _DamagedFile(file, None, column, first["msg"]) from None


def _read_epochs(path: Path, record: RunRecord) -> pd.DataFrame:
    frame = _read_csv(path / "epochs.csv", EPOCH_COLUMNS, record.status)
    _check_counting(frame, "epochs.csv", "epoch")
    if record.status is Status.COMPLETED:
        _check_finite(frame, "epochs.csv", "loss")
        done = record.final.epochs if record.final else None
        if done is None:
            raise _DamagedFile("run.json", None, "final", "is missing from a completed run")
        if len(frame) != done:
            message = f"the file ends at epoch {len(frame)}, but run.json says {done}"
            raise _DamagedFile("epochs.csv", len(frame) + 1, "epoch", message)
    return frame


def _read_trace(path: Path, record: RunRecord) -> pd.DataFrame:
    if not (path / "trace.csv").is_file():
        return pd.DataFrame(columns=list(TRACE_COLUMNS), dtype=float)
    frame = _read_csv(path / "trace.csv", TRACE_COLUMNS, record.status)
    _check_counting(frame, "trace.csv", "evaluation")
    return frame


def _read_csv(path: Path, columns: tuple[str, ...], status: Status) -> pd.DataFrame:
    """The named columns of one CSV and those of the loss terms, as numbers; a half-written last
    line is not yet a row."""
    if not path.is_file():
        if status in (Status.COMPLETED, Status.DIVERGED):
            raise _DamagedFile(path.name, None, None, "is missing")
        return pd.DataFrame(columns=list(columns), dtype=float)
    data = path.read_bytes()
    if not status.is_final and not data.endswith(b"\n"):
        data = data[: data.rfind(b"\n") + 1]
    try:
        frame = pd.read_csv(io.BytesIO(data), index_col=False)
    except pd.errors.EmptyDataError:
        if not status.is_final:
            return pd.DataFrame(columns=list(columns), dtype=float)
        raise _DamagedFile(path.name, None, None, "is empty") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        row = re.search(r"line (\d+)", str(error))
        message = f"cannot be parsed: {str(error).strip()}"
        raise _DamagedFile(path.name, int(row[1]) if row else None, None, message) from None
    missing = [column for column in columns if column not in frame]
    if missing:
        raise _DamagedFile(path.name, 1, missing[0], "the column is missing")
    frame.columns = migrate.columns(list(map(str, frame.columns)))
    terms = [name for name in frame if str(name).startswith(TERM)]
    return _numbers(frame[[*columns, *terms]], path.name)


def _numbers(frame: pd.DataFrame, file: str) -> pd.DataFrame:
    for column in frame:
        if pd.api.types.is_numeric_dtype(frame[column]) and frame[column].dtype != bool:
            continue
        numbers = pd.to_numeric(frame[column].astype(str), errors="coerce")
        wrong = np.flatnonzero(numbers.isna() & frame[column].notna())
        if wrong.size:
            value = str(frame[column].iloc[wrong[0]])
            message = f"{value[:40]!r} is not a number"
            raise _DamagedFile(file, int(wrong[0]) + 2, str(column), message)
    return frame.astype(float)


def _check_counting(frame: pd.DataFrame, file: str, column: str) -> None:
    """`column` counts 1, 2, 3 ... and no other counter or clock runs backwards."""
    counts = frame[column].to_numpy()
    wrong = np.flatnonzero(counts != np.arange(1, len(counts) + 1))
    if wrong.size:
        at = int(wrong[0])
        message = f"{counts[at]:g} where {at + 1} must follow"
        raise _DamagedFile(file, at + 2, column, message)
    for counter in ("step", "evaluations", "optimise_s", "wall_s"):
        if counter not in frame:
            continue
        _check_finite(frame, file, counter)
        back = np.flatnonzero(np.diff(frame[counter].to_numpy()) < 0)
        if back.size:
            raise _DamagedFile(file, int(back[0]) + 3, counter, "runs backwards")


def _check_finite(frame: pd.DataFrame, file: str, column: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(frame[column].to_numpy()))
    if wrong.size:
        raise _DamagedFile(file, int(wrong[0]) + 2, column, "holds no finite number")
