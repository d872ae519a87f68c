"""One run in a fresh process, seen from outside: started, limited, and its fate recorded.

`Task` is what Hydra's launchers carry to wherever a run takes place, and what waits for it there;
`nstbench.sweep.worker` is the process that it starts. A final record is never overwritten here: a
run that somebody else completed is complete.
"""

import atexit
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from nstbench.errors import NstbenchError, RecordError
from nstbench.run import machine, schema
from nstbench.run.lock import live_owner, reason
from nstbench.run.record import RunDirectory, read_record
from nstbench.run.schema import RunRecord, Status
from nstbench.sweep.plan import Run

GRACE_S = 30.0  # from the request to stop to the kill: a checkpoint
ELSEWHERE = "running elsewhere"  # another process has the run: neither done nor failed
NOT_STARTED = "not started"
LOG_TAIL = 15  # lines of the log that a failed run's record keeps
# What TensorFlow's C++ side says of its own before its log level counts.
GREETING = re.compile(r"[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl")
TAKEN = 75  # a worker's exit code where another process has its run


@dataclass(frozen=True)
class Outcome:
    """How one run of a sweep ended: a `Status`, `ELSEWHERE` or `NOT_STARTED`."""

    directory: Path
    status: str
    error: str | None = None


@dataclass(frozen=True)
class Task:
    """Hydra's task function: it returns how a run ended and never raises for it."""

    runs: tuple[Run, ...]  # by the number of their job
    time_limit: float | None
    launcher: str
    folder: str  # where relative paths of the settings start

    def __call__(self, _config: DictConfig) -> Outcome:
        run = self.runs[HydraConfig.get().job.num]
        outcome = carry_out(run, self.time_limit, self._environment(run), self.folder)
        if self.launcher == "slurm":
            _tell_slurm(outcome.status)
        return outcome

    def _environment(self, run: Run) -> dict[str, str]:
        """This machine's variables, with the backend chosen where the sweep was started."""
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ
        environment["KERAS_BACKEND"] = run.settings.backend
        if self.launcher != "basic":
            environment[machine.LAUNCHER_VARIABLE] = self.launcher
        return environment


def _tell_slurm(status: str) -> None:
    """Let SLURM's accounting know: Hydra and submitit end with 0 whatever happened."""
    if status == Status.INTERRUPTED:
        # The cluster takes the machine away. It is waited for what the requeued task will say.
        raise SystemExit(1)
    if status == Status.FAILED:
        atexit.register(os._exit, 1)  # after the outcome has been handed over


def carry_out(
    run: Run, time_limit: float | None, environment: dict[str, str], folder: str
) -> Outcome:
    """Carry out a run in a fresh process and say how it ended.

    A run that another process has is left to it, and one that is complete by now stays as it is.
    """
    try:
        if run.directory.is_dir() and (owner := live_owner(run.directory)):
            return Outcome(run.directory, ELSEWHERE, str(owner))
        before = read_record(run.directory)
        if is_complete(run, before):
            return Outcome(run.directory, before.status)
        code, trouble = _process(run, time_limit, environment, folder)
    except NstbenchError as error:
        return Outcome(run.directory, Status.FAILED, str(error))
    except OSError as error:
        text = f"cannot write {run.directory}: {reason(error)}"
        return Outcome(run.directory, Status.FAILED, text)
    return _outcome(run, before, code, trouble)


def is_complete(run: Run, record: RunRecord | None) -> bool:
    """Whether a run needs no running."""
    return record is not None and record.status.is_final and not run.force


def mark_failed(run: Run, error: str) -> Outcome:
    """Put `error` and the tail of the log into the run's record.

    Not where somebody owns the run, and not over a final record, which is then the run's fate
    (unless it was to be run again: then it stays the earlier run's).
    """
    try:
        with RunDirectory(run.directory) as directory:
            record = directory.read_record()
            if is_complete(run, record):
                return Outcome(run.directory, record.status)
            if record is None or not record.status.is_final:
                _write_failure(directory, record or _empty_record(run), error)
    except RecordError as second:
        error = f"{error}; {second}"
    return Outcome(run.directory, Status.FAILED, error)


def _write_failure(directory: RunDirectory, record: RunRecord, error: str) -> None:
    failed = {
        "status": Status.FAILED,
        "error": error,
        "log_tail": log_tail(directory.path),
        "finished": _now(),
        "timing_valid": False,
    }
    directory.write_record(record.model_copy(update=failed))


def log_tail(directory: Path) -> list[str]:
    """The last lines of a run's log, without the framework's own greetings."""
    with suppress(OSError):
        text = (directory / "log.txt").read_text(errors="replace")
        lines = [line for line in text.rstrip().splitlines() if not GREETING.match(line)]
        return lines[-LOG_TAIL:]
    return []


def _process(
    run: Run, time_limit: float | None, environment: dict[str, str], folder: str
) -> tuple[int, str | None]:
    """The exit code of the run's process, and in words what cut it short.

    The process has a session of its own, so that no key pressed at a terminal reaches it, and its
    standard input is a pipe that ends when this process does, however that comes about.
    """
    run.directory.mkdir(parents=True, exist_ok=True)
    with open(run.directory / "log.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nstbench.sweep.worker", *run.overrides],
            stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
            cwd=folder, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        return process.wait(time_limit), None
    except subprocess.TimeoutExpired:
        _end(process)
        return process.returncode, f"ran past its time limit of {time_limit:g} s"
    finally:
        _end(process)
        process.stdin.close()


def _end(process: subprocess.Popen) -> None:
    """Ask a process to stop, and kill it and what it started when it does not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _outcome(run: Run, before: RunRecord | None, code: int, trouble: str | None) -> Outcome:
    """How a run ended whose process has ended."""
    try:
        record = read_record(run.directory)
    except RecordError as error:
        return Outcome(run.directory, Status.FAILED, str(error))
    if is_complete(run, record) or (record != before and record and record.status.is_final):
        return Outcome(run.directory, record.status)
    owner = live_owner(run.directory)
    if owner or code == TAKEN:
        return Outcome(run.directory, ELSEWHERE, str(owner) if owner else None)
    if trouble is None and record is not None and record.status == Status.INTERRUPTED:
        return Outcome(run.directory, Status.INTERRUPTED, record.error)
    if trouble is None and record not in (None, before) and record.status == Status.FAILED:
        trouble = record.error
    return mark_failed(run, trouble or _trouble(run.directory, code))


def _trouble(directory: Path, code: int) -> str:
    """What an exit code says, with the log's last word."""
    if code == -signal.SIGKILL:
        return "killed by SIGKILL, as the system does when memory runs out"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    last = (log_tail(directory) or [""])[-1]
    return f"ended with exit code {code}: {last}" if last else f"ended with exit code {code}"


def _empty_record(run: Run) -> RunRecord:
    """The record of a run that failed before it had read its pictures and weights."""
    settings = run.settings
    return RunRecord(
        schema_version=schema.SCHEMA_VERSION,
        id=run.id,
        status=Status.FAILED,
        created=_now(),
        command=list(run.overrides),
        settings=settings.model_dump(mode="json", exclude={"command"}),
        problem="",
        content=schema.Picture(name=settings.content, sha256="", height=0, width=0),
        style=[],
        weights=schema.Weights(name=settings.weights, source="", sha256=""),
        machine=machine.describe(),
        versions=machine.versions(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
