"""What a benchmark leaves beside its runs: `scores.json`, `report.md` and figures."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nstbench.benchmark import best_of, reference, standing
from nstbench.benchmark.instances import Benchmark
from nstbench.benchmark.reference import Archived
from nstbench.benchmark.scoring import FixedTarget
from nstbench.benchmark.standing import Standing
from nstbench.benchmark.targets import TargetSet
from nstbench.benchmark.tuning import Trial, Tuned
from nstbench.files import replacing
from nstbench.notation import assigned, number

FORMAT = 1  # of scores.json
TRIALS = (1, 5, 10)  # budgets of tuning that the table of trials shows
WEAKNESS = "Targets are not frozen: they come from the optimizers here, and move with them."
Row = Sequence[str]
NO_SECONDS: Mapping[str, float] = MappingProxyType({})


def write(
    folder: Path,
    benchmark: Benchmark,
    tuned: Sequence[Tuned],
    standings: Sequence[Standing],
    targets: TargetSet,
    archived: Sequence[Archived] = (),
    seconds: Mapping[str, float] = NO_SECONDS,
) -> None:
    """Write everything into `folder`, figures last; `archived` stand in grey behind.

    `seconds` are those of an evaluation, by name, as far as they are known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = document(benchmark, tuned, standings, targets)
    _publish(folder / "scores.json", json.dumps(whole, indent=1) + "\n")
    _publish(folder / "report.md", text(benchmark, tuned, standings, targets, archived, seconds))
    from nstbench.benchmark import figures

    figures.draw(folder, benchmark, tuned, standings, archived)


def document(
    benchmark: Benchmark,
    tuned: Sequence[Tuned],
    standings: Sequence[Standing],
    targets: TargetSet,
) -> dict[str, Any]:
    """All of it as plain data: what `scores.json` holds. Infinite values are null."""
    of = {each.competitor.name: each for each in tuned}
    return {
        "format": FORMAT,
        "benchmark": benchmark.model_dump(mode="json"),
        "targets": {"frozen": targets.frozen, "made": dict(targets.made)},
        "leaders": standing.leaders(standings),
        "optimizers": {each.name: _entry(each, of[each.name]) for each in ranked(standings)},
    }


def ranked(standings: Sequence[Standing]) -> list[Standing]:
    """The best score first."""
    return sorted(standings, key=lambda each: (-each.score.value, each.name))


def text(
    benchmark: Benchmark,
    tuned: Sequence[Tuned],
    standings: Sequence[Standing],
    targets: TargetSet,
    archived: Sequence[Archived] = (),
    seconds: Mapping[str, float] = NO_SECONDS,
) -> str:
    """The tables, as Markdown; newcomers are placed beside the `archived`."""
    of = {each.competitor.name: each for each in tuned}
    rows = [(each, of[each.name]) for each in ranked(standings)]
    leaders = standing.leaders(standings)
    labels = [of[name].competitor.label for name in leaders]
    known = {each.name for each in archived}
    newcomers = [(s, each) for s, each in rows if known and s.name not in known]
    parts = [
        f"# {benchmark.name}: {benchmark.description}\n",
        "" if targets.frozen else f"{WEAKNESS}\n",
        f"Leading group: {', '.join(labels)}.\n" if labels else "",
        *(
            f"{each.competitor.label}: {reference.place(stands.score.value, archived)}.\n"
            for stands, each in newcomers
        ),
        markdown(_SCORES, [_score_row(*row, leaders) for row in rows]),
        "\nLowest loss after so many evaluations, in multiples of the best known; median of runs\n",
        markdown(
            ["optimizer", *map(str, benchmark.budgets)],
            [
                [each.competitor.label, *(number(value) for value in stands.budgets)]
                for stands, each in rows
            ],
        ),
        "\nEvaluations to a target: expected running time, in brackets the share of runs\n",
        markdown(
            ["optimizer", *(f"{level:g}" for level in benchmark.levels)],
            [[each.competitor.label, *map(_fixed, stands.levels)] for stands, each in rows],
        ),
        _tuning([each for _, each in rows if len(each.trials) > 1]),
        _seconds(benchmark, rows, seconds),
    ]
    return "\n".join(part for part in parts if part)


def _tuning(tuned: Sequence[Tuned]) -> str:
    """What tuning brings; empty where nobody was tuned."""
    if not tuned:
        return ""
    head = ["optimizer", "defaults", *(f"best of {k}" for k in TRIALS), "trials needed"]
    return (
        "\nWhat tuning brings: how far the loss of a trial lies above the best trial's (a mean "
        "over\nlog evaluations, on the tuning pairs), and after how many trials their best is, on "
        f"average,\nwithin {best_of.CLOSE:.0%}\n\n"
    ) + markdown(head, list(map(_tuning_row, tuned)))


def _seconds(
    benchmark: Benchmark, rows: Sequence[tuple[Standing, Tuned]], seconds: Mapping[str, float]
) -> str:
    """Targets in seconds, of those whose evaluation was measured; empty where none was."""
    timed = [
        (stands, each, seconds[stands.name]) for stands, each in rows if stands.name in seconds
    ]
    if not timed:
        return ""
    head = ["optimizer", "an evaluation", *(f"{level:g}" for level in benchmark.levels)]
    table = [
        [
            each.competitor.label,
            f"{1000 * s:.1f} ms",
            *(_fixed(level, s) for level in stands.levels),
        ]
        for stands, each, s in timed
    ]
    title = "\nThe same in seconds on this machine, by what `cost` measured of a step\n\n"
    return title + markdown(head, table)


_SCORES = ["optimizer", "score", "interval", "settings", "searched", "trials", "sensitivity"]


def in_words(tuned: Tuned) -> str:
    """What tuning came to, in a line."""
    best = ", ".join(assigned(tuned.best.point))
    parts = [f"best at {best}" if best else "nothing to tune", f"{len(tuned.trials)} trials"]
    if tuned.widened:
        parts.append(f"widened ({', '.join(tuned.widened)}) for {len(tuned.extra)} more")
    if tuned.on_edge:
        parts.append(f"under-tuned: still on an edge ({', '.join(tuned.on_edge)})")
    return "; ".join(parts)


def sensitivity(tuned: Tuned) -> float | None:
    """What a wrong rate costs (`best_of.sensitivity`); None where the rate alone was not tuned."""
    trials = [t for t in (*tuned.trials, *tuned.extra) if t.point.get("lr")]
    if len(trials) < 2 or any(set(trial.point) != {"lr"} for trial in trials):
        return None
    return best_of.sensitivity([t.point["lr"] for t in trials], [t.value for t in trials])


def _entry(stands: Standing, tuned: Tuned) -> dict[str, Any]:
    chosen = tuned.competitor.settings.optimizer
    return {
        "label": chosen.label,
        "target": chosen.target,
        "source": dict(chosen.source),
        "score": stands.score.value,
        "interval": [stands.score.low, stands.score.high],
        "by_instance": list(stands.score.instances),
        "hits": [[_finite(row) for row in each.tolist()] for each in stands.hits],
        "levels": [
            {
                "expected": _finite(each.expected),
                "success_rate": each.success_rate,
                "par10": each.par10,
                "median": _finite(each.median),
            }
            for each in stands.levels
        ],
        "budgets": _finite(list(stands.budgets)),
        "curve": [[evaluations, _finite(value)] for evaluations, value in stands.curve],
        "runs": list(stands.runs),
        "failed_runs": stands.failures,
        "tuning": {
            "best": tuned.best.point,
            "space": list(map(str, tuned.space)),
            "on_edge": list(tuned.on_edge),
            "widened": list(tuned.widened),
            "sensitivity": sensitivity(tuned),
            "trials": list(map(_trial, tuned.trials)),
            "extra": list(map(_trial, tuned.extra)),
        },
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {"point": trial.point, "value": trial.value, "failures": list(trial.failures)}


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value if math.isfinite(value) else None


def _score_row(stands: Standing, tuned: Tuned, leaders: Sequence[str]) -> Row:
    star = " *" if stands.name in leaders else ""
    cost = sensitivity(tuned)
    edge = f" (under-tuned: {', '.join(tuned.on_edge)})" if tuned.on_edge else ""
    return [
        tuned.competitor.label + star,
        f"{stands.score.value:.4f}",
        f"{stands.score.low:.4f} to {stands.score.high:.4f}",
        ", ".join(assigned(tuned.best.point)) or "none",
        ", ".join(map(str, tuned.space)) + edge if tuned.space else "nothing",
        str(len(tuned.trials) + len(tuned.extra)),
        "" if cost is None else f"{cost:.2f}",
    ]


def _tuning_row(tuned: Tuned) -> Row:
    values = [trial.value for trial in tuned.trials]
    expected = best_of.expected_best(values)
    shown = [values[0], *(expected[min(k, len(values)) - 1] for k in TRIALS)]
    shares = [f"{best_of.above_best(value, values):.0%}" for value in shown]
    return [tuned.competitor.label, *shares, str(best_of.trials_needed(values))]


def _fixed(level: FixedTarget, second: float | None = None) -> str:
    """Expected evaluations, or seconds where one costs `second`, and how many runs succeed."""
    if math.isinf(level.expected):
        return "never"
    share = "" if level.success_rate == 1 else f" ({level.success_rate:.0%})"
    amount = f"{level.expected:.0f}" if second is None else number(level.expected * second, 2)
    return amount + share


def markdown(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table whose columns line up when it is read as it is."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    first = " | ".join(cell.ljust(w) for cell, w in zip(head, widths, strict=True))
    rule = " | ".join("-" * width for width in widths)
    return "".join(f"| {line} |\n" for line in (first, rule, *lines))


def _publish(path: Path, content: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(content)
