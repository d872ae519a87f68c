"""Everything that is drawn from a set of runs, collected once for print and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nstbench.report import curves, figures, sheets
from nstbench.report.objectives import objectives_sheet, sets_of_objectives
from nstbench.report.plots import Plot
from nstbench.report.profiles import profiles
from nstbench.report.ratios import Ratios, ratios_of_time
from nstbench.report.reader import Run
from nstbench.report.settings import Settings
from nstbench.report.sheets import Gallery, Sheet
from nstbench.report.style import print_style
from nstbench.report.verdicts import Verdict

MOST_SERIES = 14  # one per optimizer; more cannot be told apart in print, the page can hide some


@dataclass(frozen=True)
class Drawings:
    """Figures that are not yet drawn. `missing` says which could not be made, and why."""

    ratios: Ratios | None
    curves: Sequence[Plot]
    profiles: Sequence[Plot]
    rates: Sequence[Plot]
    galleries: Sequence[Gallery]
    sheets: Sequence[Sheet]
    missing: Sequence[str]
    profile_notes: Sequence[str]

    @property
    def plots(self) -> list[Plot]:
        return [*self.curves, *self.profiles, *self.rates]


def collect(runs: Sequence[Run], settings: Settings, verdicts: Sequence[Verdict]) -> Drawings:
    """What can be drawn from `runs`."""
    own, missing = curves.report_figures(runs, settings.figures.figures)
    rates, no_rates = curves.sensitivity(runs)
    side_by_side, not_beside = sheets.equal_time(runs)
    strips, no_strips = sheets.filmstrips(runs)
    galleries = sheets.galleries(runs, settings.table)
    profiled = profiles(runs, settings.targets)
    loss = [*own, *curves.all_curves(runs), *curves.races(runs, settings.targets)]
    every = (*missing, *no_rates, *no_strips, *not_beside, *curves.too_many(runs))
    return Drawings(
        ratios=ratios_of_time(verdicts, settings),
        curves=[plot for plot in loss if plot.x],  # none where no loss was ever finite
        profiles=profiled.plots,
        rates=rates,
        galleries=galleries,
        sheets=[
            *map(sheets.contact_sheet, galleries),
            *(objectives_sheet(m, n) for n, m in enumerate(sets_of_objectives(runs), start=1)),
            *sheets.systems_sheet(runs, settings.table),
            *strips,
            *side_by_side,
        ],
        missing=[f"Not drawn: {each.name}: {each.reason}." for each in every],
        profile_notes=profiled.notes,
    )


def save(drawings: Drawings, folder: Path, axes: Sequence[str] = ()) -> None:
    """Write every figure as PNG and SVG, curves over `axes` (all of them when empty)."""
    with print_style():
        if drawings.ratios:
            figures.save(figures.draw_ratios(drawings.ratios), folder / drawings.ratios.name)
        for plot in drawings.plots:
            if len(plot.series) <= MOST_SERIES:
                figures.save_plot(plot, folder, axes)
        for sheet in drawings.sheets:
            figures.save(figures.draw_sheet(sheet), folder / sheet.name)
