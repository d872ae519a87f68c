"""One run: settings in, completed run directory out."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nstbench.errors import SettingsError
from nstbench.optimizers import minimise
from nstbench.optimizers.contract import Evaluation
from nstbench.run import result, schema
from nstbench.run.checkpoint import Counters
from nstbench.run.clock import Clocks
from nstbench.run.listener import Listener
from nstbench.run.record import RunDirectory, save_picture
from nstbench.run.schema import RunRecord, Status
from nstbench.run.session import Session
from nstbench.run.setup import Setup
from nstbench.settings import identity
from nstbench.settings.model import Settings

# Between two looks at stop requests and the clock of checkpoints: a long epoch is cut into parts.
PART_S = 2.0
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def run(settings: Settings, listener: Listener, setup: Setup | None = None) -> RunRecord:
    """Carry out one run, or return its record where it is complete already.

    `setup` gives what the run works with; without one everything is made anew.
    Raises `NstbenchError` for what a person can mend (and `LockedError` when another process has
    the directory); any other exception is recorded as `failed` and passed on.
    """
    with RunDirectory(identity.run_directory(settings)) as directory:
        record = directory.read_record()
        if record is not None and record.status.is_final and not settings.force:
            return record
        session = None
        try:
            session = Session(settings, directory, listener, setup or Setup())
            _Loop(session).run()
            result.publish(session)
        except BaseException as error:
            # A mistake in the settings is told, not recorded: nothing has run yet.
            if session is not None and not isinstance(error, SettingsError):
                session.record_failure(error)
            raise
        finally:
            if session is not None:
                session.minimisation.close()
        written = directory.read_record()
        assert written is not None  # `publish` wrote it
        return written


class _Loop:
    """Step after step until the run is over or somebody asks to stop."""

    def __init__(self, session: Session):
        self._session = session
        self._settings, self._counters = session.settings, session.counters
        self._clocks, self._minimisation = session.clocks, session.minimisation
        self._saved_at = session.clocks.total

    def run(self) -> None:
        """Compile, then take all steps that are left."""
        session = self._session
        session.listener.stage("compiling")
        with self._clocks.measure("compile"), session.engine.scope():
            self._minimisation.warm_up()
        session.listener.stage("optimising")
        with _stop_requests() as stop, session.engine.scope():
            per_step = PART_S  # seconds; known once a step is taken
            while not self._is_over:
                part, per_step = self._advance(per_step)
                with self._clocks.measure("io"):
                    self._store(part)
                    self._save(force=bool(stop))
                if stop and not self._is_over:
                    session.status, session.error = Status.INTERRUPTED, f"stopped by {stop[0]}"

    def _advance(self, per_step: float) -> tuple[minimise.Epoch, float]:
        """Steps for about `PART_S` within the epoch, and the seconds that each took."""
        left = self._settings.steps_per_epoch - len(self._counters.pending_steps)
        steps = min(left, max(1, int(PART_S / per_step)))
        before = self._clocks.seconds.get("optimise", 0.0)
        with self._clocks.measure("optimise"):
            part = self._minimisation.advance(steps)
        return part, max((self._clocks.seconds["optimise"] - before) / steps, 1e-6)

    @property
    def _is_over(self) -> bool:
        return (
            self._session.status != Status.RUNNING
            or self._session.finished_early is not None
            or self._counters.epoch >= self._settings.epochs
        )

    def _store(self, part: minimise.Epoch) -> None:
        """Take a part of an epoch in, and put the epoch on record where it is whole."""
        counters = self._counters
        counters.pending_steps += part.steps
        counters.pending_evaluations += part.evaluations
        whole = len(counters.pending_steps) == self._settings.steps_per_epoch
        if not (whole or part.finished):
            return
        evaluations = [*counters.pending_steps, *counters.pending_evaluations]
        if counters.pending_steps:
            self._store_epoch(counters.pending_steps, counters.pending_evaluations)
            counters.pending_steps, counters.pending_evaluations = [], []
        # At an epoch's end, so that what is on record does not depend on how it was parted.
        if not all(evaluation.is_finite for evaluation in evaluations):
            self._session.status = Status.DIVERGED
        elif part.finished:
            self._session.finished_early = part.finished

    def _store_epoch(self, steps: list[Evaluation], evaluations: list[Evaluation]) -> None:
        session, counters = self._session, self._counters
        counters.epoch += 1
        counters.evaluations += len(evaluations)
        finite = [e.loss for e in evaluations if e.is_finite]
        counters.best = min([counters.best, *finite])
        row = _epoch_row(counters, steps, self._clocks, session.terms)
        session.directory.append_trace(
            _trace_row(counters.epoch, evaluation, session.terms) for evaluation in evaluations
        )
        session.directory.append_epoch(row)
        every = self._settings.snapshots
        if every and counters.epoch % every == 0:
            path = session.directory.frame_path(counters.epoch)
            save_picture(path, session.shown(self._minimisation.image))
        session.listener.epoch(row)

    def _save(self, force: bool) -> None:
        """Checkpoint now and then: seldom enough to cost nothing, often enough to lose little."""
        total = self._clocks.total
        if not force and total - self._saved_at < self._settings.checkpoint_s:
            return
        if not self._is_over:
            self._session.save_checkpoint()
        self._saved_at = total


@contextmanager
def _stop_requests() -> Iterator[list[str]]:
    """Names of the signals that asked for an end; a second one interrupts at once.

    A signal that was ignored when the process started (nohup, a script's background) stays so.
    """
    received: list[str] = []

    def request(number, frame):
        if received:
            raise KeyboardInterrupt
        received.append(signal.Signals(number).name)

    wanted = [s for s in STOP_SIGNALS if signal.getsignal(s) != signal.SIG_IGN]
    previous = {s: signal.signal(s, request) for s in wanted}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _epoch_row(
    counters: Counters, steps: list[Evaluation], clocks: Clocks, terms: list[str]
) -> dict[str, Any]:
    last, losses = steps[-1], [step.loss for step in steps]
    values = (
        counters.epoch, last.step, counters.evaluations, clocks.seconds["optimise"], clocks.total,
        math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.nan,
        last.loss, counters.best, last.grad_norm, *(last.terms[name] for name in terms),
    )  # fmt: skip
    return dict(zip(schema.epoch_columns(terms), values, strict=True))


def _trace_row(epoch: int, evaluation: Evaluation, terms: list[str]) -> dict[str, Any]:
    values = (
        evaluation.number, epoch, evaluation.step, evaluation.loss, evaluation.grad_norm,
        *(evaluation.terms[name] for name in terms),
    )  # fmt: skip
    return dict(zip(schema.trace_columns(terms), values, strict=True))
