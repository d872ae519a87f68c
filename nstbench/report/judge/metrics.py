"""What two competitors can be compared by: every metric of a claim, by its name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nstbench.report.data import compare
from nstbench.report.data.reader import RecordedRun
from nstbench.report.judge.targets import Targets, evaluations_to, penalised, seconds_to

TargetsOf = Mapping[str, Targets]  # by problem


@dataclass(frozen=True)
class Metric:
    """One number of a run. `value` is None where a run says nothing, infinite where it failed.

    A metric that `is_timed` varies from repeat to repeat, and is paired by repeats that were
    neighbours in time; any other is the same in every repeat, and is paired by pictures.
    """

    quantity: str
    less: str
    more: str
    is_timed: bool
    value: Callable[[RecordedRun, TargetsOf], float | None]
    note: str = ""


def _seconds(clock: str) -> Callable[[RecordedRun, TargetsOf], float | None]:
    return lambda run, targets: compare.seconds(run, clock)


def _step_seconds(run: RecordedRun, targets: TargetsOf) -> float | None:
    return compare.seconds_per_step(run)


def _quiet_step_seconds(run: RecordedRun, targets: TargetsOf) -> float | None:
    """The 10th percentile over epochs: noise only adds to a time."""
    if compare.seconds(run, "optimise_s") is None or len(run.epochs) < 2:
        return None
    times, steps = run.epochs["optimise_s"].to_numpy(), run.epochs["step"].to_numpy()
    return float(np.quantile(np.diff(times) / np.maximum(np.diff(steps), 1), 0.1))


def _loss(run: RecordedRun, targets: TargetsOf) -> float | None:
    return compare.final_loss(run)


def _evaluations_to_target(run: RecordedRun, targets: TargetsOf) -> float | None:
    if run.problem not in targets or not run.status.is_final:
        return None
    own = targets[run.problem]
    return penalised(evaluations_to(run, own.decisive.loss), own.evaluations_penalty)


def _seconds_to_target(run: RecordedRun, targets: TargetsOf) -> float | None:
    if run.problem not in targets or compare.seconds(run, "optimise_s") is None:
        return None
    own = targets[run.problem]
    return penalised(seconds_to(run, own.decisive.loss), own.seconds_penalty)


def _distance(run: RecordedRun, targets: TargetsOf) -> float | None:
    """1 - SSIM to the content picture."""
    quality = run.record.quality
    known = quality is not None and quality.ssim is not None and quality.ssim < 1
    return 1 - quality.ssim if known else None


RELATIVE = (
    "The target lies on the way to the lowest loss of any run here, and a run that misses it "
    "counts with a penalty: another run beside these can move both."
)
TIMES = ("less", "more", True)
METRICS: Mapping[str, Metric] = {
    "total_s": Metric("total time", *TIMES, _seconds("total_s")),
    "optimise_s": Metric("time in updates", *TIMES, _seconds("optimise_s")),
    "step_s": Metric("time per step", *TIMES, _step_seconds),
    "quiet_step_s": Metric("time per step of quiet epochs", *TIMES, _quiet_step_seconds),
    "loss": Metric("final loss", "lower", "higher", False, _loss),
    "evaluations_to_target": Metric(
        "evaluations to the target", "fewer", "more", False, _evaluations_to_target, RELATIVE
    ),
    "seconds_to_target": Metric("seconds to the target", *TIMES, _seconds_to_target, RELATIVE),
    "distance_to_content": Metric("distance to the content", "less", "more", False, _distance),
}


def usable(value: float | None) -> bool:
    """Whether a metric's value can stand in a ratio."""
    return value is not None and not math.isnan(value) and value > 0
