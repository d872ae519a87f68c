"""A verdict on every claim: by the runs that were made, and by the report's own table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nstbench import errors
from nstbench.cost.record import Record
from nstbench.report.data import compare, select
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import Claim, ReportSettings, Selector
from nstbench.report.judge import decide, wording
from nstbench.report.judge.comparing import Comparer, Comparison, Scope
from nstbench.report.judge.decide import Decision
from nstbench.report.judge.metrics import METRICS
from nstbench.report.judge.targets import targets_of
from nstbench.report.judge.wording import Reported


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


def judge(
    settings: ReportSettings, runs: Iterable[RecordedRun], costs: Sequence[Record] = ()
) -> list[Verdict]:
    """Every claim, in their order; `costs` are the sessions on what a step costs.

    Raises `SettingsError` for a metric or a setting in a selector that does not exist.
    """
    runs = tuple(runs)
    for claim in settings.claims.claims:
        for name in filter(None, (claim.metric, claim.also)):
            if name not in METRICS:
                raise errors.unknown("metric", name, METRICS)
        if claim.decided_by == "cost" and not METRICS[claim.metric].is_timed:
            raise errors.SettingsError(
                f"decided_by: cost needs a metric of time, not {claim.metric}"
            )
    wanted = selectors(settings)
    if settings.own_claims:
        select.check(wanted, runs)
    scope = replace(scope_of(settings, runs, wanted), costs=tuple(costs))
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

    def verdict(self) -> Verdict:
        metric = METRICS[self.claim.metric]
        comparer = Comparer(self.claim, metric, self.settings, self.scope)
        compared = [comparer.compare(sides) for sides in self.claim.comparisons]
        decision, holding = comparer.combined(compared)
        deciding = self._deciding(decision, compared)
        more = deciding.more if decision is Decision.NOT_DECIDED else 0
        said = wording.Wording(self.claim, metric, comparer.margin, self.settings)
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
            notes=said.notes(decision, compared),
        )

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
        return (min if weakest else max)(alike, key=lambda each: _distance(each.ratio))

    def _also(self) -> str:
        if not self.claim.also:
            return ""
        metric = METRICS[self.claim.also]
        scope = replace(self.scope, costs=())
        comparer = Comparer(self.claim, metric, self.settings, scope)
        decision, _ = comparer.combined([comparer.compare(s) for s in self.claim.comparisons])
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
            if not own.runs and each.cost is None
        }
        if missing and claims.run:
            return (f"python -m nstbench {claims.run}",)
        return tuple(missing)


def _distance(ratio: float) -> float:
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf
