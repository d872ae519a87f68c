"""The whole report: what was read, judged and drawn, written below one folder."""

from collections.abc import Sequence
from pathlib import Path

from nstbench.report.data.reader import Runs
from nstbench.report.data.settings import ReportSettings
from nstbench.report.figures import draw
from nstbench.report.figures.looks import print_style
from nstbench.report.page import page
from nstbench.report.page.section import Findings, Section, find, sections
from nstbench.report.tables import table

MOST_PRINTED = 4  # problems whose figures are printed, too; the page has more


def build(
    results: Path, found: Runs, settings: ReportSettings, axes: tuple[str, ...] = ()
) -> Findings:
    """Write `results/report`: tables, figures (over `axes`, all when empty), and the page."""
    folder = results / "report"
    findings = find(results, found, settings)
    made = sections(findings)
    _clear(folder)
    for section in made:
        for each in section.tables:
            table.write(each, folder)
    _draw(made, findings, folder / "figures", axes)
    page.write(folder / "index.html", findings, made)
    return findings


def _draw(made: Sequence[Section], findings: Findings, folder: Path, axes: Sequence[str]) -> None:
    """Every figure as PNG, SVG and PDF, curves over `axes`."""
    left_out = {ranking.group.title for ranking in findings.rankings[MOST_PRINTED:]}
    with print_style():
        for section in made:
            for plot in section.plots:
                if plot.problem not in left_out:
                    draw.save_plot(plot, folder, findings.looks, axes)
            for sheet in section.sheets:
                draw.save(draw.draw_sheet(sheet), folder / sheet.name, draw.OF_PICTURES)


def _clear(folder: Path) -> None:
    """Remove what an earlier report left, so that nothing there is older than the page."""
    for path in (*folder.glob("figures/*.*"), *folder.glob("tables/*.*"), *folder.glob("*.*")):
        if path.suffix in (".png", ".svg", ".pdf", ".csv", ".md", ".tex"):
            path.unlink()
