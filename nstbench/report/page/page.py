"""The page: one HTML file that opens offline, with everything that the report found.

Every string that comes from a run goes through Jinja's autoescape (or its `tojson`), and the page
carries a content security policy that lets nothing be fetched.
"""

import base64
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nstbench.files import replacing
from nstbench.report.data.reader import Damage, RecordedRun
from nstbench.report.figures import interactive
from nstbench.report.figures.drawings import Drawings
from nstbench.report.figures.picture_sheets import Gallery, frames, inputs, read_picture
from nstbench.report.figures.plots import short
from nstbench.report.judge.verdicts import Decision, Reported, Verdict
from nstbench.report.tables.objectives import objective_name
from nstbench.report.tables.table import NONE, Table

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "Optimizers for neural style transfer, measured"
LEDE = (
    "A report compared Adam, Adagrad and RMSprop with one run per row. Here its table is run again "
    "with repeats, and each of its sentences is judged by the numbers."
)
FEW_PICTURES = 24  # up to so many results are shown large
LARGE, SMALL = (512, 320), (320, 160)  # pixels of a result and of a snapshot
THUMBNAIL, MOST_FRAMES = 112, 10
MARKS = {  # verdict or status -> (its class in the style sheet, a mark that needs no colour)
    Decision.SUPPORTED: ("supported", "✓"),
    Decision.REFUTED: ("refuted", "✗"),
    Decision.NO_DIFFERENCE: ("no-difference", "≈"),
    Decision.NOT_DECIDED: ("not-decided", "?"),
    Reported.AGREES: ("supported", "✓"),
    Reported.CONTRADICTS: ("refuted", "✗"),
    Reported.SILENT: ("not-decided", "?"),
}
STATUS_MARKS = {"completed": "✓", "diverged": "↯", "failed": "✗", "interrupted": "‖"}


@dataclass(frozen=True)
class Contents:
    """All that the page shows; the first of `timing` and `ranking` at once, the others unfold."""

    results: Path  # the folder of `runs/`; the tables' pictures are relative to it
    runs: Sequence[RecordedRun]
    damaged: Sequence[Damage]
    verdicts: Sequence[Verdict]
    timing: Sequence[Table]
    ranking: Sequence[Table]
    objectives: Sequence[Table]
    drawings: Drawings


def write(path: Path, contents: Contents) -> None:
    """Write the page to `path`, whole or not at all."""
    html = _environment().get_template("index.html").render(_context(contents))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(html, encoding="utf-8")


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(contents: Contents) -> dict[str, Any]:
    from importlib.metadata import version

    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    drawings = contents.drawings
    plots = {
        "curves": [interactive.plotly(plot) for plot in drawings.curves],
        "profiles": [interactive.plotly(plot) for plot in drawings.profiles],
        "rates": [interactive.plotly(plot) for plot in drawings.rates],
        "ratios": [interactive.plotly_ratios(drawings.ratios)] if drawings.ratios else [],
    }
    legends = {plot.name: interactive.legend(plot) for plot in drawings.plots}
    if drawings.ratios:
        legends[drawings.ratios.name] = interactive.legend_of_ratios()
    galleries = _galleries(drawings.galleries)
    return {
        "title": TITLE,
        "lede": LEDE,
        "headline": _headline(contents),
        "sections": [(name.lower(), name) for name in _sections(contents)],
        "tally": _tally(contents.verdicts),
        "verdicts": [_verdict(verdict) for verdict in contents.verdicts],
        "tables": {
            kind: [_table(table, contents.results) for table in getattr(contents, kind)]
            for kind in ("timing", "ranking", "objectives")
        },
        "plots": plots,
        "legends": legends,
        "missing": drawings.missing,
        "profile_notes": drawings.profile_notes,
        "galleries": galleries,
        "runs": _runs(contents.runs),
        "damaged": [str(damage) for damage in contents.damaged],
        "version": version("nstbench"),
        "data": {
            "plots": {plot["name"]: plot for group in plots.values() for plot in group},
            "galleries": {each["key"]: each["moving"] for each in galleries},
        },
        "plotly_script": Markup(get_plotlyjs()),  # the library's own text: nothing of a run's
    }


def _sections(contents: Contents) -> list[str]:
    some = {"Rates": contents.drawings.rates, "Objectives": contents.objectives}
    there = [name for name, shown in some.items() if shown]
    return ["Verdicts", "Table", "Curves", "Pictures", "Ranking", *there, "Runs"]


def _headline(contents: Contents) -> list[tuple[str, str]]:
    runs = contents.runs
    dates = sorted(run.record.created[:10] for run in runs)
    facts = [
        (str(len(runs)), "run" if len(runs) == 1 else "runs"),
        (str(len({run.optimizer for run in runs})), "optimizers"),
        (str(len({run.problem for run in runs})), "problems"),
        (str(len({run.host for run in runs})), "machines"),
    ]
    if contents.damaged:
        facts.append((str(len(contents.damaged)), "unreadable"))
    if dates:
        facts.append((dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}", "made"))
    return facts


def _tally(verdicts: Iterable[Verdict]) -> list[tuple[str, str, str]]:
    """How many claims have which outcome: (class, mark, words)."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return [
        (*MARKS[outcome], f"{counts[outcome]} {outcome}") for outcome in Decision if counts[outcome]
    ]


def _verdict(verdict: Verdict) -> dict[str, str]:
    kind, mark = MARKS[verdict.outcome]
    reported_kind, reported_mark = MARKS.get(verdict.reported_verdict, ("not-decided", "?"))
    return {
        "claim": verdict.claim,
        "where": verdict.where,
        "verdict": verdict.verdict,
        "kind": kind,
        "mark": mark,
        "explanation": verdict.explanation,
        "reported": str(verdict.reported_verdict),
        "reported_kind": reported_kind,
        "reported_mark": reported_mark,
        "reported_explanation": verdict.reported_explanation,
    }


def _table(table: Table, results: Path) -> dict[str, Any]:
    """Rows of cells as text; the column `Picture` holds paths and shows thumbnails."""
    shown = table.shown.astype(str)
    columns = [{"name": name, "kind": _kind(shown[name])} for name in shown]
    rows = [
        [_cell(name, text, results) for name, text in zip(shown.columns, texts, strict=True)]
        for texts in shown.itertuples(index=False)
    ]
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "notes": table.notes,
        "columns": columns,
        "rows": rows,
    }


def _kind(texts: pd.Series) -> str:
    """Numbers and pictures stand to the right, one below the other; words to the left."""
    if texts.name == "Picture":
        return "number"
    known = texts[texts != NONE]
    return "number" if len(known) and known.str.match(r"[-+\d]").mean() > 0.5 else "text"


def _cell(column: str, text: str, results: Path) -> dict[str, Any]:
    """An interval in brackets, as in "30.1 (29.8 to 30.4)", goes below its number."""
    if column == "Picture":
        return {"text": text, "below": "", "picture": data_uri(results / text, THUMBNAIL)}
    interval = re.fullmatch(r"(\S+) \((.+)\)", text)
    text, below = interval.groups() if interval else (text, "")
    return {"text": text, "below": below, "picture": None}


def data_uri(path: Path, side: int) -> str | None:
    """The picture at `path` as a JPEG inside a `data:` address; None where it cannot be read."""
    picture = read_picture(path, side)
    if picture is None:
        return None
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _galleries(galleries: Iterable[Gallery]) -> list[dict[str, Any]]:
    galleries = list(galleries)
    total = sum(len(gallery.entries) for gallery in galleries)
    sides = LARGE if total <= FEW_PICTURES else SMALL
    made = [_gallery(gallery, *sides) for gallery in galleries]
    return [gallery for gallery in made if gallery["entries"]]


def _gallery(gallery: Gallery, side: int, frame_side: int) -> dict[str, Any]:
    first = gallery.entries[0].run
    names = [first.record.content.name, *(style.name for style in first.record.style)]
    given = [(cell, data_uri(cell.path, side)) for cell in inputs(first)]
    entries = []
    for entry in gallery.entries:
        image = data_uri(entry.run.path / "image.png", side)
        if image is not None:
            moving = {
                "label": entry.label,
                "caption": entry.caption,
                "frames": _frames(entry.run, frame_side),
            }
            entries.append({"label": entry.label, "image": image, "moving": moving})
    return {
        "key": gallery.key,
        "title": gallery.title,
        "content": given[0][1],
        "inputs": [
            {"src": src, "role": cell.caption, "name": name}
            for (cell, src), name in zip(given, names, strict=True)
            if src
        ],
        "entries": entries,
        "moving": [entry["moving"] for entry in entries],
    }


def _frames(run: RecordedRun, side: int) -> list[dict[str, Any]]:
    """The snapshots for the slider; the last is the result, which the page holds already."""
    *before, last = frames(run, MOST_FRAMES) or [None]
    if not before:
        return []
    pictures = [(frame, data_uri(frame.path, side)) for frame in before]
    return [
        {"src": src, "epoch": frame.epoch, "caption": frame.caption.replace("\n", ", ")}
        for frame, src in [*((frame, src) for frame, src in pictures if src), (last, None)]
    ]


def _order(run: RecordedRun) -> tuple:
    return (run.experiment or "~", run.optimizer, run.lr or 0, run.steps, run.repeat, run.id)


def _runs(runs: Sequence[RecordedRun]) -> list[dict[str, Any]]:
    """The runs in the order of their names, which say no more than is needed to tell them apart."""
    repeated = any(run.repeat for run in runs)
    several = len({run.problem for run in runs}) > 1
    return [_run(run, repeated, several) for run in sorted(runs, key=_order)]


def _problem(run: RecordedRun) -> str:
    pictures = [run.record.content.name, *(style.name for style in run.record.style)]
    size = f"{run.record.content.width} px"
    return f"{' × '.join(pictures)}, {size}, {objective_name(run)}"


def _run(run: RecordedRun, repeated: bool, several: bool) -> dict[str, Any]:
    record = run.record
    final, clocks = record.final, record.clocks
    numbers = []
    if final:
        loss = "loss not finite" if final.loss is None else f"loss {short(final.loss)}"
        numbers += [f"{final.epochs} epochs", loss]
    if clocks:
        numbers.append(f"{clocks.total_s:.1f} s")
    repeat = f", repeat {run.repeat}" if repeated else ""
    experiment = f" ({run.experiment})" if run.experiment else ""
    return {
        "id": run.id,
        "name": f"{run.label}, {run.setup.epochs} epochs{repeat}{experiment}",
        "problem": _problem(run) if several else "",
        "numbers": " · ".join(numbers),
        "status": str(run.status),
        "mark": STATUS_MARKS.get(str(run.status), "…"),
        "error": record.error,
        "command": f"python -m nstbench {shlex.join(record.command)}",
        "notes": [f"Timing not valid: {note}" for note in record.timing_notes],
        "facts": _facts(run),
    }


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
