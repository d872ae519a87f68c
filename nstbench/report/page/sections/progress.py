"""How low a benchmark's optimizers come within a budget."""

from nstbench.report.figures import scored
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.scored import budgets_table


def section(findings: Findings) -> Section | None:
    scores = findings.scores
    if not scores:
        return None
    plots, tables = [scored.loss(scores)], [budgets_table(scores)]
    return Section("progress", "Loss", "scored.html", plots=plots, tables=tables)
