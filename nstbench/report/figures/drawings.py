"""Everything that is drawn from a set of runs, collected once for print and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportSettings
from nstbench.report.figures import curves, draw, picture_sheets
from nstbench.report.figures.looks import print_style
from nstbench.report.figures.picture_sheets import Gallery, Sheet
from nstbench.report.figures.plots import Plot
from nstbench.report.figures.profiles import profiles
from nstbench.report.figures.ratios import Ratios, ratios_of_time
from nstbench.report.judge.verdicts import Verdict
from nstbench.report.tables.objectives import objectives_sheet, sets_of_objectives

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


def collect(
    runs: Sequence[RecordedRun], settings: ReportSettings, verdicts: Sequence[Verdict]
) -> Drawings:
    """What can be drawn from `runs`."""
    own, missing = curves.report_figures(runs, settings.figures.figures)
    rates, no_rates = curves.sensitivity(runs)
    side_by_side, not_beside = picture_sheets.equal_time(runs)
    strips, no_strips = picture_sheets.filmstrips(runs)
    galleries = picture_sheets.galleries(runs, settings.table)
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
            *map(picture_sheets.contact_sheet, galleries),
            *(objectives_sheet(m, n) for n, m in enumerate(sets_of_objectives(runs), start=1)),
            *picture_sheets.systems_sheet(runs, settings.table),
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
            draw.save(draw.draw_ratios(drawings.ratios), folder / drawings.ratios.name)
        for plot in drawings.plots:
            if len(plot.series) <= MOST_SERIES:
                draw.save_plot(plot, folder, axes)
        for sheet in drawings.sheets:
            draw.save(draw.draw_sheet(sheet), folder / sheet.name)
