"""The report's table, run again: reported seconds beside measured ones."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor, Group
from nstbench.report.data.reader import RecordedRun, display_name
from nstbench.report.data.settings import ReportSettings, Row
from nstbench.report.judge import warnings
from nstbench.report.judge.statistics import Estimate, bootstrap, paired_ratio
from nstbench.report.tables.table import NONE, Table, loss_text, median, number, statuses, values

CAPTION = (
    "Measured s: median of the total time (set-up, updates and recording) with its bootstrap "
    "interval over repeats. Measured ratio: to the first row, paired by repeat, with its interval. "
    "Update s/step: updates alone, whereas the report's seconds per step hold its set-up, too."
)


def timing_table(group: Group, settings: ReportSettings, runs: Iterable[RecordedRun] = ()) -> Table:
    """Seconds of a group of comparable runs, beside those that the report gives.

    `runs` are all runs of the report: those of the same rows that are not in the group are named
    among the doubts.
    """
    rows = _rows(group, settings)
    present = {row.row: each for row, each in rows if row and each}
    first = next((each for _, each in rows if each), None)
    base = rows[0][0]
    records = [_record(row, each, first, base) for row, each in rows]
    shown = pd.DataFrame([_shown(record) for record in records])
    competitors = [each for _, each in rows if each]
    notes = warnings.of_runs(competitors, _others(group, runs), settings.claims.fewest_repeats)
    notes += warnings.of_times(competitors, "total_s")
    if base:
        notes += warnings.missing_rows(present, settings.table)
        notes += warnings.other_schedules(present, settings.table)
    return Table("timing", f"Time: {group.title}", CAPTION, pd.DataFrame(records), shown, notes)


def _rows(group: Group, settings: ReportSettings) -> list[tuple[Row | None, Competitor | None]]:
    """The report's rows in its order when any was run, then every other competitor."""
    rows, used = [], set()
    for row in settings.table.rows:
        runs = compare.runs_of_row(group.runs, row, settings.table)
        label = f"row {row.row}"
        rows.append((row, Competitor(label, runs) if runs else None))
        used |= {run.id for run in runs}
    if not used:
        rows = []
    rest = [run for run in group.runs if run.id not in used]
    return rows + [(None, each) for each in compare.competitors(rest)]


def _others(group: Group, runs: Iterable[RecordedRun]) -> list[RecordedRun]:
    """Runs outside the group that stand for a row which the group has, too."""
    inside = {run.id for run in group.runs}
    labels = {(run.label, run.steps) for run in group.runs}
    return [r for r in runs if r.id not in inside and (r.label, r.steps) in labels]


def _record(
    row: Row | None, each: Competitor | None, first: Competitor | None, base: Row | None
) -> dict:
    reported = row.reported_seconds if row else math.nan
    shared = {
        "row": row.row if row else None,
        "reported_s": reported,
        "reported_step_s": reported / row.steps if row else math.nan,
        "reported_ratio": reported / base.reported_seconds if row and base else math.nan,
    }
    if each is None:
        name = display_name(row.optimizer)
        planned = {"optimizer": name, "lr": row.lr, "epochs": row.epochs, "steps": row.steps}
        return shared | planned | {"repeats": 0, "timed": 0, "status": "missing"}
    run = each.first
    total, optimise = warnings.times(each, "total_s"), warnings.times(each, "optimise_s")
    low, high = bootstrap(total, np.median) if len(total) > 1 else (math.nan, math.nan)
    ratio = _ratio(each, first)
    return shared | {
        "optimizer": run.optimizer,
        "lr": run.lr,
        "epochs": run.setup.epochs,
        "steps": run.steps,
        "repeats": len(each.by_repeat()),
        "timed": len(total),
        "status": statuses(each),
        "total_s": median(total),
        "total_low_s": low,
        "total_high_s": high,
        "optimise_s": median(optimise),
        "step_s": median(values(each, _seconds_per_step)),
        "ratio": ratio.ratio,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "loss": median(values(each, compare.final_loss)),
        "picture": _picture(each),
    }


def _ratio(each: Competitor, first: Competitor) -> Estimate:
    return paired_ratio(
        *compare.paired(each.runs, first.runs, lambda run: compare.seconds(run, "total_s"))
    )


def _seconds_per_step(run: RecordedRun) -> float | None:
    """Of the steps that were made: an optimizer may stop before its schedule ends."""
    seconds = compare.seconds(run, "optimise_s")
    return seconds / run.record.final.steps if seconds and run.record.final.steps else None


def _picture(each: Competitor) -> str | None:
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
        "Rate": number(record["lr"]),
        "Epochs": str(record["epochs"]),
        "Steps": str(record["steps"]),
        "Reported s": number(record["reported_s"]),
        "Measured s": _interval(record, "total_s", "total_low_s", "total_high_s"),
        "Repeats": _repeats(record),
        "Reported s/step": number(record["reported_step_s"]),
        "Update s/step": number(record.get("step_s")),
        "Reported ratio": number(record["reported_ratio"]),
        "Measured ratio": _interval(record, "ratio", "ratio_low", "ratio_high"),
        "Final loss": loss_text(record.get("loss")),
        "Status": record["status"],
        "Picture": record.get("picture") or NONE,
    }


def _interval(record: dict, middle: str, low: str, high: str) -> str:
    """ "30.1 (29.8 to 30.4)"; the value alone where it has no interval."""
    value, low, high = (record.get(name, math.nan) for name in (middle, low, high))
    if math.isnan(low) or math.isinf(high) or low == high:
        return number(value)
    return f"{number(value)} ({number(low)} to {number(high)})"


def _repeats(record: dict) -> str:
    repeats, timed = record["repeats"], record["timed"]
    return f"{repeats}" if timed == repeats else f"{repeats}, {timed} timed"
