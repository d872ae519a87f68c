"""Runs and their epochs as two tidy pandas frames, for notebooks: `nstbench.results("results")`."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from nstbench.errors import SettingsError
from nstbench.report.data import reader
from nstbench.report.data.reader import RecordedRun

SECTIONS = ("clocks", "final", "quality", "reference")  # of `run.json`, under their own names
FACTS = ("status", "error", "created", "finished", "problem", "timing_valid")


class Results(NamedTuple):
    """`runs` has a row for each run, `epochs` one for each epoch of each run.

    Both begin with `run`, the name of the run's directory, and `label`, what people call it
    ("Adam 0.02"). The settings follow in `runs` under the names that they have on the command line
    (`lr`, `size`, `optimizer.beta_1`, `objective.style.weight`; lists are joined by "+"), then the
    record's results as `final.loss`, `quality.ssim`, `clocks.total_s`; the rest of `epochs` are the
    columns of `epochs.csv`. What a run lacks is NaN.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame


def results(folder: str | Path = "results") -> Results:
    """Every run in `folder`, whatever its status; a warning for each that cannot be read.

    Raises `SettingsError` where there is no run.
    """
    found = reader.read(Path(folder))
    for damage in found.damaged:
        warnings.warn(f"left out {damage}", stacklevel=2)
    if not found.runs:
        raise SettingsError(f"no runs in {Path(folder) / 'runs'}")
    return Results(
        pd.DataFrame([_row(run) for run in found.runs]),
        pd.concat([_epochs(run) for run in found.runs], ignore_index=True),
    )


def settings(run: RecordedRun) -> dict[str, Any]:
    """The settings of a run under the names of the command line, none of them nested."""
    flat = dict(_flat(run.record.settings))
    named = {_name(key): value for key, value in flat.items()}
    return {key: "+".join(map(str, v)) if isinstance(v, list) else v for key, v in named.items()}


def measured(run: RecordedRun) -> dict[str, Any]:
    """Clocks, final loss and quality of a run, as far as it came: `final.loss`, `quality.ssim`."""
    record = run.record.model_dump(mode="json")
    return dict(_flat({name: record[name] for name in SECTIONS if record[name] is not None}))


def _row(run: RecordedRun) -> dict[str, Any]:
    facts = {name: getattr(run.record, name) for name in FACTS} | {"status": str(run.status)}
    head = {"run": run.id, "label": run.label}
    tail = {"host": run.host, "path": str(run.path), "ends_above_start": run.ends_above_start}
    return head | facts | tail | settings(run) | measured(run)


def _epochs(run: RecordedRun) -> pd.DataFrame:
    frame = run.epochs.astype({"epoch": int, "step": int, "evaluations": int})
    frame.insert(0, "run", run.id)
    frame.insert(1, "label", run.label)
    return frame


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """`{"a": {"b": 1}}` as `a.b`, 1."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _name(key: str) -> str:
    """`optimizer.options.beta_1` as it is typed, `optimizer.beta_1`; a `.name` is its group's."""
    return key.replace(".options.", ".").replace(".terms.", ".").removesuffix(".name")
