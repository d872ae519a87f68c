"""What a figure shows, as plain data: drawn by `figures` for print and by `page` for the screen.

A `Plot` holds its curves over every axis that it can be drawn on, so that "over epochs,
evaluations or seconds" is one switch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_POINTS = 400  # per curve; more cannot be seen and makes the page heavy
MOST_PRINTED = 14  # curves of one printed figure; the page can hide some of more
FEW_REPEATS = 10  # below this the band is the whole range, from here on 10 % to 90 %


@dataclass(frozen=True)
class Curve:
    """A line through (x, y), with a band from `low` to `high` where there are repeats."""

    x: list[float]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None


@dataclass(frozen=True)
class Series:
    """One competitor, the `variant`-th of `variants` with its optimizer in the plot."""

    label: str
    optimizer: str  # what tells optimizers apart, which decides the look
    curves: dict[str, Curve]  # axis -> curve
    variant: int = 0
    variants: int = 1
    repeats: int = 1
    ending: str = ""  # how it ended where not by its schedule: "diverged"
    family: str = ""  # the optimizer as people write it; the page filters by it and by `rate`
    rate: str = ""

    @property
    def name(self) -> str:
        """The label, with its ending."""
        return f"{self.label} ({self.ending})" if self.ending else self.label


@dataclass(frozen=True)
class Level:
    """A horizontal line with a name: a target, or the place where diverged runs are shown.

    The name stands above the line, or `below` it, where that of a close one above would be.
    """

    value: float
    label: str
    below: bool = False


@dataclass(frozen=True)
class Plot:
    """One figure, not yet drawn. `x` maps each axis to its label."""

    name: str  # stem of its files
    title: str
    x: dict[str, str]
    y: str
    series: tuple[Series, ...]
    subtitle: str = ""
    problem: str = ""
    levels: tuple[Level, ...] = ()
    notes: tuple[str, ...] = ()
    log_x: bool = False
    log_y: bool = True
    stairs: bool = False
    points: bool = False  # every point is marked: few points, each a result of its own
    distance: bool = False  # losses, whose distance to the lowest can be shown
    budget: int = 0  # evaluations within which all are compared; 0: none
    printed: str = ""  # the stem of its files, seen from the page, where something else drew them

    def stem(self, axis: str) -> str:
        """The stem of its files over `axis`."""
        return f"{self.name}_{axis}" if len(self.x) > 1 else self.name


def summarise(repeats: Sequence[tuple[np.ndarray, np.ndarray]]) -> Curve | None:
    """The median of repeats (x, y) and their band; None where nothing is finite.

    Repeats are read off at the first one's x, within the range that all of them cover: at equal
    seconds, not at equal epochs. What is not finite is left out, so a diverged repeat ends early.
    """
    kept = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in repeats]
    kept = [(x, y) for x, y in kept if len(x)]
    if not kept:
        return None
    first, last = max(x[0] for x, _ in kept), min(x[-1] for x, _ in kept)
    grid = kept[0][0]
    grid = thin(grid[(grid >= first) & (grid <= last)])
    if not len(grid):
        return None
    stack = np.array([np.interp(grid, x, y) for x, y in kept])
    return Curve(plain(grid), plain(np.median(stack, axis=0)), *band(stack))


def band(stack: np.ndarray) -> tuple[list[float] | None, list[float] | None]:
    """Lower and upper edge over repeats (n, points); none for a single repeat."""
    if len(stack) < 2:
        return None, None
    low, high = np.quantile(stack, (0, 1) if len(stack) < FEW_REPEATS else (0.1, 0.9), axis=0)
    return plain(low), plain(high)


def thin(x: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """At most `most` of x: half of them evenly spaced, half denser towards the start."""
    if len(x) <= most:
        return x
    even = np.linspace(0, len(x) - 1, most // 2)
    early = np.geomspace(1, len(x), most // 2) - 1
    return x[np.unique(np.concatenate([even, early]).round().astype(int))]


def fewer(curve: Curve, most: int) -> Curve:
    """`curve` at no more than `most` of its points."""
    if len(curve.x) <= most:
        return curve
    kept = thin(np.arange(len(curve.x)), most)
    parts = (curve.x, curve.y, curve.low, curve.high)
    return Curve(*(part and [part[place] for place in kept] for part in parts))


def plain(values: np.ndarray) -> list[float]:
    """Six significant digits: more than a screen can show, at a third of the page's weight."""
    return [float(f"{value:.6g}") for value in values]


def words_for_band(repeats: Sequence[int]) -> str:
    """What line and band mean, for the foot of a figure; `repeats`: how many each curve has."""
    if max(repeats) < 2:
        return "One run per curve."
    count = " or ".join(map(str, sorted(set(repeats))))
    edges = "lowest to highest" if max(repeats) < FEW_REPEATS else "10 % to 90 %"
    return f"Median of {count} repeats, band from {edges}."
