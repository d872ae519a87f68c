"""How much each optimizer depends on its rate."""

from nstbench.report.figures import curves
from nstbench.report.page.section import Findings, Section


def section(findings: Findings) -> Section | None:
    plots = curves.sensitivity(findings.runs)
    return Section("rates", "Learning rates", "plots.html", plots=plots) if plots else None
