"""Tuning: every competitor gets the same number of trials, on pictures that the score never sees.

Trial 0 is the defaults, the others are Sobol points. Where the best trial lies on an edge of its
space, the space is widened there by a decade and searched on (Choi et al., "On empirical
comparisons of optimizers", 2019); one that still lies there at the end is labelled under-tuned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nstbench.benchmark import runs, scoring, spaces
from nstbench.benchmark.carry import Carry
from nstbench.benchmark.competitors import Competitor
from nstbench.benchmark.instances import Benchmark
from nstbench.benchmark.runs import Run
from nstbench.benchmark.spaces import Point, Space

FAILED = 0.0  # the value of a trial that made no progress


@dataclass(frozen=True)
class Trial:
    """One hyperparameter setting, and its mean `scoring.progress` over the tuning runs."""

    point: Point
    value: float = FAILED
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tuned:
    """A competitor after tuning. `trials` are the budget's, `extra` those of widened spaces."""

    competitor: Competitor
    space: Space  # as it was in the end
    trials: tuple[Trial, ...]
    extra: tuple[Trial, ...] = ()
    on_edge: tuple[str, ...] = ()  # "lr low": where the best trial still lies on an edge
    widened: tuple[str, ...] = ()

    @property
    def best(self) -> Trial:
        """The trial of the lowest value, the first of equals."""
        return min((*self.trials, *self.extra), key=lambda trial: trial.value)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The competitor at its best trial, as settings."""
        return (*self.competitor.arguments, *spaces.arguments(self.best.point))


@dataclass
class _Search:
    """A competitor under way."""

    competitor: Competitor
    space: Space
    budget: list[Point]
    extra: list[Point] = field(default_factory=list)
    widened: list[str] = field(default_factory=list)
    values: list[Trial] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        return [*self.budget, *self.extra]


def tune(
    benchmark: Benchmark, competitors: Sequence[Competitor], common: Sequence[str], carry: Carry
) -> list[Tuned]:
    """All competitors tuned; `common` are settings of every run (out=..., device=...)."""
    searches = [_begun(competitor, benchmark.trials) for competitor in competitors]
    _evaluate(benchmark, searches, common, carry)
    for _ in range(benchmark.widenings):
        wider = [search for search in searches if _widen(search, benchmark.trials)]
        _evaluate(benchmark, wider, common, carry)
    return [_tuned(search) for search in searches]


def trials_of(competitor: Competitor, count: int) -> list[Point]:
    """The points of a budget of `count` trials: the defaults, then the first Sobol points."""
    space = competitor.space
    defaults = spaces.defaults(space, competitor.settings)
    return [defaults, *spaces.points(space, count - 1)] if space else [{}]


def contained_lost(tuned: Sequence[Tuned], inclusions: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences on methods that lost to a special case of theirs: their space was too small."""
    values = {each.competitor.name: each.best.value for each in tuned}
    return [
        f"{general} lost to {special}, which it contains: its space was searched too little"
        for general, contained in inclusions.items()
        for special in contained
        if general in values and special in values and values[general] > values[special]
    ]


def _begun(competitor: Competitor, count: int) -> _Search:
    return _Search(competitor, competitor.space, trials_of(competitor, count))


def _evaluate(
    benchmark: Benchmark, searches: Sequence[_Search], common: Sequence[str], carry: Carry
) -> None:
    """Carry out the trials that have no value yet, of all searches at once."""
    planned: list[tuple[_Search, Point, list[Run]]] = []
    for search in searches:
        for point in search.points[len(search.values) :]:
            chosen = (*search.competitor.arguments, *spaces.arguments(point))
            of_point = [
                Run((*chosen, *problem, *common)) for _, problem in benchmark.runs(benchmark.tuning)
            ]
            planned.append((search, point, of_point))
    failures = carry([run for _, _, of_point in planned for run in of_point])
    for search, point, of_point in planned:
        values = [_value(run, benchmark) for run in of_point]
        why = tuple(failures[run] for run in of_point if run in failures)
        search.values.append(Trial(point, float(np.mean(values)), why))


def _value(run: Run, benchmark: Benchmark) -> float:
    result = runs.read(run, benchmark.horizon)
    return FAILED if result is None else scoring.progress(result.losses, benchmark.bounds)


def _widen(search: _Search, trials: int) -> bool:
    """Add a quarter of the budget beyond the edges that the best trial lies on, if it does."""
    edges = _edges(search)
    for at, end in edges:
        beyond = at.beyond(end)
        space = tuple(beyond if each.name == at.name else each for each in search.space)
        search.extra += spaces.points(space, max(1, trials // 4), seed=1 + len(search.widened))
        joined = tuple(e.joined(beyond) if e.name == at.name else e for e in search.space)
        search.space = joined
        search.widened.append(f"{at.name} {end}")
    return bool(edges)


def _edges(search: _Search) -> list[tuple[spaces.Range, str]]:
    """None where no trial made progress: then there is no best one."""
    best = min(search.values, key=lambda trial: trial.value)
    if best.value >= FAILED:
        return []
    return spaces.edges(search.space, best.point, search.points)


def _tuned(search: _Search) -> Tuned:
    count = len(search.budget)
    made = Tuned(
        search.competitor,
        search.space,
        tuple(search.values[:count]),
        tuple(search.values[count:]),
        widened=tuple(search.widened),
    )
    return replace(made, on_edge=tuple(f"{at.name} {end}" for at, end in _edges(search)))


def untuned(competitor: Competitor) -> Tuned:
    """A competitor at its defaults."""
    (point, *_) = trials_of(competitor, 1)
    return Tuned(competitor, competitor.space, (Trial(point),))
