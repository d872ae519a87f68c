"""What a section of the page is, and what all of them are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from nstbench import outside
from nstbench.cost.record import Record
from nstbench.files import conf_dir
from nstbench.report.data import costs, scores, select
from nstbench.report.data.presets import read_yaml
from nstbench.report.data.reader import Damage, RecordedRun, Runs
from nstbench.report.data.scores import Scores
from nstbench.report.data.settings import ReportSettings
from nstbench.report.figures import curves, looks
from nstbench.report.figures.boxes import Boxes
from nstbench.report.figures.looks import Look
from nstbench.report.figures.picture_sheets import Sheet
from nstbench.report.figures.plots import Plot
from nstbench.report.figures.ratios import Ratios
from nstbench.report.judge import verdicts
from nstbench.report.judge.over_pairs import OverPairs, over_pairs
from nstbench.report.judge.ranking import Ranking
from nstbench.report.judge.verdicts import Verdict
from nstbench.report.tables.table import Table

Kind = Literal["benchmark", "table", "sweep", "single"]


@dataclass(frozen=True)
class Findings:
    """All that was found in the runs of one results folder; sections are made from it."""

    results: Path  # the folder of `runs/`
    runs: Sequence[RecordedRun]
    damaged: Sequence[Damage]
    costs: Sequence[Record]  # sessions on what a step costs
    settings: ReportSettings
    verdicts: Sequence[Verdict]
    rankings: Sequence[Ranking]  # of the largest problems
    pairs: OverPairs | None  # where the runs tell of several pairs of pictures
    looks: Mapping[str, Look]
    scores: Scores | None = None  # of a benchmark's folder

    @property
    def kind(self) -> Kind:
        """What the page is about: the report's table where any of its rows was run."""
        if self.scores:
            return "benchmark"
        if len(self.runs) == 1:
            return "single"
        return "table" if select.of_table(self.runs, self.settings.table) else "sweep"


@dataclass(frozen=True)
class Section:
    """One section: `template` in `templates/sections` shows `context`.

    `tables` and everything drawn are written to files, too; `plots` are drawn by the page's script
    where the template asks for them. Each of `galleries` has a key, a title, and pictures that are
    paths, which the page takes in.
    """

    anchor: str
    title: str
    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    plots: Sequence[Plot | Ratios | Boxes] = ()
    sheets: Sequence[Sheet] = ()
    galleries: Sequence[Mapping[str, Any]] = ()
    data: Mapping[str, Any] = field(default_factory=dict)  # for the page's script


def find(results: Path, found: Runs, settings: ReportSettings) -> Findings:
    """Judge and rank the runs that were read; those of a benchmark have their scores already."""
    sessions, damaged = costs.read(results)
    scored = scores.read(results)
    methods = {run.method: run.preset for run in found.runs}
    if scored:
        methods |= scored.presets(settings.presets)
    rankings = () if scored else curves.rankings(found.runs, settings.claims.margin)
    return Findings(
        results,
        found.runs,
        [*found.damaged, *damaged],
        sessions,
        settings,
        () if scored else verdicts.judge(settings, found.runs, sessions),
        rankings,
        _over_pairs(found.runs, settings, rankings),
        looks.assign(methods) | {looks.REFERENCE: looks.GREY},
        scored,
    )


def _over_pairs(
    runs: Sequence[RecordedRun], settings: ReportSettings, rankings: Sequence[Ranking]
) -> OverPairs | None:
    """The ranking over pairs, where most optimizers of the largest problem were run on all."""
    pairs = over_pairs(runs, settings.claims) if rankings else None
    is_most = pairs and 2 * len(pairs.best_rates) > len(rankings[0].best_rates)
    return pairs if is_most else None


def sections(findings: Findings) -> list[Section]:
    """The sections that have something to show, in the order of `conf/report/page.yaml`."""
    names = read_yaml(conf_dir() / "report" / "page.yaml")[findings.kind]
    made = [_maker(name)(findings) for name in names]
    return [section for section in made if section is not None]


def _maker(name: str):
    if outside.is_path(name):
        return outside.locate(name)
    return import_module(f"nstbench.report.page.sections.{name}").section
