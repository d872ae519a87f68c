"""Whether small pictures rank the optimizers as large ones do."""

from nstbench.report.judge.sizes import agreements
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.sizes import sizes_table


def section(findings: Findings) -> Section | None:
    targets = findings.settings.targets
    alike = agreements(findings.runs, targets)
    if not alike:
        return None
    return Section("sizes", "Sizes", "tables.html", tables=[sizes_table(alike, targets)])
