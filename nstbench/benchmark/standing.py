"""From results and targets to what is told: every competitor's score and table rows.

Each competitor's numbers are made from its own results and the frozen targets alone, so they are
the same whoever else is measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nstbench.benchmark import runs, scoring, targets
from nstbench.benchmark.carry import Carry
from nstbench.benchmark.instances import Benchmark, Instance
from nstbench.benchmark.runs import Run
from nstbench.benchmark.scoring import FixedTarget, Score
from nstbench.benchmark.targets import Results, TargetSet


@dataclass(frozen=True)
class Standing:
    """One competitor on the score's problems."""

    name: str
    score: Score
    hits: tuple[np.ndarray, ...]  # by instance: (runs, levels), as `scoring.hits` gives them
    levels: tuple[FixedTarget, ...]  # one per level
    budgets: tuple[float, ...]  # median loss / best known at each budget, over all runs
    curve: tuple[tuple[float, float], ...]  # the same at many (evaluations, median)
    failures: int  # runs that have no result
    runs: tuple[str, ...]  # the identities of those that have one


def score_runs(
    benchmark: Benchmark, arguments: Sequence[str], common: Sequence[str]
) -> dict[Instance, list[Run]]:
    """The score's runs of an optimizer with these settings, by problem."""
    planned: dict[Instance, list[Run]] = {}
    for instance, problem in benchmark.runs(benchmark.score):
        planned.setdefault(instance, []).append(Run((*arguments, *problem, *common)))
    return planned


def measure(
    benchmark: Benchmark, planned: Mapping[str, Mapping[Instance, Sequence[Run]]], carry: Carry
) -> tuple[dict[str, Results], dict[Run, str]]:
    """The results of all competitors' runs, by name; and why some of them failed."""
    every = [run for of in planned.values() for several in of.values() for run in several]
    failures = carry(every)
    results: dict[str, Results] = {
        name: {at: runs.read_all(several, benchmark.horizon) for at, several in of.items()}
        for name, of in planned.items()
    }
    return results, failures


def stand(name: str, benchmark: Benchmark, results: Results, chosen: TargetSet) -> Standing:
    """A competitor's standing from its own results.

    Raises `SettingsError` where a run saw other pictures or weights than the targets say.
    """
    found, relative, spent, failures = [], [], [], 0
    grid = sorted({*benchmark.budgets, *np.geomspace(1, benchmark.horizon, 60).round().astype(int)})
    for instance in benchmark.instances(benchmark.score):
        aims = chosen.of(instance)
        if chosen.frozen:
            targets.check(instance, aims, results[instance])
        losses = [_losses(result) for result in results[instance]]
        failures += sum(result is None for result in results[instance])
        found.append(np.array([scoring.hits(each, aims.losses) for each in losses]))
        spent += [len(each) for each in losses]
        relative += [scoring.at_budgets(each, grid) / aims.best for each in losses]
    together = np.concatenate(found)
    curve = dict(zip(map(int, grid), np.median(relative, axis=0).tolist(), strict=True))
    return Standing(
        name,
        scoring.score(found, benchmark.bounds),
        tuple(found),
        tuple(
            scoring.fixed_target(together[:, i], spent, benchmark.horizon)
            for i in range(len(benchmark.levels))
        ),
        tuple(curve[budget] for budget in benchmark.budgets),
        tuple(curve.items()),
        failures,
        tuple(one.id for of in results.values() for one in of if one is not None),
    )


def leaders(standings: Sequence[Standing]) -> list[str]:
    """The statistically leading group, the best first; one that is alone leads nobody."""
    if len(standings) < 2:
        return []
    return scoring.leading_group({each.name: each.score.instances for each in standings})


def _losses(result: runs.Result | None) -> np.ndarray:
    return np.array([math.inf]) if result is None else result.losses
