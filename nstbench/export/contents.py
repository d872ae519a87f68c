"""What every tool is told of a run: parameters, a series, a summary, pictures."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from nstbench.report.data import frames
from nstbench.report.data.reader import RecordedRun
from nstbench.run.record import snapshots

LOCAL = ("out", "force", "checkpoint_s", "epochs_scale")  # settings that say nothing of the result


def parameters(run: RecordedRun) -> dict[str, Any]:
    """The settings by their names on the command line; texts, numbers and booleans."""
    known = {"label": run.label} | frames.settings(run)
    return {k: v for k, v in known.items() if v is not None and k not in LOCAL}


def series(run: RecordedRun, first: int = 0) -> Iterator[tuple[int, float, dict[str, float]]]:
    """For each epoch from number `first` (0 is the first): evaluations so far, the time (seconds
    since 1970), and the finite values of its row.

    `step` is called `updates`: a step means the horizontal axis to these tools.
    """
    start, rows = began(run), run.epochs.iloc[first:].rename(columns={"step": "updates"})
    for row in rows.to_dict("records"):
        values = {n: v for n, v in row.items() if n != "evaluations" and np.isfinite(v)}
        yield int(row["evaluations"]), start + row["wall_s"], values


def summary(run: RecordedRun) -> dict[str, float]:
    """Final loss, quality and seconds, as far as the run came."""
    known = frames.measured(run).items()
    return {name: float(value) for name, value in known if isinstance(value, int | float)}


def began(run: RecordedRun) -> float:
    """When the run was begun, in seconds since 1970."""
    return datetime.fromisoformat(run.record.created).timestamp()


def pictures(run: RecordedRun) -> dict[int, Path]:
    """Snapshots and the result by the evaluations made until then."""
    evaluations = [0, *run.epochs["evaluations"].astype(int)]
    kept = snapshots(run.path, len(run.epochs))
    return {evaluations[epoch]: path for epoch, path in kept.items()}


def inputs(run: RecordedRun) -> dict[str, Path]:
    """Content and styles as the run saw them."""
    paths = [run.path / "content.png", *sorted(run.path.glob("style*.png"))]
    return {path.stem: path for path in paths if path.is_file()}
