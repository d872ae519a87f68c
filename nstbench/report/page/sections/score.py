"""A benchmark's scores."""

from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.scored import score_table


def section(findings: Findings) -> Section | None:
    if not findings.scores:
        return None
    table = score_table(findings.scores, findings.settings.presets)
    return Section("score", "Score", "tables.html", tables=[table])
