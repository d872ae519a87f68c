"""Paired ratios with bounds that stay valid however often somebody looks.

Two competitors are compared by the ratios of their pairs: what a pair shares (a warm machine, a
busy neighbour, the picture) cancels. The ratio is the pairs' geometric mean, exp(mean(log a/b)).

Repeating, looking, and repeating again until something is decided makes an ordinary interval err
far more often than it says. The bounds here belong to a confidence sequence for the mean of normal
values of unknown spread: the mixture, over a normal prior of the standardised mean, of the
scale-invariant likelihood ratio is a martingale under the truth (Lai, Annals of Statistics 4, 1976;
Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown
variance", 2023), so by Ville's inequality it leaves 1 / alpha at any time with probability alpha.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SEED = 20240229  # any number: fixed, so that the same runs give the same report
PRIOR = 0.1  # pairs that the prior is worth; at this value the bounds are short from 4 to 50 pairs
POWER = 0.8  # chance that following the advice decides
MOST_PAIRS = 1000  # beyond this, a difference is too small to be worth finding
FUTURES = 400  # simulated for an advice
SAME = 1e-6  # spread of log ratios below which pairs are the same computation


@dataclass(frozen=True)
class Estimate:
    """A ratio a/b of n pairs, with its bounds.

    `low` and `high` are one-sided bounds at one level each; `spread` is the standard deviation of
    log(a/b); `failures` counts pairs in which one side failed and the other did not, a's as +1.
    """

    ratio: float
    low: float
    high: float
    n: int
    spread: float
    failures: int = 0

    @property
    def is_deterministic(self) -> bool:
        """Whether all pairs gave the same ratio, to the precision of a record."""
        return self.n > 1 and self.spread < SAME


def paired_ratio(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> Estimate:
    """The ratio a/b over pairs, and two bounds that hold with probability `level` each.

    a, b: (n,) positive numbers of the same unit; an infinite one is a failure. Together the bounds
    are an interval of level 2 * level - 1, at whatever n one looks. With one pair, and where some
    pairs hold a failure and others do not, the interval is everything.
    """
    logs = log_ratios(a, b)
    n = len(logs)
    if n == 0:
        return Estimate(math.nan, 0.0, math.inf, 0, math.nan)
    if not np.isfinite(logs).all():
        return _with_failures(logs)
    mean = float(logs.mean())
    if n == 1:
        return Estimate(math.exp(mean), 0.0, math.inf, 1, math.nan)
    spread = float(logs.std(ddof=1))
    half = spread * float(reach(n, 1 - level)) if spread > 0 else 0.0
    low, high = (0.0, math.inf) if half > 700 else (math.exp(mean - half), math.exp(mean + half))
    return Estimate(math.exp(mean), low, high, n, spread)


def log_ratios(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log(a/b) for each pair; two failures of one pair are equally bad, hence 0."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    both = np.isinf(a) & np.isinf(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(both, 0.0, np.log(a) - np.log(b))


def reach(n: np.ndarray | int, alpha: float) -> np.ndarray:
    """How far a bound lies from the mean of n values, in units of their standard deviation.

    alpha: the chance that the bound is ever on the wrong side, over all n >= 2. Infinite where n
    values are too few for any bound.
    """
    n = np.asarray(n, float)
    shrink = PRIOR / (n + PRIOR)
    # The two-sided sequence at 2 alpha: by symmetry each side errs with at most alpha.
    log_k = (np.log1p(n / PRIOR) - 2 * math.log(2 * alpha)) / n
    k = np.exp(np.minimum(log_k, 50.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = (n - 1) * (k - 1) / (1 - k * shrink)
    return np.where(k * shrink < 1, np.sqrt(np.maximum(squared, 0.0) / n), np.inf)


def pairs_needed(
    logs: np.ndarray, is_decided: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> int | None:
    """About how many pairs, all told, decide with a chance of `POWER`; None: more than can be run.

    `is_decided(mean, spread, n)`, arrays of one shape, says where a comparison is decided. What is
    still to come is drawn from what the pairs so far allow for mean and spread (the predictive
    distribution under the usual flat prior), so a first look at few pairs is not taken for the
    truth. logs: (n,) finite log ratios, n >= 2.
    """
    n, spread = len(logs), float(np.std(logs, ddof=1))
    if spread < SAME:
        return n
    random = np.random.default_rng(SEED)
    sigma = spread * np.sqrt((n - 1) / random.chisquare(n - 1, FUTURES))
    truth = logs.mean() + sigma * random.standard_normal(FUTURES) / math.sqrt(n)
    sums = np.full(FUTURES, logs.sum())
    squares = np.full(FUTURES, float(np.sum(logs**2)))
    decided, before = np.zeros(FUTURES, bool), n
    for total in _schedule(n):
        more = total - before
        mean = truth + sigma * random.standard_normal(FUTURES) / math.sqrt(more)
        inner = sigma**2 * (random.chisquare(more - 1, FUTURES) if more > 1 else 0.0)
        sums, squares, before = sums + more * mean, squares + more * mean**2 + inner, total
        average = sums / total
        variance = np.maximum(squares - total * average**2, 0.0) / (total - 1)
        decided |= is_decided(average, np.sqrt(variance), np.full(FUTURES, total))
        if decided.mean() >= POWER:
            return total
    return None


def spread_share(values: np.ndarray) -> float:
    """(largest - smallest) / median of positive values; 0 for fewer than two."""
    values = np.asarray(values, float)
    return float(np.ptp(values) / np.median(values)) if len(values) > 1 else 0.0


def _schedule(n: int) -> list[int]:
    """Numbers of pairs at which the future is looked at: every one at first, then 1 in 10."""
    totals = [n + 1]
    while totals[-1] < MOST_PAIRS:
        totals.append(totals[-1] + max(1, totals[-1] // 10))
    return totals


def _with_failures(logs: np.ndarray) -> Estimate:
    """Failures in every pair, always the same side's, are a result; a mixture is none."""
    n, infinite = len(logs), np.isinf(logs)
    failures = int(np.sign(logs[infinite]).sum())
    if infinite.all() and abs(failures) == n:
        ratio = math.inf if failures > 0 else 0.0
        return Estimate(ratio, ratio, ratio, n, 0.0, failures)
    return Estimate(math.nan, 0.0, math.inf, n, math.inf, failures)
