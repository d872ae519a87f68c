"""One run in a fresh process: started, limited, watched to its end, and its fate recorded.

`Task` is what Hydra's launchers carry to wherever the run takes place, and what waits for it
there; `python -m nstbench.sweep.worker SETTINGS [-- SETTINGS ...]` is the process that it starts.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
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
from nstbench.settings import config
from nstbench.sweep.plan import Run

GRACE_S = 30.0  # from the request to stop to the kill: an epoch and a checkpoint
ELSEWHERE = "running elsewhere"  # another process has the run: neither done nor failed
LOG_TAIL = 15  # lines of the log that a failed run's record keeps


@dataclass(frozen=True)
class Outcome:
    """How one run of a sweep ended: a `Status`, or `ELSEWHERE`."""

    directory: Path
    status: str
    error: str | None = None


@dataclass(frozen=True)
class Task:
    """Hydra's task function: it returns how the runs of a batch ended and never raises for them."""

    batches: tuple[tuple[Run, ...], ...]
    time_limit: float | None
    launcher: str
    folder: str  # where relative paths of the settings start

    def __call__(self, _config: DictConfig) -> list[Outcome]:
        batch = self.batches[HydraConfig.get().job.num]
        outcomes = carry_out(batch, self.time_limit, self._environment(batch[0]), self.folder)
        if self.launcher == "slurm":
            _tell_slurm({outcome.status for outcome in outcomes})
        return outcomes

    def _environment(self, run: Run) -> dict[str, str]:
        """This machine's variables, with the backend chosen where the sweep was started."""
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ
        environment["KERAS_BACKEND"] = run.settings["backend"]
        if self.launcher != "basic":
            environment[machine.LAUNCHER_VARIABLE] = self.launcher
        return environment


def _tell_slurm(statuses: set[str]) -> None:
    """Let SLURM's accounting know: Hydra and submitit end with 0 whatever happened."""
    if Status.INTERRUPTED in statuses:
        # The cluster takes the machine away. It is waited for what the requeued task will say.
        raise SystemExit(1)
    if Status.FAILED in statuses:
        atexit.register(os._exit, 1)  # after the outcome has been handed over


def carry_out(
    batch: Sequence[Run], time_limit: float | None, environment: dict[str, str], folder: str
) -> list[Outcome]:
    """Carry out a batch of runs in one fresh process and say how each ended."""
    for run in batch:
        owner = wait_for_owner(run.directory)
        if owner:
            return [Outcome(run.directory, ELSEWHERE, owner) for run in batch]
    try:
        before = [read_record(run.directory) for run in batch]
        code, trouble = _process(batch, time_limit, environment, folder)
    except NstbenchError as error:
        return [Outcome(run.directory, Status.FAILED, str(error)) for run in batch]
    except OSError as error:
        text = f"cannot write {batch[0].directory}: {reason(error)}"
        return [Outcome(run.directory, Status.FAILED, text) for run in batch]
    return [_outcome(run, was, code, trouble) for run, was in zip(batch, before, strict=True)]


def mark_failed(run: Run, error: str) -> Outcome:
    """Put `error` and the tail of the log into the run's record, unless someone owns it."""
    try:
        with RunDirectory(run.directory) as directory:
            record = directory.read_record() or _empty_record(run)
            failed = {
                "status": Status.FAILED,
                "error": error,
                "log_tail": log_tail(run.directory),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "timing_valid": False,
            }
            directory.write_record(record.model_copy(update=failed))
    except RecordError as second:
        error = f"{error}; {second}"
    return Outcome(run.directory, Status.FAILED, error)


def log_tail(directory: Path) -> list[str]:
    """The last lines of a run's log."""
    with suppress(OSError):
        text = (directory / "log.txt").read_text(errors="replace")
        return text.rstrip().splitlines()[-LOG_TAIL:]
    return []


def wait_for_owner(directory: Path) -> str | None:
    """Who owns a run, once an owner that is just ending has had the time to end."""
    deadline = time.monotonic() + GRACE_S + 10
    while directory.is_dir() and (owner := live_owner(directory)):
        if time.monotonic() > deadline:
            return str(owner)
        time.sleep(0.2)
    return None


def _process(
    batch: Sequence[Run], time_limit: float | None, environment: dict[str, str], folder: str
) -> tuple[int, str | None]:
    """The exit code of a batch's process, and in words what cut it short.

    The process has a session of its own, so that no key pressed at a terminal reaches it, and its
    standard input is a pipe that ends when this process does, however that comes about.
    """
    settings = [text for run in batch for text in ("--", *run.overrides)][1:]
    batch[0].directory.mkdir(parents=True, exist_ok=True)
    with open(batch[0].directory / "log.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nstbench.sweep.worker", *settings],
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
    """What became of a run whose process has ended."""
    try:
        record = read_record(run.directory)
    except RecordError as error:
        return Outcome(run.directory, Status.FAILED, str(error))
    if record is not None and record != before and record.status.is_final:
        return Outcome(run.directory, record.status)
    if owner := live_owner(run.directory):
        return Outcome(run.directory, ELSEWHERE, str(owner))
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
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=list(run.overrides),
        settings=settings,
        problem="",
        content=schema.Picture(name=settings["content"], sha256="", height=0, width=0),
        style=[],
        weights=schema.Weights(name=settings["weights"], source="", sha256=""),
        machine=machine.describe(),
        versions=machine.versions(),
    )


# ---- the fresh process --------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Carry out the runs of `arguments`, lists of settings parted by `--`; the exit code."""
    _ignore_requeue_signals()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        batch = [config.resolve(part) for part in _parts(arguments)]
        from nstbench.run import loop as runner
        from nstbench.run.progress import Progress

        with Progress(batch[0]) as progress:
            records = runner.run_together(batch, progress)
    except NstbenchError as error:
        print(f"nstbench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 130 if any(r.status == Status.INTERRUPTED for r in records) else 0


def _parts(arguments: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "--":
            parts.append([])
        else:
            parts[-1].append(argument)
    return parts


def _ignore_requeue_signals() -> None:
    """SLURM warns every process of a job; the one that waits for this one acts on it."""
    for name in ("SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _end_with_parent() -> None:
    """Stop this run when the process that waits for it is gone: its end of the pipe closes."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
