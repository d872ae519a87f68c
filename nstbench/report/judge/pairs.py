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
    """Pairs between which neither side was run, started within `neighbours_s`.

    What drifts from hour to hour then cancels. A run without a usable value has no pair.
    """
    a, b = ([run for run in side if usable(value(run))] for side in (a, b))
    pairs = neighbours(a, b, neighbours_s)
    fewer = min(len(a), len(b))
    apart = fewer - len(pairs)
    notes = ()
    if apart > 0:
        notes = (f"{apart} of {fewer} repeats left out: not run one soon after the other.",)
    left, right = ([value(pair[side]) for pair in pairs] for side in (0, 1))
    return Pairs(np.array(left, float), np.array(right, float), notes)


def neighbours(
    a: Sequence[RecordedRun], b: Sequence[RecordedRun], neighbours_s: float
) -> list[tuple[RecordedRun, RecordedRun]]:
    """Disjoint pairs (a, b) that follow each other among the runs of both: as many as there can be,
    and of those the nearest. Whichever repeats they are: one that was disturbed, and made again at
    the end, has other neighbours than planned."""
    sides = [(run, 0) for run in a] + [(run, 1) for run in b]
    ordered = sorted(sides, key=lambda each: (started(each[0]), each[0].repeat, each[1]))
    best: list[tuple[int, float, tuple]] = [(0, 0.0, ())]  # of the first n: pairs, closeness
    for place, (other, other_side) in enumerate(ordered):
        best.append(best[-1])
        one, side = ordered[place - 1]
        gap = started(other) - started(one)
        if place and side != other_side and gap <= neighbours_s:
            pair = (one, other) if side == 0 else (other, one)
            n, closeness, before = best[place - 1]
            with_pair = (n + 1, closeness - gap, (*before, pair))
            best[-1] = max(best[-1], with_pair, key=lambda each: each[:2])
    return list(best[-1][2])


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


def _by_problem(runs: Iterable[RecordedRun], value: Value) -> Mapping[str, float]:
    found: dict[str, list[float]] = {}
    for run in runs:
        own = value(run)
        if usable(own):
            found.setdefault(run.problem, []).append(own)
    return {problem: float(np.median(values)) for problem, values in found.items()}
