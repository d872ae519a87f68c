"""A table as numbers (CSV) and as text for people (Markdown, LaTeX, the page)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nstbench.report.data.compare import Competitor
from nstbench.report.notation import NONE, number
from nstbench.run.schema import Status


@dataclass(frozen=True)
class Table:
    """A table. `frame` holds numbers, `shown` the same rows as text; `notes` are its warnings.

    `caption` says how to read it.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    shown: pd.DataFrame
    notes: list[str]
    strong: tuple[int, ...] = ()  # rows that stand out


def write(table: Table, folder: Path) -> list[Path]:
    """`table` as CSV (numbers), Markdown and LaTeX (text, with the warnings below)."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"csv": table.frame.to_csv(index=False), "md": markdown(table), "tex": latex(table)}
    paths = []
    for suffix, text in texts.items():
        paths.append(folder / f"{table.name}.{suffix}")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def markdown(table: Table) -> str:
    header = [str(column) for column in table.shown]
    lines = [header, ["---"] * len(header), *table.shown.astype(str).to_numpy().tolist()]
    rows = ["| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines]
    notes = [f"- {_markdown_cell(note)}" for note in table.notes]
    above = [f"**{_markdown_cell(table.title)}**", "", _markdown_cell(table.caption), ""]
    return "\n".join([*above, *rows, "", *notes]).rstrip() + "\n"


def latex(table: Table) -> str:
    """A `tabular` in booktabs style; every string is escaped."""
    escaped = table.shown.astype(str).map(_latex_cell)
    escaped.columns = [_latex_cell(str(column)) for column in escaped]
    body = escaped.style.hide(axis="index").to_latex(hrules=True)
    comments = (" ".join(text.split()) for text in (table.title, table.caption, *table.notes))
    return "".join(f"% {comment}\n" for comment in comments) + body


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
    return " ".join("".join(_LATEX.get(c, c) for c in text).split())


def loss_text(loss: float | None) -> str:
    return "diverged" if loss == math.inf else number(loss)


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
