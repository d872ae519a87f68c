"""A benchmark's scores."""

from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.scored import score_table


def section(findings: Findings) -> Section | None:
    if not findings.scores:
        return None
    return Section("score", "Score", "tables.html", tables=[score_table(findings.scores)])
