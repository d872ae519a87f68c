"""Seconds of the runs of one machine: beside the report's own where they are its table's rows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from nstbench.cost.record import Record
from nstbench.notation import NONE, assigned, count, number
from nstbench.report.data import compare, costs, select
from nstbench.report.data.compare import Competitor, Group
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportSettings, Row
from nstbench.report.judge import pairs, warnings
from nstbench.report.judge.statistics import Estimate, paired_ratio
from nstbench.report.tables.table import (
    Table,
    ended_above_start,
    final_loss_text,
    median,
    span,
    statuses,
    values,
)

CAPTION = (
    "Measured s: median of the total time (start, set-up, updates and recording), below it the "
    "range over repeats. Per step: updates alone. Ratio: to the {base} with as many steps, paired "
    "by repeat, below it its {level:.0%} interval."
)
BY_COST = "cost"
FROM_COST = (
    "(cost): no run of the row was undisturbed; the median of a step in a session of `nstbench "
    "cost` on pictures of the same size."
)
REPORTED_CAPTION = " The report's seconds are of one run each, its set-up included."


@dataclass(frozen=True)
class _Line:
    """One line of the table: a row of the report's, a competitor, or both."""

    row: Row | None
    competitor: Competitor | None
    steps: int


def timing_table(
    group: Group,
    settings: ReportSettings,
    runs: Iterable[RecordedRun] = (),
    sessions: Sequence[Record] = (),
) -> Table:
    """Seconds of a group of comparable runs, beside those that the report gives for the same.

    Runs that were altered stand below, as what they were, without the report's numbers. `runs` are
    all runs: those like the group's that are not in it are named in the warnings. `sessions` of
    `nstbench cost` tell a step's seconds where no run of a line was undisturbed.
    """
    lines = _lines(group, settings)
    of_table = any(line.row for line in lines)
    bases = _bases(lines)
    records = [
        _record(line, bases.get(line.steps), settings) | _step(line.competitor, sessions)
        for line in lines
    ]
    frame = pd.DataFrame(records).dropna(axis="columns", how="all")
    shown = without_empty(pd.DataFrame([_shown(record) for record in records]))
    members = [line.competitor for line in lines if line.competitor]
    notes = warnings.of_runs(members, _others(group, runs), settings.claims.fewest_repeats)
    notes += warnings.of_times(members, "total_s")
    missing = [str(line.row.row) for line in lines if line.row and not line.competitor]
    if missing:
        notes.append(f"Rows of the report's table without a run: {', '.join(missing)}.")
    if any(record.get("step_from") == BY_COST for record in records):
        notes.append(FROM_COST)
    base = "first row" if of_table else "fastest"
    caption = CAPTION.format(base=base, level=2 * settings.claims.level - 1)
    caption += REPORTED_CAPTION if of_table else ""
    title = f"Time: {group.title}"
    short = _short(records, [bases[line.steps] for line in lines if line.steps in bases])
    return Table(
        "timing", title, caption, frame, shown, notes, short=short if of_table else None
    )  # fmt: skip


def without_empty(shown: pd.DataFrame) -> pd.DataFrame:
    """`shown` without the columns that hold nothing."""
    dull = {"Status": "completed"}  # where every row says so
    return shown[[n for n in shown if not (shown[n].astype(str) == dull.get(n, NONE)).all()]]


def _lines(group: Group, settings: ReportSettings) -> list[_Line]:
    """The report's rows in its order when any was run, then every other competitor."""
    lines, used = [], set()
    for row in settings.table.rows:
        runs = select.runs_of_row(group.runs, row)
        lines.append(_Line(row, Competitor(f"row {row.row}", runs) if runs else None, row.steps))
        used |= {run.id for run in runs}
    if not used:
        lines = []
    rest = compare.competitors(run for run in group.runs if run.id not in used)
    return lines + [_Line(None, each, each.first.steps) for each in rest]


def _bases(lines: Sequence[_Line]) -> dict[int, _Line]:
    """The line that ratios refer to, for each number of steps: the first row of the report's, else
    the fastest."""
    bases = {}
    for steps in {line.steps for line in lines}:
        here = [line for line in lines if line.steps == steps and line.competitor]
        rows = [line for line in here if line.row]
        if here:
            bases[steps] = rows[0] if rows else min(here, key=_median_seconds)
    return bases


def _median_seconds(line: _Line) -> float:
    found = warnings.times(line.competitor, "total_s") if line.competitor else ()
    return median(found) if len(found) else math.inf


def _others(group: Group, runs: Iterable[RecordedRun]) -> list[RecordedRun]:
    """Runs outside the group that are like one which the group has."""
    inside = {run.id for run in group.runs}
    labels = {(run.label, run.steps) for run in group.runs}
    return [r for r in runs if r.id not in inside and (r.label, r.steps) in labels]


def _record(line: _Line, base: _Line | None, settings: ReportSettings) -> dict:
    row, each = line.row, line.competitor
    record = {"row": row.row if row else None}
    if row:
        record |= {"reported_s": row.reported_seconds}
        record |= {"reported_step_s": row.reported_seconds / row.steps}
    if row and base and base.row:
        record["reported_ratio"] = row.reported_seconds / base.row.reported_seconds
    if each is None:
        name = select.in_words({"optimizer": row.optimizer}, settings.presets)
        planned = {"optimizer": name, "lr": row.lr, "epochs": row.epochs, "steps": row.steps}
        return record | planned | {"repeats": 0, "timed": 0, "status": "not run"}
    total = warnings.times(each, "total_s")
    ratio = _ratio(each, base.competitor, settings) if base else paired_ratio([], [])
    run = each.first
    return record | {
        "optimizer": run.optimizer,
        "lr": run.lr,
        "changed": " ".join(assigned(run.changed)) or None,
        "schedule": None if run.setup.schedule.name == "constant" else run.setup.schedule.name,
        "epochs": run.setup.epochs,
        "steps": run.steps,
        "repeats": len(each.by_repeat()),
        "timed": len(total),
        "status": statuses(each),
        "total_s": median(total),
        "total_lowest_s": min(total, default=math.nan),
        "total_highest_s": max(total, default=math.nan),
        "ratio": ratio.ratio,
        "ratio_pairs": ratio.n,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "loss": median(values(each, compare.final_loss)),
        "ended_above_start": ended_above_start(each),
        "picture": picture_of(each),
    }


def _step(each: Competitor | None, sessions: Sequence[Record]) -> dict:
    """Seconds per step: of the runs, or where all were disturbed of a session on what it costs."""
    if each is None:
        return {}
    own = values(each, compare.seconds_per_step)
    if own:
        return {"step_s": median(own), "step_from": "runs"}
    seconds = costs.step_seconds(sessions, each.first)
    return {} if seconds is None else {"step_s": seconds, "step_from": BY_COST}


def _short(records: Sequence[dict], bases: Sequence[_Line]) -> pd.DataFrame:
    """The report's rows in eight columns."""
    names = {base.competitor.first.optimizer for base in bases}
    ratio = f"Ratio to {names.pop()}" if len(names) == 1 else "Ratio"
    lines = []
    for record in records:
        if record["row"] is None:
            continue
        lines.append(
            {
                "Optimizer": record["optimizer"],
                "Rate": number(record["lr"], 6),
                "Epochs": str(record["epochs"]),
                "Reported s": number(record["reported_s"]),
                "Measured s": number(record.get("total_s"), 4),
                "s per step": _step_text(record),
                ratio: _ratio_text(record),
                "Final loss": final_loss_text(record),
            }
        )
    return pd.DataFrame(lines)


def _ratio_text(record: dict) -> str:
    """With its interval, or with how many pairs were too few for one."""
    text, n = span(record, "ratio", "ratio_low", "ratio_high"), record.get("ratio_pairs", 0)
    is_bounded = math.isfinite(record.get("ratio_high", math.inf))
    return text if is_bounded or not n else f"{text} ({count(n, 'pair')})"


def _step_text(record: dict) -> str:
    seconds = number(record.get("step_s"), 3)
    return f"{seconds} ({BY_COST})" if record.get("step_from") == BY_COST else seconds


def _ratio(each: Competitor, base: Competitor, settings: ReportSettings) -> Estimate:
    found = pairs.in_time(
        each.runs,
        base.runs if each is not base else (),
        lambda run: compare.seconds(run, "total_s"),
        settings.claims.neighbours_s,
    )
    if each is base:
        return Estimate(1.0, 1.0, 1.0, len(each.runs), 0.0)
    return paired_ratio(found.a, found.b, settings.claims.level)


def picture_of(each: Competitor) -> str | None:
    """The picture of the first repeat that has one, relative to the results folder."""
    for run in each.by_repeat().values():
        if (run.path / "image.png").is_file():
            return f"{run.path.parent.name}/{run.path.name}/image.png"
    return None


def _shown(record: dict) -> dict[str, str]:
    """One row for people; a row that was not run has dashes."""
    return {
        "Row": number(record["row"]),
        "Optimizer": record["optimizer"],
        "Rate": number(record["lr"], 6),
        "Schedule": record.get("schedule") or NONE,
        "Altered": record.get("changed") or NONE,
        "Epochs": str(record["epochs"]),
        "Steps": str(record["steps"]),
        "Reported s": number(record.get("reported_s")),
        "Measured s": span(record, "total_s", "total_lowest_s", "total_highest_s"),
        "Repeats": _repeats(record),
        "Reported s/step": number(record.get("reported_step_s"), 3),
        "Measured s/step": _step_text(record),
        "Reported ratio": number(record.get("reported_ratio"), 3),
        "Measured ratio": span(record, "ratio", "ratio_low", "ratio_high"),
        "Final loss": final_loss_text(record),
        "Status": record["status"],
        "Picture": record.get("picture") or NONE,
    }


def _repeats(record: dict) -> str:
    repeats, timed = record["repeats"], record["timed"]
    return f"{repeats}" if timed == repeats else f"{repeats}, {timed} timed"
