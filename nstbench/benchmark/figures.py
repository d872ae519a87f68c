"""The figures of a benchmark, the ECDF first: one function each, all drawn alike."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nstbench.benchmark import best_of, scoring
from nstbench.benchmark.instances import Benchmark
from nstbench.benchmark.reference import Archived
from nstbench.benchmark.standing import Standing
from nstbench.benchmark.tuning import Tuned
from nstbench.report.data import presets
from nstbench.report.figures import draw as drawing
from nstbench.report.figures import looks
from nstbench.report.figures.looks import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVEL = 0.8  # of the bands of best-of-k
MOST_BANDS = 5  # that lie over one another and can still be told apart
GREY = "#B8B8B8"
FAR = -700.0  # the logarithm of nearly nothing, where a band has no lower end


@dataclass(frozen=True)
class Drawn:
    """What all figures draw from."""

    benchmark: Benchmark
    tuned: Sequence[Tuned]
    standings: Sequence[Standing]
    labels: Mapping[str, str]  # by name
    archived: Sequence[Archived]  # of the reference set, without those that are here

    @cached_property
    def looks(self) -> dict[str, Look]:
        known = presets.load()
        wanted = {n: known.get(n) or presets.Preset(label) for n, label in self.labels.items()}
        made = looks.assign(wanted)
        return {name: made[name] for name in wanted}

    def label(self, name: str) -> str:
        return self.labels[name]

    @property
    def searched(self) -> list[Tuned]:
        """Those with something to tune."""
        return [each for each in self.tuned if len(each.trials) > 1]


def draw(
    folder: Path,
    benchmark: Benchmark,
    tuned: Sequence[Tuned],
    standings: Sequence[Standing],
    archived: Sequence[Archived] = (),
) -> list[Path]:
    """Every figure that these competitors give, as PNG, SVG and PDF in `folder`."""
    behind = [each for each in archived if each.name not in {here.name for here in standings}]
    order = sorted(standings, key=lambda each: -each.score.value)
    labels = {each.competitor.name: each.competitor.label for each in tuned}
    drawn = Drawn(benchmark, tuned, order, labels, behind)
    paths: list[Path] = []
    with looks.print_style():
        for figure in FIGURES:
            if figure.is_possible(drawn):
                paths += _save(folder, figure, drawn)
    return paths


def leaderboard(
    folder: Path,
    benchmark: Benchmark,
    entries: Mapping[str, tuple[str, Standing]],
    archived: Sequence[Archived],
) -> list[Path]:
    """The ECDF of labelled standings of any origin, the best first, as `ecdf-<benchmark>`.

    Where one name stands for one of them alone, it has the look that it has everywhere.
    """
    shared = Counter(stands.name for _, stands in entries.values())
    labels, standings = {}, []
    for key, (label, stands) in entries.items():
        name = stands.name if shared[stands.name] == 1 else key
        labels[name] = label
        standings.append(replace(stands, name=name))
    figure = replace(FIGURES[0], name=f"ecdf-{benchmark.name}")
    with looks.print_style():
        return _save(folder, figure, Drawn(benchmark, (), standings, labels, archived))


@dataclass(frozen=True)
class Figure:
    """One figure: its file, its words, and what it draws into its axes."""

    name: str
    title: str
    x: str
    y: str
    into: Callable[["Axes", Drawn], None]
    note: str = ""
    is_possible: Callable[[Drawn], bool] = lambda drawn: True


def _ecdf(axes: "Axes", drawn: Drawn) -> None:
    low, high = drawn.benchmark.bounds
    times = np.geomspace(low, high, 200)
    for each in drawn.standings:
        found = [scoring.ecdf(hits, times) for hits in each.hits]  # every problem counts alike
        label = f"{drawn.label(each.name)}  {each.score.value:.3f}"
        _line(axes, drawn, each.name, times, np.mean(found, axis=0), label, every=40)
    ends = {}
    for old in drawn.archived:
        heights = np.mean([scoring.ecdf(hits, times) for hits in old.hits], axis=0)
        named = {"label": "the reference set"} if old is drawn.archived[0] else {}
        axes.plot(times, heights, color=GREY, linewidth=0.8, zorder=1, **named)
        ends[old.label] = float(heights[-1])
    for label, place in _apart(ends, 0.026).items():
        axes.annotate(label, (high, place), fontsize=6, color="#777777", ha="right", va="center")
    axes.set(xscale="log", xlim=(low, high), ylim=(0, 1))


def _apart(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places in [0, 1] moved up, and down from the top, until labels do not cover one another."""
    moved: dict[str, float] = {}
    least = 0.0
    for label, place in sorted(places.items(), key=lambda pair: pair[1]):
        moved[label] = max(place, least)
        least = moved[label] + gap
    most = 1.0
    for label in reversed(moved):
        moved[label] = min(moved[label], most)
        most = moved[label] - gap
    return moved


def _loss(axes: "Axes", drawn: Drawn) -> None:
    for each in drawn.standings:
        times, values = np.array(each.curve).T
        _line(axes, drawn, each.name, times, values, drawn.label(each.name), every=12)
    axes.set(xscale="log", yscale="log")


def _best_of_k(axes: "Axes", drawn: Drawn) -> None:
    _bands(axes, drawn, lambda tuned, ks: ks)


def _best_of_cost(axes: "Axes", drawn: Drawn) -> None:
    of_one = drawn.benchmark.horizon * sum(1 for _ in drawn.benchmark.runs(drawn.benchmark.tuning))
    _bands(axes, drawn, lambda tuned, ks: ks * of_one)
    axes.set(xscale="log")


def _bands(axes: "Axes", drawn: Drawn, x: Callable[[Tuned, np.ndarray], np.ndarray]) -> None:
    bands = []
    for each in drawn.searched:
        # Sobol points alone: the defaults, tried first, are no sample of the space.
        values = [trial.value for trial in each.trials[1:]]
        curve = best_of.tuning_curve(values, LEVEL, (-np.inf, 0.0))
        name, ks = each.competitor.name, np.array(curve.ks)
        low, high = np.exp(np.maximum(curve.low, FAR)), np.exp(curve.high)
        colour = drawn.looks[name].colour
        bands.append((x(each, ks), low, high, colour))
        _line(axes, drawn, name, x(each, ks), np.exp(curve.median), each.competitor.label)
    for each in drawn.tuned:
        if len(each.trials) == 1:
            look = drawn.looks[each.competitor.name]
            axes.axhline(
                np.exp(each.best.value), color=look.colour, linestyle=look.linestyle,
                label=f"{each.competitor.label} (nothing to tune)",
            )  # fmt: skip
    axes.set(yscale="log")
    limits = axes.get_ylim()  # a band may go on down for ever
    for place, low, high, colour in bands if len(bands) <= MOST_BANDS else ():
        axes.fill_between(place, low, high, color=colour, alpha=0.1, linewidth=0)
    axes.set(ylim=(limits[0], max(limits[1], 1.0)))


def _probability(axes: "Axes", drawn: Drawn) -> None:
    ks = np.arange(1, drawn.benchmark.trials + 1)
    trials = {t.competitor.name: [trial.value for trial in t.trials] for t in drawn.tuned}
    for name, chances in best_of.probability_of_best(trials, ks.tolist()).items():
        _line(axes, drawn, name, ks, chances, drawn.label(name))
    axes.set(ylim=(0, 1))


def _rates(axes: "Axes", drawn: Drawn) -> None:
    for each in drawn.searched:
        trials = sorted(
            (t for t in (*each.trials, *each.extra) if "lr" in t.point), key=lambda t: t.point["lr"]
        )
        rates = np.array([trial.point["lr"] for trial in trials])
        losses = np.exp([trial.value for trial in trials])
        _line(axes, drawn, each.competitor.name, rates, losses, each.competitor.label)
    axes.set(xscale="log", yscale="log")


def _profile(axes: "Axes", drawn: Drawn) -> None:
    """Dolan & More 2002: the share of items solved within a multiple of the best one's cost."""
    hits = {each.name: np.concatenate([np.ravel(h) for h in each.hits]) for each in drawn.standings}
    best = np.min(list(hits.values()), axis=0)
    solved = np.isfinite(best)
    ratios = np.geomspace(1, 30, 200)
    for name, found in hits.items():
        shares = [(found[solved] <= ratio * best[solved]).mean() for ratio in ratios]
        _line(axes, drawn, name, ratios, np.array(shares), drawn.label(name), every=40)
    axes.set(xscale="log", ylim=(0, 1))


TRIALS = "trials"
RELATIVE = "mean over log evaluations of loss / first loss"
FIGURES = (
    Figure(
        "ecdf", "Targets reached, on pictures that nobody tuned on", "evaluations",
        "share of (problem, target) pairs reached", _ecdf,
        "The score, beside each name, is the area under the curve.",
    ),
    Figure(
        "loss", "Loss at the tuned setting", "evaluations", "lowest loss / best known", _loss,
        "Median over all runs of the score's pairs.",
    ),
    Figure(
        "best_of_k", "What tuning brings", TRIALS, RELATIVE, _best_of_k,
        "Median best of k trials; simultaneous 80 % bands (opda) of up to five; lower is better.",
        lambda drawn: any(len(each.trials) > 2 for each in drawn.searched),
    ),
    Figure(
        "best_of_cost", "What tuning costs", "evaluations spent", RELATIVE, _best_of_cost,
        "Median best of k trials; simultaneous 80 % bands (opda) of up to five; lower is better.",
        lambda drawn: any(len(each.trials) > 2 for each in drawn.searched),
    ),
    Figure(
        "probability_of_best", "Who is probably the best, after how much tuning", TRIALS,
        "probability", _probability, "Trials of each in random order (Sivaprasad et al. 2020).",
        lambda drawn: len(drawn.tuned) > 1,
    ),
    Figure(
        "loss_against_rate", "How much the rate matters", "rate", RELATIVE, _rates,
        "On the tuning pairs; 1 is divergence or no progress.",
        lambda drawn: any("lr" in each.trials[0].point for each in drawn.searched),
    ),
    Figure(
        "profile", "Performance profile", "evaluations / those of the best", "share of targets",
        _profile, "Relative to the best one present: a newcomer changes everybody's curve.",
        lambda drawn: len(drawn.standings) > 1,
    ),
)  # fmt: skip


def _line(
    axes: "Axes", drawn: Drawn, name: str, x: np.ndarray, y: np.ndarray, label: str, every: int = 1
) -> None:
    look = drawn.looks[name]
    place = list(drawn.looks).index(name)
    axes.plot(
        x, y, color=look.colour, linestyle=look.linestyle, marker=look.marker, label=label,
        linewidth=1.5, markersize=4, markevery=(place % every, every),
    )  # fmt: skip


def _save(folder: Path, figure: Figure, drawn: Drawn) -> list[Path]:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import MaxNLocator

    canvas = Canvas((drawing.WIDTH + drawing.BESIDE, drawing.HEIGHT))
    axes = canvas.add_axes((0.085, 0.15, 0.64, 0.74))
    figure.into(axes, drawn)
    drawing.number_ticks(axes.xaxis, axes.yaxis)
    if figure.x == TRIALS:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=figure.x, ylabel=figure.y)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, fontsize=8)
    title = f"{figure.title} ({drawn.benchmark.name})"
    canvas.text(0.015, 0.985, drawing.plain_text(title), **drawing.TITLE)
    canvas.text(0.015, 0.015, drawing.plain_text(figure.note), **drawing.NOTE)
    return drawing.save(canvas, folder / figure.name)
