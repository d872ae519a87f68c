"""How many of a benchmark's targets are reached, and how fast."""

from nstbench.report.figures import scored
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.scored import levels_table


def section(findings: Findings) -> Section | None:
    scores = findings.scores
    if not scores:
        return None
    plots = [scored.ecdf(scores), *scored.profile(scores)]
    tables = [levels_table(scores)]
    return Section("reached", "Targets reached", "scored.html", plots=plots, tables=tables)
