"""A verdict on every claim: by paired repeats, and by the report's own table.

A comparison of two rows is decided when the whole interval of the ratio lies on one side of the
margin. A claim is a conjunction ("consistently") or a majority ("mostly") of comparisons. What
must hold in all of them needs no correction for their number; a single refutation does, so it is
looked for at the level 1 - (1 - level) / comparisons (Bonferroni). Two pairs agree too easily by
chance, so below `fewest_repeats` nothing is decided.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from nstbench.report.data import compare
from nstbench.report.data.compare import Group
from nstbench.report.data.reader import RecordedRun, display_name
from nstbench.report.data.settings import Claim, ReportSettings, Row
from nstbench.report.judge.statistics import Estimate, paired_ratio, repeats_needed
from nstbench.report.judge.targets import Targets, evaluations_to, goals, priced
from nstbench.report.tables.table import Table

VERDICTS_CAPTION = (
    "Each sentence is judged by ratios of paired repeats: the whole interval must lie on one side "
    "of the margin. The report's own table has one run per row, so only its signs can be read."
)
SAME = 1e-6  # spread of log ratios below which repeats are the same computation
QUANTITY = {
    "total_s": ("total time", "less", "more"),
    "optimise_s": ("time in updates", "less", "more"),
    "loss": ("final loss", "lower", "higher"),
    "evaluations_to_target": ("evaluations to the target", "fewer", "more"),
}


class Decision(StrEnum):
    SUPPORTED = "supported"
    REFUTED = "refuted"
    NO_DIFFERENCE = "no difference beyond the margin"
    NOT_DECIDED = "not decided"


class Reported(StrEnum):
    """What the report's own rows, one run each, say of its sentence."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    SILENT = "does not say"


@dataclass(frozen=True)
class Comparison:
    """Two rows, the ratio a/b of what was measured, and the ratio that the report gives."""

    a: Row
    b: Row
    estimate: Estimate
    outcome: Decision
    more_repeats: int | None  # until it should be decided; None: more than can be run

    @property
    def reported_ratio(self) -> float:
        return self.a.reported_seconds / self.b.reported_seconds

    @property
    def name(self) -> str:
        return f"{_row_name(self.a)} against {_row_name(self.b)}"


@dataclass(frozen=True)
class Verdict:
    """One claim judged. `ratio`, `low`, `high` and `n` are those of the deciding comparison."""

    id: str
    claim: str
    where: str
    outcome: Decision
    more_repeats: int | None
    explanation: str
    reported_verdict: str
    reported_explanation: str
    ratio: float
    low: float
    high: float
    n: int
    comparisons: tuple[Comparison, ...]

    @property
    def verdict(self) -> str:
        """The outcome in words, with the repeats that are still needed."""
        if self.outcome is not Decision.NOT_DECIDED:
            return str(self.outcome)
        if self.more_repeats is None:
            return "not decided: more than 1000 more repeats needed"
        plural = "" if self.more_repeats == 1 else "s"
        return f"not decided: {self.more_repeats} more repeat{plural} needed"


def judge(settings: ReportSettings, runs: Iterable[RecordedRun]) -> list[Verdict]:
    """Every claim, judged on the largest set of comparable runs of the report's table."""
    runs = tuple(runs)
    group = main_group(settings, runs)
    members = group.runs if group else ()
    reach = None
    if any(claim.metric == "evaluations_to_target" for claim in settings.claims.claims):
        same_problem = [run for run in runs if group and run.problem == members[0].problem]
        reach = goals(same_problem, settings.targets)
    rows = {
        row.row: compare.runs_of_row(members, row, settings.table) for row in settings.table.rows
    }
    return [_judge_claim(claim, settings, rows, reach) for claim in settings.claims.claims]


def main_group(settings: ReportSettings, runs: Iterable[RecordedRun]) -> Group | None:
    """The group of comparable runs that holds most of the report's table."""
    found = compare.timing_groups(runs)
    return max(found, key=lambda g: compare.of_table(g.runs, settings.table), default=None)


def combine(quantifier: str, outcomes: list[Decision]) -> Decision:
    """The outcome of a claim from those of its comparisons.

    all:  supported when all are, refuted when any is.
    most: supported or refuted when more than half are.
    Otherwise not decided while any comparison is; once all are decided, a majority that found no
    support is refuted by a comparison that refutes, and a claim that no comparison refutes shows
    no difference beyond the margin, where one was claimed.
    """
    needed = len(outcomes) if quantifier == "all" else len(outcomes) // 2 + 1
    refuting = 1 if quantifier == "all" else len(outcomes) // 2 + 1
    if outcomes.count(Decision.SUPPORTED) >= needed:
        return Decision.SUPPORTED
    if outcomes.count(Decision.REFUTED) >= refuting:
        return Decision.REFUTED
    if Decision.NOT_DECIDED in outcomes:
        return Decision.NOT_DECIDED
    return Decision.REFUTED if Decision.REFUTED in outcomes else Decision.NO_DIFFERENCE


def _judge_claim(
    claim: Claim,
    settings: ReportSettings,
    rows: dict[int, tuple[RecordedRun, ...]],
    reach: Targets | None,
) -> Verdict:
    compared = _compared(claim, claim.metric, settings, rows, reach)
    outcome = combine(claim.quantifier, [each.outcome for each in compared])
    deciding = _deciding(claim, outcome, compared)
    estimate = deciding.estimate
    explanation = _explained(claim, settings, outcome, deciding, compared)
    if claim.also:
        alone = _compared(claim, claim.also, settings, rows, reach)
        judged = combine(claim.quantifier, [each.outcome for each in alone])
        explanation += f" By the {QUANTITY[claim.also][0]} alone: {judged}."
    reported, reported_explanation = _reported(claim, settings, compared)
    return Verdict(
        claim.id,
        claim.claim,
        claim.where,
        outcome,
        deciding.more_repeats if outcome is Decision.NOT_DECIDED else 0,
        explanation,
        str(reported),
        reported_explanation,
        estimate.ratio,
        estimate.low,
        estimate.high,
        estimate.n,
        tuple(compared),
    )


def _compared(
    claim: Claim,
    metric: str,
    settings: ReportSettings,
    rows: dict[int, tuple[RecordedRun, ...]],
    reach: Targets | None,
) -> list[Comparison]:
    def value(run: RecordedRun) -> float | None:
        return _value(run, metric, reach)

    found = []
    for a, b in claim.comparisons:
        pairs = compare.paired(rows[a], rows[b], value)
        found.append(_comparison(claim, settings, a, b, pairs))
    return found


def _comparison(claim: Claim, settings: ReportSettings, a: int, b: int, pairs: tuple) -> Comparison:
    level, margin = settings.claims.level, claim.margin or settings.claims.margin
    estimate = paired_ratio(*pairs, level)
    outcome = _outcome(claim.expect, estimate, margin)
    if outcome is Decision.REFUTED:
        stricter = 1 - (1 - level) / len(claim.comparisons)
        if _outcome(claim.expect, paired_ratio(*pairs, stricter), margin) is not outcome:
            outcome = Decision.NOT_DECIDED
    if estimate.n < settings.claims.fewest_repeats:
        outcome = Decision.NOT_DECIDED
    more = 0
    if outcome is Decision.NOT_DECIDED:
        total = repeats_needed(estimate, margin, level, settings.claims.fewest_repeats)
        more = None if total is None else total - estimate.n
    return Comparison(settings.table.row(a), settings.table.row(b), estimate, outcome, more)


def _value(run: RecordedRun, metric: str, reach: Targets | None) -> float | None:
    if metric == "loss":
        return compare.final_loss(run)
    if metric != "evaluations_to_target":
        return compare.seconds(run, metric)
    if reach is None or not run.status.is_final:
        return None
    return priced(evaluations_to(run, reach.decisive.loss), reach.evaluations_price)


def _outcome(expect: str, estimate: Estimate, margin: float) -> Decision:
    """Where the interval lies: below 1 / (1 + margin), above 1 + margin, within, or across."""
    below, above = estimate.high < 1 / (1 + margin), estimate.low > 1 + margin
    within = estimate.low >= 1 / (1 + margin) and estimate.high <= 1 + margin
    if not (below or above or within):
        return Decision.NOT_DECIDED
    if expect == "close":
        return Decision.SUPPORTED if within else Decision.REFUTED
    if within:
        return Decision.NO_DIFFERENCE
    as_expected = {"less": below, "more": above, "differ": True}[expect]
    return Decision.SUPPORTED if as_expected else Decision.REFUTED


def _deciding(claim: Claim, outcome: Decision, compared: list[Comparison]) -> Comparison:
    """The comparison that a claim of this outcome hangs on: the weakest that carries it, or, of
    those that are not decided, the last that has to be."""
    alike = [each for each in compared if each.outcome is outcome] or compared
    if outcome is Decision.NOT_DECIDED:
        waiting = sorted(alike, key=_wait)
        return waiting[-1] if claim.quantifier == "all" else waiting[_lacking(compared) - 1]
    strongest = claim.expect == "close" or outcome is not Decision.SUPPORTED
    return (max if strongest else min)(alike, key=lambda each: _distance(each.estimate.ratio))


def _wait(comparison: Comparison) -> float:
    return math.inf if comparison.more_repeats is None else comparison.more_repeats


def _lacking(compared: list[Comparison]) -> int:
    """How many comparisons must still be decided before one outcome can have a majority."""
    decided = [each.outcome for each in compared if each.outcome is not Decision.NOT_DECIDED]
    leading = max((decided.count(outcome) for outcome in decided), default=0)
    return min(len(compared) // 2 + 1 - leading, len(compared) - len(decided))


def _distance(ratio: float) -> float:
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf


def _explained(
    claim: Claim, settings: ReportSettings, outcome: Decision, deciding: Comparison, compared: list
) -> str:
    margin = claim.margin or settings.claims.margin
    counts = {kind: sum(each.outcome is kind for each in compared) for kind in Decision}
    told = [f"{count} {kind}" for kind, count in counts.items() if count]
    tally = f"Of {len(compared)} comparisons: {', '.join(told)} (margin {margin:.0%}). "
    estimate, level = deciding.estimate, settings.claims.level
    if estimate.n == 0:
        return f"{tally}{deciding.name}: no pair of repeats that may be compared."
    said = _in_words(deciding, claim.metric)
    if estimate.n == 1:
        return f"{tally}{said} in one repeat, which shows no spread and so decides nothing."
    if estimate.spread < SAME:
        return f"{tally}{said}, the same in all {estimate.n} repeats: the computation is \
deterministic, so this holds for these pictures and says nothing of others."
    interval = f"{level:.0%} interval of the ratio {estimate.low:.3g} to {estimate.high:.3g}"
    return f"{tally}{said} ({interval}, {estimate.n} paired repeats)."


def _in_words(comparison: Comparison, metric: str) -> str:
    quantity, less, more = QUANTITY[metric]
    ratio = comparison.estimate.ratio
    a, b = _row_name(comparison.a), _row_name(comparison.b)
    if not 0 < ratio < math.inf:
        return f"{a if ratio > 1 else b} fails where {b if ratio > 1 else a} does not"
    if not 0.5 < ratio < 2:
        return f"{a}: {ratio:.3g} times the {quantity} of {b}"
    if abs(ratio - 1) < 0.0005:
        return f"{a}: within 0.05% of the {quantity} of {b}"
    return f"{a}: {abs(ratio - 1):.1%} {more if ratio > 1 else less} {quantity} than {b}"


def _row_name(row: Row) -> str:
    return f"{display_name(row.optimizer)} {row.lr:g}, {row.epochs} epochs"


def _reported(
    claim: Claim, settings: ReportSettings, compared: list[Comparison]
) -> tuple[Reported, str]:
    """The claim by the report's own seconds: one run per row, so the sign is all there is."""
    if claim.metric != "total_s":
        return Reported.SILENT, "The report's table holds times only."
    margin = claim.margin or settings.claims.margin
    against = [each for each in compared if not _holds(claim.expect, each.reported_ratio, margin)]
    needed = len(compared) if claim.quantifier == "all" else len(compared) // 2 + 1
    agrees = len(compared) - len(against) >= needed
    largest = max(abs(each.reported_ratio - 1) for each in compared)
    size = f"The largest difference is {largest:.1%}, from one run per row."
    if not against:
        return Reported.AGREES, f"All {len(compared)} comparisons of its rows agree. {size}"
    rows = "; ".join(
        f"{each.a.reported_seconds} s for {_row_name(each.a)}, "
        f"{each.b.reported_seconds} s for {_row_name(each.b)}"
        for each in against
    )
    verdict = Reported.AGREES if agrees else Reported.CONTRADICTS
    return verdict, f"{len(against)} of {len(compared)} comparisons say otherwise: {rows}. {size}"


def _holds(expect: str, ratio: float, margin: float) -> bool:
    within = 1 / (1 + margin) <= ratio <= 1 + margin
    return {"less": ratio < 1, "more": ratio > 1, "close": within, "differ": not within}[expect]


def verdict_table(verdicts: list[Verdict]) -> Table:
    """One row per claim: the verdict on our runs and the one by the report's own rows."""
    records = [
        {
            "id": each.id,
            "where": each.where,
            "claim": each.claim,
            "verdict": each.verdict,
            "ratio": each.ratio,
            "low": each.low,
            "high": each.high,
            "n": each.n,
            "explanation": each.explanation,
            "reported_verdict": each.reported_verdict,
            "reported_explanation": each.reported_explanation,
        }
        for each in verdicts
    ]
    frame = pd.DataFrame(records)
    headings = {
        "claim": "Claim",
        "where": "Where",
        "verdict": "Verdict",
        "explanation": "Because",
        "reported_verdict": "The report's own table",
        "reported_explanation": "Because its rows",
    }
    shown = frame[list(headings)].rename(columns=headings)
    return Table("verdicts", "Verdicts", VERDICTS_CAPTION, frame, shown, [])
