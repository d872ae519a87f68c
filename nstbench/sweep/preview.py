"""What a sweep will do, said before it does it: which runs, which are complete, about how long."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from nstbench.errors import NstbenchError, RecordError
from nstbench.notation import count, listed
from nstbench.run.record import read_record
from nstbench.run.schema import RunRecord, Status
from nstbench.sweep.plan import Run, own_settings
from nstbench.sweep.supervise import Outcome, is_complete

LOOKED_AT = 40  # newest records of other runs that an estimate may rest on


@dataclass(frozen=True)
class Seen:
    """A run before the sweep: `outcome` is None where it has to be carried out."""

    run: Run
    record: RunRecord | None
    outcome: Outcome | None


def survey(runs: Sequence[Run]) -> list[Seen]:
    """What there is of each run; a record that cannot be read fails that run alone."""
    return [_seen(run) for run in runs]


def show(survey: Sequence[Seen]) -> None:
    """Print what would run, what is complete, and an estimate; `--dry-run`."""
    console = Console(markup=False, highlight=False)
    own = own_settings([seen.run for seen in survey])
    heads = ("run", "settings", "now") if any(own.values()) else ("run", "now")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for seen in survey:
        told = (own[seen.run.directory],) * (len(heads) == 3)
        table.add_row(seen.run.id, *told, _state(seen))
    console.print(table)
    console.print(_sentence(survey), soft_wrap=True)


def announce(survey: Sequence[Seen]) -> None:
    """Say in one line what is about to start."""
    print(f"nstbench: {_sentence(survey)}", file=sys.stderr, flush=True)


def _seen(run: Run) -> Seen:
    try:
        record = read_record(run.directory)
    except RecordError as error:
        return Seen(run, None, Outcome(run.directory, Status.FAILED, str(error)))
    done = Outcome(run.directory, record.status) if is_complete(run, record) else None
    return Seen(run, record, done)


def _state(seen: Seen) -> str:
    if seen.outcome is not None:
        return seen.outcome.error or f"complete ({seen.outcome.status})"
    if seen.record is None:
        return "to run"
    return f"to run again ({seen.record.status})"


def _sentence(survey: Sequence[Seen]) -> str:
    todo = [seen.run for seen in survey if seen.outcome is None]
    bad = sum(seen.outcome is not None and seen.outcome.error is not None for seen in survey)
    complete = len(survey) - len(todo) - bad
    text = f"{count(len(survey), 'run')}, {complete} complete, {len(todo)} to run"
    text += f", {bad} with a record that cannot be read" if bad else ""
    if not todo:
        return text
    records = [seen.record for seen in survey if seen.record is not None]
    timed = [r for r in records if _is_timed(r)] or _others(todo[0].directory.parent)
    if not timed:
        steps = sum(run.epochs * run.settings.steps_per_epoch for run in todo)
        return f"{text}; {steps:,} steps, and no earlier run to tell how long they take"
    known = {record.settings["size"] for record in timed}
    is_near = {run.settings.size for run in todo} <= known
    guessed = "" if is_near else f" (guessed from runs at {listed(sorted(map(str, known)))} pixels)"
    seconds = sum(_seconds(run, timed) for run in todo)
    return f"{text}; about {_spoken(seconds)}, one after the other{guessed}"


def _seconds(run: Run, timed: Sequence[RunRecord]) -> float:
    """About how long a run takes, by runs of its size or, scaled by the pixels, of others."""
    size = run.settings.size
    near = [r for r in timed if r.settings["size"] == size] or timed
    evaluation = median(
        r.clocks.optimise_s / r.final.evaluations * (size / r.settings["size"]) ** 2 for r in near
    )
    start = median(r.clocks.total_s - r.clocks.optimise_s for r in near)
    return start + evaluation * run.epochs * run.settings.steps_per_epoch


def _others(folder: Path) -> list[RunRecord]:
    """The newest completed runs in a folder of runs."""
    with suppress(OSError):
        paths = sorted(folder.glob("*/run.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        return [record for path in paths[:LOOKED_AT] if (record := _read(path.parent))]
    return []


def _read(directory: Path) -> RunRecord | None:
    with suppress(NstbenchError):
        record = read_record(directory)
        return record if record is not None and _is_timed(record) else None
    return None


def _is_timed(record: RunRecord) -> bool:
    done = record.status.is_final and record.clocks is not None and record.final is not None
    return bool(done and record.final.evaluations and record.settings.get("size"))


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
