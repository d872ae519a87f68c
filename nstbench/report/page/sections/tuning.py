"""What a benchmark's tuning cost and brought."""

from nstbench.report.figures import scored
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.scored import tuning_table


def section(findings: Findings) -> Section | None:
    scores = findings.scores
    if not scores:
        return None
    plots = [*scored.best_of_k(scores), *scored.rates(scores)]
    return Section("tuning", "Tuning", "scored.html", plots=plots, tables=[tuning_table(scores)])
