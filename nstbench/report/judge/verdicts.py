"""A verdict on every claim: by the runs that were made, and by the report's own table."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nstbench import errors
from nstbench.report.data import compare, select
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.select import Selected
from nstbench.report.data.settings import Claim, ReportSettings, Row, Selector, Sides
from nstbench.report.judge import decide, pairs, wording
from nstbench.report.judge.decide import Decision
from nstbench.report.judge.metrics import METRICS, Metric
from nstbench.report.judge.pairs import Pairs
from nstbench.report.judge.statistics import Estimate, log_ratios, paired_ratio, pairs_needed
from nstbench.report.judge.targets import Targets, targets_of
from nstbench.report.judge.wording import Reported


@dataclass(frozen=True)
class Scope:
    """The runs that a claim's comparisons may be made of.

    timed: those of one machine and problem; family: those of problems that differ in their
    pictures alone; targets: of each of those problems.
    """

    timed: tuple[RecordedRun, ...]
    family: tuple[RecordedRun, ...]
    targets: Mapping[str, Targets]

    def runs(self, metric: Metric) -> tuple[RecordedRun, ...]:
        return self.timed if metric.is_timed else self.family


@dataclass(frozen=True)
class Comparison:
    """Two competitors as they were run, and the ratio a/b of a metric.

    `more` is about how many more pairs should decide it, 0 where it is decided, None where more
    than can be run would be needed; `rows` are those of the report's table that it is about.
    """

    sides: Sides
    names: tuple[str, str]
    selected: tuple[Selected, Selected]
    found: Pairs
    estimate: Estimate
    decision: Decision
    more: int | None
    rows: tuple[Row | None, Row | None]

    @property
    def reported_ratio(self) -> float | None:
        a, b = self.rows
        return a.reported_seconds / b.reported_seconds if a and b else None

    @property
    def is_of_equal_length(self) -> bool:
        """Whether both sides were planned for as many steps."""
        a, b = (each.runs[0].steps if each.runs else None for each in self.selected)
        return a == b


@dataclass(frozen=True)
class Verdict:
    """One claim judged. `deciding` is the comparison that the decision hangs on."""

    claim: Claim
    decision: Decision
    verdict: str
    explanation: str
    more: int | None
    holding: int
    deciding: Comparison
    comparisons: tuple[Comparison, ...]
    commands: tuple[str, ...]  # that would make the runs which it lacks
    reported: Reported
    reported_explanation: str
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.claim.id


def judge(settings: ReportSettings, runs: Iterable[RecordedRun]) -> list[Verdict]:
    """Every claim, in their order.

    Raises `SettingsError` for a metric or a setting in a selector that does not exist.
    """
    runs = tuple(runs)
    for claim in settings.claims.claims:
        for name in filter(None, (claim.metric, claim.also)):
            if name not in METRICS:
                raise errors.unknown("metric", name, METRICS)
    wanted = selectors(settings)
    if settings.own_claims:
        select.check(wanted, runs)
    scope = scope_of(settings, runs, wanted)
    return [_Judge(claim, settings, scope).verdict() for claim in settings.claims.claims]


def selectors(settings: ReportSettings) -> list[Selector]:
    """All that the claims name, with what is common to them."""
    common = settings.claims.common
    sides = [each for claim in settings.claims.claims for each in claim.comparisons]
    return [common | side for each in sides for side in (each.a, each.b)]


def scope_of(
    settings: ReportSettings, runs: Sequence[RecordedRun], wanted: list[Selector]
) -> Scope:
    """The comparable runs, and the family of problems, that hold most of what the claims name."""
    named = {run.id for run in runs if any(select.matches(run, each) for each in wanted)}

    def held(members: Iterable[RecordedRun]) -> int:
        return sum(run.id in named for run in members)

    groups = [group.runs for group in compare.timing_groups(runs)]
    families = compare.families(runs)
    members = [tuple(run for own in family.values() for run in own) for family in families]
    best = max(range(len(members)), key=lambda i: held(members[i]), default=None)
    found = {} if best is None else families[best]
    targets = {problem: targets_of(own, settings.targets) for problem, own in found.items()}
    return Scope(
        max(groups, key=held, default=()),
        () if best is None else members[best],
        {problem: own for problem, own in targets.items() if own},
    )


@dataclass(frozen=True)
class _Judge:
    """How one claim is judged."""

    claim: Claim
    settings: ReportSettings
    scope: Scope

    @property
    def margin(self) -> float:
        own = self.claim.margin
        return self.settings.claims.margin if own is None else own

    @property
    def alpha(self) -> float:
        return 1 - self.settings.claims.level

    def verdict(self) -> Verdict:
        metric = METRICS[self.claim.metric]
        compared = [self._compare(sides, metric) for sides in self.claim.comparisons]
        decision, holding = self._combined(compared, metric)
        deciding = self._deciding(decision, compared)
        more = deciding.more if decision is Decision.NOT_DECIDED else 0
        said = wording.Wording(self.claim, metric, self.margin, self.settings)
        return Verdict(
            claim=self.claim,
            decision=decision,
            verdict=said.verdict(decision, holding, more, compared),
            explanation=said.explanation(deciding, compared) + self._also(),
            more=more,
            holding=holding,
            deciding=deciding,
            comparisons=tuple(compared),
            commands=self._commands(compared),
            reported=said.reported(compared)[0],
            reported_explanation=said.reported(compared)[1],
            notes=said.notes(compared),
        )

    def _compare(self, sides: Sides, metric: Metric) -> Comparison:
        wanted = [self.settings.claims.common | side for side in (sides.a, sides.b)]
        runs = self.scope.runs(metric)
        selected = [select.select(runs, each) for each in wanted]
        found = self._pairs(selected, metric)
        estimate = paired_ratio(found.a, found.b, self.settings.claims.level)
        decision = self._decided(found, metric, selected, self.alpha)
        presets = self.settings.presets
        names = [
            own.name if own.runs else select.in_words(each, presets)
            for own, each in zip(selected, wanted, strict=True)
        ]
        return Comparison(
            sides,
            tuple(names),
            tuple(selected),
            found,
            estimate,
            decision,
            self._more(found, metric) if decision is Decision.NOT_DECIDED else 0,
            tuple(self.settings.table.matching(each) for each in wanted),
        )

    def _pairs(self, selected: Sequence[Selected], metric: Metric) -> Pairs:
        a, b = (each.runs for each in selected)
        value = partial(self._value, metric)
        if not metric.is_timed:
            return pairs.by_pictures(a, b, value)
        return pairs.in_time(a, b, value, self.settings.claims.neighbours_s)

    def _value(self, metric: Metric, run: RecordedRun) -> float | None:
        return metric.value(run, self.scope.targets)

    def _decided(
        self, found: Pairs, metric: Metric, selected: Sequence[Selected], alpha: float
    ) -> Decision:
        """One comparison at a level. A deterministic metric on one pair of pictures is decided for
        that pair."""
        if not all(each.runs for each in selected):
            return Decision.NOT_RUN
        alone = found.n == 1 and not metric.is_timed
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

    def _combined(self, compared: Sequence[Comparison], metric: Metric) -> tuple[Decision, int]:
        judged = [partial(self._decided, each.found, metric, each.selected) for each in compared]
        return decide.combine(self.claim.quantifier, judged, self.alpha)

    def _more(self, found: Pairs, metric: Metric) -> int | None:
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

    def _deciding(self, decision: Decision, compared: Sequence[Comparison]) -> Comparison:
        """The comparison that a claim hangs on: the weakest that carries it, or, where it is not
        decided, the last that has to be."""
        kind = Decision.SUPPORTED if decision is Decision.PARTLY else decision
        alike = [each for each in compared if each.decision is kind] or list(compared)
        if decision is Decision.NOT_DECIDED:
            waiting = sorted(alike, key=lambda e: math.inf if e.more is None else e.more)
            if self.claim.quantifier == "all":
                return waiting[-1]
            needed, _ = decide.enough("most", len(compared))
            each = [c.decision for c in compared]
            leading = max(each.count(Decision.SUPPORTED), each.count(Decision.REFUTED))
            return waiting[min(max(needed - leading, 1), len(waiting)) - 1]
        weakest = kind is Decision.SUPPORTED and self.claim.expect != "close"
        return (min if weakest else max)(alike, key=lambda each: _distance(each.estimate.ratio))

    def _also(self) -> str:
        if not self.claim.also:
            return ""
        metric = METRICS[self.claim.also]
        compared = [self._compare(sides, metric) for sides in self.claim.comparisons]
        decision, _ = self._combined(compared, metric)
        if decision is Decision.NOT_RUN:
            return ""
        return f" By the {metric.quantity} alone: {decision}."

    def _commands(self, compared: Sequence[Comparison]) -> tuple[str, ...]:
        """What would make the runs that are missing."""
        claims = self.settings.claims
        common, repeats = claims.common, 1
        if METRICS[self.claim.metric].is_timed:
            repeats = claims.fewest_repeats
        missing = {
            select.command(common | side, repeats): None
            for each in compared
            for side, own in zip((each.sides.a, each.sides.b), each.selected, strict=True)
            if not own.runs
        }
        if missing and claims.run:
            return (f"python -m nstbench {claims.run}",)
        return tuple(missing)


def _distance(ratio: float) -> float:
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf
