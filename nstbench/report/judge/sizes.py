"""Does the small size predict the large one? How alike two sizes rank the same optimizers.

Each pair of pictures that was run at several sizes gives a rank correlation (Spearman's) between
every two of them, over the settings that both have: of the lowest loss within one budget, and of
the evaluations to a target that is set at each size anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import TargetSettings
from nstbench.report.judge.ranking import common_budget, longest, loss_of, method
from nstbench.report.judge.targets import Targets, evaluations_to, penalised, targets_of

FEWEST = 4  # competitors that must have run at both sizes: three agree too easily by chance


@dataclass(frozen=True)
class Agreement:
    """How alike two sizes, in pixels of the longer side, rank `competitors`.

    `loss` and `evaluations` are rank correlations in [-1, 1], one for each of `pictures`; nan where
    all competitors tie. `best` counts the pictures on which both sizes have the same best loss.
    """

    small: int
    large: int
    competitors: int
    pictures: tuple[str, ...]
    loss: tuple[float, ...]
    evaluations: tuple[float, ...]
    best: int


@dataclass(frozen=True)
class _Measured:
    loss: float
    evaluations: float


Key = tuple  # what tells a competitor from others at every size
Measured = dict[Key, _Measured]


def agreements(runs: Iterable[RecordedRun], settings: TargetSettings) -> list[Agreement]:
    """One of every two sizes that share enough competitors on some pictures, the smallest first."""
    scenes: dict[tuple, dict[int, list[RecordedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.status.is_final and len(run.epochs):
            scene = compare.family(run, any_size=True), compare.pictures_of(run.record)
            scenes[scene][_size(run)].append(run)
    compared: dict[tuple[int, int], list[tuple[str, Measured, Measured]]] = defaultdict(list)
    for (_, pictures), by_size in scenes.items():
        if len(by_size) < 2:
            continue
        members = {size: _members(own) for size, own in by_size.items()}
        budget = min(map(common_budget, members.values()))
        measured = {
            size: _measured(members[size], budget, targets_of(own, settings))
            for size, own in by_size.items()
        }
        for small, large in combinations(sorted(measured), 2):
            both = measured[small].keys() & measured[large].keys()
            if len(both) >= FEWEST:
                sides = ({key: measured[size][key] for key in both} for size in (small, large))
                compared[small, large].append((pictures, *sides))
    return [_agreement(*sizes, several) for sizes, several in sorted(compared.items())]


def _agreement(
    small: int, large: int, compared: Sequence[tuple[str, Measured, Measured]]
) -> Agreement:
    return Agreement(
        small,
        large,
        min(len(one) for _, one, _ in compared),
        tuple(pictures for pictures, _, _ in compared),
        tuple(_correlation(one, other, "loss") for _, one, other in compared),
        tuple(_correlation(one, other, "evaluations") for _, one, other in compared),
        sum(_best(one) == _best(other) for _, one, other in compared),
    )


def _correlation(one: Measured, other: Measured, name: str) -> float:
    sides = [[getattr(side[key], name) for key in one] for side in (one, other)]
    if any(len(set(side)) == 1 for side in sides):
        return np.nan
    return float(spearmanr(*sides).statistic)


def _best(measured: Measured) -> Key:
    return min(measured, key=lambda key: measured[key].loss)


def _members(runs: Sequence[RecordedRun]) -> list[Competitor]:
    return [longest(each) for each in compare.competitors(runs, by_schedule=False)]


def _measured(members: Sequence[Competitor], budget: int, targets: Targets | None) -> Measured:
    """Loss and evaluations of each competitor that made the budget, at one size."""
    if targets is None:
        return {}
    return {
        (*method(each), each.first.lr): _Measured(loss, _evaluations(each, targets))
        for each in members
        if (loss := loss_of(each, budget)) is not None
    }


def _evaluations(each: Competitor, targets: Targets) -> float:
    penalty = targets.evaluations_penalty
    counts = (evaluations_to(run, targets.decisive.loss) for run in each.runs)
    return float(np.median([penalised(count, penalty) for count in counts]))


def _size(run: RecordedRun) -> int:
    return max(run.record.content.width, run.record.content.height)
