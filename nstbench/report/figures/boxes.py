"""How much repeats differ: the values of every repeat, one line for each optimizer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nstbench.report.data.compare import Competitor
from nstbench.report.data.reader import RecordedRun
from nstbench.report.figures.curves import timed
from nstbench.report.judge.ranking import Ranking, loss_within

FEWEST_REPEATS = 3  # for a line of its own
MOST_LINES = 24


@dataclass(frozen=True)
class Line:
    """One competitor: its values of each repeat over every axis that has any."""

    label: str
    optimizer: str  # what tells optimizers apart, which decides the look
    values: dict[str, list[float]]


@dataclass(frozen=True)
class Boxes:
    """Lines from top to bottom; `x` maps each axis to its label."""

    name: str
    title: str
    x: dict[str, str]
    lines: tuple[Line, ...]
    subtitle: str
    problem: str = ""

    def stem(self, axis: str) -> str:
        """The stem of its files over `axis`."""
        return f"{self.name}_{axis}" if len(self.x) > 1 else self.name


def repeats(ranking: Ranking) -> list[Boxes]:
    """Losses within the budget and seconds per evaluation of every optimizer at its best rate; of
    what does not differ between repeats, as deterministic losses do not, nothing."""
    members = [entry.competitor for entry in ranking.best_rates]
    members = [each for each in members if len(each.runs) >= FEWEST_REPEATS][:MOST_LINES]
    clocked, _ = timed(members)
    measured = {
        "loss": (f"lowest loss within {ranking.budget} evaluations", *_losses(members, ranking)),
        "seconds": ("seconds per evaluation", *(_values(runs, _seconds) for runs in clocked)),
    }
    kept = {axis: told for axis, told in measured.items() if _differ(told[1:])}
    if not kept:
        return []
    lines = [
        Line(each.label, each.first.method, {axis: told[1 + n] for axis, told in kept.items()})
        for n, each in enumerate(members)
    ]
    x = {axis: told[0] for axis, told in kept.items()}
    subtitle = "A mark for each repeat; boxes from the lower to the upper quartile, at the median."
    name = f"repeats_{ranking.group.key}"
    title = "Repeats of each optimizer at its best rate"
    return [Boxes(name, title, x, tuple(lines), subtitle, ranking.group.title)]


def _losses(members: Sequence[Competitor], ranking: Ranking) -> list[list[float]]:
    return [_values(each.runs, lambda run: loss_within(run, ranking.budget)) for each in members]


def _seconds(run: RecordedRun) -> float:
    clocks = run.record.clocks
    return clocks.optimise_s / run.evaluations if clocks and run.evaluations else np.nan


def _values(runs: Sequence[RecordedRun], value: Callable[[RecordedRun], float]) -> list[float]:
    found = [float(f"{value(run):.6g}") for run in runs]
    return [each for each in found if np.isfinite(each)]


def _differ(values: Sequence[list[float]]) -> bool:
    return any(len(set(own)) > 1 for own in values)
