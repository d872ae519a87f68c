"""The report's own settings: `conf/report/*.yaml`, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from nstbench.files import conf_dir

Metric = Literal["total_s", "optimise_s", "loss", "evaluations_to_target"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Model):
    """One row of the report's table: what was run and how long the report says it took."""

    row: int
    experiment: str
    optimizer: str
    lr: float
    epochs: int
    steps_per_epoch: int
    reported_seconds: float

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


class ReportedTable(_Model):
    source: str
    rows: tuple[Row, ...]

    def row(self, number: int) -> Row:
        return next(row for row in self.rows if row.row == number)


class Claim(_Model):
    """One sentence and the comparisons of rows that decide it; see `conf/report/claims.yaml`."""

    id: str
    claim: str
    where: str
    metric: Metric
    also: Metric | None = None
    expect: Literal["less", "more", "close", "differ"]
    quantifier: Literal["all", "most"]
    comparisons: tuple[tuple[int, int], ...] = Field(min_length=1)
    margin: float | None = None  # that of the file when None


class Claims(_Model):
    margin: float = Field(gt=0)
    level: float = Field(gt=0, lt=1)
    fewest_repeats: int = Field(ge=2)  # one repeat decides nothing
    claims: tuple[Claim, ...]


class TargetSettings(_Model):
    shares: tuple[float, ...]
    decisive: float
    penalty: float = Field(ge=1)


class FigureCurve(_Model):
    """One curve of a figure: the competitor it shows."""

    optimizer: str
    lr: float
    experiment: str


class FigureSpec(_Model):
    """One of the report's loss-curve figures; see `conf/report/figures.yaml`."""

    name: str
    source: str
    epochs: int
    curves: tuple[FigureCurve, ...]


class Figures(_Model):
    figures: tuple[FigureSpec, ...]


@dataclass(frozen=True)
class ReportSettings:
    """All of `conf/report/`."""

    table: ReportedTable
    claims: Claims
    targets: TargetSettings
    figures: Figures


def load() -> ReportSettings:
    """The settings of the installed package, or of the checkout."""
    return ReportSettings(
        ReportedTable.model_validate(_load("table1.yaml")),
        Claims.model_validate(_load("claims.yaml")),
        TargetSettings.model_validate(_load("targets.yaml")),
        Figures.model_validate(_load("figures.yaml")),
    )


def folder() -> Path:
    """`conf/report/`."""
    return conf_dir() / "report"


def _load(name: str) -> dict:
    return yaml.safe_load((folder() / name).read_text(encoding="utf-8"))
