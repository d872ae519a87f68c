"""Verdicts as sentences: what was compared, as it was run, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nstbench.notation import count, listed, number, setting
from nstbench.report.data.settings import Claim, ReportSettings
from nstbench.report.judge import steps
from nstbench.report.judge.decide import Decision, enough
from nstbench.report.judge.metrics import Metric

if TYPE_CHECKING:
    from nstbench.report.judge.verdicts import Comparison

COUNTED = {  # how one and several comparisons with a decision are told
    Decision.SUPPORTED: ("holds", "hold"),
    Decision.REFUTED: ("is refuted", "are refuted"),
    Decision.NO_DIFFERENCE: ("shows no difference", "show no difference"),
    Decision.NOT_DECIDED: ("is open", "are open"),
    Decision.NOT_RUN: ("was not run", "were not run"),
}


class Reported(StrEnum):
    """What the report's own rows, one run each, say of its sentence."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    SILENT = "does not say"


@dataclass(frozen=True)
class Wording:
    """The sentences about one claim."""

    claim: Claim
    metric: Metric
    margin: float
    settings: ReportSettings

    def verdict(
        self, decision: Decision, holding: int, more: int | None, compared: Sequence["Comparison"]
    ) -> str:
        """The decision in a few words."""
        k = len(compared)
        held = f"holds in {holding} of {k}"
        scope = steps.decided_by(compared)
        if self._is_one_pair(compared):
            scope = " on this pair of pictures"
        if decision is Decision.PARTLY:
            return held + scope
        if decision is Decision.REFUTED and holding:
            return f"refuted{scope}: {held}"
        if decision is Decision.SUPPORTED and holding < k:
            return f"supported{scope}: {held}"
        if decision is Decision.NO_DIFFERENCE:
            margin = max(each.margin for each in compared)
            return f"no difference beyond {100 * margin:g} %{scope}"
        if decision is not Decision.NOT_DECIDED:
            return f"{decision}{scope}" if decision is not Decision.NOT_RUN else str(decision)
        return self._open(more, compared)

    def _open(self, more: int | None, compared: Sequence["Comparison"]) -> str:
        not_run = sum(each.decision is Decision.NOT_RUN for each in compared)
        if not_run:
            return f"not decided: {not_run} of {count(len(compared), 'comparison')} not run"
        if all(each.cost for each in compared):
            return f"not decided{steps.decided_by(compared)}"
        if more is None and any(each.estimate.failures for each in compared):
            return "not decided: one side fails in some pairs only"
        if more is None:
            where = "on this machine" if self.metric.is_timed else "on pictures like these"
            return f"cannot be decided {where} at {100 * self.margin:g} %"
        noun = "more repeat" if self.metric.is_timed else "more pair"
        rest = "" if self.metric.is_timed else " of pictures"
        return f"not decided: about {count(more, noun)}{rest} needed"

    def explanation(self, deciding: "Comparison", compared: Sequence["Comparison"]) -> str:
        """How many comparisons say what, and the one that decides, with its interval."""
        if all(each.decision is Decision.NOT_RUN for each in compared):
            return ""
        tally = ""
        if len(compared) > 1:
            counts = [(sum(e.decision is kind for e in compared), kind) for kind in COUNTED]
            told = [f"{n} {COUNTED[kind][n > 1]}" for n, kind in counts if n]
            tally = f"Of {len(compared)} comparisons {listed(told)}. "
        waited = self._detail(deciding)
        by_cost = next((each for each in (deciding, *compared) if each.cost), None)
        if by_cost is None:
            return tally + waited
        said = steps.in_words(by_cost)
        ours = by_cost is deciding
        return tally + (f"{said} What you waited: {waited}" if ours else f"{waited} {said}")

    def _detail(self, deciding: "Comparison") -> str:
        """The comparison by its runs."""
        estimate, timed = deciding.estimate, self.metric.is_timed
        if estimate.n == 0:
            a, b = deciding.names
            return f"{a} against {b}: no pair of runs that may be compared."
        said = self._in_words(deciding)
        if estimate.n == 1 and timed:
            return f"{said}, in one pair of repeats, which shows no spread and so decides nothing."
        if estimate.n == 1:
            return f"{said}."
        pairs = count(estimate.n, "pair") + (" of repeats" if timed else " of pictures")
        if not math.isfinite(estimate.high) or estimate.high == 0:
            return f"{said} ({pairs})."
        level = 2 * self.settings.claims.level - 1
        interval = f"{number(estimate.low, 3)} to {number(estimate.high, 3)}"
        return (
            f"{said} (ratio {number(estimate.ratio, 3)}, {level:.0%} interval {interval}, {pairs})."
        )

    def _in_words(self, comparison: "Comparison") -> str:
        ratio, (a, b) = comparison.estimate.ratio, comparison.names
        quantity = self.metric.quantity
        if math.isnan(ratio):
            failing = abs(comparison.estimate.failures)
            return f"{a} against {b}: one side fails in {failing} of {comparison.estimate.n} pairs"
        if not 0 < ratio < math.inf:
            worse, better = (a, b) if ratio > 1 else (b, a)
            return f"{worse} fails where {better} does not"
        if not 0.5 < ratio < 2:
            return f"{a}: {number(ratio, 3)} times the {quantity} of {b}"
        if abs(ratio - 1) < 0.0005:
            return f"{a}: within 0.05 % of the {quantity} of {b}"
        side = self.metric.more if ratio > 1 else self.metric.less
        return f"{a}: {100 * abs(ratio - 1):.1f} % {side} {quantity} than {b}"

    def notes(self, decision: Decision, compared: Sequence["Comparison"]) -> tuple[str, ...]:
        """What to know beside the verdict."""
        if all(each.decision is Decision.NOT_RUN for each in compared):
            return ()
        notes = [self.metric.note] if self.metric.note else []
        for each in compared:
            notes += each.found.notes
            for selected in each.selected:
                if selected.matching > 1:
                    others = f"{selected.matching} competitors match; {selected.name} was taken."
                    notes.append(others)
                stopped = [run for run in selected.runs if run.record.finished_early]
                if stopped:
                    notes.append(
                        f"{selected.name}: stopped by itself after {stopped[0].epochs_made} epochs "
                        f"({stopped[0].record.finished_early})."
                    )
        if decision is Decision.NOT_DECIDED and self.claim.decided_by == "cost":
            notes += steps.advice(compared, self.settings.claims)
        return tuple(dict.fromkeys(notes))

    def reported(self, compared: Sequence["Comparison"]) -> tuple[Reported, str]:
        """The claim by the report's own seconds: one run per row, so the sign is all there is."""
        ratios = [each.reported_ratio for each in compared]
        if self.claim.metric != "total_s" or None in ratios:
            return Reported.SILENT, ""
        against = [e for e in compared if not self._is_as_expected(e.reported_ratio)]
        needed, _ = enough(self.claim.quantifier, len(compared))
        agrees = len(compared) - len(against) >= needed
        if not against:
            return Reported.AGREES, f"All {len(compared)} comparisons of its rows agree."
        rows = "; ".join(
            f"{each.rows[0].reported_seconds} s for {self._row(each, 0)}, "
            f"{each.rows[1].reported_seconds} s for {self._row(each, 1)}"
            for each in against
        )
        verdict = Reported.AGREES if agrees else Reported.CONTRADICTS
        return verdict, f"{len(against)} of {len(compared)} comparisons say otherwise: {rows}."

    def _row(self, comparison: "Comparison", side: int) -> str:
        row = comparison.rows[side]
        preset = self.settings.presets.get(row.optimizer)
        name = preset.label if preset else row.optimizer
        return f"{name} {setting(row.lr)}, {row.epochs} epochs"

    def _is_as_expected(self, ratio: float) -> bool:
        within = 1 / (1 + self.margin) <= ratio <= 1 + self.margin
        kinds = {"less": ratio < 1, "more": ratio > 1, "close": within, "differ": not within}
        return kinds[self.claim.expect]

    def _is_one_pair(self, compared: Sequence["Comparison"]) -> bool:
        return not self.metric.is_timed and any(each.estimate.n == 1 for each in compared)
