"""`python -m nstbench.speed.worker MODE PEER FILE`: one competitor in a process of its own.

`serve`: build it from FILE, then answer lines on standard input, `evaluate 3`, `step 2` or `check`,
with a line each, until the input ends. `start`: do what a script of its users does, import, build,
one Adam step, and write the process's age and its peak memory to FILE.
"""

import json
import os
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

from nstbench.speed.options import PEERS
from nstbench.speed.peers import OTHERS, Competitor, Missing, Task


def save_task(path: Path, task: Task, own_weights: bool = False) -> None:
    """Write a `peers.Task` as npz; with `own_weights` without its layers."""
    plain = {f.name: getattr(task, f.name) for f in fields(task) if f.name != "layers"}
    layers = {} if own_weights or task.layers is None else task.layers
    arrays = {f"kernel {name}": kernel for name, (kernel, _) in layers.items()}
    arrays |= {f"bias {name}": bias for name, (_, bias) in layers.items()}
    np.savez(path, **{name: np.asarray(each) for name, each in plain.items()}, **arrays)


def load_task(path: Path) -> Task:
    """The `peers.Task` that `save_task` wrote."""
    with np.load(path) as held:
        names = [n.removeprefix("kernel ") for n in held.files if n.startswith("kernel ")]
        layers = {name: (held[f"kernel {name}"], held[f"bias {name}"]) for name in names}
        plain = {f.name: held[f.name] for f in fields(Task) if f.name != "layers"}
    values = {n: v if n in ("content", "style", "start") else v.tolist() for n, v in plain.items()}
    for name in ("style_layers", "adam"):
        values[name] = tuple(values[name])
    return Task(**values, layers=layers or None)


def build(peer: str, file: Path) -> Competitor:
    """`peer` from the file of its task, which holds the command's settings where it is nstbench.

    Raises `Missing` or `ImportError` where it cannot be had.
    """
    if PEERS[peer].kernels is None:
        return OTHERS[peer](load_task(file))
    from nstbench import engine as engines
    from nstbench.settings import compose
    from nstbench.speed import peers

    settings = compose.resolve(json.loads(file.read_text()))
    return peers.nstbench(settings, engines.load(settings.device))


def serve(peer: str, file: Path) -> int:
    """Be `peer` for whoever writes lines; what it finds at the start picture goes beside `file`."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        competitor = build(peer, file)
    except (Missing, ImportError) as reason:
        print("missing", " ".join(str(reason).split()), file=answers)
        return 0
    print("ready", file=answers)
    for line in sys.stdin:
        what, _, count = line.strip().partition(" ")
        if what == "check":
            loss, gradient = competitor.check()
            np.savez(file.with_name(f"{peer}.check.npz"), loss=loss, gradient=gradient)
        else:
            getattr(competitor, what)(int(count))
        print("done", file=answers)
    return 0


def start(peer: str, file: Path) -> int:
    """Start as `peer`'s users do, and write the facts in the place of what was given."""
    if PEERS[peer].kernels is None:
        from nstbench.run.machine import process_age

        OTHERS[peer](load_task(file)).step(1)
        seconds, peak = process_age(), peak_bytes()
    else:
        from nstbench import cli

        given = json.loads(file.read_text())
        code = cli.main(given)
        if code:
            return code
        peak = peak_bytes()
        from nstbench.run.record import read_rows
        from nstbench.run.schema import EPOCH_COLUMNS

        out = next(a for a in given if a.startswith("out=")).removeprefix("out=")
        (epochs,) = Path(out, "runs").glob("*/epochs.csv")
        seconds = float(read_rows(epochs, EPOCH_COLUMNS)[0]["wall_s"])
    file.with_name("facts.json").write_text(json.dumps({"start_s": seconds, "peak_bytes": peak}))
    return 0


def peak_bytes() -> int | None:
    """The largest memory this process ever held; None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


MODES = {"serve": serve, "start": start}

if __name__ == "__main__":
    sys.exit(MODES[sys.argv[1]](sys.argv[2], Path(sys.argv[3])))
