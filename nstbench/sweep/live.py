"""What a person sees of a sweep while it lasts: how many runs are done, running and left.

It looks at the run directories alone, so it shows runs of any launcher, on any machine.
"""

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

from nstbench.errors import RecordError
from nstbench.notation import number
from nstbench.run.record import read_record
from nstbench.run.schema import Clocks, RunRecord, Status
from nstbench.sweep.plan import Run
from nstbench.sweep.supervise import log_tail

POLL_S = 1.0  # seconds between two looks, each a few stat calls per run: nothing beside a run
LOG_EVERY_S = 60.0  # seconds between two lines of a log while nothing changes
FINAL = (Status.COMPLETED, Status.DIVERGED)


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
            BarColumn(bar_width=16), TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
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
                    text = f"{seen.run.id}: {_started_or_ended(seen)}"
                    self._tell(text, f"  ({self._counts()})", seen.state != "running")
        running = next((seen for seen in self._seen if seen.state == "running"), None)
        where = f"; {_phase(running)}" if running else ""
        done = sum(self._share(seen) for seen in self._seen)
        what, left = self._counts() + where, self._time_left()
        self._bars.update(self._task, completed=done, description=what, left=left)
        if time.monotonic() - self._logged > LOG_EVERY_S:
            self._tell(what, f"  {left}", ended=False)

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

    def _tell(self, text: str, more: str, ended: bool) -> None:
        """A line for a log; on a terminal, which shows the rest itself, for each run that ended."""
        self._logged = time.monotonic()
        if not self._console.is_terminal:
            print(text + more, file=sys.stderr, flush=True)
        elif ended:
            self._console.print(text, soft_wrap=True, highlight=False)


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
    loss = "not finite" if record.final.loss is None else number(record.final.loss)
    return f"{seen.state} in {record.clocks.total_s:.1f} s, loss {loss}"


def _phase(seen: _Seen) -> str:
    """Where a run is: its epoch, and before the first one the last word of its log."""
    where = f"epoch {seen.epoch}/{seen.run.epochs}"
    if not seen.epoch:
        last = (log_tail(seen.run.directory) or ["starting"])[-1].strip()
        where = last[:24] if last else "starting"
    return f"{where} of {seen.run.id}"


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
