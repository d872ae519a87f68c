"""Runs in, plots out: which runs stand together in a figure, and which must not.

Only runs of one problem share a plot. Seconds are drawn only for runs of one machine and one way
of computing that were alone on it: what was disturbed or computed as one of a batch has none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nstbench.notation import listed, setting
from nstbench.report.data import select
from nstbench.report.data.compare import Competitor, Group, competitors, groups
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import Figures, FigureSpec, TargetSettings
from nstbench.report.figures.plots import (
    Curve,
    Level,
    Plot,
    Series,
    band,
    plain,
    summarise,
    words_for_band,
)
from nstbench.report.judge.ranking import Ranking, common_budget, loss_within, rank
from nstbench.report.judge.ranking import longest as longest_of
from nstbench.report.judge.targets import Target, targets_of
from nstbench.run.schema import Status

AXES = {  # axis -> (column of epochs.csv, label); the first is shown first
    "evaluations": ("evaluations", "evaluations of loss and gradient"),
    "epochs": ("epoch", "epochs"),
    "seconds": ("optimise_s", "seconds of optimisation"),
}
LOSS = "loss, mean over the epoch"
MULTIPLE = "learning rate, as a multiple of the one in conf/optimizer"
WIDE = 1e4  # rates that span more are shown as multiples first
MOST_PROBLEMS = 12  # with figures of their own


def finished(runs: Iterable[RecordedRun]) -> list[Group]:
    """Groups of runs that may share a plot; an unfinished run would cut its repeats' curves."""
    return groups(run for run in runs if run.status.is_final and len(run.epochs))


def drawn(runs: Iterable[RecordedRun]) -> list[Group]:
    """The groups that get figures of their own: the largest few."""
    return finished(runs)[:MOST_PROBLEMS]


def loss_plot(name: str, title: str, members: Sequence[Competitor], **look: Any) -> Plot:
    """The loss of `members` over evaluations, epochs and, of timed runs, seconds."""
    seconds, notes = timed(members)
    total = Counter(member.first.method for member in members)
    seen: Counter[str] = Counter()
    series = []
    for member, clocked in zip(members, seconds, strict=True):
        used = {"epochs": member.runs, "evaluations": member.runs, "seconds": clocked}
        curves = {axis: summarise([_loss(run, axis) for run in used[axis]]) for axis in AXES}
        method = member.first.method
        series.append(
            Series(
                label=member.label,
                optimizer=method,
                family=member.first.optimizer,
                rate=setting(member.first.lr) if member.first.lr else "",
                curves={axis: curve for axis, curve in curves.items() if curve},
                variant=seen[method],
                variants=total[method],
                repeats=len(member.runs),
                ending=_ending(member),
            )
        )
        seen[method] += 1
    x = {axis: label for axis, (_, label) in AXES.items() if any(axis in s.curves for s in series)}
    notes = notes if "seconds" in x else []
    plot = Plot(name, title, x, LOSS, tuple(series), _repeats(members), notes=tuple(notes))
    return replace(plot, distance=True, **look)


def _loss(run: RecordedRun, axis: str) -> tuple[np.ndarray, np.ndarray]:
    return run.epochs[AXES[axis][0]].to_numpy(), run.epochs["loss"].to_numpy()


def _ending(member: Competitor) -> str:
    if any(run.status is Status.DIVERGED for run in member.runs):
        return "diverged"
    return "stopped by itself" if any(run.record.finished_early for run in member.runs) else ""


def _repeats(members: Iterable[Competitor]) -> str:
    return words_for_band(sorted({len(member.runs) for member in members}))


def timed(members: Sequence[Competitor]) -> tuple[list[list[RecordedRun]], list[str]]:
    """The runs of each member whose seconds may be drawn together, and what was left out."""
    machines = Counter(
        run.comparable_key for m in members for run in m.runs if run.record.timing_valid
    )
    if not machines:
        return [[] for _ in members], []
    machine = machines.most_common(1)[0][0]
    kept = [
        [run for run in m.runs if run.comparable_key == machine and run.record.timing_valid]
        for m in members
    ]
    without = [m.label for m, runs in zip(members, kept, strict=True) if not runs]
    if not without:
        return kept, []
    return kept, [f"Without seconds of their own, for other or shared machines: "
                  f"{listed(without)}."]  # fmt: skip


def listed_figures(runs: Sequence[RecordedRun], figures: Figures) -> list[Plot]:
    """The figures that were asked for, each from the largest problem that has all of its runs.

    Raises `SettingsError` for a curve that is chosen by what is no setting.
    """
    select.check((figures.common | c for spec in figures.figures for c in spec.curves), runs)
    plots = []
    for spec in figures.figures:
        for problem, found in _with_all_curves(runs, figures, spec):
            plots.append(of_problem(_listed_figure(spec, competitors(found)), problem))
            break
    return plots


def not_drawn(runs: Sequence[RecordedRun], figures: Figures) -> list[str]:
    """Names of the figures of which no problem has all runs."""
    return [s.name for s in figures.figures if not next(_with_all_curves(runs, figures, s), None)]


def _with_all_curves(
    runs: Sequence[RecordedRun], figures: Figures, spec: FigureSpec
) -> Iterator[tuple[Group, tuple[RecordedRun, ...]]]:
    """The problems that have every curve of a figure, and the runs of these."""
    for problem in finished(runs):
        found = [select.select(problem.runs, figures.common | c).runs for c in spec.curves]
        if all(found):
            yield problem, sum(found, ())


def _listed_figure(spec: FigureSpec, members: list[Competitor]) -> Plot:
    names = list(dict.fromkeys(member.first.optimizer for member in members))
    rates = {member.first.lr for member in members}
    lengths = sorted({member.first.setup.epochs for member in members})
    rate = f"rate {setting(rates.pop())}" if len(rates) == 1 else "different rates"
    title = f"{listed(names)}, {rate}, {listed([str(n) for n in lengths])} epochs"
    plot = loss_plot(spec.name, title, members)
    source = (f"After {spec.source}.",) if spec.source else ()
    return replace(plot, notes=(*source, *plot.notes))


def all_curves(runs: Iterable[RecordedRun]) -> list[Plot]:
    """Every competitor of a problem in one plot, each with its longest schedule, which holds the
    shorter ones."""
    plots = []
    for group in drawn(runs):
        members = longest(group.runs)
        title, budget = "Every competitor", common_budget(members)
        if len(members) == 1:
            title, budget = "Loss on the way", 0
        plot = loss_plot(f"loss_{group.key}", title, members, log_x=True, budget=budget)
        plots.append(of_problem(plot, group))
    return plots


def longest(runs: Iterable[RecordedRun]) -> list[Competitor]:
    """The competitors among `runs`, each with its longest schedule."""
    kept = []
    for member in competitors(runs, by_schedule=False):
        steps = max(run.steps for run in member.runs)
        kept += [run for run in member.runs if run.steps == steps]
    return competitors(kept)


def of_problem(plot: Plot, group: Group) -> Plot:
    """`plot` with the problem that it is about at its foot."""
    foot = f"{plot.subtitle} {group.title[:1].upper()}{group.title[1:]}."
    return replace(plot, subtitle=foot, problem=group.title)


def races(rankings: Iterable[Ranking], settings: TargetSettings) -> list[Plot]:
    """Every optimizer of a problem at its best rate within the common budget, targets marked."""
    plots = []
    for ranking in rankings:
        best = [entry.competitor for entry in ranking.best_rates]
        if len(best) < 2:
            continue
        members = competitors(run for member in best for run in member.runs)
        places = {run.id: place for place, member in enumerate(best) for run in member.runs}
        members.sort(key=lambda member: places[member.first.id])
        own = targets_of(ranking.group.runs, settings)
        levels = _levels(own.targets) if own else ()
        note = (
            f"Each optimizer at the rate with the lowest loss within {ranking.budget} evaluations."
        )
        key = ranking.group.key
        plot = loss_plot(f"race_{key}", "Each optimizer at its best rate", members)
        look = {"levels": levels, "log_x": True, "budget": ranking.budget}
        plot = replace(plot, notes=(note, *plot.notes), **look)
        plots.append(of_problem(plot, ranking.group))
    return plots


def _levels(targets: Sequence[Target]) -> tuple[Level, ...]:
    """Lines of targets, the name of the lowest below its own: two are often close together."""
    *others, lowest = {target.loss: target.name for target in targets}.items()
    return (*(Level(*other) for other in others), Level(*lowest, below=bool(others)))


def rankings(runs: Iterable[RecordedRun], margin: float) -> list[Ranking]:
    """The ranking of each of the largest problems."""
    return [rank(group, margin) for group in drawn(runs)]


def sensitivity(runs: Iterable[RecordedRun]) -> list[Plot]:
    """Loss within a common budget of evaluations against the rate, where rates were varied."""
    plots = []
    for group in drawn(runs):
        found = competitors((run for run in group.runs if run.lr), by_schedule=False)
        members = [longest_of(member) for member in found]
        rates = Counter(member.first.method for member in members)
        varied = [member for member in members if rates[member.first.method] > 1]
        if varied:
            plots.append(of_problem(_sensitivity(group, varied), group))
    return plots


def _sensitivity(group: Group, members: Sequence[Competitor]) -> Plot:
    budget = common_budget(members)
    by_method: dict[str, list[Competitor]] = defaultdict(list)
    for member in sorted(members, key=lambda member: member.first.lr):
        by_method[_without_rate(member)].append(member)
    losses = {m.label: [_within(run, budget) for run in m.runs] for m in members}
    finite = [loss for own in losses.values() for loss in own if np.isfinite(loss)]
    ceiling = 2 * max(finite, default=1.0)
    series = [_rates(label, own, losses, ceiling) for label, own in by_method.items()]
    axes = {"multiple": MULTIPLE, "rate": "learning rate"}
    spans = max(m.first.lr for m in members) / min(m.first.lr for m in members)
    x = axes if spans > WIDE else dict(reversed(axes.items()))
    return Plot(
        name=f"sensitivity_{group.key}",
        title="Loss against learning rate",
        x={axis: label for axis, label in x.items() if any(axis in s.curves for s in series)},
        y=f"lowest loss within {budget} evaluations",
        series=tuple(series),
        subtitle=_repeats(members),
        levels=(Level(ceiling, "diverged"),) if any(s.ending for s in series) else (),
        log_x=True,
        points=True,
    )


def _within(run: RecordedRun, budget: int) -> float:
    return np.inf if run.status is Status.DIVERGED else loss_within(run, budget)


def _without_rate(member: Competitor) -> str:
    return member.label.replace(f" {setting(member.first.lr)}", "", 1)


def _rates(
    label: str, members: list[Competitor], losses: dict[str, list[float]], ceiling: float
) -> Series:
    """One optimizer's curve over its rates; a run without a finite loss stands at `ceiling`."""
    own = [np.array(losses[member.label]) for member in members]
    own = [np.where(np.isfinite(values), values, ceiling) for values in own]
    repeats = min(map(len, own))
    edges = [band(values[:, None]) for values in own] if repeats > 1 else []
    low, high = ([edge[side][0] for edge in edges] or None for side in (0, 1))
    medians = plain(np.array([np.median(values) for values in own]))
    rates, usual = [member.first.lr for member in members], members[0].first.preset.lr
    curves = {"rate": Curve(rates, medians, low, high)}
    if usual:
        curves["multiple"] = Curve([rate / usual for rate in rates], medians, low, high)
    ending = "diverged" if any(_ending(member) == "diverged" for member in members) else ""
    first = members[0].first
    return Series(
        label, first.method, curves, family=first.optimizer, repeats=repeats, ending=ending
    )
