"""How much repeats differ."""

from nstbench.report.figures import boxes
from nstbench.report.page.section import Findings, Section


def section(findings: Findings) -> Section | None:
    plots = [each for ranking in findings.rankings for each in boxes.repeats(ranking)]
    return Section("repeats", "Repeats", "plots.html", plots=plots) if plots else None
