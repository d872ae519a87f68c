"""The ranking as a table: losses within one budget first, what the targets cost beside them."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from nstbench.notation import NONE, listed, number
from nstbench.report.data import compare
from nstbench.report.data.settings import ReportSettings
from nstbench.report.judge import warnings
from nstbench.report.judge.ranking import Entry, Ranking, loss_within
from nstbench.report.judge.targets import Targets, evaluations_to, penalised, seconds_to, targets_of
from nstbench.report.tables.table import (
    Table,
    ended_above_start,
    final_loss_text,
    loss_text,
    median,
    statuses,
    values,
)
from nstbench.report.tables.timing import without_empty


def ranking_tables(ranking: Ranking, settings: ReportSettings) -> list[Table]:
    """Every optimizer at its best rate, and, where rates were varied, every setting."""
    own = targets_of(ranking.group.runs, settings.targets)
    best = ranking.best_rates
    tables = [_table("ranking", "Ranking", ranking, best, own, settings)]
    if len(best) < len(ranking.entries):
        every = _table("ranking_all", "Every setting", ranking, ranking.entries, own, settings)
        tables.append(every)
    return tables


def _table(
    name: str,
    title: str,
    ranking: Ranking,
    entries: Sequence[Entry],
    own: Targets | None,
    settings: ReportSettings,
) -> Table:
    records = [_record(entry, own, ranking.budget) for entry in entries]
    for record in records:  # among those of this table
        better = [other["loss_within"] < record["loss_within"] for other in records]
        record["rank"] = record["rank"] and 1 + sum(better)
    shown = without_empty(pd.DataFrame([_shown(record, own, ranking.budget) for record in records]))
    members = [entry.competitor for entry in entries]
    listed_all = compare.competitors(ranking.group.runs, by_schedule=False)
    notes = _notes(ranking, entries)
    notes += warnings.of_runs(listed_all, (), fewest=1)
    notes += warnings.invalid_timing([run for each in members for run in each.runs])
    caption = _caption(ranking, own, settings)
    strong = tuple(n for n, entry in enumerate(entries) if entry.is_leading)
    whole = f"{title}: {ranking.group.title}"
    return Table(name, whole, caption, pd.DataFrame(records), shown, notes, strong)


def _record(entry: Entry, own: Targets | None, budget: int) -> dict:
    each, run = entry.competitor, entry.competitor.first
    record = {
        "rank": entry.rank,
        "competitor": each.label,
        "optimizer": run.optimizer,
        "lr": run.lr,
        "rates": len(entry.rates),
        "is_leading": entry.is_leading,
        "budget": budget,
        "loss_within": math.nan if entry.loss is None else entry.loss,
        "steps": run.steps,
        "evaluations": median([own_run.evaluations for own_run in each.runs]),
        "repeats": len(each.runs),
        "status": statuses(each),
        "loss": median(values(each, compare.final_loss)),
        "ended_above_start": ended_above_start(each),
        "loss_best": median([loss_within(own_run, math.inf) for own_run in each.runs]),
        "ssim": median(_quality(each, "ssim")),
        "psnr": median(_quality(each, "psnr")),
    }
    for target in own.targets if own else ():
        percent = target.percent
        found = [evaluations_to(own_run, target.loss) for own_run in each.runs]
        record[f"reached_{percent}"] = int(np.isfinite(found).sum())
        record[f"evaluations_{percent}"] = median(
            [penalised(cost, own.evaluations_penalty) for cost in found]
        )
        timed = [seconds_to(r, target.loss) for r in each.runs if r.record.timing_valid]
        record[f"seconds_{percent}"] = median([penalised(s, own.seconds_penalty) for s in timed])
    return record


def _quality(each: compare.Competitor, name: str) -> list[float]:
    found = (getattr(run.record.quality, name, None) for run in each.runs)
    return [value for value in found if value is not None]


def _shown(record: dict, own: Targets | None, budget: int) -> dict[str, str]:
    """One row for people."""
    rank = record["rank"]
    shown = {
        "Rank": NONE if rank is None else str(rank),
        "Competitor": record["competitor"],
        f"Loss within {budget} evaluations": loss_text(record["loss_within"]),
        "Evaluations": number(record["evaluations"]),
        "Final loss": final_loss_text(record),
    }
    for target in own.targets if own else ():
        percent = target.percent
        reached = record[f"reached_{percent}"], record["repeats"]
        shown[f"Evaluations to {percent} %"] = _cost(record[f"evaluations_{percent}"], *reached)
        shown[f"Seconds to {percent} %"] = _cost(record[f"seconds_{percent}"], *reached)
    shown |= {name.upper(): number(record[name], 3) for name in ("ssim", "psnr")}
    return shown | {"Repeats": str(record["repeats"]), "Status": record["status"]}


def _caption(ranking: Ranking, own: Targets | None, settings: ReportSettings) -> str:
    if own is None:
        return "No finished run has a loss, so there is no target."
    told = listed([f"{each.percent} % is a loss of {number(each.loss)}" for each in own.targets])
    margin = f"{100 * settings.claims.margin:g} %"
    return (
        f"In the order of the lowest loss within {ranking.budget} evaluations, a budget that at "
        f"least three quarters have made; the leading group lies within {margin} of the lowest. "
        "Targets are on the way from the start's loss to the lowest that any run here found: "
        f"{told}; missing one counts {settings.targets.penalty:g} times the largest budget."
    )


def _notes(ranking: Ranking, entries: Sequence[Entry]) -> list[str]:
    notes = []
    short = [entry for entry in entries if entry.rank is None]
    if short:
        told = [f"{e.competitor.label} ({e.competitor.first.evaluations})" for e in short]
        notes.append(f"Without a rank, for fewer than {ranking.budget} evaluations: "
                     f"{', '.join(told)}.")  # fmt: skip
    notes += notes_of(entries)
    edges = [e.competitor.label for e in entries if e.is_best_rate and e.at_edge]
    if edges:
        notes.append(f"The best rate lies at an edge of those tried, so a better one may lie "
                     f"beyond: {', '.join(edges)}.")  # fmt: skip
    return notes


def notes_of(entries: Iterable[Entry]) -> list[str]:
    """What the optimizers' own files say to whoever ranks them."""
    runs = [entry.competitor.first for entry in entries]
    return list(dict.fromkeys(f"{run.optimizer}: {run.note}" for run in runs if run.note))


def _cost(cost: float, reached: int, repeats: int) -> str:
    if reached == repeats or math.isnan(cost):
        return number(cost, 3)
    return "missed" if not reached else f"{number(cost, 3)} ({reached} of {repeats})"
