"""One pair of pictures under several objectives, measured with one reference metric.

Losses of different objectives are different quantities and are never put on one curve. What can be
compared are the terms of the default objective at each result (the record's `reference`), and its
SSIM and PSNR to the content picture.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pandas as pd

from nstbench.notation import NONE, number, short
from nstbench.report.data.reader import RecordedRun
from nstbench.report.figures.picture_sheets import Sheet, SheetCell, inputs
from nstbench.report.tables.table import Table
from nstbench.run.schema import TERM

MOST_SETS = 4
CAPTION = (
    "Terms: the weighted terms of the default objective at the result, whatever the run's own "
    "objective was; lower is closer. SSIM and PSNR are to the content picture; higher is closer."
)


def sets_of_objectives(runs: Iterable[RecordedRun]) -> list[list[RecordedRun]]:
    """Runs that differ in their objective: same pictures, optimizer and budget; one run each."""
    found: dict[tuple, dict[str, RecordedRun]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: (run.repeat, run.id)):
        if run.status.is_final:
            found[_budget(run)].setdefault(_objective(run), run)
    several = [list(by_objective.values()) for by_objective in found.values()]
    several = [members for members in several if len(members) > 1]
    return sorted(several, key=len, reverse=True)[:MOST_SETS]


def _budget(run: RecordedRun) -> tuple:
    record = run.record
    pictures = (record.content.sha256, *(style.sha256 for style in record.style))
    return (pictures, run.method, run.steps, record.settings.get("init"))


def _objective(run: RecordedRun) -> str:
    return json.dumps(run.record.settings.get("objective"), sort_keys=True, default=str)


def objective_name(run: RecordedRun) -> str:
    objective = run.record.settings.get("objective")
    return str(objective.get("name") if isinstance(objective, dict) else objective)


def labels(members: Sequence[RecordedRun]) -> list[str]:
    """The objectives' names, numbered where one name has several settings."""
    seen: dict[str, int] = defaultdict(int)
    made = []
    for run in members:
        name = objective_name(run)
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name}, variant {seen[name]}")
    return made


def objectives_table(members: Sequence[RecordedRun], order: int = 1) -> Table:
    """One row per objective, in the order of its name."""
    rows = sorted(zip(labels(members), members, strict=True), key=lambda row: row[0])
    frame = pd.DataFrame.from_records([_record(label, run) for label, run in rows])
    terms = [name for name in frame if name.startswith(TERM)]
    shown = pd.DataFrame(
        {
            "Objective": frame["objective"],
            **{_heading(name): frame[name].map(number) for name in terms},
            "SSIM": frame["ssim"].map(number),
            "PSNR": frame["psnr"].map(number),
            "Status": frame["status"],
            "Picture": frame["picture"].fillna(NONE),
        }
    )
    name = "objectives" if order == 1 else f"objectives_{order}"
    return Table(name, f"Objectives: {_title(members[0])}", CAPTION, frame, shown, _notes(rows))


def _record(label: str, run: RecordedRun) -> dict:
    reference, quality = run.record.reference, run.record.quality
    picture = run.path / "image.png"
    terms = reference.terms if reference else {}
    return {
        "objective": label,
        **{f"{TERM}{name}": value for name, value in terms.items()},
        "ssim": quality.ssim if quality else None,
        "psnr": quality.psnr if quality else None,
        "status": str(run.status),
        "picture": f"{run.path.parent.name}/{run.path.name}/image.png"
        if picture.is_file()
        else None,
    }


def _notes(rows: Sequence[tuple[str, RecordedRun]]) -> list[str]:
    without = [label for label, run in rows if run.record.reference is None]
    return [f"Without the reference metric: {', '.join(without)}."] if without else []


def objectives_sheet(members: Sequence[RecordedRun], order: int = 1) -> Sheet:
    """Content, style, and the result under each objective with its terms."""
    cells = inputs(members[0])
    for label, run in sorted(zip(labels(members), members, strict=True), key=lambda row: row[0]):
        cells.append(SheetCell(f"{label}\n{_distances(run)}", run.path / "image.png"))
    title = "One pair of pictures under every objective"
    foot = f"{_title(members[0])}. Distances under the default objective."
    return Sheet(f"objectives_{order}", title, tuple(cells), 4, foot[:1].upper() + foot[1:])


def _distances(run: RecordedRun) -> str:
    reference, quality = run.record.reference, run.record.quality
    if reference is None or None in reference.terms.values():
        return str(run.status)
    terms = ", ".join(f"{name} {short(value)}" for name, value in reference.terms.items())
    known = quality is not None and None not in (quality.ssim, quality.psnr)
    likeness = f"SSIM {quality.ssim:.3f}, PSNR {quality.psnr:.1f} dB" if known else ""
    return f"{terms}\n{likeness}".rstrip()


def _heading(column: str) -> str:
    name = column.removeprefix(TERM).replace("_", " ")
    return f"{name[:1].upper()}{name[1:]} term"


def _title(run: RecordedRun) -> str:
    styles = " and ".join(style.name for style in run.record.style)
    size = f"{run.record.content.width} x {run.record.content.height}"
    pictures = f"{run.record.content.name} in the style of {styles}"
    return f"{pictures}, {size}, {run.label}, {run.steps} steps"
