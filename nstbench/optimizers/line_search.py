"""Strong Wolfe line search: bracketing, then zoom with cubic interpolation.

Nocedal & Wright, Numerical Optimization (2nd ed.), algorithms 3.5 and 3.6, with the safeguards and
constants of PyTorch's L-BFGS (c1 1e-4, c2 0.9, at most 25 evaluations). On the golden pictures its
evaluations are PyTorch's one by one; in general PyTorch compares with the trial before from the
third trial on, where the book does from the second. Plain numbers only: the caller evaluates.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SUFFICIENT_DECREASE = 1e-4  # c1
CURVATURE = 0.9  # c2
MOST_EVALUATIONS = 25
SMALLEST_BRACKET = 1e-9  # in units of the image


@dataclass(frozen=True)
class Trial:
    """One point on the line: length t, loss, slope, and whatever the caller keeps with it."""

    t: float
    loss: float
    slope: float
    payload: Any = None


def strong_wolfe(
    evaluate: Callable[[float], Trial], start: Trial, first: float, largest_move: float
) -> Trial:
    """The first trial that meets both strong Wolfe conditions, else the best one bracketed.

    `start` is the point at t = 0 with its (negative) slope, `first` the first length to try,
    `largest_move` the direction's largest component (ends a zoom that no longer moves a pixel).
    A loss that is not finite ends the search at once: the caller sees the divergence.
    """
    search = _Search(evaluate, start, largest_move)
    bracket = search.bracket(first)
    return bracket if isinstance(bracket, Trial) else search.zoom(*bracket)


class _Search:
    def __init__(self, evaluate, start, largest_move):
        self._evaluate = evaluate
        self._start = start
        self._largest_move = largest_move
        self._made = 0

    def _try(self, t: float) -> Trial:
        self._made += 1
        return self._evaluate(t)

    def _decreases(self, trial: Trial) -> bool:
        start = self._start
        return trial.loss <= start.loss + SUFFICIENT_DECREASE * trial.t * start.slope

    def _is_flat(self, trial: Trial) -> bool:
        return abs(trial.slope) <= -CURVATURE * self._start.slope

    def bracket(self, first: float):
        """Walk outwards until an acceptable point, or two points that enclose one."""
        before, trial = self._start, self._try(first)
        while math.isfinite(trial.loss):
            if not self._decreases(trial) or (self._made > 1 and trial.loss >= before.loss):
                return before, trial
            if self._is_flat(trial):
                return trial
            if trial.slope >= 0:
                return before, trial
            if self._made >= MOST_EVALUATIONS:
                return self._start, trial
            low, high = trial.t + 0.01 * (trial.t - before.t), 10 * trial.t
            before, trial = trial, self._try(_cubic_minimum(before, trial, low, high))
        return trial

    def zoom(self, one: Trial, other: Trial) -> Trial:
        """Shrink the bracket; `best` is its end with the lower loss."""
        best, worst = (one, other) if one.loss <= other.loss else (other, one)
        stalled = False
        while self._made < MOST_EVALUATIONS:
            width = abs(worst.t - best.t)
            if width * self._largest_move < SMALLEST_BRACKET:
                break
            t, stalled = _inside(best, worst, stalled)
            trial = self._try(t)
            if not math.isfinite(trial.loss):
                return trial
            if not self._decreases(trial) or trial.loss >= best.loss:
                worst = trial
                if worst.loss <= best.loss:
                    best, worst = worst, best
                continue
            if self._is_flat(trial):
                return trial
            if trial.slope * (worst.t - best.t) >= 0:
                worst = best
            best = trial
        return best


def _inside(best: Trial, worst: Trial, stalled: bool) -> tuple[float, bool]:
    """The interpolated length, kept off the bracket's ends once it has come close to one twice."""
    low, high = min(best.t, worst.t), max(best.t, worst.t)
    t = _cubic_minimum(best, worst, low, high)
    margin = 0.1 * (high - low)
    if min(high - t, t - low) >= margin:
        return t, False
    if stalled or t >= high or t <= low:
        return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
    return t, True


def _cubic_minimum(a: Trial, b: Trial, low: float, high: float) -> float:
    """Minimum of the cubic through two points and slopes, clipped to [low, high] (eq. 3.59)."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, low), high)
