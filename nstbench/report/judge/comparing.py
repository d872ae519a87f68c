"""One comparison of a claim: its runs, their pairs, the ratio, and whether it is decided."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from nstbench.cost import sequence
from nstbench.cost.record import Record
from nstbench.report.data import costs, select
from nstbench.report.data.costs import Cost, Rule
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.select import Selected
from nstbench.report.data.settings import Claim, ReportSettings, Row, Selector, Sides
from nstbench.report.judge import decide, pairs
from nstbench.report.judge.decide import Decision
from nstbench.report.judge.metrics import Metric
from nstbench.report.judge.pairs import Pairs
from nstbench.report.judge.statistics import Estimate, log_ratios, paired_ratio, pairs_needed
from nstbench.report.judge.targets import Targets


@dataclass(frozen=True)
class Scope:
    """The runs that a claim's comparisons may be made of.

    timed: those of one machine and problem; family: those of problems that differ in their
    pictures alone; targets: of each of those problems; costs: the sessions on what a step costs.
    """

    timed: tuple[RecordedRun, ...]
    family: tuple[RecordedRun, ...]
    targets: Mapping[str, Targets]
    costs: Sequence[Record] = ()

    def runs(self, metric: Metric) -> tuple[RecordedRun, ...]:
        return self.timed if metric.is_timed else self.family


@dataclass(frozen=True)
class Comparison:
    """Two competitors as they were run, and the ratio a/b of a metric.

    `cost` is what a step of theirs costs, where that decides in place of the runs; `margin` is that
    of whichever decides. `more` is about how many more pairs should decide it, 0 where it is
    decided, None where more than can be run would be needed; `rows` are those of the report's
    table that it is about.
    """

    sides: Sides
    names: tuple[str, str]
    selected: tuple[Selected, Selected]
    lengths: tuple[int | None, int | None]  # steps planned
    found: Pairs
    estimate: Estimate
    cost: Cost | None
    margin: float
    alpha: float
    decision: Decision
    more: int | None
    rows: tuple[Row | None, Row | None]

    @cached_property
    def step(self) -> sequence.Estimate | None:
        """Log ratio of a step's seconds with its bounds, where it decides."""
        return self.cost.estimate(self.alpha) if self.cost else None

    @property
    def ratio(self) -> float:
        """The ratio that decides."""
        return math.exp(self.step.centre) if self.step else self.estimate.ratio

    @property
    def reported_ratio(self) -> float | None:
        a, b = self.rows
        return a.reported_seconds / b.reported_seconds if a and b else None

    @property
    def is_of_equal_length(self) -> bool:
        """Whether both sides are planned for as many steps, as far as is known."""
        a, b = self.lengths
        return a == b


@dataclass(frozen=True)
class Comparer:
    """How the comparisons of one claim are made, by one metric."""

    claim: Claim
    metric: Metric
    settings: ReportSettings
    scope: Scope

    @property
    def margin(self) -> float:
        own = self.claim.margin
        return self.settings.claims.margin if own is None else own

    @property
    def alpha(self) -> float:
        return 1 - self.settings.claims.level

    def compare(self, sides: Sides) -> Comparison:
        """The comparison of two sides."""
        wanted = [self.settings.claims.common | side for side in (sides.a, sides.b)]
        runs = self.scope.runs(self.metric)
        selected = [select.select(runs, each) for each in wanted]
        found = self._pairs(selected)
        estimate = paired_ratio(found.a, found.b, self.settings.claims.level)
        lengths = tuple(map(_steps, selected, wanted))
        cost = self._cost(selected, wanted, lengths, found.n)
        decision = self.decided(found, selected, cost, self.alpha)
        presets = self.settings.presets
        names = [
            own.name if own.runs else select.in_words(each, presets)
            for own, each in zip(selected, wanted, strict=True)
        ]
        return Comparison(
            sides,
            tuple(names),
            tuple(selected),
            lengths,
            found,
            estimate,
            cost,
            self._step_margin(cost) if cost else self.margin,
            self.alpha,
            decision,
            self._more(found) if decision is Decision.NOT_DECIDED else 0,
            tuple(self.settings.table.matching(each) for each in wanted),
        )

    def _cost(
        self,
        selected: Sequence[Selected],
        wanted: Sequence[Selector],
        lengths: tuple[int | None, int | None],
        pairs: int,
    ) -> Cost | None:
        """What a step costs, where the claim is about that: of two schedules of equal length only
        their steps can differ, and of one method only the number of steps, which decides where
        there are too few pairs of runs. It asks for no run of this length, only for one alike."""
        if self.claim.decided_by != "cost" or not self.scope.timed:
            return None
        presets = self.settings.presets
        a, b = (
            Rule.of_run(own.runs[0]) if own.runs else Rule.of_selector(each, presets)
            for own, each in zip(selected, wanted, strict=True)
        )
        like = next((run for own in selected for run in own.runs), self.scope.timed[0])
        first = self.settings.claims.step_size
        sizes = [size for size in (first, like.record.settings.get("size")) if size is not None]
        if a is None or b is None or None in lengths:
            return None
        if lengths[0] == lengths[1]:
            return costs.between(self.scope.costs, a, b, like, sizes)
        enough = pairs >= self.settings.claims.fewest_repeats
        return None if enough else costs.counted(self.scope.costs, (a, b), lengths, like, sizes)

    def _step_margin(self, cost: Cost) -> float:
        known = self.claim.margin is None and cost.margin is not None
        return cost.margin if known else self.margin

    def _pairs(self, selected: Sequence[Selected]) -> Pairs:
        a, b = (each.runs for each in selected)
        value = self._value
        if not self.metric.is_timed:
            return pairs.by_pictures(a, b, value)
        return pairs.in_time(a, b, value, self.settings.claims.neighbours_s)

    def _value(self, run: RecordedRun) -> float | None:
        return self.metric.value(run, self.scope.targets)

    def decided(
        self,
        found: Pairs,
        selected: Sequence[Selected],
        cost: Cost | None,
        alpha: float,
    ) -> Decision:
        """One comparison at a level, by the cost of a step where there is one. A deterministic
        metric on one pair of pictures is decided for that pair."""
        if cost is not None:
            step = cost.estimate(alpha)
            own = decide.Bounds(np.float64(step.low), np.float64(step.high))
            return decide.decide(self.claim.expect, own, math.log1p(self._step_margin(cost)))
        if not all(each.runs for each in selected):
            return Decision.NOT_RUN
        alone = found.n == 1 and not self.metric.is_timed
        if not alone and found.n < self.settings.claims.fewest_repeats:
            return Decision.NOT_DECIDED
        margin = math.log1p(self.margin)
        logs = log_ratios(found.a, found.b)
        if alone or not np.isfinite(logs).all():
            estimate = paired_ratio(found.a, found.b)
            point = math.log(estimate.ratio) if 0 < estimate.ratio < math.inf else None
            if point is None and estimate.failures and not math.isnan(estimate.ratio):
                point = math.copysign(math.inf, estimate.failures)
            if point is None:
                return Decision.NOT_DECIDED
            return decide.decide(
                self.claim.expect, decide.Bounds(np.float64(point), np.float64(point)), margin
            )
        own = decide.bounds(logs.mean(), logs.std(ddof=1), found.n, alpha)
        return decide.decide(self.claim.expect, own, margin)

    def combined(self, compared: Sequence[Comparison]) -> tuple[Decision, int]:
        """The decision on the whole claim, and in how many comparisons it holds."""
        judged = [partial(self.decided, each.found, each.selected, each.cost) for each in compared]
        return decide.combine(self.claim.quantifier, judged, self.alpha)

    def _more(self, found: Pairs) -> int | None:
        """About how many more pairs decide this comparison, at the levels that its claim needs."""
        fewest, n = self.settings.claims.fewest_repeats, found.n
        if n < 2:
            return fewest - n
        logs = log_ratios(found.a, found.b)
        if not np.isfinite(logs).all():
            return None
        total = pairs_needed(logs, self._is_decided)
        return None if total is None else max(total, fewest, n + 1) - n

    def _is_decided(self, mean: np.ndarray, spread: np.ndarray, n: np.ndarray) -> np.ndarray:
        expect, margin = self.claim.expect, math.log1p(self.margin)
        k = len(self.claim.comparisons)
        support, refute = decide.alphas(self.claim.quantifier, k, self.alpha)
        decided = (
            decide.bounds(mean, spread, n, support).holds(expect, margin)
            | decide.bounds(mean, spread, n, refute).fails(expect, margin)
            | decide.bounds(mean, spread, n, self.alpha).equal(expect, margin)
        )
        return decided & (n >= self.settings.claims.fewest_repeats)


def _steps(selected: Selected, wanted: Selector) -> int | None:
    """Steps that a side is planned for: of its runs, else as its selector says."""
    if selected.runs:
        return selected.runs[0].steps
    known = "epochs" in wanted and "steps_per_epoch" in wanted
    return wanted["epochs"] * wanted["steps_per_epoch"] if known else None
