"""When a difference of seconds is decided: bounds that hold however often one looks.

A comparison `A B B A` or `B A A B` gives one log ratio; which of the two is drawn by chance. What
disturbs the four samples and does not know who is running then changes the log ratio by some amount
or, with the same chance, by its opposite: given all that came before, the log ratio is symmetric
about the true one, whatever the disturbances are like and however they hang together. For symmetric
x_i

    exp(l sum x_i - l^2 / 2 sum x_i^2)

is a supermartingale for every l (de la Pena, Annals of Probability 27, 1999), and so is its mean
over l > 0 from half of a normal distribution (Robbins's mixture; Howard, Ramdas, McAuliffe and
Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49,
2021). By Ville's inequality it ever exceeds 1 / alpha with chance alpha at most.

The x_i are the distances of the log ratios from a supposed one, each in units of its own
comparison's spread, cut off at `CUT`. The spread is how far the two samples of the same competitor
lie apart, which is the same whichever of them ran first and last: it tells how disturbed a
comparison was and nothing of its sign. On a busy machine the few quiet comparisons so count most.

The bounds know no margin: whatever one asks of them afterwards holds with the same chance.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import log_ndtr

SMALLEST_SPREAD = 1e-5  # what clocks and caches leave between two samples
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

    `centre` is where the distances add up to nothing. Without any comparison it is NaN and the
    bounds are infinite.
    """

    centre: float
    low: float
    high: float
    n: int

    def turned(self) -> "Estimate":
        """The log ratio b/a."""
        return Estimate(-self.centre, -self.high, -self.low, self.n)

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


def spread(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The standard deviation of a comparison's log ratio, as its own samples tell it.

    a, b: (..., 2) logs of the two samples of each competitor; returns (...).
    """
    apart = np.square(np.diff(a)) + np.square(np.diff(b))
    return np.maximum(0.5 * np.sqrt(apart[..., 0]), SMALLEST_SPREAD)


def evidence(logs: np.ndarray, spreads: np.ndarray, supposed: float) -> np.ndarray:
    """Log of the evidence, after each comparison, that the true log ratio exceeds `supposed`.

    logs, spreads: (..., n), and so is the result. Where the truth is `supposed` or less, it ever
    exceeds log(1 / alpha) with chance alpha at most.
    """
    x = _distances(np.asarray(logs, float), spreads, supposed)
    total, squares = np.cumsum(x, axis=-1), np.cumsum(np.square(x), axis=-1) + PRIOR
    z = total / np.sqrt(squares)
    return math.log(2) + 0.5 * np.log(PRIOR / squares) + 0.5 * z**2 + log_ndtr(z)


def estimate(logs: Sequence[float], spreads: Sequence[float], alpha: float) -> Estimate:
    """The log ratio with the bounds after all comparisons."""
    values, units = np.asarray(logs, float), np.asarray(spreads, float)
    if not len(values):
        return Estimate(math.nan, -math.inf, math.inf, 0)
    beyond = CUT * units.max()
    ends = float(values.min() - beyond), float(values.max() + beyond)

    def is_below_centre(supposed: float) -> bool:
        return bool(_distances(values, units, supposed).sum() > 0)

    centre = _last(is_below_centre, *ends)
    low = _lower_bound(values, units, alpha, centre)
    high = -_lower_bound(-values, units, alpha, -centre)
    return Estimate(centre, low, high, len(values))


def _distances(logs: np.ndarray, spreads: np.ndarray, supposed: float) -> np.ndarray:
    return np.clip((logs - supposed) / spreads, -CUT, CUT)


def _lower_bound(logs: np.ndarray, spreads: np.ndarray, alpha: float, centre: float) -> float:
    """The largest log ratio below which everything is refuted; -inf where nothing is."""
    needed = math.log(1 / alpha)

    def is_refuted(supposed: float) -> bool:
        return bool(evidence(logs, spreads, supposed)[-1] >= needed)

    furthest = float(logs.min() - CUT * spreads.max())
    if not is_refuted(furthest):  # further down all are cut off: nothing more can be said
        return -math.inf
    return _last(is_refuted, furthest, centre)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds`, true at `low` and false from some point on, ends; by halving."""
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
