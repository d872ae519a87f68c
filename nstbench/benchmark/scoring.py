"""Scores of optimizers from their losses by evaluation: pure functions of plain arrays.

An *item* is one target of one run. What counts is the evaluation, from 1, that first reaches it,
infinity where none does. The figure to lead with is the ECDF of items over evaluations (Hansen et
al., "COCO: a platform for comparing continuous optimizers", 2021); its area in log evaluations
between fixed bounds is the score, so that no score depends on who else was measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000  # resamples of a bootstrap
LEVEL = 0.95

Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Score:
    """The area under the ECDF, in [0, 1], with its interval over instances."""

    value: float
    low: float
    high: float
    instances: tuple[float, ...]  # the area of each instance, in the benchmark's order

    @property
    def half_width(self) -> float:
        """Half the interval: what stands behind the +-."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class FixedTarget:
    """How one level of target is reached, over all runs of an optimizer."""

    expected: float  # ERT: all evaluations made until success or end, by successes; inf for none
    success_rate: float
    par10: float  # mean evaluations, a run without success counted as ten horizons
    median: float  # inf where half of the runs do not reach it


def best_so_far(losses: Values) -> np.ndarray:
    """The lowest loss up to each evaluation, `(n,)`; what is not a number is no improvement."""
    values = np.asarray(losses, dtype=float)
    return np.minimum.accumulate(np.where(np.isnan(values), np.inf, values))


def hits(losses: Values, targets: Values) -> np.ndarray:
    """The evaluation, from 1, that first reaches each target, `(targets,)`; inf for none."""
    best = best_so_far(losses)
    first = np.array([np.count_nonzero(best > target) + 1.0 for target in targets])
    return np.where(first > len(best), np.inf, first)


def ecdf(found: np.ndarray, evaluations: Values) -> np.ndarray:
    """The share of items reached within each number of evaluations; `found` as `hits` gives."""
    found = np.ravel(found)
    return np.array([np.count_nonzero(found <= n) / len(found) for n in evaluations])


def areas(found: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """What each item adds to the area under the ECDF in log evaluations, in [0, 1].

    1 for an item reached by `bounds[0]` evaluations, 0 for one reached at `bounds[1]` or never,
    linear in the logarithm between: their mean is the area, exactly.
    """
    low, high = map(math.log, bounds)
    with np.errstate(divide="ignore"):
        return np.clip((high - np.log(found)) / (high - low), 0.0, 1.0)


def score(found: Sequence[np.ndarray], bounds: tuple[float, float], seed: int = 0) -> Score:
    """The score of an optimizer; `found` has the items of each instance, any shape."""
    instances = [float(np.mean(areas(each, bounds))) for each in found]
    low, high = bootstrap(instances, seed=seed)
    value = math.fsum(instances) / len(instances)
    return Score(value, max(low, 0.0), min(high, 1.0), tuple(instances))


def bootstrap(
    values: Sequence[float], level: float = LEVEL, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """An interval for the mean, by resampling; a single value has none and is returned twice.

    Means of n resampled values vary by sqrt((n - 1) / n) too little (Hesterberg, "What teachers
    should know about the bootstrap", 2015), so their distances are stretched by the inverse.
    """
    sample = np.asarray(values, dtype=float)
    count, mean = len(sample), math.fsum(values) / len(values)
    if count < 2 or np.ptp(sample) == 0:
        return mean, mean
    chosen = np.random.default_rng(seed).integers(count, size=(draws, count))
    means = mean + (sample[chosen].mean(axis=1) - mean) * math.sqrt(count / (count - 1))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def leading_group(instances: Mapping[str, Sequence[float]], level: float = LEVEL) -> list[str]:
    """Who cannot be told from the best, the best first.

    `instances` maps each optimizer to its areas, all over the same instances. Paired one-sided
    t tests against the one with the largest mean; Holm's correction (1979) for their number.
    """
    means = {name: float(np.mean(values)) for name, values in instances.items()}
    order = sorted(means, key=lambda name: (-means[name], name))
    best, *others = order
    chances = {name: _chance(instances[best], instances[name]) for name in others}
    told_apart: set[str] = set()
    for rank, name in enumerate(sorted(others, key=lambda name: chances[name])):
        if chances[name] > (1 - level) / (len(others) - rank):
            break
        told_apart.add(name)
    return [name for name in order if name not in told_apart]


def _chance(best: Sequence[float], other: Sequence[float]) -> float:
    """The p value of "other is as good as best", from the differences of pairs."""
    from scipy import stats

    differences = np.subtract(best, other)
    if len(differences) < 2:
        return 1.0
    if np.ptp(differences) == 0:  # no spread, as between a method and its copy
        return 0.0 if differences[0] > 0 else 1.0
    return float(stats.ttest_1samp(differences, 0.0, alternative="greater").pvalue)


def fixed_target(found: Values, spent: Values, horizon: int) -> FixedTarget:
    """One level of target over runs: `found` as `hits` gives, `spent` evaluations by run.

    Expected running time: Hansen et al. 2021, section 4; PAR-10: a miss costs ten horizons.
    """
    found, spent = np.asarray(found, dtype=float), np.asarray(spent, dtype=float)
    reached = np.isfinite(found)
    made = np.where(reached, found, spent).sum()
    return FixedTarget(
        expected=float(made / reached.sum()) if reached.any() else math.inf,
        success_rate=float(reached.mean()),
        par10=float(np.where(reached, found, 10.0 * horizon).mean()),
        median=_upper_median(found),
    )


def _upper_median(values: np.ndarray) -> float:
    return float(np.sort(values)[len(values) // 2])


def at_budgets(losses: Values, budgets: Sequence[int]) -> np.ndarray:
    """The lowest loss within each number of evaluations; of a run that ended before, its last."""
    best = best_so_far(losses)
    return np.array([best[min(budget, len(best)) - 1] for budget in budgets])


def progress(losses: Values, bounds: tuple[float, float]) -> float:
    """How far a run came: the mean over log evaluations of log(lowest loss so far / first loss).

    At most 0, lower is better; a loss that is never lower than the first one (divergence, say)
    gives 0. This needs no targets, so tuning knows nothing of them; it is the area under the
    curve that the ECDF draws in steps. The lowest loss holds on after the end of a run.
    """
    best = best_so_far(losses)
    if not (math.isfinite(losses[0]) and losses[0] > 0):
        return 0.0
    floor = np.finfo(float).tiny
    lower = np.log(np.maximum(np.minimum(best, losses[0]), floor) / losses[0])
    edges = _edges(len(best), bounds)
    return float(np.sum(lower * np.diff(edges)) / (math.log(bounds[1]) - math.log(bounds[0])))


def _edges(count: int, bounds: tuple[float, float]) -> np.ndarray:
    """Where the losses of evaluations 1 to `count` begin and end to hold, in log evaluations.

    Within the bounds; the first holds before them, too, and the last until their end.
    """
    low, high = bounds
    times = np.clip(np.arange(1.0, count + 2.0), low, high)
    times[0], times[-1] = low, high
    return np.log(times)
