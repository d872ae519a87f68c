"""Every verdict as one row."""

from collections.abc import Sequence

import pandas as pd

from nstbench.report.judge.verdicts import Verdict
from nstbench.report.judge.wording import Reported
from nstbench.report.tables.table import Table

CAPTION = (
    "Each claim is judged by ratios of paired runs: the whole interval must lie on one side of the "
    "margin, or within it. The report's own table has one run per row, so only its signs can be "
    "read."
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
    shown = frame[list(headings)].rename(columns=headings)
    notes = list(dict.fromkeys(note for each in verdicts for note in each.notes))
    return Table("verdicts", "Verdicts", CAPTION, frame, shown, notes)


def _record(verdict: Verdict) -> dict:
    estimate = verdict.deciding.estimate
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
        "explanation": verdict.explanation,
        "reported": str(verdict.reported),
        "reported_explanation": verdict.reported_explanation,
        "command": "; ".join(verdict.commands),
    }
