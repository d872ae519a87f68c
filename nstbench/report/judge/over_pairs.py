"""Who comes lowest over several pairs of pictures.

A setting's loss on a pair is divided by the lowest that any of those compared reaches there; the
geometric mean over the pairs makes the order. Who is not shown to end higher than the first, by the
bound of paired ratios, leads with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import Claims
from nstbench.report.judge.ranking import Ranked, Ranking, entries_of, rank
from nstbench.report.judge.statistics import Estimate, log_ratios, paired_ratio


@dataclass(frozen=True)
class OverPairs(Ranked):
    """The settings that were run on all pairs; an entry's `loss` is in multiples of the lowest.

    By label: `losses` (pairs,) within the budget of each pair, and the ratio `to_first`, of a
    setting's losses to those of the first. `left_out` were not run on all pairs.
    """

    rankings: Sequence[Ranking]  # of each pair
    losses: Mapping[str, np.ndarray]
    to_first: Mapping[str, Estimate]
    left_out: Sequence[str]

    @property
    def lowest(self) -> np.ndarray:
        """The lowest loss on each pair, (pairs,)."""
        return np.min(list(self.losses.values()), axis=0)

    def lowest_on(self, label: str) -> int:
        """On how many pairs a setting has the lowest loss."""
        return int((self.losses[label] <= self.lowest).sum())


def over_pairs(runs: Iterable[RecordedRun], claims: Claims) -> OverPairs | None:
    """The finished runs of the largest set of problems that differ in their pictures alone; None
    where it has one problem, or fewer than two settings that were run on all."""
    finished = [run for run in runs if run.status.is_final and len(run.epochs)]
    families = compare.families(finished)
    if not families or len(families[0]) < 2:
        return None
    own = [run for several in families[0].values() for run in several]
    rankings = [rank(group, claims.margin) for group in compare.groups(own)]
    members = compare.competitors(own, by_schedule=False)
    known = {each.label: _losses(each, rankings) for each in members}
    everywhere = [each for each in members if None not in known[each.label]]
    if len(everywhere) < 2:
        return None
    losses = {each.label: np.array(known[each.label], float) for each in everywhere}
    lowest = np.min(list(losses.values()), axis=0)
    multiples = {n: float(np.exp(log_ratios(own, lowest).mean())) for n, own in losses.items()}
    first = min(multiples, key=multiples.__getitem__)
    to_first = {n: paired_ratio(own, losses[first], claims.level) for n, own in losses.items()}
    leading = {n for n, own in losses.items() if np.isfinite(own).all() and to_first[n].low <= 1}
    return OverPairs(
        entries=entries_of(everywhere, multiples, leading),
        rankings=rankings,
        losses=losses,
        to_first=to_first,
        left_out=[each.label for each in members if each not in everywhere],
    )


def _losses(each: Competitor, rankings: Sequence[Ranking]) -> list[float | None]:
    """Its loss on each pair, None where it has none."""
    own = {run.id for run in each.runs}
    return [
        next((e.loss for e in ranking.entries if e.competitor.first.id in own), None)
        for ranking in rankings
    ]
