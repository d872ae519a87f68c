"""Runs in, plots out: which runs stand together in a figure, and which must not.

Only runs of one problem share a plot. Seconds are drawn only for runs of one machine and one way
of computing; where runs with valid timing exist, for these alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nstbench.report.data.compare import Competitor, Group, competitors, groups
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import FigureCurve, FigureSpec, TargetSettings
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
from nstbench.report.judge.targets import goals
from nstbench.run.schema import Status

AXES = {  # axis -> (column of epochs.csv, label)
    "epochs": ("epoch", "epochs"),
    "evaluations": ("evaluations", "evaluations of loss and gradient"),
    "seconds": ("optimise_s", "seconds of optimisation"),
}
LOSS = "loss, mean over the epoch"
MOST_PROBLEMS = 4  # with figures of their own


@dataclass(frozen=True)
class Missing:
    """A figure that cannot be drawn, and what it lacks."""

    name: str
    reason: str


def finished(runs: Iterable[RecordedRun]) -> list[Group]:
    """Groups of runs that may share a plot; an unfinished run would cut its repeats' curves."""
    return groups(run for run in runs if run.status.is_final and len(run.epochs))


def drawn(runs: Iterable[RecordedRun]) -> list[Group]:
    """The groups that get figures of their own: the largest few."""
    return finished(runs)[:MOST_PROBLEMS]


def too_many(runs: Iterable[RecordedRun]) -> list[Missing]:
    """What `drawn` leaves out."""
    rest = len(finished(runs)) - MOST_PROBLEMS
    if rest <= 0:
        return []
    reason = f"only the {MOST_PROBLEMS} problems with the most runs have figures of their own"
    return [Missing(f"{rest} smaller problems", reason)]


def loss_plot(name: str, title: str, members: Sequence[Competitor], **look: Any) -> Plot:
    """The loss of `members` over epochs, evaluations and, of comparable runs, seconds."""
    seconds, notes = timed(members)
    seen: Counter[str] = Counter()
    series = []
    for member, clocked in zip(members, seconds, strict=True):
        used = {"epochs": member.runs, "evaluations": member.runs, "seconds": clocked}
        curves = {axis: summarise([_loss(run, axis) for run in used[axis]]) for axis in AXES}
        optimizer = member.first.setup.optimizer.name
        series.append(
            Series(
                label=member.label,
                optimizer=optimizer,
                curves={axis: curve for axis, curve in curves.items() if curve},
                variant=seen[optimizer],
                repeats=len(member.runs),
                diverged=_diverged(member),
            )
        )
        seen[optimizer] += 1
    x = {axis: label for axis, (_, label) in AXES.items() if any(axis in s.curves for s in series)}
    plot = Plot(name, title, x, LOSS, tuple(series), _repeats(members), notes=tuple(notes))
    return replace(plot, **look)


def _loss(run: RecordedRun, axis: str) -> tuple[np.ndarray, np.ndarray]:
    return run.epochs[AXES[axis][0]].to_numpy(), run.epochs["loss"].to_numpy()


def _diverged(member: Competitor) -> bool:
    return any(run.status is Status.DIVERGED for run in member.runs)


def _repeats(members: Iterable[Competitor]) -> str:
    return words_for_band(sorted({len(member.runs) for member in members}))


def timed(members: Sequence[Competitor]) -> tuple[list[list[RecordedRun]], list[str]]:
    """The runs of each member whose seconds may be drawn together, and what was left out."""
    machines = Counter(run.comparable_key for member in members for run in member.runs)
    machine = machines.most_common(1)[0][0]
    kept = [[run for run in m.runs if run.comparable_key == machine] for m in members]
    notes = []
    if len(machines) > 1:
        notes.append("Seconds are one machine's; runs of other machines are left out there.")
    valid = [[run for run in group if run.record.timing_valid] for group in kept]
    if all(valid):
        return valid, notes
    return kept, [*notes, "Seconds include runs whose timing is not valid."]


def report_figures(
    runs: Sequence[RecordedRun], specs: Iterable[FigureSpec]
) -> tuple[list[Plot], list[Missing]]:
    """The report's loss-curve figures, each from the largest problem that has all of its runs;
    a figure that lacks runs is named together with them."""
    plots, missing = [], []
    problems = finished(runs)
    for spec in specs:
        found = [[_matching(p.runs, c, spec.epochs) for c in spec.curves] for p in problems]
        whole = next((members for members in found if all(members)), None)
        if whole is not None:
            plot = _report_figure(spec, competitors(sum(whole, [])))
            plots.append(of_problem(plot, problems[found.index(whole)]))
        else:
            missing.append(Missing(spec.name, _lacking(spec, found[0] if found else None)))
    return plots, missing


def _report_figure(spec: FigureSpec, members: list[Competitor]) -> Plot:
    *names, last = dict.fromkeys(member.first.optimizer for member in members)
    rates = {member.first.lr for member in members}
    lengths = sorted({member.first.setup.epochs for member in members})
    rate = f"rate {rates.pop():g}" if len(rates) == 1 else "different rates"
    unit = "epoch" if lengths == [1] else "epochs"
    title = f"{', '.join(names)} and {last}, {rate}, {' and '.join(map(str, lengths))} {unit}"
    plot = loss_plot(spec.name, title, members)
    longer = "" if lengths == [spec.epochs] else f", which has {spec.epochs} epochs"
    return replace(plot, notes=(f"After {spec.source}{longer}.", *plot.notes))


def _matching(runs: Iterable[RecordedRun], curve: FigureCurve, epochs: int) -> list[RecordedRun]:
    """The repeats of one competitor: by its numbers, else by its experiment, best by both."""
    named = [run for run in runs if run.setup.optimizer.name == curve.optimizer]
    exact = [run for run in named if (run.lr, run.setup.epochs) == (curve.lr, epochs)]
    ours = [run for run in named if run.experiment == curve.experiment]
    found = competitors([run for run in exact if run in ours] or exact or ours)
    return list(max((member.runs for member in found), key=len, default=()))


def _lacking(spec: FigureSpec, found: list[list[RecordedRun]] | None) -> str:
    found = found or [[] for _ in spec.curves]
    lacking = [curve for curve, runs in zip(spec.curves, found, strict=True) if not runs]
    names = [f"optimizer={c.optimizer} lr={c.lr:g} epochs={spec.epochs}" for c in lacking]
    return f"no finished run of {', nor of '.join(names)}"


def all_curves(runs: Iterable[RecordedRun]) -> list[Plot]:
    """Every competitor of a problem in one plot, each with its longest schedule, which holds the
    shorter ones."""
    plots = []
    for group in drawn(runs):
        plot = loss_plot(f"loss_{group.key}", "Every competitor", longest(group.runs), log_x=True)
        plots.append(of_problem(plot, group))
    return told_apart(plots)


def told_apart(plots: list[Plot]) -> list[Plot]:
    """`plots` with their pictures in the title where several problems have the same figure."""
    counts = Counter(plot.title for plot in plots)
    return [
        replace(plot, title=f"{plot.title}: {plot.problem.split(',')[0]}")
        if counts[plot.title] > 1
        else plot
        for plot in plots
    ]


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


def races(runs: Iterable[RecordedRun], settings: TargetSettings) -> list[Plot]:
    """Loss against seconds for each problem, every optimizer at its best rate, targets marked."""
    plots = []
    for group in drawn(runs):
        plot = loss_plot(f"race_{group.key}", "Loss against seconds", at_best_rate(group.runs))
        if "seconds" not in plot.x:
            continue
        reach = goals(group.runs, settings)
        levels = tuple(Level(target.loss, target.name) for target in reach.targets) if reach else ()
        note = "Each optimizer at the rate with its lowest loss."
        look = {"levels": levels, "log_x": True, "notes": (note, *plot.notes)}
        plots.append(of_problem(replace(plot, x={"seconds": plot.x["seconds"]}, **look), group))
    return told_apart(plots)


def at_best_rate(runs: Iterable[RecordedRun]) -> list[Competitor]:
    """Of every optimizer (and its hyperparameters) the rate whose repeats' median loss fell
    lowest, with its longest schedule."""
    best: dict[tuple, tuple[float, Competitor]] = {}
    for member in longest(runs):
        key = (member.first.optimizer, repr(sorted(member.first.hyperparameters.items())))
        loss = float(np.median([_lowest(run) for run in member.runs]))
        if key not in best or loss < best[key][0]:
            best[key] = loss, member
    return competitors(run for _, member in best.values() for run in member.runs)


def _lowest(run: RecordedRun) -> float:
    return float(run.epochs["loss"].min()) if run.epochs["loss"].notna().any() else np.inf


def sensitivity(runs: Iterable[RecordedRun]) -> tuple[list[Plot], list[Missing]]:
    """Final loss against learning rate, for every number of steps at which a rate was varied."""
    plots = []
    for group in drawn(runs):
        for steps in sorted({run.steps for run in group.runs}):
            same = competitors(run for run in group.runs if run.steps == steps and run.lr)
            rates = Counter(member.first.setup.optimizer.name for member in same)
            if rates and max(rates.values()) > 1:
                title = f"Final loss against learning rate, {steps} steps"
                plot = _sensitivity(f"sensitivity_{group.key}_{steps}", title, same)
                plots.append(of_problem(plot, group))
    reason = "no optimizer ran at two rates for equally many steps"
    return told_apart(plots), [] if plots else [Missing("sensitivity to the rate", reason)]


def _sensitivity(name: str, title: str, members: Sequence[Competitor]) -> Plot:
    finals = [_final(run) for member in members for run in member.runs]
    largest = max((final for final in finals if np.isfinite(final)), default=1.0)
    by_optimizer: dict[str, list[Competitor]] = defaultdict(list)
    for member in sorted(members, key=lambda member: member.first.lr or 0):
        by_optimizer[_without_rate(member)].append(member)
    series = [_rates(label, of, 2 * largest) for label, of in by_optimizer.items()]
    return Plot(
        name=name,
        title=title,
        x={"rate": "learning rate"},
        y="loss of the final picture",
        series=tuple(series),
        subtitle=_repeats(members),
        levels=(Level(2 * largest, "diverged"),) if any(s.diverged for s in series) else (),
        log_x=True,
        points=True,
    )


def _without_rate(member: Competitor) -> str:
    rate = f" {member.first.lr:g}"
    return member.label.replace(rate, "", 1)


def _rates(label: str, members: list[Competitor], ceiling: float) -> Series:
    """One optimizer's curve over its rates; a run without a finite loss stands at `ceiling`."""
    finals = [np.array([_final(run) for run in member.runs]) for member in members]
    finals = [np.where(np.isfinite(final), final, ceiling) for final in finals]
    repeats = min(map(len, finals))
    edges = [band(final[:, None]) for final in finals] if repeats > 1 else []
    low, high = ([edge[side][0] for edge in edges] or None for side in (0, 1))
    medians = plain(np.array([np.median(final) for final in finals]))
    curve = Curve([member.first.lr for member in members], medians, low, high)
    optimizer = members[0].first.setup.optimizer.name
    return Series(label, optimizer, {"rate": curve}, 0, repeats, any(map(_diverged, members)))


def _final(run: RecordedRun) -> float:
    final = run.record.final
    return float("inf") if final is None or final.loss is None else final.loss
