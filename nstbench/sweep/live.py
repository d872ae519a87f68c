"""What a person sees of a sweep: who is done, running and left, and at the end one table.

It looks at the run directories alone, so it shows runs of any launcher, on any machine.
"""

import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from nstbench.errors import RecordError
from nstbench.run.record import read_record
from nstbench.run.schema import Clocks, RunRecord, Status
from nstbench.sweep.plan import Run
from nstbench.sweep.supervise import Outcome

POLL_S = 1.0  # seconds between two looks, each a few stat calls per run: nothing beside a run
LOG_EVERY_S = 60.0  # seconds between two lines of a log while nothing changes
LOG_WIDTH = 160  # columns of the last table where there is no terminal
FINAL = (Status.COMPLETED, Status.DIVERGED)
STYLES = {Status.COMPLETED: "green", Status.DIVERGED: "yellow", Status.FAILED: "red"}


@dataclass
class _Seen:
    """One run as it was last seen. The stamps tell what this sweep wrote from what it found."""

    run: Run
    record_stamp: int
    log_stamp: int
    state: str = "left"
    epoch: int = 0
    clocks: Clocks | None = None  # once it is over


class LiveTable:
    """Shows the progress of `runs` while its `with` block lasts; `done` were complete before."""

    def __init__(self, runs: Sequence[Run], done: int, console: Console | None = None):
        self._console = console or Console(stderr=True, markup=False)
        self._done_before = done
        self._seen = [
            _Seen(run, _stamp(run.directory / "run.json"), _stamp(run.directory / "log.txt"))
            for run in runs
        ]
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            console=self._console, transient=True, refresh_per_second=1,
            disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bars.add_task("starting", total=sum(r.epochs for r in runs), left="")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._logged = time.monotonic()

    def __enter__(self) -> "LiveTable":
        self._bars.start()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._bars.stop()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            self._look()
        self._look()

    def _look(self) -> None:
        for seen in self._seen:
            if seen.state in ("left", "running"):
                before = seen.state
                seen.state, seen.epoch = _state(seen), _epochs(seen.run)
                if seen.state != before:
                    record = _record(seen.run)
                    seen.clocks = record.clocks if record and seen.state in FINAL else None
                    self._log(f"{seen.run.id}: {_started_or_ended(seen)}  ({self._counts()})")
        running = next((seen for seen in self._seen if seen.state == "running"), None)
        where = f"  {running.run.id} epoch {running.epoch}/{running.run.epochs}" if running else ""
        done = sum(self._share(seen) for seen in self._seen)
        what, left = self._counts() + where, self._time_left()
        self._bars.update(self._task, completed=done, description=what, left=left)
        if time.monotonic() - self._logged > LOG_EVERY_S:
            self._log(f"{what}  {left}")

    def _counts(self) -> str:
        states = Counter(seen.state for seen in self._seen)
        left = states["left"] + states[Status.INTERRUPTED]
        over = self._done_before + len(self._seen) - left - states["running"]
        failed = f" ({states[Status.FAILED]} failed)" if states[Status.FAILED] else ""
        return f"{over} done{failed}, {states['running']} running, {left} left"

    @staticmethod
    def _share(seen: _Seen) -> int:
        """Epochs of a run that need no waiting for any more."""
        return seen.epoch if seen.state in ("left", "running") else seen.run.epochs

    def _time_left(self) -> str:
        """From the runs that are over: what a start costs, and what an epoch does."""
        over = [(seen.clocks, seen.epoch) for seen in self._seen if seen.clocks and seen.epoch]
        if not over:
            return ""
        start_s = mean(clocks.total_s - clocks.optimise_s for clocks, _ in over)
        epoch_s = sum(clocks.optimise_s for clocks, _ in over) / sum(epochs for _, epochs in over)
        states = Counter(seen.state for seen in self._seen)
        epochs = sum(seen.run.epochs - self._share(seen) for seen in self._seen)
        seconds = (start_s * states["left"] + epoch_s * epochs) / max(1, states["running"])
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"

    def _log(self, text: str) -> None:
        self._logged = time.monotonic()
        if not self._console.is_terminal:
            print(text, file=sys.stderr, flush=True)


def summary(outcomes: Sequence[tuple[Run, Outcome]], again: Sequence[str]) -> None:
    """Print every run's status, and the command `again` that continues where some are not done."""
    # No markup: settings and errors may have brackets of their own.
    width = None if Console().is_terminal else LOG_WIDTH
    console = Console(width=width, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    table.add_column("settings", overflow="fold")
    table.add_column("status")
    for name in ("loss", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("note", overflow="fold")
    own = _own_settings([run for run, _ in outcomes])
    for run, outcome in outcomes:
        style = STYLES.get(outcome.status, "")
        status = Text(outcome.status, style)
        table.add_row(run.id, " ".join(own[run.directory]), status, *_figures(run, outcome))
    console.print(table)
    counts = Counter(outcome.status for _, outcome in outcomes)
    console.print(", ".join(f"{number} {status}" for status, number in counts.items()))
    for folder in sorted({run.directory.parent for run, _ in outcomes}):
        where = f"{folder}/<run>/: image.png, epochs.csv, trace.csv, run.json"
        console.print(f"Pictures and CSVs: {where}", soft_wrap=True)
    rest = sum(not _is_final(outcome) for _, outcome in outcomes)
    if rest:
        command = shlex.join(["python", "-m", "nstbench", *again])
        console.print(f"To run again just what is not complete:\n  {command}", soft_wrap=True)


def _figures(run: Run, outcome: Outcome) -> tuple[str, str, str]:
    """Loss, seconds and note of one run."""
    record = _record(run)
    if not _is_final(outcome) or record is None or not record.final or not record.clocks:
        return "", "", outcome.error or ""
    loss = "not finite" if record.final.loss is None else f"{record.final.loss:.6g}"
    return loss, f"{record.clocks.total_s:.1f}", "" if record.timing_valid else _warning(record)


def _warning(record: RunRecord) -> str:
    """Why a run's seconds are no timing: the first reason; the record has them all."""
    first, *more = record.timing_notes or ["no reason given"]
    return f"not a timing: {first}" + (f" (and {len(more)} more)" if more else "")


def _own_settings(runs: Sequence[Run]) -> dict[Path, list[str]]:
    """What each run was told that not all were told."""
    shared = set.intersection(*(set(run.overrides) for run in runs))
    return {r.directory: [text for text in r.overrides if text not in shared] for r in runs}


def _is_final(outcome: Outcome) -> bool:
    return outcome.status in FINAL


def _state(seen: _Seen) -> str:
    """left, running, or the status that this sweep has put on record."""
    changed = _stamp(seen.run.directory / "run.json") != seen.record_stamp
    record = _record(seen.run) if changed else None
    if record is not None and record.status != Status.RUNNING:
        return record.status
    if changed or _stamp(seen.run.directory / "log.txt") != seen.log_stamp:
        return "running"
    return "left"


def _started_or_ended(seen: _Seen) -> str:
    if seen.state == "running":
        return "started"
    record = _record(seen.run)
    if record is None or record.final is None or record.clocks is None:
        return seen.state
    return f"{seen.state} in {record.clocks.total_s:.1f} s, loss {record.final.loss}"


def _record(run: Run) -> RunRecord | None:
    with suppress(RecordError):
        return read_record(run.directory)
    return None


def _epochs(run: Run) -> int:
    """Rows of `epochs.csv`, its header aside."""
    with suppress(OSError):
        return max(0, (run.directory / "epochs.csv").read_bytes().count(b"\n") - 1)
    return 0


def _stamp(path: Path) -> int:
    """Changes whenever the file does; 0 where there is none."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
