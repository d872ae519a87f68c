"""When a difference of seconds is decided: bounds that hold however often one looks.

A comparison `A B B A` or `B A A B` gives one log ratio; which of the two is drawn by chance. A
disturbance that does not know who is running then changes the log ratio by some amount or, with the
same chance, by its opposite: given all that came before, the log ratio is symmetric about the true
one, whatever the disturbances are like and however they hang together. For symmetric x_i

    exp(l sum x_i - l^2 / 2 sum x_i^2)

is a supermartingale for every l (de la Pena, Annals of Probability 27, 1999), and so is its mean
over l > 0 from half of a normal distribution (Robbins's mixture; Howard, Ramdas, McAuliffe and
Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49,
2021). By Ville's inequality it ever exceeds 1 / alpha with chance alpha at most. The x_i are the
distances of the log ratios from a supposed one, in units of the spread of those before, and cut off
at `CUT`: a burst of another process then counts as one outlier.

The bounds know no margin: whatever one asks of them afterwards holds with the same chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import log_ndtr

FIRST_SCALE = 0.02  # the spread that the first comparisons are taken to have
FIRST = 5  # so many
RECENT = 20  # comparisons that tell the unit of the next: a machine may become quieter
SMALLEST_SCALE = 1e-5
TO_SIGMA = 1.4826  # from the median distance to a normal distribution's standard deviation
CUT = 2.0
PRIOR = 4.0  # comparisons that the mixture is worth: bounds are shortest from 10 to 100
HALVINGS = 60


class Decision(StrEnum):
    MORE = "more"
    LESS = "less"
    NO_DIFFERENCE = "no difference"
    NOT_DECIDED = "not decided"


@dataclass(frozen=True)
class Estimate:
    """A log ratio of seconds with its bounds, each wrong with chance alpha at most; n log ratios.

    `centre` is the median; without any comparison it is NaN and the bounds are infinite.
    """

    centre: float
    low: float
    high: float
    n: int

    def decision(self, margin: float) -> Decision:
        """What the bounds decide; `margin` is a share, e.g. 0.01.

        Equivalence is two one-sided tests (Schuirmann 1987): both bounds within the margin.
        """
        edge = math.log1p(margin)
        if self.low > edge:
            return Decision.MORE
        if self.high < -edge:
            return Decision.LESS
        inside = -edge < self.low and self.high < edge
        return Decision.NO_DIFFERENCE if inside else Decision.NOT_DECIDED


def next_scale(logs: np.ndarray) -> np.ndarray:
    """The unit of the next log ratio, from those before it along the last axis.

    logs: (..., n); returns (...). It must be taken before the next one is seen.
    """
    logs = np.asarray(logs, float)[..., -RECENT:]
    if logs.shape[-1] < FIRST:
        return np.full(logs.shape[:-1], FIRST_SCALE)
    middle = np.median(logs, axis=-1, keepdims=True)
    spread = TO_SIGMA * np.median(np.abs(logs - middle), axis=-1)
    return np.maximum(spread, SMALLEST_SCALE)


def evidence(logs: np.ndarray, scales: np.ndarray, supposed: float) -> np.ndarray:
    """Log of the evidence, after each comparison, that the true log ratio exceeds `supposed`.

    logs, scales: (..., n), and so is the result. Where the truth is `supposed` or less, it ever
    exceeds log(1 / alpha) with chance alpha at most.
    """
    x = np.clip((np.asarray(logs, float) - supposed) / scales, -CUT, CUT)
    total, squares = np.cumsum(x, axis=-1), np.cumsum(np.square(x), axis=-1) + PRIOR
    z = total / np.sqrt(squares)
    return math.log(2) + 0.5 * np.log(PRIOR / squares) + 0.5 * z**2 + log_ndtr(z)


def estimate(logs: Sequence[float], scales: Sequence[float], alpha: float) -> Estimate:
    """The median log ratio, with the bounds after all comparisons."""
    values, units = np.asarray(logs, float), np.asarray(scales, float)
    if not len(values):
        return Estimate(math.nan, -math.inf, math.inf, 0)
    low = _lower_bound(values, units, alpha)
    high = -_lower_bound(-values, units, alpha)
    return Estimate(float(np.median(values)), low, high, len(values))


def _lower_bound(logs: np.ndarray, scales: np.ndarray, alpha: float) -> float:
    """The largest log ratio below which everything is refuted; -inf where nothing is."""
    needed = math.log(1 / alpha)

    def refuted(supposed: float) -> bool:
        return bool(evidence(logs, scales, supposed)[-1] >= needed)

    low, high = float(logs.min() - CUT * scales.max()), float(np.median(logs))
    if not refuted(low):  # further down all are cut off: nothing more can be said
        return -math.inf
    if refuted(high):
        high = float(logs.max() + CUT * scales.max())
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
