"""The table at the end of a sweep, the lowest loss first, and the next command."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nstbench.arguments import typed
from nstbench.errors import RecordError
from nstbench.notation import count, number
from nstbench.run.record import read_record, start_loss
from nstbench.run.schema import RunRecord, Status
from nstbench.sweep.plan import Run, own_settings
from nstbench.sweep.supervise import NOT_STARTED, Outcome

WIDTH = 160  # columns where there is no terminal
FINAL = (Status.COMPLETED, Status.DIVERGED)
STYLES = {Status.COMPLETED: "green", Status.DIVERGED: "yellow", Status.FAILED: "red"}


@dataclass(frozen=True)
class Row:
    """One run as it ended."""

    run: Run
    outcome: Outcome
    record: RunRecord | None  # of a run that is over

    @property
    def loss(self) -> float | None:
        return self.record.final.loss if self.record and self.record.final else None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Order in the table: losses from the lowest, then what diverged, then the rest."""
        return self.record is None, self.loss is None, self.loss or 0.0


def show(outcomes: Sequence[tuple[Run, Outcome]], again: Sequence[str]) -> None:
    """Print every run's end, and the command `again` that continues where some are not done."""
    # No markup: settings and errors may have brackets of their own.
    width = None if Console().is_terminal else WIDTH
    console = Console(width=width, markup=False, highlight=False)
    rows = sorted((_row(run, outcome) for run, outcome in outcomes), key=lambda row: row.rank)
    if begun := [row for row in rows if row.outcome.status != NOT_STARTED or row.outcome.error]:
        console.print(_table(begun))
    counts = Counter(row.outcome.status for row in rows)
    console.print(", ".join(f"{n} {status}" for status, n in counts.items()))
    for line in [*_timings(rows), *_next(rows, again)]:
        console.print(line, soft_wrap=True)


def _row(run: Run, outcome: Outcome) -> Row:
    record = None
    if outcome.status in FINAL:
        with suppress(RecordError):
            record = read_record(run.directory)
    whole = record is not None and record.final is not None and record.clocks is not None
    return Row(run, outcome, record if whole else None)


def _table(rows: Sequence[Row]) -> Table:
    own = own_settings([row.run for row in rows])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    if any(own.values()):
        table.add_column("settings", overflow="fold")
    for name in ("loss", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("status")
    table.add_column("note", overflow="fold")
    for place, row in enumerate(rows):
        settings = [own[row.run.directory]] if any(own.values()) else []
        is_best = place == 0 and row.loss is not None and len(rows) > 1
        table.add_row(
            row.run.id, *settings, *_figures(row), Text(row.outcome.status, _style(row)),
            _note(row, is_best), style="bold" if is_best else "",
        )  # fmt: skip
    return table


def _style(row: Row) -> str:
    return STYLES.get(row.outcome.status, "")


def _figures(row: Row) -> tuple[str, str]:
    """Loss and seconds; seconds that are no timing are in brackets."""
    if row.record is None:
        return "", ""
    loss = "not finite" if row.loss is None else number(row.loss)
    seconds = f"{row.record.clocks.total_s:.1f}"
    return loss, seconds if row.record.timing_valid else f"({seconds})"


def _note(row: Row, is_best: bool) -> str:
    notes = [row.outcome.error] if row.outcome.error else []
    if is_best:
        notes.append("lowest loss")
    start = start_loss(row.run.directory)
    if row.loss is not None and start is not None and row.loss > start:
        notes.append(f"ends above its start, {number(start)}")
    if row.record is not None and row.record.finished_early:
        notes.append(f"stopped early: {row.record.finished_early}")
    return "; ".join(notes)


def _timings(rows: Sequence[Row]) -> list[str]:
    """Why seconds are in brackets: each run's first reason, said once for all of them."""
    reasons = Counter(
        (row.record.timing_notes or ["no reason given"])[0]
        for row in rows
        if row.record is not None and not row.record.timing_valid
    )
    if not reasons:
        return []
    said = "; ".join(f"{reason} ({count(n, 'run')})" for reason, n in reasons.most_common(3))
    return [f"(Seconds) in brackets are no timing: {said}"]


def _next(rows: Sequence[Row], again: Sequence[str]) -> list[str]:
    """Where the results are, and what to type next."""
    lines = []
    for folder in sorted({row.run.directory.parent for row in rows}):
        lines.append(f"Pictures and CSVs: {folder}/<run>/: image.png, epochs.csv, trace.csv")
        if any(row.record is not None for row in rows):
            lines.append(f"To compare them:\n  {typed('report', str(folder.parent))}")
    if any(row.outcome.status not in FINAL for row in rows):
        lines.append(f"To run again just what is not complete:\n  {typed(*again)}")
    return lines
