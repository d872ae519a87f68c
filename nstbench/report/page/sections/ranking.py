"""Which optimizer, at which rate: the answer in a sentence, then everyone in its order."""

from nstbench.report.figures.profiles import of_one, profiles
from nstbench.report.judge.answer import answer, answer_over
from nstbench.report.page.section import Findings, Section
from nstbench.report.tables.over_pairs import over_pairs_tables
from nstbench.report.tables.ranking import ranking_tables
from nstbench.report.tables.table import numbered


def section(findings: Findings) -> Section | None:
    rankings = [ranking for ranking in findings.rankings if len(ranking.entries) > 1]
    if not rankings:
        return None
    margin = findings.settings.claims.margin
    pairs = findings.pairs
    tables = over_pairs_tables(pairs, findings.settings.claims.level) if pairs else []
    tables += numbered(rankings, lambda ranking: ranking_tables(ranking, findings.settings))
    targets = findings.settings.targets
    profiled = profiles(findings.runs, targets)
    plots = profiled.plots or [plot for each in rankings for plot in of_one(each, targets)]
    told = answer_over(pairs) if pairs else answer(rankings[0], margin)
    context = {
        "answer": told if findings.kind != "sweep" else "",
        "notes": profiled.notes if profiled.plots else [],
    }
    return Section("ranking", "Ranking", "ranking.html", context, tables=tables, plots=plots)
