"""Paired ratios with intervals that keep their promise for a handful of repeats.

Two competitors are compared by the ratios of their paired repeats: what a repeat shares (a warm
machine, a busy neighbour) cancels. The ratio is the pairs' geometric mean, exp(mean(log a/b)).
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

RESAMPLES = 2000
SEED = 20240229  # any number: fixed, so that the same runs give the same report
MOST_REPEATS = 1000  # beyond this, a difference is too small to be worth finding


@dataclass(frozen=True)
class Estimate:
    """A ratio a/b with its interval. `spread` is the standard deviation of log(a/b)."""

    ratio: float
    low: float
    high: float
    n: int
    spread: float


def paired_ratio(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> Estimate:
    """Geometric mean of a/b over pairs, and an interval that covers it with `level`.

    a, b: (n,) positive numbers of the same unit; an infinite one is a failure without a price.
    The interval is the wider, on each side, of the percentile bootstrap and Student's t, both of
    the mean log ratio: with few pairs the bootstrap alone is far too narrow (it covers 50 % at
    n = 2, about 75 % at n = 3), with many skewed ones the t alone may be. With one pair the
    interval is everything.
    """
    logs = _log_ratios(np.asarray(a, float), np.asarray(b, float))
    n = len(logs)
    if n == 0:
        return Estimate(math.nan, 0.0, math.inf, 0, math.nan)
    if not np.isfinite(logs).all():
        return _with_failures(logs)
    mean = float(logs.mean())
    if n == 1:
        return Estimate(math.exp(mean), 0.0, math.inf, 1, math.nan)
    spread = float(logs.std(ddof=1))
    half = _half_width(spread, n, level)
    low, high = bootstrap(logs, np.mean, level)
    low, high = min(low, mean - half), max(high, mean + half)
    return Estimate(math.exp(mean), _exp(low), _exp(high), n, spread)


def bootstrap(values: np.ndarray, statistic, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of `statistic` (taken along the last axis) over seeded resamples.

    values: (n,), n >= 1. With one value the interval is that value; say so wherever it is shown.
    """
    draws = np.random.default_rng(SEED).integers(0, len(values), (RESAMPLES, len(values)))
    tail = (1 - level) / 2
    low, high = np.quantile(statistic(np.asarray(values)[draws], axis=-1), [tail, 1 - tail])
    return float(low), float(high)


def repeats_needed(estimate: Estimate, margin: float, level: float, fewest: int) -> int | None:
    """How many repeats, all told, should decide whether the ratio lies within the margin.

    The smallest n whose t interval, with the spread seen so far, keeps the ratio seen so far on
    one side of the margin; None when more than `MOST_REPEATS`. Without a spread: `fewest`.
    """
    if estimate.n < 2:
        return fewest
    if not math.isfinite(estimate.spread):
        return None
    gap = abs(abs(math.log(estimate.ratio)) - math.log1p(margin))
    more = range(estimate.n + 1, MOST_REPEATS + 1)  # the width falls with n: halve the range
    at = bisect_left(more, True, key=lambda n: _half_width(estimate.spread, n, level) < gap)
    return max(more[at], fewest) if at < len(more) else None


def spread_share(values: np.ndarray) -> float:
    """(largest - smallest) / median of positive values; 0 for fewer than two."""
    values = np.asarray(values, float)
    return float(np.ptp(values) / np.median(values)) if len(values) > 1 else 0.0


def _log_ratios(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log(a/b); two failures of one pair are equally bad, hence 0."""
    both = np.isinf(a) & np.isinf(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(both, 0.0, np.log(a) - np.log(b))


def _with_failures(logs: np.ndarray) -> Estimate:
    """Failures in every pair, always the same side's, are a result; a mixture is not."""
    n = len(logs)
    if n > 1 and np.isinf(logs).all() and len(set(np.sign(logs))) == 1:
        ratio = math.inf if logs[0] > 0 else 0.0
        return Estimate(ratio, ratio, ratio, n, 0.0)
    return Estimate(math.exp(float(np.median(logs))), 0.0, math.inf, n, math.inf)


def _half_width(spread: float, n: int, level: float) -> float:
    """Half of Student's t interval of a mean of n values, in the unit of `spread`."""
    return float(stdtrit(n - 1, (1 + level) / 2)) * spread / math.sqrt(n)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
