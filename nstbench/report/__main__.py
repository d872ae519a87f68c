"""`python -m nstbench.report [results]`: rebuild the report from the run directories."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nstbench.errors import NstbenchError, SettingsError

if TYPE_CHECKING:
    from nstbench.report.build import Findings
    from nstbench.report.data.reader import Runs

AXES = ("epochs", "evaluations", "seconds")


def main(arguments: Sequence[str]) -> int:
    """Build the report and say in short what it found; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        _report(chosen.results, AXES if chosen.over == "all" else (chosen.over,))
    except NstbenchError as error:
        print(f"nstbench.report: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nstbench.report",
        description="Figures, tables, verdicts and a page from RESULTS/runs, in RESULTS/report.",
    )
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"))
    parser.add_argument(
        "--over", choices=("all", *AXES), default="all", help="horizontal axis of the loss curves"
    )
    return parser


def _report(results: Path, axes: tuple[str, ...]) -> None:
    from nstbench.report.data import reader

    found = reader.read(results)
    if not found.runs:
        raise SettingsError(_nothing(results, found))
    # Only now what draws, which takes a second to import.
    from nstbench.report import build
    from nstbench.report.data import settings

    findings = build.build(results, found, settings.load(), axes)
    _summarise(results, found, findings)


def _nothing(results: Path, found: "Runs") -> str:
    if found.damaged:
        return f"no readable run in {results / 'runs'}; {found.damaged[0]}"
    return f"no runs in {results / 'runs'}; make one with `python -m nstbench`, or name a folder"


def _summarise(results: Path, found: "Runs", findings: "Findings") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("Claim", "Verdict", "The report's own table", box=None, pad_edge=False)
    for verdict in findings.verdicts:
        table.add_row(*map(escape, (verdict.claim, verdict.verdict, verdict.reported_verdict)))
    console.print(table)
    for damage in found.damaged:
        console.print(f"[yellow]skipped[/] {escape(str(damage))}", soft_wrap=True)
    doubts = sum(len(each.notes) for each in (*findings.timing, *findings.ranking))
    console.print(f"{len(found.runs)} runs, {doubts} doubts: see the page.")
    console.print(escape(str(results / "report" / "index.html")), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
