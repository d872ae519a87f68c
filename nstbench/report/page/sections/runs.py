"""Every run with its settings, clocks and machine, grouped by what was run."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nstbench.report.data import compare
from nstbench.report.data.reader import RecordedRun
from nstbench.report.notation import count, short
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.objectives import objective_name

STATUS_MARKS = {"completed": "✓", "diverged": "↯", "failed": "✗", "interrupted": "‖"}


def section(findings: Findings) -> Section:
    groups = compare.groups(findings.runs)
    context = {
        "damaged": [str(damage) for damage in findings.damaged],
        "groups": [
            _group(each.label, each.runs, group.title if len(groups) > 1 else "")
            for group in groups
            for each in compare.competitors(group.runs)
        ],
    }
    return Section("runs", "Every run", "runs.html", context)


def _group(label: str, runs: Sequence[RecordedRun], problem: str) -> dict[str, Any]:
    runs = sorted(runs, key=lambda run: (run.repeat, run.id))
    return {
        "label": label,
        "problem": problem,
        "count": count(len(runs), "run"),
        "runs": [_run(run, len(runs) > 1) for run in runs],
    }


def _run(run: RecordedRun, repeated: bool) -> dict[str, Any]:
    record = run.record
    final, clocks = record.final, record.clocks
    numbers = []
    if final:
        loss = "loss not finite" if final.loss is None else f"loss {short(final.loss)}"
        numbers += [f"{final.epochs} epochs", loss]
    if clocks and record.timing_valid:
        numbers.append(f"{clocks.total_s:.1f} s")
    repeat = f", repeat {run.repeat}" if repeated else ""
    experiment = f" ({run.experiment})" if run.experiment else ""
    early = f"Stopped by itself: {record.finished_early}." if record.finished_early else ""
    return {
        "id": run.id,
        "name": f"{run.label}, {run.setup.epochs} epochs{repeat}{experiment}",
        "problem": _problem(run),
        "numbers": " · ".join(numbers),
        "status": str(run.status),
        "mark": STATUS_MARKS.get(str(run.status), "…"),
        "error": record.error,
        "command": f"python -m nstbench {shlex.join([*record.command, 'force=true'])}",
        "notes": [
            *filter(None, [early]),
            *(f"Timing not valid: {note}" for note in record.timing_notes),
        ],
        "facts": _facts(run),
    }


def _problem(run: RecordedRun) -> str:
    pictures = [run.record.content.name, *(style.name for style in run.record.style)]
    size = f"{run.record.content.width} px"
    return f"{' × '.join(pictures)}, {size}, {objective_name(run)}"


def _facts(run: RecordedRun) -> list[tuple[str, list[tuple[str, str]]]]:
    record = run.record
    outcome = {}
    for part in (record.final, record.quality):
        outcome |= part.model_dump() if part else {}
    pictures = {"content": record.content.model_dump()}
    pictures |= {f"style {n}": style.model_dump() for n, style in enumerate(record.style, start=1)}
    clocks = record.clocks.model_dump() if record.clocks else {}
    groups = {
        "Settings": record.settings,
        "Result": outcome,
        "Clocks, seconds": clocks | {"timing_valid": record.timing_valid},
        "Machine": record.machine,
        "Versions": record.versions,
        "Load": record.load,
        "Inputs": {**pictures, "weights": record.weights.model_dump(), "problem": run.problem},
        "Record": {"created": record.created, "finished": record.finished},
    }
    return [(title, list(_flat(values))) for title, values in groups.items()]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as (dotted name, text)."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{value:.6g}" if isinstance(value, float) else str(value)
