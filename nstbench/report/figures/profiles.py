"""Performance profiles and ECDFs over many pictures: how often, and how fast, a target is reached.

An instance is one pair of pictures with one target. The profile is Dolan and More's (Math. Program.
91, 2002): the share of instances that a competitor solves within a factor of the cheapest. The
ECDF is the share that it solves within a number of evaluations; of few pairs it takes many targets.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import TargetSettings
from nstbench.report.figures.plots import Curve, Plot, Series, plain
from nstbench.report.judge.ranking import Ranking
from nstbench.report.judge.targets import evaluations_to, targets_of

FEWEST_PAIRS = 3
DENSE = tuple(np.geomspace(1e-3, 1, 51)[:-1])  # shares of the way left, for few pairs
PROFILE = "Targets reached within a multiple of the fewest evaluations"
FACTOR = "evaluations, as a multiple of the fewest that any competitor needs"
ECDF = "Targets reached within a number of evaluations"


@dataclass(frozen=True)
class Profiles:
    """Two plots, or none and the sentence that says why."""

    plots: list[Plot]
    notes: list[str]


def of_one(ranking: Ranking, settings: TargetSettings) -> list[Plot]:
    """The ECDF of one problem over many targets: every optimizer at its best rate; no plot where
    there are not two of them or none reaches a target."""
    dense = settings.model_copy(update={"shares": DENSE})
    members = [entry.competitor for entry in ranking.best_rates]
    costs = costs_table(members, [list(ranking.group.runs)], dense)
    if len(members) < 2 or not np.isfinite(costs).any():
        return []
    plot = _plot(f"ecdf_{ranking.group.key}", ECDF, "evaluations", members, costs)
    over = (
        f"{len(DENSE)} targets from the start's loss to 0.1 % above the lowest, evenly in the "
        "logarithm of what is left of the way. Each optimizer at its best rate."
    )
    return [replace(plot, subtitle=over, problem=ranking.group.title, budget=ranking.budget)]


def profiles(runs: Iterable[RecordedRun], settings: TargetSettings) -> Profiles:
    """Profile and ECDF of the largest set of problems that differ in their pictures alone."""
    finished = [run for run in runs if run.status.is_final and len(run.epochs)]
    families = compare.families(finished)
    pairs = list(families[0].values()) if families else []
    if len(pairs) < FEWEST_PAIRS:
        found = f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'} of pictures"
        return Profiles([], [f"Profiles need at least {FEWEST_PAIRS} pairs; here: {found}."])
    members = compare.competitors([r for pair in pairs for r in pair], by_schedule=False)
    everywhere = [each for each in members if _problems(each) == len(pairs)]
    partly = [each.label for each in members if each not in everywhere]
    notes = [f"Left out, because not run on all pairs: {', '.join(partly)}."] if partly else []
    if len(everywhere) < 2:
        return Profiles([], ["Profiles need two competitors that were run on all pairs.", *notes])
    costs = costs_table(everywhere, pairs, settings)
    if not np.isfinite(costs).any():
        return Profiles([], ["No competitor reached a target on these pairs.", *notes])
    over = f"Of {len(pairs)} pairs of pictures with {len(settings.shares)} targets each."
    plots = [
        _plot("profile", PROFILE, "factor", everywhere, _ratios(costs)),
        _plot("ecdf", ECDF, "evaluations", everywhere, costs),
    ]
    return Profiles([replace(plot, subtitle=over) for plot in plots], [over, *notes])


def costs_table(
    members: list[Competitor], pairs: list[list[RecordedRun]], settings: TargetSettings
) -> np.ndarray:
    """Evaluations to every target, (competitors, instances); infinite where it is not reached."""
    columns = []
    for pair in pairs:
        own = targets_of(pair, settings)
        for target in own.targets if own else ():
            columns.append([_cost(member, pair, target.loss) for member in members])
    return np.array(columns, float).T


def shares(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps of the empirical distribution of `costs` (n,): where they are, how high they go."""
    at, counts = np.unique(costs[np.isfinite(costs)], return_counts=True)
    return at, np.cumsum(counts) / len(costs)


def _problems(member: Competitor) -> int:
    return len({run.problem for run in member.runs})


def _cost(member: Competitor, pair: list[RecordedRun], loss: float) -> float:
    """Median over repeats; of each repeat its longest run."""
    problem = pair[0].problem
    own = sorted((run for run in member.runs if run.problem == problem), key=lambda run: run.steps)
    longest = {run.repeat: run for run in own}
    return float(np.median([evaluations_to(run, loss) for run in longest.values()]))


def _ratios(costs: np.ndarray) -> np.ndarray:
    """Each instance's costs by its lowest; an instance that nobody solved stays unsolved."""
    best = costs.min(axis=0)
    return np.where(np.isfinite(costs), costs / np.where(np.isfinite(best), best, 1), math.inf)


def _plot(name: str, title: str, axis: str, members: list[Competitor], costs: np.ndarray) -> Plot:
    start = 1.0 if axis == "factor" else costs.min()
    end = costs[np.isfinite(costs)].max(initial=start)
    series = []
    for member, own in zip(members, costs, strict=True):
        at, height = shares(own)
        x = np.concatenate([[start], at, [end]])
        y = np.concatenate([[0.0], height, height[-1:] if len(height) else [0.0]])
        method = member.first.method
        variant = sum(each.optimizer == method for each in series)
        of = sum(other.first.method == method for other in members)
        curves = {axis: Curve(plain(x), plain(y))}
        family = member.first.optimizer
        series.append(Series(member.label, method, curves, variant, of, family=family))
    return Plot(
        name=name,
        title=title,
        x={axis: FACTOR if axis == "factor" else "evaluations of loss and gradient"},
        y="share of targets reached",
        series=tuple(series),
        log_x=True,
        log_y=False,
        stairs=True,
    )
