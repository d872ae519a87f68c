"""One visit to a record: what is missing is measured, and what there is, is told."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from nstbench import engine as engines
from nstbench.cost import output, record
from nstbench.cost.options import Request
from nstbench.cost.record import Record, Visit
from nstbench.cost.work import Work
from nstbench.errors import LockedError, RecordError
from nstbench.run import machine
from nstbench.settings import identity

OF_METHOD = ("optimizer", "lr", "schedule", "epochs", "steps_per_epoch")  # no part of the problem


class Session:
    """What one command does. Raises `NstbenchError` for whatever cannot be set up.

    `say` is told what is being done.
    """

    def __init__(self, request: Request, command: list[str], say: Callable[[str], None]):
        self.request, self.options, self._say = request, request.options, say
        self._command = command
        shared = request.shared
        self.engine = engines.load(shared.device, shared.precision)
        self._facts = {
            "devices": self.engine.devices(),
            "machine": machine.describe(),
            "versions": machine.versions(),
        }
        self._problem = {k: v for k, v in identity.identity(shared).items() if k not in OF_METHOD}
        same = {"host": machine.host(), "devices": self._facts["devices"]}
        digest = identity.digest([self._problem, same, self._facts["versions"]])
        out = Path(shared.out).expanduser()
        self.folder = out / "cost" / f"{shared.size}-{digest[:8]}"
        self.record: Record | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder for this process alone. Raises `LockedError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise LockedError(f"{self.folder} is being written by another process") from None
        except OSError as error:
            raise RecordError(f"cannot write in {self.folder}: {error.strerror}") from error

    def measure(self) -> list[Path]:
        """Measure what is missing; returns the paths of what was written.

        Whatever ends it, what was measured is on record.
        """
        kept = record.load(self.folder) or Record(problem=self._problem, facts=self._facts)
        self.record = kept
        keys = {competitor.key for competitor in self.request.competitors}
        if self.options.force:
            kept.forget(keys)
        for competitor in self.request.competitors:
            kept.add(competitor)
        started, before = datetime.now(UTC).isoformat(timespec="seconds"), machine.load()
        begin, done = time.perf_counter(), len(kept.visits)
        visit = Visit(started=started, seconds=0, disturbances=[], command=self._command)
        kept.visits.append(visit)
        try:
            keep = partial(kept.save, self.folder)
            worked = Work(self.request, self.engine, kept, keep, self._say).measure_missing()
        finally:
            visit.seconds = round(time.perf_counter() - begin, 1)
            visit.disturbances = machine.timing_notes(before, machine.load())
            kept.save(self.folder)
        if not worked:  # a look only
            del kept.visits[done:]
        return output.write(kept, self.folder, self.options.margin, self.options.alpha)

    def told(self) -> list[str]:
        """One sentence for each pair asked for, and how disturbed the machine was."""
        if self.record is None:
            return []
        asked = [{a.key, b.key} for a, b in self.request.pairs]
        lines = [v["sentence"] for v in self.record.verdicts if {v["a"], v["b"]} in asked]
        disturbed = self.record.visits[-1].disturbances if self.record.visits else []
        return [*lines, *(f"disturbed: {each}" for each in disturbed)]
