"""Which runs may stand side by side: groups, competitors in a group, pairs of repeats."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportedTable, Row
from nstbench.run.schema import Status


@dataclass(frozen=True)
class Group:
    """Runs that may share a curve or a ratio. `key` is short, stable and fit for a file name."""

    key: str
    title: str
    runs: tuple[RecordedRun, ...]


@dataclass(frozen=True)
class Competitor:
    """The repeats of one row: same optimizer, rate and, when `steps` is given, same schedule."""

    label: str
    runs: tuple[RecordedRun, ...]

    @property
    def first(self) -> RecordedRun:
        return self.runs[0]

    def by_repeat(self) -> dict[int, RecordedRun]:
        """The newest run of each repeat."""
        ordered = sorted(self.runs, key=lambda run: run.record.created)
        return {run.repeat: run for run in ordered}


def groups(runs: Iterable[RecordedRun]) -> list[Group]:
    """Runs of one problem, for losses: largest group first."""
    return _grouped(runs, lambda run: (run.problem,), _problem_title)


def timing_groups(runs: Iterable[RecordedRun]) -> list[Group]:
    """Runs of one problem on one machine, computed in one way, for seconds: largest first."""
    return _grouped(runs, lambda run: run.comparable_key, _timing_title)


def competitors(runs: Iterable[RecordedRun], by_schedule: bool = True) -> list[Competitor]:
    """The runs of a group by optimizer, hyperparameters and rate, and by schedule if asked for.

    Labels are unique: where optimizer and rate do not tell two apart, what differs is added.
    """
    found = defaultdict(list)
    for run in sorted(runs, key=_row_order):
        found[_identity(run, by_schedule)].append(run)
    members = [tuple(group) for group in found.values()]
    labels = _labels(members, (_schedule, _hyperparameters) if by_schedule else (_hyperparameters,))
    return [Competitor(label, runs) for label, runs in zip(labels, members, strict=True)]


def runs_of_row(
    runs: Iterable[RecordedRun], row: Row, table: ReportedTable
) -> tuple[RecordedRun, ...]:
    """The repeats of one row of the report's table.

    A run belongs to the row whose experiment it names; where no run does, to the row whose
    optimizer, rate and schedule it has. Of several sets of hyperparameters the larger one is taken.
    """
    runs = tuple(runs)
    named = [run for run in runs if run.experiment == row.experiment]
    names = {each.experiment for each in table.rows}
    alike = [run for run in runs if run.experiment not in names and _is_like(run, row)]
    found = competitors(named or alike)
    return max((each.runs for each in found), key=len, default=())


def of_table(runs: Iterable[RecordedRun], table: ReportedTable) -> int:
    """How many of `runs` belong to the report's table."""
    runs = tuple(runs)
    return sum(len(runs_of_row(runs, row, table)) for row in table.rows)


def seconds(run: RecordedRun, clock: str) -> float | None:
    """The reading of one stopwatch, or None where it says nothing: disturbed or unfinished."""
    usable = run.status is Status.COMPLETED and run.record.timing_valid and run.record.clocks
    return getattr(run.record.clocks, clock) if usable else None


def final_loss(run: RecordedRun) -> float | None:
    """Loss of the saved image; infinite where it is not finite, None for an unfinished run."""
    if not run.status.is_final:
        return None
    lost = run.status is Status.DIVERGED or run.record.final is None
    return np.inf if lost or run.record.final.loss is None else run.record.final.loss


def paired(
    a: Iterable[RecordedRun], b: Iterable[RecordedRun], value
) -> tuple[np.ndarray, np.ndarray]:
    """`value(run)` of both sides for each repeat that both have; None leaves a repeat out."""
    first, second = Competitor("", tuple(a)).by_repeat(), Competitor("", tuple(b)).by_repeat()
    values = [
        (value(first[repeat]), value(second[repeat]))
        for repeat in sorted(first.keys() & second.keys())
    ]
    kept = [pair for pair in values if None not in pair]
    left, right = zip(*kept, strict=True) if kept else ((), ())
    return np.array(left, float), np.array(right, float)


def _grouped(runs: Iterable[RecordedRun], key, title) -> list[Group]:
    found = defaultdict(list)
    for run in runs:
        found[key(run)].append(run)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Group(f"group{number}", title(members[0]), tuple(members))
        for number, (_, members) in enumerate(ordered, start=1)
    ]


def _problem_title(run: RecordedRun) -> str:
    record, settings = run.record, run.record.settings
    styles = " and ".join(style.name for style in record.style)
    parts = [f"{record.content.name} in the style of {styles}"]
    parts.append(f"{record.content.width} x {record.content.height}")
    for part in ("objective", "extractor"):
        value = settings.get(part)
        name = value.get("name") if isinstance(value, dict) else value
        parts += [f"{part} {name}"] if name else []
    return ", ".join([*parts, f"weights {record.weights.name}"])


def _timing_title(run: RecordedRun) -> str:
    machine = run.record.machine.get("cpu") or run.record.machine.get("device") or "machine"
    return f"{_problem_title(run)}; {machine} ({run.host[:8]})"


def _is_like(run: RecordedRun, row: Row) -> bool:
    made = (run.setup.optimizer.name, run.lr, run.setup.epochs, run.setup.steps_per_epoch)
    return made == (row.optimizer, row.lr, row.epochs, row.steps_per_epoch)


def _identity(run: RecordedRun, by_schedule: bool) -> tuple:
    schedule = (run.setup.epochs, run.setup.steps_per_epoch) if by_schedule else ()
    return (run.optimizer, json.dumps(run.hyperparameters, sort_keys=True), run.lr, *schedule)


def _row_order(run: RecordedRun) -> tuple:
    return (run.experiment or "~", run.steps, run.optimizer, run.lr or 0.0, run.repeat)


def _labels(members: list[tuple[RecordedRun, ...]], describers: tuple[Callable, ...]) -> list[str]:
    """Optimizer and rate; where these are not unique, what differs is added."""
    firsts = [runs[0] for runs in members]
    labels = [run.label for run in firsts]
    for describe in describers:
        alike = defaultdict(list)
        for label, run in zip(labels, firsts, strict=True):
            alike[label].append(run)
        told = [describe(run, alike[label]) for label, run in zip(labels, firsts, strict=True)]
        labels = [", ".join(filter(None, pair)) for pair in zip(labels, told, strict=True)]
    return labels


def _schedule(run: RecordedRun, alike: list[RecordedRun]) -> str:
    schedules = {(other.setup.epochs, other.setup.steps_per_epoch) for other in alike}
    return f"{run.setup.epochs} epochs of {run.setup.steps_per_epoch}" if len(schedules) > 1 else ""


def _hyperparameters(run: RecordedRun, alike: list[RecordedRun]) -> str:
    """Those whose values differ among `alike`."""
    own = run.hyperparameters
    differing = [
        name
        for name in sorted(own)
        if any(other.hyperparameters.get(name) != own[name] for other in alike)
    ]
    return " ".join(f"{name}={own[name]}" for name in differing)
