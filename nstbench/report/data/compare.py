"""Which runs may stand side by side: groups, competitors in a group, pairs of repeats."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nstbench.notation import assigned
from nstbench.report.data.reader import RecordedRun
from nstbench.run.schema import RunRecord, Status

FAMILY = (  # settings that problems share whose pictures alone differ
    "objective",
    "extractor",
    "weights",
    "size",
    "keep_aspect",
    "keep_colours",
    "style_blend",
    "init",
)


@dataclass(frozen=True)
class Group:
    """Runs that may share a curve or a ratio. `key` is short, stable and fit for a file name."""

    key: str
    title: str
    runs: tuple[RecordedRun, ...]

    @property
    def pictures(self) -> str:
        """The pictures and their size alone."""
        record = self.runs[0].record
        return f"{pictures_of(record)}, {record.content.width} x {record.content.height}"


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
    describers = (_class, _hyperparameters)
    labels = _labels(members, (_schedule, *describers) if by_schedule else describers)
    return [Competitor(label, runs) for label, runs in zip(labels, members, strict=True)]


def seconds(run: RecordedRun, clock: str) -> float | None:
    """The reading of one stopwatch, or None where it says nothing of a whole schedule: disturbed,
    unfinished, or stopped by the optimizer before its schedule's end."""
    usable = run.status is Status.COMPLETED and run.record.timing_valid and run.record.clocks
    stopped = run.record.finished_early is not None
    return getattr(run.record.clocks, clock) if usable and not stopped else None


def seconds_per_step(run: RecordedRun) -> float | None:
    """Seconds of an update, of the steps that were made; None where the clock says nothing."""
    usable = run.status is Status.COMPLETED and run.record.timing_valid and run.record.clocks
    steps = run.record.final.steps if run.record.final else 0
    return run.record.clocks.optimise_s / steps if usable and steps else None


def final_loss(run: RecordedRun) -> float | None:
    """Loss of the saved image; infinite where it is not finite, None for an unfinished run."""
    if not run.status.is_final:
        return None
    lost = run.status is Status.DIVERGED or run.record.final is None
    return np.inf if lost or run.record.final.loss is None else run.record.final.loss


def families(runs: Iterable[RecordedRun]) -> list[dict[str, list[RecordedRun]]]:
    """Runs by problem, for each set of problems that differ in their pictures alone; the set with
    the most problems first."""
    found: dict[str, dict[str, list[RecordedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        found[family(run)][run.problem].append(run)
    return sorted((dict(family) for family in found.values()), key=len, reverse=True)


def family(run: RecordedRun, any_size: bool = False) -> str:
    """What problems that differ in their pictures alone, or in their size, too, have in common."""
    record = run.record
    kept = {name: record.settings.get(name) for name in FAMILY}
    shape = [record.content.height, record.content.width]
    if any_size:
        del kept["size"]
        shape.clear()
    return json.dumps([kept, shape, record.weights.sha256], sort_keys=True, default=str)


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
    parts = [pictures_of(record)]
    parts.append(f"{record.content.width} x {record.content.height}")
    for part in ("objective", "extractor"):
        value = settings.get(part)
        name = value.get("name") if isinstance(value, dict) else value
        parts += [f"{part} {name}"] if name else []
    return ", ".join([*parts, f"weights {record.weights.name}"])


def pictures_of(record: RunRecord) -> str:
    """What was painted like what."""
    styles = " and ".join(style.name for style in record.style)
    return f"{record.content.name} in the style of {styles}"


def _timing_title(run: RecordedRun) -> str:
    machine = run.record.machine.get("cpu") or run.record.machine.get("device") or "machine"
    return f"{_problem_title(run)}; {machine} ({run.host[:8]})"


def _identity(run: RecordedRun, by_schedule: bool) -> tuple:
    schedule = (run.setup.epochs, run.setup.steps_per_epoch) if by_schedule else ()
    options = json.dumps(run.hyperparameters, sort_keys=True, default=str)
    return (run.method, run.setup.schedule.name, options, run.lr, *schedule)


def _row_order(run: RecordedRun) -> tuple:
    return (run.steps, run.optimizer, run.lr or 0.0, run.repeat)


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


def _class(run: RecordedRun, alike: list[RecordedRun]) -> str:
    return run.setup.optimizer.target if len({other.method for other in alike}) > 1 else ""


def _hyperparameters(run: RecordedRun, alike: list[RecordedRun]) -> str:
    """Those whose values differ among `alike`."""
    own = run.hyperparameters
    differing = {
        name: own[name]
        for name in sorted(own)
        if any(other.hyperparameters.get(name) != own[name] for other in alike)
    }
    return " ".join(assigned(differing))
