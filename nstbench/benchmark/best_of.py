"""What tuning costs: best of k trials, who is probably the best at which budget, loss against rate.

A trial's value is the criterion of tuning, lower is better (`scoring.progress`).
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CLOSE = 0.05  # a share of the loss: who lies no further above the best counts as tuned
DECADES = 3.0  # of rates around the best one, over which the sensitivity is a mean
SHUFFLES = 2000  # of the trials, for the probability of being the best


@dataclass(frozen=True)
class TuningCurve:
    """The median best of k trials and its band, for each k."""

    ks: tuple[int, ...]
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray


def tuning_curve(
    values: Sequence[float], level: float = 0.8, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> TuningCurve:
    """The best of k trials for k = 1 to their number, with exact bands that hold for all k at once.

    Lourie, Cho & He, "Show your work with confidence" (2023), by their package opda. The bands
    assume independent trials; scrambled Sobol points cover a space more evenly, so the bands are
    on the safe side. `bounds` are the least and largest value that a trial could have.
    """
    from opda.nonparametric import EmpiricalDistribution

    ks = np.arange(1, len(values) + 1)
    with warnings.catch_warnings():  # of equal values (trials that all failed) opda says that the
        warnings.simplefilter("ignore", RuntimeWarning)  # bands cover more than they promise
        lower, middle, upper = EmpiricalDistribution.confidence_bands(
            np.asarray(values, dtype=float), level, a=bounds[0], b=bounds[1],
            method="ld_equal_tailed", n_jobs=1,
        )  # fmt: skip
    # The upper band of the distribution has its probability at smaller values.
    low, median, high = (
        each.quantile_tuning_curve(ks, minimize=True) for each in (upper, middle, lower)
    )
    return TuningCurve(tuple(ks.tolist()), low, median, high)


def expected_best(values: Sequence[float]) -> np.ndarray:
    """The mean best of k of the trials, drawn without return, for k = 1 to their number.

    Exact: the i-th smallest of n is the best of k with chance C(n - i, k - 1) / C(n, k).
    """
    ordered, count = np.sort(np.asarray(values, dtype=float)), len(values)
    chances = [
        [math.comb(count - i, k - 1) / math.comb(count, k) for i in range(1, count + 1)]
        for k in range(1, count + 1)
    ]
    return np.array(chances) @ ordered


def above_best(value: float, values: Sequence[float]) -> float:
    """By which share a trial's loss lies above the best trial's: 0.1 for a mean factor of 1.1."""
    return math.expm1(value - min(values))


def trials_needed(values: Sequence[float]) -> int:
    """The number of trials whose best, on average, is `CLOSE` to the best of all of them."""
    above = expected_best(values) - min(values)
    return int(np.argmax(above <= math.log1p(CLOSE))) + 1


def probability_of_best(
    trials: Mapping[str, Sequence[float]], ks: Sequence[int], seed: int = 0
) -> dict[str, np.ndarray]:
    """The chance that an optimizer is the best of all after k trials of each, for each k.

    Sivaprasad et al., "Optimizer benchmarking needs to account for hyperparameter tuning" (2020):
    the trials in random order, many times. One with fewer than k trials has its best of them all;
    equals share.
    """
    random = np.random.default_rng(seed)
    best = np.stack([_bests(np.asarray(values), ks, random) for values in trials.values()])
    is_best = best == best.min(axis=0)
    shares = (is_best / is_best.sum(axis=0)).mean(axis=1)
    return dict(zip(trials, shares, strict=True))


def _bests(values: np.ndarray, ks: Sequence[int], random: np.random.Generator) -> np.ndarray:
    """The best of the first k values of each shuffle, (shuffles, ks)."""
    shuffled = random.permuted(np.tile(values, (SHUFFLES, 1)), axis=1)
    running = np.minimum.accumulate(shuffled, axis=1)
    return running[:, [min(k, len(values)) - 1 for k in ks]]


def sensitivity(rates: Sequence[float], values: Sequence[float]) -> float:
    """How much a wrong rate costs: the mean, over three decades around the best, of the excess.

    `values` are logarithms (`scoring.progress`), at most 0, so the excess over the best one is the
    mean logarithm of loss / best loss. Straight lines between the rates tried; beyond them the last
    one's value. 0 for fewer than two rates.
    """
    from scipy import integrate

    order = np.argsort(rates)
    places, heights = np.log10(np.asarray(rates)[order]), np.asarray(values, dtype=float)[order]
    if len(places) < 2:
        return 0.0
    middle = places[np.argmin(heights)]
    low, high = middle - DECADES / 2, middle + DECADES / 2
    inside = places[(places > low) & (places < high)]
    grid = np.concatenate([[low], inside, [high]])
    area = integrate.trapezoid(np.interp(grid, places, heights - heights.min()), grid)
    return float(area / DECADES)
