"""One pair of pictures under several objectives."""

from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.objectives import (
    objectives_sheet,
    objectives_table,
    sets_of_objectives,
)


def section(findings: Findings) -> Section | None:
    sets = list(enumerate(sets_of_objectives(findings.runs), start=1))
    if not sets:
        return None
    tables = [objectives_table(members, number) for number, members in sets]
    sheets = [objectives_sheet(members, number) for number, members in sets]
    return Section("objectives", "Objectives", "tables.html", tables=tables, sheets=sheets)
