"""Every run with its settings, clocks and machine, grouped by what was run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from nstbench.arguments import typed
from nstbench.notation import count, number, setting
from nstbench.report.data import compare
from nstbench.report.data.reader import RecordedRun
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.objectives import objective_name

STATUS_MARKS = {"completed": "✓", "diverged": "↯", "failed": "✗", "interrupted": "‖"}
FEW_RUNS = 8  # that need no search
FILES = ("run.json", "epochs.csv", "trace.csv", "image.png")


def section(findings: Findings) -> Section:
    facts = _Facts()
    problems = [
        {
            "title": group.title[:1].upper() + group.title[1:],
            "count": count(len(group.runs), "run"),
            "groups": [_group(each.label, each.runs) for each in compare.competitors(group.runs)],
        }
        for group in compare.groups(findings.runs)
    ]
    context = {
        "damaged": [str(damage) for damage in findings.damaged],
        "searchable": len(findings.runs) > FEW_RUNS,
        "is_single": findings.kind == "single",
        "problems": problems,
    }
    runs = {run.id: _inside(run, facts) for run in findings.runs}
    data = {"runs": {"pairs": facts.pairs, "runs": runs}}
    return Section("runs", "Every run", "runs.html", context, data=data)


class _Facts:
    """Every (name, value) that runs have, once: most are the same in all of a sweep."""

    def __init__(self):
        self._places: dict[tuple[str, str], int] = {}

    def place(self, pair: tuple[str, str]) -> int:
        return self._places.setdefault(pair, len(self._places))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(self._places)


def _group(label: str, runs: Sequence[RecordedRun]) -> dict[str, Any]:
    runs = sorted(runs, key=lambda run: (run.repeat, run.id))
    return {
        "label": label,
        "count": count(len(runs), "run"),
        "runs": [_line(run, len(runs) > 1) for run in runs],
    }


def _line(run: RecordedRun, repeated: bool) -> dict[str, Any]:
    """What is seen of a run before it is opened."""
    record = run.record
    final, clocks = record.final, record.clocks
    numbers = []
    if final:
        loss = "loss not finite" if final.loss is None else f"loss {number(final.loss)}"
        numbers += [f"{final.epochs} epochs", loss]
    if clocks and record.timing_valid:
        numbers.append(f"{number(clocks.total_s, 3)} s")
    repeat = f", repeat {run.repeat}" if repeated else ""
    experiment = f" ({run.experiment})" if run.experiment else ""
    return {
        "id": run.id,
        "name": f"{run.label}, {run.setup.epochs} epochs{repeat}{experiment}",
        "numbers": " · ".join(numbers),
        "status": str(run.status),
        "rose": run.ends_above_start,
        "mark": STATUS_MARKS.get(str(run.status), "…"),
    }


def _inside(run: RecordedRun, facts: _Facts) -> dict[str, Any]:
    """What the page's script shows of a run that is opened."""
    record = run.record
    early = f"Stopped by itself: {record.finished_early}." if record.finished_early else ""
    folder = quote(f"../{run.path.parent.name}/{run.path.name}")
    return {
        "id": run.id,
        "problem": _problem(run),
        "error": record.error,
        "command": typed(*record.command, "force=true"),
        "files": [f"{folder}/{name}" for name in FILES if (run.path / name).is_file()],
        "notes": [
            *filter(None, [early]),
            *(f"Timing not valid: {note}" for note in record.timing_notes),
        ],
        "facts": [(title, list(map(facts.place, pairs))) for title, pairs in _facts(run) if pairs],
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
            yield f"{prefix}{key}", setting(value)
