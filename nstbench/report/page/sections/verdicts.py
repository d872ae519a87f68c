"""The claims, each with its verdict; those of which nothing was run are counted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from nstbench.notation import count
from nstbench.report.figures.ratios import ratios_of_time
from nstbench.report.judge.decide import Decision
from nstbench.report.judge.metrics import METRICS
from nstbench.report.judge.verdicts import Verdict
from nstbench.report.judge.wording import Reported
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.verdicts import verdict_table

ONE_PAIR = (
    "Losses are deterministic: what was run on one pair of pictures holds for this pair and says "
    "nothing of others."
)
REPORT = (
    "The report is what this project began with: one run each of ten settings of Adam, Adagrad and "
    "RMSprop, with the seconds that they took. Each of its sentences and questions is judged here, "
    "by what was measured and by the seconds of its own table."
)
MARKS = {  # decision -> (its class in the style sheet, a mark that needs no colour)
    Decision.SUPPORTED: ("supported", "✓"),
    Decision.REFUTED: ("refuted", "✗"),
    Decision.PARTLY: ("partly", "◐"),
    Decision.NO_DIFFERENCE: ("no-difference", "≈"),
    Decision.NOT_DECIDED: ("not-decided", "?"),
    Decision.NOT_RUN: ("not-decided", "–"),
    Reported.AGREES: ("supported", "✓"),
    Reported.CONTRADICTS: ("refuted", "✗"),
    Reported.SILENT: ("not-decided", "–"),
}


def section(findings: Findings) -> Section | None:
    judged = [each for each in findings.verdicts if each.decision is not Decision.NOT_RUN]
    own = findings.settings.own_claims
    if not judged and not own:
        return None
    not_run = [each for each in findings.verdicts if each.decision is Decision.NOT_RUN]
    commands = list(dict.fromkeys(line for each in findings.verdicts for line in each.commands))
    shown = findings.verdicts if own else judged
    context = {
        "lede": _lede(own, judged),
        "tally": _tally(judged),
        "verdicts": [_verdict(each) for each in shown],
        "has_reported": any(each.reported is not Reported.SILENT for each in judged),
        "not_run": _not_run(not_run) if not own else "",
        "commands": commands,
    }
    ratios = ratios_of_time(findings.verdicts, findings.settings)
    tables = [verdict_table(findings.verdicts)]
    plots = [ratios] if ratios else []
    return Section("verdicts", "Verdicts", "verdicts.html", context, tables=tables, plots=plots)


def _lede(own: bool, judged: Sequence[Verdict]) -> str:
    what = "Your claims, judged by paired runs." if own else REPORT
    runs = [run for each in judged for c in each.comparisons for s in c.selected for run in s.runs]
    if not runs:
        return what
    pictures = {run.record.content.name for run in runs}
    sides = {f"{run.record.content.width} x {run.record.content.height}" for run in runs}
    where = " and ".join(sorted(pictures)[:3])
    more = f" and {len(pictures) - 3} more" if len(pictures) > 3 else ""
    once = any(not METRICS[v.claim.metric].is_timed and v.deciding.found.n == 1 for v in judged)
    alone = f" {ONE_PAIR}" if once else ""
    return f"{what} Measured at {' and '.join(sorted(sides))} pixels on {where}{more}.{alone}"


def _tally(verdicts: Sequence[Verdict]) -> list[tuple[str, str, str]]:
    """How many claims have which decision: (class, mark, words)."""
    counts = Counter(verdict.decision for verdict in verdicts)
    return [(*MARKS[kind], f"{counts[kind]} {kind}") for kind in Decision if counts[kind]]


def _verdict(verdict: Verdict) -> dict[str, Any]:
    kind, mark = MARKS[verdict.decision]
    reported_kind, reported_mark = MARKS[verdict.reported]
    return {
        "claim": verdict.claim.claim,
        "where": verdict.claim.where,
        "verdict": verdict.verdict,
        "kind": kind,
        "mark": mark,
        "explanation": verdict.explanation,
        "notes": verdict.notes,
        "reported": str(verdict.reported),
        "reported_kind": reported_kind,
        "reported_mark": reported_mark,
        "reported_explanation": verdict.reported_explanation,
    }


def _not_run(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    return f"{count(len(verdicts), 'further claim')} could be judged with runs that were not made."
