"""Who comes lowest within one budget of evaluations: the order of every ranking.

The budget is the largest that three quarters of the competitors have made, so that one short run
does not shrink it for all; who made fewer evaluations has no rank, unless the optimizer stopped by
itself or diverged, which more evaluations would not have changed.
"""

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor, Group
from nstbench.report.data.reader import RecordedRun
from nstbench.run.schema import Status

SHARE = 0.75  # of the competitors that must have made the common budget


@dataclass(frozen=True)
class Entry:
    """One competitor with, of each repeat, its longest run.

    `loss` is the median over repeats of the lowest loss within the budget: infinite where it
    diverged, None where too few evaluations were made to say. `rates` are those that were tried of
    this optimizer with these hyperparameters, within the same budget.
    """

    competitor: Competitor
    loss: float | None
    rank: int | None
    is_leading: bool
    rates: tuple[float, ...]
    is_best_rate: bool

    @property
    def at_edge(self) -> bool:
        """Whether its rate is the lowest or highest of several tried: a better one may lie
        beyond."""
        lr = self.competitor.first.lr
        return len(self.rates) > 1 and lr in (min(self.rates), max(self.rates))


@dataclass(frozen=True)
class Ranked:
    """Competitors, best first."""

    entries: tuple[Entry, ...]

    @property
    def best_rates(self) -> list[Entry]:
        """Of each optimizer the entry at its best rate."""
        return [entry for entry in self.entries if entry.is_best_rate]

    @property
    def leading(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.is_leading]


@dataclass(frozen=True)
class Ranking(Ranked):
    """The competitors on one problem."""

    group: Group
    budget: int


def rank(group: Group, margin: float) -> Ranking:
    """The ranking of the finished runs of one problem; who lies within `margin` of the lowest loss
    leads with it."""
    finished = [run for run in group.runs if run.status.is_final and len(run.epochs)]
    members = [longest(each) for each in compare.competitors(finished, by_schedule=False)]
    budget = common_budget(members)
    losses = {each.label: loss_of(each, budget) for each in members}
    lowest = min((loss for loss in losses.values() if loss is not None), default=math.inf)
    leading = {label for label, loss in losses.items() if _leads(loss, lowest, margin)}
    return Ranking(entries_of(members, losses, leading), group, budget)


def entries_of(
    members: Sequence[Competitor], losses: Mapping[str, float | None], leading: Container[str]
) -> tuple[Entry, ...]:
    """The entries of `members`, the lowest loss first; `losses` and who is `leading` by label."""
    ranked = [loss for loss in losses.values() if loss is not None]
    by_method = defaultdict(list)
    for each in members:
        by_method[method(each)].append(each)
    best = {
        min(own, key=lambda each: _order(losses[each.label])).label for own in by_method.values()
    }
    entries = [
        Entry(
            competitor=each,
            loss=losses[each.label],
            rank=_rank(losses[each.label], ranked),
            is_leading=each.label in leading,
            rates=_rates(by_method[method(each)], losses),
            is_best_rate=each.label in best,
        )
        for each in members
    ]
    return tuple(sorted(entries, key=lambda entry: _order(entry.loss)))


def _rates(own: Iterable[Competitor], losses: Mapping[str, float | None]) -> tuple[float, ...]:
    """The rates that made the budget."""
    return tuple(sorted(o.first.lr for o in own if o.first.lr and losses[o.label] is not None))


def method(each: Competitor) -> tuple[str, str, str]:
    """What competitors share that differ in their rate alone."""
    run = each.first
    return (run.method, run.setup.schedule.name, repr(sorted(run.hyperparameters.items())))


def common_budget(members: Sequence[Competitor]) -> int:
    """Evaluations that `SHARE` of the competitors have made; 0 for none."""
    made = sorted((_made(each) for each in members), reverse=True)
    finite = [count for count in made if math.isfinite(count)]
    if not made:
        return 0
    at = made[math.ceil(SHARE * len(made)) - 1]
    return int(at if math.isfinite(at) else max(finite, default=0) or _longest_made(members))


def loss_within(run: RecordedRun, budget: float) -> float:
    """The lowest loss of the first `budget` evaluations; infinite where there is none."""
    evaluations, lowest = run.curve
    within = np.flatnonzero(evaluations <= budget)
    return float(lowest[within[-1]]) if within.size else math.inf


def is_over(run: RecordedRun) -> bool:
    """Whether more evaluations would not have changed it."""
    return run.status is Status.DIVERGED or run.record.finished_early is not None


def _made(each: Competitor) -> float:
    """Evaluations of the repeat that made fewest; infinite where all are over by themselves."""
    return min(math.inf if is_over(run) else run.evaluations for run in each.runs)


def _longest_made(members: Iterable[Competitor]) -> int:
    return max(run.evaluations for each in members for run in each.runs)


def loss_of(each: Competitor, budget: int) -> float | None:
    """The median over repeats of the lowest loss within the budget: infinite where it diverged,
    None where too few evaluations were made to say."""
    if _made(each) < budget:
        return None
    losses = [
        math.inf if compare.final_loss(run) == math.inf else loss_within(run, budget)
        for run in each.runs
    ]
    return float(np.median(losses))


def longest(each: Competitor) -> Competitor:
    """Of each repeat the run with the most steps, and of those the newest."""
    ordered = sorted(each.runs, key=lambda run: (run.steps, run.record.created))
    kept = {run.repeat: run for run in ordered}
    return Competitor(each.label, tuple(kept[repeat] for repeat in sorted(kept)))


def _rank(loss: float | None, ranked: Sequence[float]) -> int | None:
    return None if loss is None else 1 + sum(other < loss for other in ranked)


def _leads(loss: float | None, lowest: float, margin: float) -> bool:
    return loss is not None and math.isfinite(loss) and loss <= lowest * (1 + margin)


def _order(loss: float | None) -> tuple[bool, float]:
    return (loss is None, loss if loss is not None else math.inf)
