"""The page: one HTML file that opens offline, with everything that the report found.

Every string that comes from a run goes through Jinja's autoescape (or its `tojson`), and the page
carries a content security policy that lets nothing be fetched.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nstbench.files import replacing
from nstbench.report.data import select
from nstbench.report.figures import interactive
from nstbench.report.judge.answer import answer, headline
from nstbench.report.notation import NONE, count, listed
from nstbench.report.page.embed import data_uri
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment

ALTERED = (
    "These are rows of the report's table with other settings, so its sentences are not judged "
    "here; `suite=table1 repeats=3` runs them as they stand."
)
THUMBNAIL = 112


def write(path: Path, findings: Findings, sections: Sequence[Section]) -> None:
    """Write the page to `path`, whole or not at all."""
    html = _environment().get_template("index.html").render(_context(findings, sections))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(html, encoding="utf-8")


def title(findings: Findings) -> str:
    """What the page is about."""
    if findings.settings.own_claims:
        return "Claims about optimizers, judged"
    if findings.kind == "table":
        return "The report's table of optimizers, measured again"
    if findings.kind == "single":
        run = findings.runs[0]
        styles = listed([style.name for style in run.record.style])
        return f"{run.label}: {run.record.content.name} in the style of {styles}"
    if findings.rankings:
        return headline(findings.rankings[0])
    return "Runs without a result yet"


def lede(findings: Findings) -> str:
    """The first thing to know."""
    runs, margin = findings.runs, findings.settings.claims.margin
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
    return answer(findings.rankings[0], margin) + (f" {ALTERED}" if altered else "")


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(findings: Findings, sections: Sequence[Section]) -> dict[str, Any]:
    from importlib.metadata import version

    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    shown = [_section(section, findings) for section in sections]
    plots = [plot for section in shown for plot in section["plots"] + section["ratios"]]
    galleries = [gallery for section in sections for gallery in section.galleries]
    return {
        "title": title(findings),
        "lede": lede(findings),
        "headline": _facts(findings),
        "sections": shown,
        "legends": _legends(findings, sections),
        "version": version("nstbench"),
        "data": {
            "plots": {plot["name"]: plot for plot in plots},
            "galleries": {each["key"]: each["moving"] for each in galleries},
        },
        "plotly_script": Markup(get_plotlyjs()),  # the library's own text: nothing of a run's
    }


def _section(section: Section, findings: Findings) -> dict[str, Any]:
    return {
        **section.context,
        "anchor": section.anchor,
        "title": section.title,
        "template": f"sections/{section.template}",
        "tables": [_table(table, findings.results) for table in section.tables],
        "plots": [interactive.plotly(plot, findings.looks) for plot in section.plots],
        "ratios": [interactive.plotly_ratios(section.ratios)] if section.ratios else [],
        "galleries": section.galleries,
    }


def _legends(findings: Findings, sections: Sequence[Section]) -> dict[str, list[dict[str, Any]]]:
    plots = [plot for section in sections for plot in section.plots]
    legends = {plot.name: interactive.legend(plot, findings.looks) for plot in plots}
    for section in sections:
        if section.ratios:
            legends[section.ratios.name] = interactive.legend_of_ratios(section.ratios)
    return legends


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
    named = next(iter(machines.values())) if len(machines) == 1 else str(len(machines))
    facts.append((str(named), "machine" if len(machines) == 1 else "machines"))
    if dates:
        facts.append((dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}", "made"))
    return facts


def _table(table: Table, results: Path) -> dict[str, Any]:
    """Rows of cells as text; the column `Picture` holds paths and shows thumbnails."""
    shown = table.shown.astype(str)
    columns = [{"name": name, "kind": _kind(shown[name])} for name in shown]
    rows = [
        {
            "strong": number in table.strong,
            "cells": [
                _cell(name, text, results) for name, text in zip(shown.columns, texts, strict=True)
            ],
        }
        for number, texts in enumerate(shown.itertuples(index=False))
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


KINDS = {"CSV": "csv", "Markdown": "md", "LaTeX": "tex"}  # of a table's files


def _kind(texts: pd.Series) -> str:
    """Numbers and pictures stand to the right, one below the other; words to the left."""
    if texts.name == "Picture":
        return "number"
    known = texts[~texts.isin([NONE, "missed", "diverged"])]
    return "number" if len(known) and known.str.match(r"[-+\d]").mean() > 0.5 else "text"


def _cell(column: str, text: str, results: Path) -> dict[str, Any]:
    """An interval in brackets, as in "30.1 (29.8 to 30.4)", goes below its number."""
    if column == "Picture":
        return {"text": text, "below": "", "picture": data_uri(results / text, THUMBNAIL)}
    interval = re.fullmatch(r"(\S+) \((.+)\)", text)
    text, below = interval.groups() if interval else (text, "")
    return {"text": text, "below": below, "picture": None}
