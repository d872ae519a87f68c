"""What it costs to reach a loss that is the same number for every competitor."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import TargetSettings


@dataclass(frozen=True)
class Target:
    """A loss to reach; `share` of the way from the best loss back to the start is still left."""

    share: float
    loss: float

    @property
    def percent(self) -> str:
        """How much of the way from start to best it is, in per cent: "90"."""
        return f"{100 * (1 - self.share):g}"

    @property
    def name(self) -> str:
        return f"{self.percent} % of the way"


@dataclass(frozen=True)
class Targets:
    """The targets of one problem and the penalty, in evaluations or seconds, of missing one."""

    targets: tuple[Target, ...]
    decisive: Target
    evaluations_penalty: float
    seconds_penalty: float


def targets_of(runs: Iterable[RecordedRun], settings: TargetSettings) -> Targets | None:
    """Targets from all finished runs of one problem; None when there is nothing to reach."""
    runs = [run for run in runs if run.status.is_final and len(run.epochs)]
    curves = [run.curve[1] for run in runs]
    curves = [losses for losses in curves if len(losses) and np.isfinite(losses[0])]
    if not curves:
        return None
    start = float(np.median([losses[0] for losses in curves]))
    best = float(min(losses.min() for losses in curves))
    shares = {*settings.shares, settings.decisive}
    made = {share: Target(share, best + share * (start - best)) for share in shares}
    return Targets(
        tuple(made[share] for share in settings.shares),
        made[settings.decisive],
        settings.penalty * max(run.epochs["evaluations"].iloc[-1] for run in runs),
        settings.penalty * max(run.epochs["optimise_s"].iloc[-1] for run in runs),
    )


def evaluations_to(run: RecordedRun, loss: float) -> float:
    """Evaluations until the loss is at most `loss`; infinite if it never is."""
    evaluations, lowest = run.curve
    reached = np.flatnonzero(lowest <= loss)
    return float(evaluations[reached[0]]) if reached.size else math.inf


def seconds_to(run: RecordedRun, loss: float) -> float:
    """Seconds of updates until the loss is at most `loss`: within an epoch, in proportion."""
    evaluations = evaluations_to(run, loss)
    if math.isinf(evaluations):
        return math.inf
    ends = np.concatenate([[0.0], run.epochs["evaluations"].to_numpy()])
    clock = np.concatenate([[0.0], run.epochs["optimise_s"].to_numpy()])
    return float(np.interp(evaluations, ends, clock))


def penalised(cost: float, penalty: float) -> float:
    """The cost, or the penalty of a failure."""
    return cost if math.isfinite(cost) else penalty
