"""Seconds: the report's table, measured again, or those of whatever was run."""

from nstbench.report.data import compare, select
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.table import numbered
from nstbench.report.tables.timing import timing_table


def section(findings: Findings) -> Section | None:
    table = findings.settings.table
    groups = [
        group
        for group in compare.timing_groups(findings.runs)
        if select.of_table(group.runs, table)
        or any(compare.seconds(run, "total_s") is not None for run in group.runs)
    ]
    groups.sort(key=lambda group: -select.of_table(group.runs, table))
    if not groups:
        return None
    of_table = bool(select.of_table(groups[0].runs, table))
    told = findings.settings, findings.runs, findings.costs
    tables = numbered(groups, lambda group: [timing_table(group, *told)])
    title = "The table, measured again" if of_table else "Seconds"
    return Section("table", title, "tables.html", tables=tables)
