"""The runs of a benchmark: ordinary run directories, and what is read back from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nstbench.errors import RecordError
from nstbench.run.record import read_record, read_rows
from nstbench.run.schema import TRACE_COLUMNS, RunRecord
from nstbench.settings import compose, identity
from nstbench.settings.model import Settings


@dataclass(frozen=True)
class Run:
    """One run, by the arguments that `python -m nstbench` would be given for it."""

    arguments: tuple[str, ...]

    @cached_property
    def settings(self) -> Settings:
        return compose.resolve(self.arguments)

    @cached_property
    def directory(self) -> Path:
        return identity.run_directory(self.settings)

    @property
    def is_over(self) -> bool:
        """Whether its record is final: nothing is left to do."""
        record = read_record(self.directory)
        return record is not None and record.status.is_final


@dataclass(frozen=True)
class Result:
    """What a run came to; `losses` by evaluation, at most as many as the horizon."""

    id: str
    losses: np.ndarray
    record: RunRecord

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the pictures' pixels and of the weights that it saw."""
        styles = [style.sha256 for style in self.record.style]
        return {
            "content": self.record.content.sha256,
            "style": styles[0] if len(styles) == 1 else "+".join(styles),
            "weights": self.record.weights.sha256,
        }


def read(run: Run, horizon: int) -> Result | None:
    """The result of a run that is over; None for one that is not (it failed, say)."""
    record = read_record(run.directory)
    if record is None or not record.status.is_final:
        return None
    rows = read_rows(run.directory / "trace.csv", TRACE_COLUMNS)
    losses = np.array([float(row["loss"]) for row in rows[:horizon]])
    if not len(losses):
        raise RecordError(f"{run.directory} has no evaluation on record")
    return Result(record.id, losses, record)


def read_all(runs: Sequence[Run], horizon: int) -> list[Result | None]:
    return [read(run, horizon) for run in runs]
