"""How the runs of a benchmark are carried out: in one process that stays, problem after problem.

All that is left of a run is its directory. Whoever asks again gets what is there already, so a
benchmark can be killed at any moment and started again.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from nstbench.benchmark.runs import Run

SAY_EVERY_S = 10.0
END_S = 60.0  # for a worker that was asked to stop
GRACE_S = 5.0  # in which a short run comes to its end before it is asked
RUNS_OF_A_PROCESS = 100  # then the next problem gets a new one: programs compiled are never freed


class Carry(Protocol):
    """Sees to it that the runs are over where they can be."""

    def __call__(self, runs: Sequence[Run]) -> dict[Run, str]:
        """Why some of them could not be carried out, one line each."""
        ...


class Worker:
    """One process that stays, started when it is first needed, and again where it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def carry_out(self, arguments: Sequence[str]) -> tuple[str, str | None]:
        """Status and error of a run; `failed` where the process died of it."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None  # as they are pipes
        try:
            process.stdin.write(json.dumps(list(arguments)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            values = json.loads(answer)
            return values["status"], values["error"]
        code = process.wait()
        self._process = None
        return "failed", f"its process ended with {_exit(code)}"

    def close(self) -> None:
        """Let the run under way come to its end or to a checkpoint, then end the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        for ask, patience in ((_leave, GRACE_S), (subprocess.Popen.terminate, END_S)):
            ask(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                return
        process.kill()
        process.wait()

    def _started(self) -> subprocess.Popen:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nstbench.benchmark.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        return self._process


class Staying:
    """A `Carry` with a worker; `say` is told, now and then, how far it is."""

    def __init__(self, say: Callable[[str], None]):
        self._say, self._worker = say, Worker()
        self._problem: tuple | None = None  # of the run before
        self._carried = 0  # by this process

    def __enter__(self) -> "Staying":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._worker.close()

    def __call__(self, runs: Sequence[Run]) -> dict[Run, str]:
        left = [run for run in dict.fromkeys(runs) if not run.is_over]
        failures: dict[Run, str] = {}
        began = said = time.monotonic()
        for number, run in enumerate(by_problem(left), start=1):
            status, error = self._carry_out(run)
            if status == "interrupted":
                raise KeyboardInterrupt
            if status == "failed":
                failures[run] = error or "it failed"
            now = time.monotonic()
            if now - said > SAY_EVERY_S or number == len(left):
                said, seconds = now, (now - began) / number * (len(left) - number)
                self._say(f"{number} of {len(left)} runs, about {seconds:.0f} s left")
        return failures

    def _carry_out(self, run: Run) -> tuple[str, str | None]:
        problem = _problem(run.settings)
        if problem != self._problem and self._carried > RUNS_OF_A_PROCESS:
            self._worker.close()
            self._carried = 0
        self._problem, self._carried = problem, self._carried + 1
        return self._worker.carry_out(run.arguments)


def by_problem(runs: Sequence[Run]) -> list[Run]:
    """Runs of one problem together, and in it those of one method: what is kept serves longest."""
    settings = {run: run.settings for run in runs}
    first: dict[tuple, int] = {}
    for number, run in enumerate(runs):
        first.setdefault(_problem(settings[run]), number)
    return sorted(
        runs, key=lambda run: (first[_problem(settings[run])], settings[run].optimizer.name)
    )


def _leave(process: subprocess.Popen) -> None:
    """Without input it ends after the run under way."""


def _problem(settings) -> tuple:
    return settings.content, settings.style, settings.size, settings.extractor.name


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
