"""The report's own settings: `conf/report/*.yaml` and the rows of `conf/suite/table1.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nstbench.errors import SettingsError
from nstbench.files import conf_dir
from nstbench.report.data import presets
from nstbench.report.data.presets import Preset, read_yaml

Selector = dict[str, Any]  # names of settings and the values that a run must have, see `select`


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Model):
    """One row of the report's table: what was run and how long the report says it took."""

    row: int
    optimizer: str
    lr: float
    epochs: int
    steps_per_epoch: int
    reported_seconds: float

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def selector(self) -> Selector:
        return self.model_dump(exclude={"row", "reported_seconds"})


class ReportedTable(_Model):
    rows: tuple[Row, ...]

    def matching(self, selector: Selector) -> Row | None:
        """The row that `selector` describes, where it names enough for exactly one."""
        found = [row for row in self.rows if selector.items() <= row.selector.items()]
        return found[0] if len(found) == 1 else None


class Sides(_Model):
    """Two competitors, each by what its runs must be."""

    a: Selector = Field(min_length=1)
    b: Selector = Field(min_length=1)


class Claim(_Model):
    """One sentence and the comparisons that decide it; see `conf/report/claims.yaml`.

    A claim with one comparison may give `a` and `b` directly.
    """

    id: str = ""
    claim: str
    where: str = ""
    metric: str
    also: str | None = None
    expect: Literal["less", "more", "close", "differ"]
    quantifier: Literal["all", "most"] = "all"
    decided_by: Literal["runs", "cost"] = "runs"  # cost: of a step, where a session tells it
    comparisons: tuple[Sides, ...] = Field(min_length=1)
    margin: float | None = Field(None, ge=0)  # that of the file when None

    @model_validator(mode="before")
    @classmethod
    def _of_one_comparison(cls, values: Any) -> Any:
        if isinstance(values, dict) and {"a", "b"} & set(values) and "comparisons" not in values:
            values = dict(values)
            sides = {side: values.pop(side) for side in ("a", "b") if side in values}
            values["comparisons"] = [sides]
        return values


class Claims(_Model):
    """`common` belongs to every selector; `run` is the command that makes all the runs."""

    margin: float = Field(0.02, gt=0)
    level: float = Field(0.95, gt=0.5, lt=1)
    fewest_repeats: int = Field(3, ge=2)  # one repeat decides nothing
    neighbours_s: float = Field(21600, gt=0)
    step_size: int | None = None  # pixels at which a step's cost is asked for first; else the runs'
    common: Selector = {}
    run: str | None = None
    claims: tuple[Claim, ...]


class TargetSettings(_Model):
    shares: tuple[float, ...]
    decisive: float
    penalty: float = Field(ge=1)


class FigureSpec(_Model):
    """Loss curves to be seen together; see `conf/report/figures.yaml`. `name` is its files'."""

    name: str = Field(pattern=r"^\w[\w-]*$")
    source: str = ""
    curves: tuple[Selector, ...] = Field(min_length=1)


class Figures(_Model):
    common: Selector = {}
    figures: tuple[FigureSpec, ...]


@dataclass(frozen=True)
class ReportSettings:
    """All that the report is told. `own_...`: these are a person's, not the report's."""

    table: ReportedTable
    claims: Claims
    targets: TargetSettings
    figures: Figures
    presets: Mapping[str, Preset]
    own_claims: bool = False
    own_figures: bool = False


def load(claims: Path | None = None, figures: Path | None = None) -> ReportSettings:
    """The settings of the package; `claims` and `figures` are a person's own files in their place.

    Raises `SettingsError`, in one line, for a file that cannot be read or says something unknown.
    """
    folder = conf_dir() / "report"
    return ReportSettings(
        ReportedTable(rows=tuple(_rows(conf_dir() / "suite" / "table1.yaml"))),
        _validated(Claims, claims or folder / "claims.yaml"),
        _validated(TargetSettings, folder / "targets.yaml"),
        _validated(Figures, figures or folder / "figures.yaml"),
        presets.load(),
        own_claims=claims is not None,
        own_figures=figures is not None,
    )


def _rows(path: Path) -> list[Row]:
    rows = read_yaml(path).get("rows", [])
    return [Row(row=number, **row) for number, row in enumerate(rows, start=1)]


def _validated(model: type[_Model], path: Path) -> Any:
    try:
        return model.model_validate(read_yaml(path))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SettingsError(f"{path}: {where}: {first['msg']}") from None
