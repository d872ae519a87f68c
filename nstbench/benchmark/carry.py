"""How the runs of a benchmark are carried out: in processes that stay, problem after problem.

All that is left of a run is its directory. Whoever asks again gets what is there already, so a
benchmark can be killed at any moment and started again.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Protocol

from nstbench.benchmark.runs import Run
from nstbench.errors import SettingsError
from nstbench.run import machine

SAY_EVERY_S = 10.0
END_S = 60.0  # for a worker that was asked to stop
GRACE_S = 5.0  # in which a short run comes to its end before it is asked
RUNS_OF_A_PROCESS = 100  # then the next problem gets a new one: programs compiled are never freed

Problems = dict[tuple, deque[Run]]  # the runs that are left, by problem


class Carry(Protocol):
    """Sees to it that the runs are over where they can be."""

    def __call__(self, runs: Sequence[Run]) -> dict[Run, str]:
        """Why some of them could not be carried out, one line each."""
        ...


class Worker:
    """One process that stays, started when it is first needed, and again where it died.

    `cores` are those that it may use; all where they are None.
    """

    def __init__(self, cores: Sequence[int] | None = None) -> None:
        self._cores = cores
        self._process: subprocess.Popen | None = None
        self._carried = 0  # runs, by this process
        self._kept: tuple | None = None  # the problem that this process keeps
        self.problem: tuple | None = None  # the one that it is dealt runs of

    def carry_out(self, run: Run) -> tuple[str, str | None]:
        """Status and error of a run; `failed` where the process died of it."""
        problem = problem_of(run)
        if problem != self._kept and self._carried > RUNS_OF_A_PROCESS:
            self.close()
            self._carried = 0
        self._kept, self._carried = problem, self._carried + 1
        return self._ask(run.arguments)

    def _ask(self, arguments: Sequence[str]) -> tuple[str, str | None]:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None  # as they are pipes
        try:
            process.stdin.write(json.dumps(list(arguments)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except (BrokenPipeError, ValueError):  # it died, or was closed meanwhile
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
            with _on(self._cores):
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "nstbench.benchmark.worker"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
        return self._process


class Staying:
    """A `Carry` with workers side by side; `say` is told, now and then, how far they are.

    Several share the usable cores out among themselves and hold different problems while they can.
    """

    def __init__(self, say: Callable[[str], None], workers: int = 1):
        self._say = say
        self._workers = [Worker(cores) for cores in shares(workers)]
        self._dealing = threading.Lock()
        self._stopping = False

    def __enter__(self) -> "Staying":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close()

    def __call__(self, runs: Sequence[Run]) -> dict[Run, str]:
        left = by_problem([run for run in dict.fromkeys(runs) if not run.is_over])
        failures: dict[Run, str] = {}
        tell = self._progress(sum(map(len, left.values())))
        with futures.ThreadPoolExecutor(len(self._workers)) as pool:
            working = [pool.submit(self._work, w, left, failures, tell) for w in self._workers]
            try:
                done, _ = futures.wait(working, return_when=futures.FIRST_EXCEPTION)
                for each in done:
                    each.result()
            except BaseException:
                self._close()
                raise
        return failures

    def _work(
        self,
        worker: Worker,
        left: Problems,
        failures: dict[Run, str],
        tell: Callable[[], None],
    ) -> None:
        """Carry out one run after the other as long as there are some."""
        while not self._stopping and (run := self._next(worker, left)):
            status, error = worker.carry_out(run)
            if status == "interrupted":
                raise KeyboardInterrupt
            if status == "failed" and not self._stopping:
                failures[run] = error or "it failed"
            tell()

    def _next(self, worker: Worker, left: Problems) -> Run | None:
        """A run of the worker's problem, else of one that nobody holds, else of the longest one."""
        with self._dealing:
            if not left:
                return None
            held = {other.problem for other in self._workers if other is not worker}
            free = [problem for problem in left if problem not in held]
            longest = max(left, key=lambda problem: len(left[problem]))
            problem = worker.problem if worker.problem in left else [*free, longest][0]
            worker.problem = problem
            run = left[problem].popleft()
            if not left[problem]:
                del left[problem]
            return run

    def _progress(self, count: int) -> Callable[[], None]:
        """To be called at the end of each of `count` runs."""
        began = said = time.monotonic()
        number = 0

        def tell() -> None:
            nonlocal said, number
            with self._dealing:
                number, now = number + 1, time.monotonic()
                if now - said > SAY_EVERY_S or number == count:
                    said, seconds = now, (now - began) / number * (count - number)
                    self._say(f"{number} of {count} runs, about {seconds:.0f} s left")

        return tell

    def _close(self) -> None:
        """Let no further run begin, and end all processes."""
        self._stopping = True
        with futures.ThreadPoolExecutor(len(self._workers)) as pool:
            list(pool.map(Worker.close, self._workers))


def shares(workers: int) -> list[Sequence[int] | None]:
    """The cores of each of so many workers; None, all of them, for a single one.

    Raises `SettingsError` where there are fewer cores than workers.
    """
    if workers == 1:
        return [None]
    cores = machine.usable_cores()
    if workers > len(cores):
        raise SettingsError(f"workers={workers} is more than the {len(cores)} cores here")
    ends = [len(cores) * number // workers for number in range(workers + 1)]
    return [cores[a:b] for a, b in pairwise(ends)]


def by_problem(runs: Sequence[Run]) -> Problems:
    """Runs of one problem together, and in it those of one method: what is kept serves longest."""
    parted: dict[tuple, list[Run]] = {}
    for run in runs:
        parted.setdefault(problem_of(run), []).append(run)
    return {
        problem: deque(sorted(several, key=lambda run: run.settings.optimizer.name))
        for problem, several in parted.items()
    }


def problem_of(run: Run) -> tuple:
    """Equal for runs that share network, pictures and compiled steps."""
    settings = run.settings
    return settings.content, settings.style, settings.size, settings.extractor.name


@contextmanager
def _on(cores: Sequence[int] | None) -> Iterator[None]:
    """What this thread starts meanwhile may use these cores alone, from its first instruction.

    NumPy, too, makes as many threads as there are cores when it is loaded: too many on fewer cores
    wait for each other by turning round.
    """
    if cores is None or not hasattr(os, "sched_setaffinity"):  # macOS has none
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _leave(process: subprocess.Popen) -> None:
    """Without input it ends after the run under way."""


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
