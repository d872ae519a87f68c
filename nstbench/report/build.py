"""The whole report: what was read, judged and drawn, written below one folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nstbench.report.data import compare
from nstbench.report.data.compare import Group
from nstbench.report.data.reader import RecordedRun, Runs
from nstbench.report.data.settings import ReportSettings
from nstbench.report.figures import drawings
from nstbench.report.judge import verdicts
from nstbench.report.judge.verdicts import Verdict
from nstbench.report.page import page
from nstbench.report.tables import table
from nstbench.report.tables.objectives import objectives_table, sets_of_objectives
from nstbench.report.tables.ranking import ranking
from nstbench.report.tables.table import Table
from nstbench.report.tables.timing import timing_table

MOST_TABLES = 8  # of one kind; further sets of comparable runs are counted, not shown


@dataclass(frozen=True)
class Findings:
    """What the runs say in numbers."""

    verdicts: list[Verdict]
    timing: list[Table]
    ranking: list[Table]
    objectives: list[Table]

    @property
    def tables(self) -> list[Table]:
        return [*self.timing, *self.ranking, *self.objectives]


def find(runs: Sequence[RecordedRun], settings: ReportSettings) -> Findings:
    """Verdicts and tables, those of the report's own table first."""
    timing = compare.timing_groups(runs)
    timing.sort(key=lambda group: -compare.of_table(group.runs, settings.table))
    problems = compare.groups(runs)
    return Findings(
        verdicts.judge(settings, runs),
        _numbered(timing, lambda group: timing_table(group, settings, runs)),
        _numbered(problems, lambda group: ranking(group, settings)),
        [objectives_table(members, n) for n, members in enumerate(sets_of_objectives(runs), 1)],
    )


def build(
    results: Path, found: Runs, settings: ReportSettings, axes: tuple[str, ...] = ()
) -> Findings:
    """Write `results/report`: verdicts, tables, figures (over `axes`, all when empty), the page."""
    folder = results / "report"
    findings = find(found.runs, settings)
    shown = contents(results, found, settings, findings)
    _clear(folder)
    table.write(verdicts.verdict_table(findings.verdicts), folder)
    for each in findings.tables:
        table.write(each, folder / "tables")
    drawings.save(shown.drawings, folder / "figures", axes)
    page.write(folder / "index.html", shown)
    return findings


def contents(
    results: Path, found: Runs, settings: ReportSettings, findings: Findings
) -> page.Contents:
    """What the page shows."""
    return page.Contents(
        results=results,
        runs=found.runs,
        damaged=found.damaged,
        verdicts=findings.verdicts,
        timing=findings.timing,
        ranking=findings.ranking,
        objectives=findings.objectives,
        drawings=drawings.collect(found.runs, settings, findings.verdicts),
    )


def _numbered(groups: list[Group], make) -> list[Table]:
    """A table per group: the first keeps its name, the next are called timing_2, timing_3 ..."""
    made = [make(group) for group in groups[:MOST_TABLES]]
    numbered = [
        replace(table, name=f"{table.name}_{number}") if number > 1 else table
        for number, table in enumerate(made, start=1)
    ]
    if len(groups) > MOST_TABLES:
        rest = f"{len(groups) - MOST_TABLES} smaller sets of comparable runs have no table here."
        numbered[-1].notes.append(rest)
    return numbered


def _clear(folder: Path) -> None:
    """Remove what an earlier report left, so that nothing there is older than the page."""
    for path in (*folder.glob("figures/*.*"), *folder.glob("tables/*.*")):
        if path.suffix in (".png", ".svg", ".csv", ".md", ".tex"):
            path.unlink()
