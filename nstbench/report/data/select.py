"""Runs by what they are: a selector names settings and the values that a run must have.

    {optimizer: adam, lr: 0.02, epochs: 50}      {optimizer: lbfgs, optimizer.memory: 20, size: 64}

What a selector does not name may have any value, but hyperparameters as the optimizer's preset
has them are preferred. The name of an experiment is never looked at.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nstbench import errors
from nstbench.notation import assigned, setting
from nstbench.report.data.compare import competitors
from nstbench.report.data.presets import Preset
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportedTable, Row, Selector


@dataclass(frozen=True)
class Selected:
    """The runs of one competitor, and how many competitors matched in all."""

    runs: tuple[RecordedRun, ...]
    matching: int

    @property
    def name(self) -> str:
        """The competitor as it was run: "Adam 0.02, 50 epochs"."""
        run = self.runs[0]
        per_epoch = run.setup.steps_per_epoch
        unusual = f" of {per_epoch}" if per_epoch != 5 else ""
        return f"{run.label}, {run.setup.epochs} epochs{unusual}"


def select(runs: Iterable[RecordedRun], selector: Selector) -> Selected:
    """Of the competitors that match, the one with unchanged hyperparameters, then the one with the
    most runs."""
    found = competitors(run for run in runs if matches(run, selector))
    best = max(found, key=lambda each: (not each.first.changed, len(each.runs)), default=None)
    return Selected(best.runs if best else (), len(found))


def matches(run: RecordedRun, selector: Selector) -> bool:
    """Whether `run` has every value that `selector` names."""
    return all(equal(_value(run, name), wanted) for name, wanted in selector.items())


def is_row(run: RecordedRun, row: Row) -> bool:
    """Whether `run` is what a row of the report's table is: nothing altered, no schedule."""
    plain = not run.changed and run.setup.schedule.name == "constant"
    return plain and matches(run, row.selector)


def runs_of_row(runs: Iterable[RecordedRun], row: Row) -> tuple[RecordedRun, ...]:
    """The repeats of one row of the report's table."""
    return tuple(run for run in runs if is_row(run, row))


def of_table(runs: Iterable[RecordedRun], table: ReportedTable) -> int:
    """How many of `runs` belong to the report's table."""
    return sum(any(is_row(run, row) for row in table.rows) for run in runs)


def check(selectors: Iterable[Selector], runs: Sequence[RecordedRun]) -> None:
    """Raises `SettingsError` for a name in a selector that no run has a setting of."""
    known = {*SHORT, *(name for run in runs for name in run.record.settings)}
    for name in {name for selector in selectors for name in selector}:
        if runs and "." not in name and name not in known:
            raise errors.unknown("setting in a selector", name, known)


def in_words(selector: Selector, presets: Mapping[str, Preset]) -> str:
    """A competitor that was not run, as a sentence names it."""
    rest = dict(selector)
    optimizer = str(rest.pop("optimizer", "any optimizer"))
    name = presets[optimizer].label if optimizer in presets else optimizer
    rate, epochs = rest.pop("lr", None), rest.pop("epochs", None)
    rest.pop("steps_per_epoch", None)
    parts = [f"{name} {setting(rate)}" if rate is not None else name]
    parts += [f"{epochs} epochs"] if epochs is not None else []
    return ", ".join([*parts, *assigned(rest)])


def command(selector: Selector, repeats: int) -> str:
    """What makes the runs of a selector that names their settings."""
    settings = [f"{name}={value}" for name, value in selector.items()]
    repeated = [f"repeats={repeats}"] if repeats > 1 else []
    return " ".join(["python -m nstbench", *settings, *repeated])


NESTED = ("options", "terms")  # what stands below these is named without them
SHORT = {  # names that stand for a part of the settings
    "optimizer": lambda run: _names(run),
    "schedule": lambda run: run.setup.schedule.name,
    "lr": lambda run: run.lr,
    "objective": lambda run: _name(run, "objective"),
    "extractor": lambda run: _name(run, "extractor"),
}


def _value(run: RecordedRun, name: str) -> Any:
    if name in SHORT:
        return SHORT[name](run)
    value: Any = run.record.settings
    for part in name.split("."):
        value = _inside(value, part)
    return value


def _inside(value: Any, key: str) -> Any:
    """The entry `key` of a mapping, or of one that is nested in it; None where there is none."""
    if not isinstance(value, dict):
        return None
    for each in (value, *(value.get(nested) for nested in NESTED)):
        if isinstance(each, dict) and key in each:
            return each[key]
    return None


def _names(run: RecordedRun) -> set[str]:
    method = run.setup.optimizer
    return {method.name, run.optimizer} | ({method.target} if method.target else set())


def _name(run: RecordedRun, section: str) -> Any:
    value = run.record.settings.get(section)
    return value.get("name") if isinstance(value, dict) else value


def equal(value: Any, wanted: Any) -> bool:
    """Whether a value is the one wanted; numbers to nine digits, a list of one like its element."""
    if isinstance(value, set):
        return wanted in value
    if isinstance(value, list | tuple):
        wanted = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
        return len(value) == len(wanted) and all(map(equal, value, wanted))
    if any(isinstance(each, bool) or each is None for each in (value, wanted)):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return math.isclose(value, wanted, rel_tol=1e-9)
    return value == wanted
