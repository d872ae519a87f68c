"""A benchmark's figures as plots of the page: the ECDF first.

The benchmark drew them for print already, beside its scores; here are the same numbers.
"""

from collections.abc import Callable, Iterable

import numpy as np

from nstbench.benchmark import best_of, scoring
from nstbench.notation import number
from nstbench.report.data.scores import Scored, Scores, Trial, archived
from nstbench.report.figures.looks import REFERENCE
from nstbench.report.figures.plots import Curve, Plot, Series, plain

BAND = 0.8  # the level of the bands of best-of-k
RATIOS = np.geomspace(1, 30, 120)  # of the performance profile
PROGRESS = "mean over log evaluations of loss / first loss"
EVALUATIONS = "evaluations of loss and gradient"
Points = tuple[np.ndarray, np.ndarray]


def ecdf(scores: Scores) -> Plot:
    """The share of (problem, target) pairs reached; the frozen reference set behind it."""
    times = np.geomspace(*scores.benchmark.bounds, 160)

    def curve(hits: Iterable[np.ndarray]) -> Points:
        return times, np.mean([scoring.ecdf(each, times) for each in hits], axis=0)

    series = [
        Series(
            f"{old.label} (reference) {number(old.score, 3)}", REFERENCE,
            {"evaluations": _curve(*curve(old.hits))}, family="reference set",
        )
        for old in archived(scores)
    ]  # fmt: skip
    here = _series(
        scores, "evaluations", lambda each: curve(map(_numbers, each.hits)),
        lambda each: f"{each.label} {each.score:.3f}",
    )  # fmt: skip
    behind = " Grey: the reference set." if series else ""
    return Plot(
        "ecdf", "Targets reached, on pictures that nobody tuned on", {"evaluations": EVALUATIONS},
        "share of (problem, target) pairs reached", (*series, *here),
        f"The score, beside each name, is the area under the curve.{behind}",
        log_x=True, log_y=False, stairs=True, printed="../ecdf",
    )  # fmt: skip


def profile(scores: Scores) -> list[Plot]:
    """Dolan and More 2002: the share of targets reached within a multiple of the best's cost."""
    hits = {
        name: np.concatenate([np.ravel(_numbers(of_one)) for of_one in each.hits])
        for name, each in scores.optimizers.items()
    }
    best = np.min(list(hits.values()), axis=0)
    solved = np.isfinite(best)
    if len(hits) < 2 or not solved.any():
        return []
    of_label = {each.label: hits[name] for name, each in scores.optimizers.items()}

    def curve(each: Scored) -> Points:
        own = of_label[each.label][solved] / best[solved]
        return RATIOS, np.array([(own <= ratio).mean() for ratio in RATIOS])

    series = _series(scores, "factor", curve)
    note = "Relative to the best one present: a newcomer changes everybody's curve."
    return [
        Plot(
            "profile", "Performance profile", {"factor": "evaluations / those of the best"},
            "share of targets", series, note,
            log_x=True, log_y=False, stairs=True, printed="../profile",
        )
    ]  # fmt: skip


def loss(scores: Scores) -> Plot:
    """The loss over evaluations at the tuned setting, in multiples of the best known."""

    def curve(each: Scored) -> Points:
        known = [(at, value) for at, value in each.curve if value is not None]
        return np.array([at for at, _ in known]), np.array([value for _, value in known])

    return Plot(
        "loss", "Loss at the tuned setting", {"evaluations": EVALUATIONS},
        "lowest loss / best known", _series(scores, "evaluations", curve),
        "Median over all runs of the score's pairs.", log_x=True, printed="../loss",
    )  # fmt: skip


def best_of_k(scores: Scores) -> list[Plot]:
    """The median best of k trials with bands that hold for all k at once (opda)."""
    searched = [(name, each) for name, each in scores.optimizers.items() if _trials(each)]
    if not searched:
        return []
    series = [
        Series(each.label, name, {"trials": _best_of(_trials(each))}, family=each.label)
        for name, each in searched
    ]
    note = "Median best of k trials with simultaneous 80 % bands (opda); lower is better."
    return [
        Plot(
            "best_of_k", "What tuning brings", {"trials": "trials"}, PROGRESS, tuple(series),
            note, points=True, printed="../best_of_k",
        )
    ]  # fmt: skip


def rates(scores: Scores) -> list[Plot]:
    """The outcome of every trial against its rate."""

    def curve(each: Scored) -> Points:
        tried = sorted(
            (trial.point["lr"], np.exp(trial.value))
            for trial in (*each.tuning.trials, *each.tuning.extra)
            if trial.point.get("lr")
        )
        return np.array([rate for rate, _ in tried]), np.array([value for _, value in tried])

    series = _series(scores, "rate", curve)
    if not any(len(each.curves["rate"].x) > 1 for each in series):
        return []
    return [
        Plot(
            "loss_against_rate", "How much the rate matters", {"rate": "learning rate"}, PROGRESS,
            series, "On the tuning pairs; 1 is divergence or no progress.",
            log_x=True, points=True, printed="../loss_against_rate",
        )
    ]  # fmt: skip


def _series(
    scores: Scores,
    axis: str,
    curve: Callable[[Scored], Points],
    label: Callable[[Scored], str] = lambda each: each.label,
) -> tuple[Series, ...]:
    """One for each optimizer that has any point."""
    made = ((name, each, curve(each)) for name, each in scores.optimizers.items())
    return tuple(
        Series(label(each), name, {axis: _curve(*points)}, family=each.label)
        for name, each, points in made
        if len(points[0])
    )


def _curve(x: np.ndarray, y: np.ndarray) -> Curve:
    return Curve(plain(x), plain(y))


def _numbers(rows: Iterable[Iterable[float | None]]) -> np.ndarray:
    """`hits` as they were before JSON, which has no infinity."""
    return np.array([[np.inf if value is None else value for value in row] for row in rows])


def _trials(each: Scored) -> tuple[Trial, ...]:
    """The sample of the space: the defaults, tried first, are none of it."""
    sample = each.tuning.trials[1:]
    return sample if len(sample) > 1 else ()


def _best_of(trials: tuple[Trial, ...]) -> Curve:
    found = best_of.tuning_curve([trial.value for trial in trials], BAND, (-np.inf, 0.0))
    floor = min(found.median) - 1.0  # a band without a lower end ends below the lowest
    return Curve(
        plain(np.array(found.ks, float)),
        plain(np.exp(found.median)),
        plain(np.exp(np.maximum(found.low, floor))),
        plain(np.exp(found.high)),
    )
