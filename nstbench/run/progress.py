"""What a person sees of a run: a live line on a terminal, now and then a line in a log."""

import faulthandler
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from nstbench.errors import NstbenchError
from nstbench.notation import number
from nstbench.run.record import start_loss
from nstbench.run.schema import RunRecord, Status
from nstbench.settings.model import Settings

LOG_EVERY_S = 15.0  # seconds between two lines of a log


class Progress:
    """A `Listener` that draws with rich on a terminal and prints plain lines elsewhere."""

    def __init__(self, settings: Settings, console: Console | None = None, noun: str = "epoch"):
        self._settings, self._noun = settings, noun
        self._console = console or Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bars.add_task("starting", total=None, facts="")
        self._logged = time.monotonic()

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bars.stop()

    def stage(self, what: str) -> None:
        self._bars.update(self._task, description=what, facts="")
        self._log(what, force=True)

    def download(self, name: str, done: int, total: int | None) -> None:
        share = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
        self._bars.update(
            self._task, description=f"fetching {name}", completed=done, total=total, facts=share
        )
        self._log(f"fetching {name}: {share}", force=done == total)

    def epoch(self, row: dict[str, Any]) -> None:
        settings = self._settings
        seconds = row["optimise_s"] / max(row["evaluations"], 1)
        facts = f"loss {number(row['loss'])}  {seconds:.3f} s/evaluation"
        where = f"{self._noun} {row['epoch']}/{settings.epochs}"
        self._bars.update(
            self._task,
            description=where,
            completed=row["epoch"],
            total=settings.epochs,
            facts=facts,
        )
        left = (settings.epochs - row["epoch"]) * row["optimise_s"] / row["epoch"]
        is_last = row["epoch"] == settings.epochs
        self._log(f"{where}  {facts}  {left:.0f} s left", force=is_last)

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def summary(self, record: RunRecord, directory: Path, already: bool) -> None:
        """The end of a run, or what an earlier one had left."""
        self._bars.stop()
        console = Console()
        if already:
            how = f"{record.status} on {_device(record)}"
            console.print(f"This run is complete already ({how}); force=true repeats it.")
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, value in _facts(record, directory):
            table.add_row(name, value)
        console.print(table, soft_wrap=True)

    def _log(self, text: str, force: bool = False) -> None:
        if self._console.is_terminal:
            return
        if force or time.monotonic() - self._logged >= LOG_EVERY_S:
            self._logged = time.monotonic()
            print(text, file=sys.stderr, flush=True)


def _device(record: RunRecord) -> str:
    """What a run was computed on: "CPU, fast kernels"."""
    used = record.machine
    kernels = f", {used['kernels']} kernels" if used.get("kernels") else ""
    return " and ".join(used.get("devices") or ["an unknown device"]) + kernels


def _facts(record: RunRecord, directory: Path) -> list[tuple[str, str]]:
    facts = [("status", str(record.status))]
    if record.error:
        facts.append(("error", record.error))
    if record.finished_early:
        facts.append(("ended early", record.finished_early))
    if record.final:
        final = record.final
        loss = "not finite" if final.loss is None else number(final.loss, 6)
        start = start_loss(directory)
        above = (
            f" (above its start, {number(start, 6)})"
            if start is not None and (final.loss or 0) > start
            else ""
        )
        facts.append(
            ("loss", f"{loss}{above} after {final.steps} steps, {final.evaluations} evaluations")
        )
    if record.clocks and record.final and record.final.evaluations:
        each = record.clocks.optimise_s / record.final.evaluations
        facts.append(("time", f"{record.clocks.total_s:.1f} s in all, {each:.3f} s per evaluation"))
    if record.status != Status.RUNNING and (directory / "image.png").exists():
        facts.append(("picture", str(directory / "image.png")))
    return [*facts, ("record", str(directory))]


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep what a backend writes while it is imported off the screen, unless the import fails.

    TensorFlow's C++ side writes to file descriptor 2 before its own log level counts.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    screen = os.dup(2)
    is_first = not faulthandler.is_enabled()
    if is_first:  # an abort of that side's (no memory, say) is seen
        faulthandler.enable(screen, all_threads=False)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except (NstbenchError, KeyboardInterrupt):  # says in one line what is wrong
            raise
        except BaseException:
            hidden.seek(0)
            os.write(screen, hidden.read())
            raise
        finally:
            os.dup2(screen, 2)
            if is_first:
                faulthandler.disable()
            os.close(screen)
