"""The page: one HTML file that opens offline, with everything that the report found.

Every string that comes from a run goes through Jinja's autoescape (or its `tojson`), and the page
carries a content security policy that lets nothing be fetched.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from nstbench.files import replacing
from nstbench.notation import NONE, count, listed
from nstbench.report.data import select
from nstbench.report.data.reader import RecordedRun
from nstbench.report.figures import interactive
from nstbench.report.figures.draw import OF_PICTURES
from nstbench.report.figures.plots import Plot
from nstbench.report.judge.answer import answer, answer_over, headline, headline_over
from nstbench.report.page import scored
from nstbench.report.page.embed import Album
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment

ALTERED = (
    "These are rows of the report's table with other settings: they judge none of its sentences; "
    "`suite=table1 repeats=3` runs them as they stand."
)
MOST_POINTS = 120_000  # of all curves together
LEAST_POINTS = 24  # of a curve


def write(path: Path, findings: Findings, sections: Sequence[Section]) -> None:
    """Write the page to `path`, whole or not at all; of printed figures it links to those that lie
    beside it by then."""
    context = _context(findings, sections, path.parent)
    html = _environment().get_template("index.html").render(context)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(html, encoding="utf-8")


def title(findings: Findings) -> str:
    """What the page is about."""
    if findings.scores:
        return scored.headline(findings.scores)
    if findings.settings.own_claims:
        return "Claims about optimizers, judged"
    if findings.kind == "table":
        return "The report's table of optimizers, measured again"
    if findings.kind == "single":
        run = findings.runs[0]
        styles = listed([style.name for style in run.record.style])
        return f"{run.label}: {run.record.content.name} in the style of {styles}"
    if findings.pairs:
        return headline_over(findings.pairs)
    if findings.rankings:
        return headline(findings.rankings[0])
    return "Runs without a result yet"


def lede(findings: Findings) -> str:
    """The first thing to know."""
    runs, margin = findings.runs, findings.settings.claims.margin
    if findings.scores:
        return scored.answer(findings.scores)
    if findings.kind == "single":
        run = runs[0]
        planned = f"{run.setup.epochs} epochs of {run.setup.steps_per_epoch} steps"
        return f"One run of {planned}: {run.status}. To compare, run another optimizer or rate."
    if findings.kind == "table":
        rows = findings.settings.table.rows
        of_rows = [select.runs_of_row(runs, row) for row in rows]
        made = [each for each in of_rows if each]
        repeats = sorted({len({run.repeat for run in each}) for each in made})
        times = f"{repeats[0]} to {repeats[-1]}" if len(repeats) > 1 else str(repeats[0])
        return (
            f"A report compared Adam, Adagrad and RMSprop with one run per row. Here "
            f"{len(made)} of its {len(rows)} rows were run with {times} "
            f"{'repeat' if repeats == [1] else 'repeats'}, and its sentences are judged by them."
        )
    if not findings.rankings:
        return "No run has finished, so there is nothing to compare yet."
    altered = any(run.record.settings.get("reported_seconds") for run in runs)
    pairs = findings.pairs
    told = answer_over(pairs) if pairs else answer(findings.rankings[0], margin)
    if not pairs and len(findings.rankings) > 1:
        others = count(len(findings.rankings) - 1, "other problem")
        told += f" Ranked further below: {others}."
    return told + (f" {ALTERED}" if altered else "")


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(findings: Findings, sections: Sequence[Section], folder: Path) -> dict[str, Any]:
    from importlib.metadata import version

    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    drawn = [plot for section in sections for plot in section.plots]
    album = Album(path for section in sections for path in _pictures(section, findings.results))
    shown = [_section(section, findings, album, folder, _points(drawn)) for section in sections]
    data = {
        "plots": {plot["name"]: plot for section in shown for plot in section["plots"]},
        "galleries": {each["key"]: each for section in shown for each in section["galleries"]},
        "pictures": album.pictures,
    }
    for section in sections:
        data |= section.data
    return {
        "title": title(findings),
        "lede": lede(findings),
        "headline": _facts(findings),
        "sections": shown,
        "legends": {plot.name: interactive.legend(plot, findings.looks) for plot in drawn},
        "version": version("nstbench"),
        "data": data,
        "plotly_script": Markup(get_plotlyjs()),  # the library's own text: nothing of a run's
    }


def _points(plots: Sequence[Any]) -> int:
    """How many points each curve may have, so that all of them together stay light."""
    curves = sum(
        len(series.curves) for plot in plots if isinstance(plot, Plot) for series in plot.series
    )
    return max(MOST_POINTS // max(curves, 1), LEAST_POINTS)


def _pictures(section: Section, results: Path) -> Iterator[Path]:
    """Every picture that a section shows; what can be seen large comes first."""
    for gallery in section.galleries:
        yield from (shown["path"] for shown in (*gallery["inputs"], *gallery["entries"]))
        for entry in gallery["entries"]:
            yield from (frame["path"] for frame in entry["frames"])
    for table in section.tables:
        for text in table.shown.get("Picture", ()):
            yield results / text


def _section(
    section: Section, findings: Findings, album: Album, folder: Path, points: int
) -> dict[str, Any]:
    plots = [interactive.plotly(plot, findings.looks, points) for plot in section.plots]
    for plot in plots:
        printed = plot["files"].items()
        plot["files"] = {axis: _is_there(folder, stem) and stem for axis, stem in printed}
    galleries = (_gallery(gallery, album) for gallery in section.galleries)
    return {
        **section.context,
        "anchor": section.anchor,
        "title": section.title,
        "template": f"sections/{section.template}",
        "tables": [_table(table, findings.results, album) for table in section.tables],
        "plots": plots,
        "galleries": [gallery for gallery in galleries if gallery["entries"]],
        "sheets": [
            (
                sheet.title,
                [(end.upper(), quote(f"figures/{sheet.name}.{end}")) for end in OF_PICTURES],
            )
            for sheet in section.sheets
            if _is_there(folder, f"figures/{sheet.name}")
        ],
    }


def _is_there(folder: Path, stem: str) -> bool:
    return (folder / f"{stem}.png").is_file()


def _gallery(gallery: Mapping[str, Any], album: Album) -> dict[str, Any]:
    """`gallery` with the numbers of its pictures; what cannot be read is left out."""

    def placed(shown: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        numbered = [
            {name: value for name, value in each.items() if name != "path"}
            | {"picture": album.place(each["path"])}
            for each in shown
        ]
        return [each for each in numbered if each["picture"] is not None]

    inputs, entries = placed(gallery["inputs"]), placed(gallery["entries"])
    return {
        "key": gallery["key"],
        "title": gallery["title"],
        "content": inputs[0]["picture"] if inputs else None,
        "inputs": inputs,
        "entries": [entry | {"frames": placed(entry["frames"])} for entry in entries],
    }


def _facts(findings: Findings) -> list[tuple[str, str]]:
    """Numbers for the head of the page: how much of what, on which machine, when."""
    runs = findings.runs
    dates = sorted(run.record.created[:10] for run in runs)
    machines = {run.host: run.record.machine.get("cpu") or "machine" for run in runs}
    counted = [
        count(len(runs), "run"),
        count(len({run.method for run in runs}), "optimizer"),
        count(len({run.problem for run in runs}), "problem"),
    ]
    if findings.damaged:
        counted.append(f"{len(findings.damaged)} unreadable")
    facts = [tuple(text.split(" ", 1)) for text in counted]
    if runs:
        named = next(iter(machines.values())) if len(machines) == 1 else str(len(machines))
        facts.append((str(named), "machine" if len(machines) == 1 else "machines"))
        facts.append((dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}", "made"))
    return facts + _versions(runs)


def _versions(runs: Sequence[RecordedRun]) -> list[tuple[str, str]]:
    """The version of each backend that computed, where all runs agree on it."""
    used: dict[str, set[str | None]] = defaultdict(set)
    for run in runs:
        backend = str(run.record.settings.get("backend"))
        used[backend].add(run.record.versions.get(backend))
    return [
        (str(next(iter(found))) if len(found) == 1 else f"{len(found)} versions", backend)
        for backend, found in sorted(used.items())
        if found != {None}
    ]


def _table(table: Table, results: Path, album: Album) -> dict[str, Any]:
    """Rows of cells as text; the column `Picture` holds paths and shows thumbnails.

    The first columns, which say what a row is, stay in sight; the leading group has a mark there.
    """
    shown = table.shown.astype(str)
    names = [str(name) for name in shown]
    naming = [place for place, name in enumerate(names[:MOST_NAMING]) if name in NAMING]
    stuck = naming[-1] + 1 if naming else 1
    columns = [
        {"name": name, "kind": _kind(shown[name]) + (f" stuck stuck-{n}" if n < stuck else "")}
        for n, name in enumerate(names)
    ]
    rows = [
        {
            "strong": row in table.strong,
            "cells": [
                _cell(name, text, results, album)
                | {"leads": row in table.strong and place == stuck - 1}
                for place, (name, text) in enumerate(zip(names, texts, strict=True))
            ],
        }
        for row, texts in enumerate(shown.itertuples(index=False))
    ]
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "notes": table.notes,
        "columns": columns,
        "rows": rows,
        "files": [(suffix, f"{table.path}.{end}") for suffix, end in KINDS.items()],
    }


NAMING = {"Row", "Rank", "Optimizer", "Competitor", "Rate", "Objective"}
MOST_NAMING = 3  # columns from the left that can be such
KINDS = {"CSV": "csv", "Markdown": "md", "LaTeX": "tex"}  # of a table's files


def _kind(texts: pd.Series) -> str:
    """Numbers and pictures stand to the right, one below the other; words to the left."""
    if texts.name == "Picture":
        return "number"
    known = texts[~texts.isin([NONE, "missed", "diverged"])]
    return "number" if len(known) and known.str.match(r"[-+\d]").mean() > 0.5 else "text"


def _cell(column: str, text: str, results: Path, album: Album) -> dict[str, Any]:
    """An interval in brackets, as in "30.1 (29.8 to 30.4)", goes below its number."""
    if column == "Picture":
        return {"text": text, "below": "", "picture": album.place(results / text)}
    interval = re.fullmatch(r"(\S+) \((.+)\)", text)
    text, below = interval.groups() if interval else (text, "")
    return {"text": text, "below": below, "picture": None}
