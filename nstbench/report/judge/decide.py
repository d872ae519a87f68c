"""When a comparison is decided, and what a claim is that rests on several of them.

A comparison is decided where a bound of the log ratio clears the margin, or where both bounds lie
within it (two one-sided tests, Schuirmann 1987). Errors count per claim: that at least j of k
comparisons hold is said at the level alpha / (k - j + 1) for each (Benjamini and Heller, Biometrics
64, 2008), which is alpha itself for "all of them" and Bonferroni's alpha / k for "one of them".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from nstbench.report.judge.statistics import reach


class Decision(StrEnum):
    SUPPORTED = "supported"
    REFUTED = "refuted"
    PARTLY = "holds in part"
    NO_DIFFERENCE = "no difference beyond the margin"
    NOT_DECIDED = "not decided"
    NOT_RUN = "not run"


OPEN = (Decision.NOT_DECIDED, Decision.NOT_RUN)


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds of log ratios, numbers or arrays of one shape."""

    low: np.ndarray
    high: np.ndarray

    def holds(self, expect: str, margin: float) -> np.ndarray:
        """Whether what is expected is shown; `margin` is one of log ratios."""
        below, above = self.high < -margin, self.low > margin
        within = (self.low >= -margin) & (self.high <= margin)
        return {"less": below, "more": above, "close": within, "differ": below | above}[expect]

    def fails(self, expect: str, margin: float) -> np.ndarray:
        """Whether the contrary is shown; no difference is not the contrary of a difference."""
        below, above = self.high < -margin, self.low > margin
        never = np.zeros_like(below)
        return {"less": above, "more": below, "close": below | above, "differ": never}[expect]

    def equal(self, expect: str, margin: float) -> np.ndarray:
        """Whether it is shown that there is no difference, where one was expected."""
        within = (self.low >= -margin) & (self.high <= margin)
        return within if expect != "close" else np.zeros_like(within)


def bounds(mean: np.ndarray, spread: np.ndarray, n: np.ndarray, alpha: float) -> Bounds:
    """One-sided bounds at `alpha` of log ratios with this mean and standard deviation over n."""
    half = np.where(np.asarray(spread) > 0, spread * reach(n, alpha), 0.0)
    return Bounds(np.asarray(mean - half), np.asarray(mean + half))


def decide(expect: str, found: Bounds, margin: float) -> Decision:
    """The decision on one comparison."""
    if found.holds(expect, margin):
        return Decision.SUPPORTED
    if found.fails(expect, margin):
        return Decision.REFUTED
    return Decision.NO_DIFFERENCE if found.equal(expect, margin) else Decision.NOT_DECIDED


def enough(quantifier: str, k: int) -> tuple[int, int]:
    """How many of k comparisons must hold for support, and must be refuted for refutation."""
    most = k // 2 + 1
    return (k, 1) if quantifier == "all" else (most, most)


def alphas(quantifier: str, k: int, alpha: float) -> tuple[float, float]:
    """The levels at which one comparison counts for support, and for refutation, of its claim."""
    needed, refuting = enough(quantifier, k)
    return alpha / (k - needed + 1), alpha / (k - refuting + 1)


def combine(
    quantifier: str, judged: Sequence[Callable[[float], Decision]], alpha: float
) -> tuple[Decision, int]:
    """The decision on a claim, and in how many of its comparisons it is shown to hold.

    judged: for each comparison the decision at a level. All are needed for "all", more than half
    for "most"; one refutation refutes "all", more than half refute "most". Once every comparison is
    decided, a claim that holds in some is `PARTLY` true, and only where none shows a difference is
    there no difference.
    """
    k = len(judged)
    needed, refuting = enough(quantifier, k)
    holding = _at_least(Decision.SUPPORTED, judged, alpha)
    against = _at_least(Decision.REFUTED, judged, alpha)
    if holding >= needed:
        return Decision.SUPPORTED, holding
    if against >= refuting:
        return Decision.REFUTED, holding
    each = [judge(alpha) for judge in judged]
    if all(decision is Decision.NOT_RUN for decision in each):
        return Decision.NOT_RUN, 0
    if any(decision in OPEN for decision in each):
        return Decision.NOT_DECIDED, holding
    if all(decision is Decision.NO_DIFFERENCE for decision in each):
        return Decision.NO_DIFFERENCE, 0
    if holding and holding == each.count(Decision.SUPPORTED):
        return Decision.PARTLY, holding
    refuted = against and not each.count(Decision.SUPPORTED)
    return (Decision.REFUTED if refuted else Decision.NOT_DECIDED), holding


def _at_least(decision: Decision, judged: Sequence[Callable], alpha: float) -> int:
    """The largest j for which j comparisons have `decision` at the level that j asks for."""
    k = len(judged)
    for j in range(k, 0, -1):
        if sum(judge(alpha / (k - j + 1)) is decision for judge in judged) >= j:
            return j
    return 0
