"""A benchmark's scores as tables: who leads, how fast, how low, and with which settings."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from nstbench.benchmark import best_of
from nstbench.notation import NONE, assigned, number
from nstbench.report.data.presets import Preset
from nstbench.report.data.scores import Level, Scored, Scores
from nstbench.report.tables.table import Table

UNFROZEN = "Targets are not frozen: they come from the optimizers here, and move with them."


def score_table(scores: Scores, presets: Mapping[str, Preset]) -> Table:
    """The scores with their intervals, the leading group marked."""
    leading = scores.leading
    star = (
        " ★: the leading group, which no paired test tells apart from the best." if leading else ""
    )
    caption = (
        f"Below a score its 95 % interval over pairs of pictures.{star} "
        "Sensitivity: what a wrong rate costs."
    )
    notes = [] if scores.targets.frozen else [UNFROZEN]
    failed = sum(each.failed_runs for each in scores.optimizers.values())
    notes += [f"{failed} of the score's runs failed and reached no target."] if failed else []
    notes += [
        f"{each.label} is under-tuned: its best setting lies on an edge of its space "
        f"({', '.join(each.tuning.on_edge)})."
        for each in scores.optimizers.values()
        if each.tuning.on_edge
    ]
    notes += [
        f"{each.label}: {presets[name].note}"
        for name, each in scores.optimizers.items()
        if name in presets and presets[name].note and presets[name].target == each.target
    ]
    table = _table(scores, "score", "Scores", caption, _score_record, _score_row)
    strong = tuple(n for n, name in enumerate(scores.optimizers) if name in leading)
    return replace(table, notes=notes, strong=strong)


def levels_table(scores: Scores) -> Table:
    """Evaluations to each level of target."""
    caption = (
        "Expected evaluations until a target is reached, a restart after a miss included; below "
        "them the share of runs that reach it. A target is the share of the way from the best "
        "known loss back to the start's that may be left."
    )
    names = [f"{level:g}" for level in scores.benchmark.levels]

    def record(each: Scored) -> dict[str, Any]:
        pairs = zip(names, each.levels, strict=True)
        return {f"evaluations_to_{name}": level.expected for name, level in pairs}

    def row(each: Scored) -> dict[str, str]:
        return {name: _cost(level) for name, level in zip(names, each.levels, strict=True)}

    return _table(scores, "levels", "Evaluations to a target", caption, record, row)


def budgets_table(scores: Scores) -> Table:
    """The loss after several budgets of evaluations."""
    caption = (
        "Lowest loss within so many evaluations, in multiples of the best known; median of runs."
    )
    budgets = scores.benchmark.budgets

    def record(each: Scored) -> dict[str, Any]:
        return {f"loss_{n}": loss for n, loss in zip(budgets, each.budgets, strict=True)}

    def row(each: Scored) -> dict[str, str]:
        return {str(n): number(loss, 3) for n, loss in zip(budgets, each.budgets, strict=True)}

    return _table(scores, "budgets", "Loss within a budget", caption, record, row)


def tuning_table(scores: Scores) -> Table:
    """The winning hyperparameters and the space that was searched for them."""
    caption = (
        "What won on the tuning pairs, and the space searched; a lower value is better. Defaults: "
        "how far their loss lies above the best trial's. Trials needed: after so many, the best of "
        f"them is on average within {best_of.CLOSE:.0%} of the best of all."
    )

    def record(each: Scored) -> dict[str, Any]:
        tuning = each.tuning
        values = [trial.value for trial in tuning.trials]
        space = re.sub(r"e([-+])0+", r"e\1", "; ".join(tuning.space))  # numbers as everywhere
        return {"best": ", ".join(assigned(tuning.best)), "space": space} | {
            "trials": len(tuning.trials) + len(tuning.extra),
            "on_edge": ", ".join(tuning.on_edge),
            "value": min(trial.value for trial in (*tuning.trials, *tuning.extra)),
            "defaults_above": best_of.above_best(values[0], values),
            "trials_needed": best_of.trials_needed(values),
        }

    def row(each: Scored) -> dict[str, str]:
        told = record(each)
        return {
            "Best settings": told["best"] or "none to tune",
            "Searched": told["space"] or "nothing",
            "Still on an edge": told["on_edge"] or NONE,
            "Trials": str(told["trials"]),
            "Value": number(told["value"], 3),
            "Defaults": f"{told['defaults_above']:+.0%}",
            "Trials needed": str(told["trials_needed"]),
        }

    return _table(scores, "tuning", "Winning settings", caption, record, row)


def _score_record(each: Scored) -> dict[str, Any]:
    return {
        "score": each.score,
        "low": each.interval[0],
        "high": each.interval[1],
        "settings": ", ".join(assigned(each.tuning.best)),
        "trials": len(each.tuning.trials) + len(each.tuning.extra),
        "sensitivity": each.tuning.sensitivity,
        "failed_runs": each.failed_runs,
        "target": each.target,
    }


def _score_row(each: Scored) -> dict[str, str]:
    low, high = each.interval
    interval = f" ({low:.3f} to {high:.3f})" if low < high else ""
    return {
        "Score": f"{each.score:.3f}{interval}",
        "Settings": ", ".join(assigned(each.tuning.best)) or "none to tune",
        "Trials": str(len(each.tuning.trials) + len(each.tuning.extra)),
        "Sensitivity": number(each.tuning.sensitivity, 3),
    }


def _table(
    scores: Scores,
    name: str,
    title: str,
    caption: str,
    record: Callable[[Scored], Mapping[str, Any]],
    row: Callable[[Scored], Mapping[str, str]],
) -> Table:
    """One row per optimizer, the best first."""
    items = scores.optimizers.items()
    frame = pd.DataFrame([{"optimizer": name, **record(each)} for name, each in items])
    shown = pd.DataFrame([{"Optimizer": each.label, **row(each)} for _, each in items])
    return Table(name, f"{title}: {scores.benchmark.name}", caption, frame, shown, [])


def _cost(level: Level) -> str:
    if level.expected is None:
        return "missed"
    share = "" if level.success_rate == 1 else f" ({level.success_rate:.0%} of runs)"
    return f"{number(level.expected, 3)}{share}"
