"""Pairs of runs that may be compared: repeats that were neighbours in time, or one problem."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from nstbench.report.data.reader import RecordedRun
from nstbench.report.judge.metrics import usable

Value = Callable[[RecordedRun], float | None]


@dataclass(frozen=True)
class Pairs:
    """Values of both sides, (n,) each, and what was left out."""

    a: np.ndarray
    b: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.a)


def in_time(
    a: Iterable[RecordedRun], b: Iterable[RecordedRun], value: Value, neighbours_s: float
) -> Pairs:
    """Pairs of one repeat between which neither side was run, started within `neighbours_s`.

    What drifts from hour to hour then cancels. A run without a usable value has no pair.
    """
    a, b = tuple(a), tuple(b)
    pairs = neighbours(a, b, neighbours_s)
    both = {run.repeat for run in a} & {run.repeat for run in b}
    apart = len(both) - len(pairs)
    notes = ()
    if apart > 0:
        notes = (f"{apart} of {len(both)} repeats left out: not run one soon after the other.",)
    return _values(pairs, value, notes)


def neighbours(
    a: Sequence[RecordedRun], b: Sequence[RecordedRun], neighbours_s: float
) -> list[tuple[RecordedRun, RecordedRun]]:
    """Disjoint pairs (a, b) of one repeat that follow each other among the runs of both."""
    sides = [(run, 0) for run in a] + [(run, 1) for run in b]
    ordered = sorted(sides, key=lambda each: (started(each[0]), each[0].repeat, each[1]))
    pairs, place = [], 0
    while place < len(ordered) - 1:
        (one, side), (other, other_side) = ordered[place : place + 2]
        near = abs(started(other) - started(one)) <= neighbours_s
        if side != other_side and one.repeat == other.repeat and near:
            pairs.append((one, other) if side == 0 else (other, one))
            place += 1
        place += 1
    return pairs


def by_pictures(a: Iterable[RecordedRun], b: Iterable[RecordedRun], value: Value) -> Pairs:
    """One pair of values for each problem that both sides were run on: medians over repeats, which
    are the same computation."""
    first, second = (_by_problem(runs, value) for runs in (a, b))
    shared = sorted(first.keys() & second.keys())
    return Pairs(np.array([first[p] for p in shared]), np.array([second[p] for p in shared]))


def started(run: RecordedRun) -> float:
    """When the run was begun, in seconds; 0 where its record gives no time."""
    try:
        return datetime.fromisoformat(run.record.created).timestamp()
    except ValueError:
        return 0.0


def _values(pairs: list, value: Value, notes: tuple[str, ...]) -> Pairs:
    values = [(value(one), value(other)) for one, other in pairs]
    kept = [pair for pair in values if usable(pair[0]) and usable(pair[1])]
    left, right = zip(*kept, strict=True) if kept else ((), ())
    return Pairs(np.array(left, float), np.array(right, float), notes)


def _by_problem(runs: Iterable[RecordedRun], value: Value) -> Mapping[str, float]:
    found: dict[str, list[float]] = {}
    for run in runs:
        own = value(run)
        if usable(own):
            found.setdefault(run.problem, []).append(own)
    return {problem: float(np.median(values)) for problem, values in found.items()}
