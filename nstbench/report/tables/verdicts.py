"""Every verdict as one row."""

import math
from collections.abc import Sequence

import pandas as pd

from nstbench.report.judge.metrics import METRICS
from nstbench.report.judge.steps import BY_COST
from nstbench.report.judge.verdicts import Verdict
from nstbench.report.judge.wording import Reported
from nstbench.report.tables.table import Table

CAPTION = (
    "Each claim is judged by ratios of paired runs: the whole interval must lie on one side of the "
    "margin, or within it. Where the cost of a step decides, it is that of a session of `nstbench "
    "cost`, at its own margin. The report's own table has one run per row, so only its signs can "
    "be read."
)


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """One row per claim: the verdict on our runs and the one by the report's own rows."""
    frame = pd.DataFrame([_record(each) for each in verdicts])
    headings = {
        "claim": "Claim",
        "where": "Where",
        "verdict": "Verdict",
        "explanation": "Because",
        "reported": "The report's own table",
        "reported_explanation": "Because its rows",
    }
    if all(each.reported is Reported.SILENT for each in verdicts):
        headings = dict(list(headings.items())[:4])
    if any(each.deciding.cost for each in verdicts):
        headings["decided_by"] = "Decided by"
    shown = frame[list(headings)].rename(columns=headings)
    notes = list(dict.fromkeys(note for each in verdicts for note in each.notes))
    return Table("verdicts", "Verdicts", CAPTION, frame, shown, notes)


def _record(verdict: Verdict) -> dict:
    deciding = verdict.deciding
    estimate, step = deciding.estimate, deciding.step
    return {
        "id": verdict.id,
        "where": verdict.claim.where,
        "claim": verdict.claim.claim,
        "decision": str(verdict.decision),
        "verdict": verdict.verdict,
        "ratio": estimate.ratio,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "decided_by": BY_COST if step else METRICS[verdict.claim.metric].quantity,
        "margin": deciding.margin,
        "step_ratio": math.exp(step.centre) if step else None,
        "step_low": math.exp(step.low) if step else None,
        "step_high": math.exp(step.high) if step else None,
        "step_comparisons": step.n if step else None,
        "step_size": deciding.cost.size if deciding.cost else None,
        "explanation": verdict.explanation,
        "reported": str(verdict.reported),
        "reported_explanation": verdict.reported_explanation,
        "command": "; ".join(verdict.commands),
    }
