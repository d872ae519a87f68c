"""`python -m nstbench report [results]`: rebuild the report from the run directories."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from nstbench import errors
from nstbench.errors import SettingsError
from nstbench.notation import count

if TYPE_CHECKING:
    from rich.console import Console

    from nstbench.report.data.reader import Runs
    from nstbench.report.page.section import Findings

AXES = ("epochs", "evaluations", "seconds")


def main(arguments: Sequence[str]) -> int:
    """Build the report and say in short what it found; the exit code."""
    chosen = _parser().parse_args(arguments)
    axes = AXES if chosen.over == "all" else (chosen.over,)
    own = (chosen.claims, chosen.figures)
    return errors.exit_code("nstbench report", lambda: _report(chosen.results, axes, *own))


def _default(packs: Sequence[Path]) -> Path:
    """Packs are shown beside the reference, where it is there."""
    results = Path("results")
    return results / "reference" if packs and (results / "reference").is_dir() else results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nstbench report",
        description="Figures, tables, verdicts and a page from RESULTS/runs, in RESULTS/report; "
        "runs in packs are shown beside them (by default beside results/reference).",
    )
    parser.add_argument("results", nargs="*", type=Path, metavar="RESULTS | PACK.zip")
    parser.add_argument(
        "--over", choices=("all", *AXES), default="all", help="horizontal axis of the loss curves"
    )
    parser.add_argument(
        "--claims",
        type=Path,
        metavar="FILE",
        help="claims of your own to judge, as conf/report/claims.yaml says how",
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="FILE",
        help="loss curves of your own choice, as conf/report/figures.yaml says how",
    )
    return parser


def _report(
    paths: Sequence[Path], axes: tuple[str, ...], claims: Path | None, figures: Path | None
) -> None:
    packs = [path for path in paths if path.suffix == ".zip"]
    results, *others = [path for path in paths if path not in packs] or [_default(packs)]
    if others:
        raise SettingsError("one folder of results, and packs (.zip), can be reported")
    from nstbench.report.data import reader, scores, settings

    chosen = settings.load(claims, figures)
    with ExitStack() as opened:  # what a pack holds is drawn from its own files
        found = reader.read(results)
        for path in packs:
            found = _beside(found, path, opened)
        if not found.runs and not (results / scores.FILE).is_file():
            raise SettingsError(_nothing(results, found))
        # Only now what draws, which takes a second to import.
        from nstbench.report import build

        _summarise(results, build.build(results, found, chosen, axes))


def _beside(found: "Runs", path: Path, opened: ExitStack) -> "Runs":
    """`found` and the runs of a pack that are not among them."""
    from nstbench.benchmark import packs
    from nstbench.report.data import reader

    more = reader.read(opened.enter_context(packs.opened(path)).folder)
    here = {run.id for run in found.runs}
    new = [run for run in more.runs if run.id not in here]
    print(f"{path}: {count(len(new), 'run')}, {len(more.runs) - len(new)} more are here already")
    return reader.Runs([*found.runs, *new], [*found.damaged, *more.damaged])


def _nothing(results: Path, found: "Runs") -> str:
    if found.damaged:
        return f"no readable run in {results / 'runs'}; {found.damaged[0]}"
    hint = f"; did you mean {results.parent}?" if results.name == "runs" else ""
    made = "make one with `python -m nstbench`, or name a folder"
    return f"no runs in {results / 'runs'}{hint or '; ' + made}"


def _summarise(results: Path, findings: "Findings") -> None:
    from rich.console import Console
    from rich.markup import escape

    from nstbench.report.figures import curves
    from nstbench.report.page.page import lede

    console = Console(highlight=False)
    _verdicts(console, findings)
    console.print(escape(lede(findings)))
    if findings.settings.own_figures:
        for name in curves.not_drawn(findings.runs, findings.settings.figures):
            console.print(f"{name} is not drawn: no problem has runs of all its curves")
    for damage in findings.damaged:
        console.print(f"[yellow]skipped[/] {escape(str(damage))}", soft_wrap=True)
    console.print(escape(str(results / "report" / "index.html")), soft_wrap=True)


def _verdicts(console: "Console", findings: "Findings") -> None:
    """The verdicts as a table, and one line for what was not run."""
    from rich.markup import escape
    from rich.table import Table

    from nstbench.report.judge.decide import Decision
    from nstbench.report.judge.wording import Reported

    judged = [each for each in findings.verdicts if each.decision is not Decision.NOT_RUN]
    reported = any(each.reported is not Reported.SILENT for each in judged)
    columns = ("Claim", "Verdict", *(["The report's own table"] if reported else []))
    table = Table(*columns, box=None, pad_edge=False)
    for each in judged:
        cells = (each.claim.claim, each.verdict, str(each.reported))[: len(columns)]
        table.add_row(*map(escape, cells))
    if judged:
        console.print(table)
    missing = len(findings.verdicts) - len(judged)
    if missing and (judged or findings.settings.own_claims):
        commands = dict.fromkeys(line for each in findings.verdicts for line in each.commands)
        lines = "; ".join(commands)
        console.print(f"{missing} claims were not run: {escape(lines)}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
