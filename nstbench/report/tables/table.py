"""A table as numbers (CSV) and as text for people (Markdown, LaTeX, the page)."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nstbench.notation import NONE, number
from nstbench.report.data.compare import Competitor
from nstbench.run.schema import Status


@dataclass(frozen=True)
class Table:
    """A table. `frame` holds numbers, `shown` the same rows as text; `notes` are its warnings.

    `caption` says how to read it; `short` are the columns and rows to quote elsewhere.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    shown: pd.DataFrame
    notes: list[str]
    strong: tuple[int, ...] = ()  # rows that stand out
    short: pd.DataFrame | None = None

    @property
    def path(self) -> str:
        """Its files, without their endings, in the report's folder."""
        return self.name if self.name == "verdicts" else f"tables/{self.name}"


PACKAGES = "Needs \\usepackage{booktabs,graphicx,siunitx}."
MOST_TABLES = 8  # of one kind; further sets of comparable runs are counted, not shown


def numbered(groups: Sequence, make: Callable[[Any], list[Table]]) -> list[Table]:
    """The tables of each group: those of the first keep their names, the next are called
    timing_2, timing_3 ..."""
    made = [
        replace(table, name=f"{table.name}_{number}") if number > 1 else table
        for number, group in enumerate(groups[:MOST_TABLES], start=1)
        for table in make(group)
    ]
    if len(groups) > MOST_TABLES:
        rest = f"{len(groups) - MOST_TABLES} smaller sets of comparable runs have no table here."
        made[-1].notes.append(rest)
    return made


def write(table: Table, folder: Path) -> list[Path]:
    """`table` below the report's `folder` as CSV (numbers), Markdown and LaTeX (text, with the
    warnings below); what is `short` as Markdown alone, in `<name>_short.md`."""
    (folder / table.path).parent.mkdir(parents=True, exist_ok=True)
    texts = {"csv": table.frame.to_csv(index=False), "md": markdown(table), "tex": latex(table)}
    paths = []
    for suffix, text in texts.items():
        paths.append(folder / f"{table.path}.{suffix}")
        paths[-1].write_text(text, encoding="utf-8")
    if table.short is not None:
        paths.append(folder / f"{table.path}_short.md")
        paths[-1].write_text("\n".join(_grid(table.short)) + "\n", encoding="utf-8")
    return paths


def markdown(table: Table) -> str:
    notes = [f"- {_markdown_cell(note)}" for note in table.notes]
    above = [f"**{_markdown_cell(table.title)}**", "", _markdown_cell(table.caption), ""]
    return "\n".join([*above, *_grid(table.shown), "", *notes]).rstrip() + "\n"


def _grid(shown: pd.DataFrame) -> list[str]:
    """The lines of a table of text in Markdown."""
    header = [str(column) for column in shown]
    lines = [header, ["---"] * len(header), *shown.astype(str).to_numpy().tolist()]
    return ["| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines]


def latex(table: Table) -> str:
    """A table in booktabs style, as wide as the page; every string is escaped."""
    shown = table.shown.drop(columns="Picture", errors="ignore").astype(str)
    escaped = shown.map(_latex_cell)
    escaped.columns = [_latex_cell(str(column)) for column in escaped]
    numeric = [shown[name].str.match(r"[-+\d—]").mean() > 0.5 for name in shown]
    columns = "".join("r" if each else "l" for each in numeric)
    body = escaped.style.hide(axis="index").to_latex(hrules=True, column_format=columns)
    comments = (" ".join(text.split()) for text in (PACKAGES, table.caption, *table.notes))
    return (
        "".join(f"% {comment}\n" for comment in comments)
        + f"\\begin{{table}}\n\\caption{{{_latex_cell(table.title)}}}\n"
        + f"\\resizebox{{\\textwidth}}{{!}}{{%\n{body.rstrip()}}}\n\\end{{table}}\n"
    )


def _markdown_cell(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    NONE: "---",
    "×": r"$\times$",
}


def _latex_cell(text: str) -> str:
    if re.fullmatch(r"-?[\d.]+e-?\d+", text):
        return rf"\num{{{text}}}"
    return " ".join("".join(_LATEX.get(c, c) for c in text).split())


def span(record: Mapping[str, Any], middle: str, low: str, high: str) -> str:
    """ "30.1 (29.8 to 30.4)"; the value alone where there is no span."""
    value, low, high = (record.get(name, math.nan) for name in (middle, low, high))
    middle, low, high = (number(n, 3) for n in (value, low, high))
    is_known = low != NONE and high != number(math.inf) and low != high
    return f"{middle} ({low} to {high})" if is_known else middle


ROSE = "rose"  # what is said of a run that ends above its start


def loss_text(loss: float | None) -> str:
    return "diverged" if loss == math.inf else number(loss)


def final_loss_text(record: Mapping[str, Any]) -> str:
    """The `loss` of a row, and whether its runs ended above their start: "5.1e11 (rose)"."""
    text, rose = loss_text(record.get("loss")), record.get("ended_above_start")
    if not rose:
        return text
    return f"{text} ({ROSE})" if rose == record["repeats"] else f"{text} ({ROSE} in {rose})"


def ended_above_start(each: Competitor) -> int:
    """Of how many of its repeats the loss rose."""
    return sum(run.ends_above_start for run in each.by_repeat().values())


def statuses(each: Competitor) -> str:
    """ "completed", or how many of which: "2 completed, 1 diverged"."""
    counts = {status: sum(run.status is status for run in each.runs) for status in Status}
    counts = {status: count for status, count in counts.items() if count}
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def values(each: Competitor, value) -> list[float]:
    found = (value(run) for run in each.by_repeat().values())
    return [number for number in found if number is not None]


def median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
