"""Losses on the way."""

from nstbench.report.figures import curves
from nstbench.report.page.section import Findings, Section


def section(findings: Findings) -> Section | None:
    """The figures asked for where their runs are there, every optimizer at its best rate, and
    everyone."""
    settings = findings.settings
    own = curves.listed_figures(findings.runs, settings.figures)
    races = curves.races(findings.rankings, settings.targets)
    every = curves.all_curves(findings.runs)
    own_first = findings.kind == "table" or settings.own_figures
    order = [*own, *races, *every] if own_first else [*races, *every, *own]
    plots = [plot for plot in order if plot.x]  # none where no loss was ever finite
    return Section("curves", "Loss curves", "plots.html", plots=plots) if plots else None
