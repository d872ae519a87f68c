"""Who comes how far at what cost: one target for all, failures priced."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor, Group
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportSettings
from nstbench.report.judge import warnings
from nstbench.report.judge.targets import Targets, curve, evaluations_to, goals, priced, seconds_to
from nstbench.report.tables.table import Table, loss_text, median, number, statuses, values


def ranking(group: Group, settings: ReportSettings) -> Table:
    """Competitors on one problem by what it costs them to come to the common targets.

    A row is an optimizer with its rate; of each repeat the longest run counts, since a constant
    rate makes the shorter ones its beginning. Ordered by the geometric mean, over targets and
    repeats, of the evaluations to the target, a failure priced at `penalty` times the largest
    budget on the problem.
    """
    finished = [run for run in group.runs if run.status.is_final]
    competitors = [_longest(each) for each in compare.competitors(finished, by_schedule=False)]
    reach = goals(finished, settings.targets)
    records = _ranked([_record(each, reach) for each in competitors])
    shown = pd.DataFrame([_shown(record, reach) for record in records])
    listed = compare.competitors(group.runs, by_schedule=False)
    notes = warnings.of_runs(listed, (), settings.claims.fewest_repeats)
    notes += _doubts(competitors)
    title, caption = f"Ranking: {group.title}", _caption(reach, settings.targets.penalty)
    return Table("ranking", title, caption, pd.DataFrame(records), shown, notes)


def _ranked(records: list[dict]) -> list[dict]:
    """In the order of their scores; equal scores share a rank."""
    scores = [record["score"] for record in records]
    ranks = [1 + sum(other < score for other in scores) for score in scores]
    ranked = [{"rank": rank} | record for rank, record in zip(ranks, records, strict=True)]
    return sorted(ranked, key=lambda record: (record["rank"], record["loss_best"]))


def _longest(each: Competitor) -> Competitor:
    """Of each repeat the run with the most steps, and of those the newest."""
    ordered = sorted(each.runs, key=lambda run: (run.steps, run.record.created))
    kept = {run.repeat: run for run in ordered}
    return Competitor(each.label, tuple(kept[repeat] for repeat in sorted(kept)))


def _record(each: Competitor, reach: Targets | None) -> dict:
    run = each.first
    record = {
        "competitor": each.label,
        "optimizer": run.optimizer,
        "lr": run.lr,
        "steps": run.steps,
        "repeats": len(each.runs),
        "status": statuses(each),
        "loss": median(values(each, compare.final_loss)),
        "loss_best": median([_lowest(run) for run in each.runs if len(run.epochs)]),
        "ssim": median(_quality(each, "ssim")),
        "psnr": median(_quality(each, "psnr")),
    }
    costs = []
    for target in reach.targets if reach else ():
        way = target.way
        found = [evaluations_to(run, target.loss) for run in each.runs]
        paid = [priced(cost, reach.evaluations_price) for cost in found]
        costs += paid
        record[f"reached_{way}"] = int(np.isfinite(found).sum())
        record[f"evaluations_{way}"] = median(paid)
        timed = [seconds_to(run, target.loss) for run in each.runs if run.record.timing_valid]
        record[f"seconds_{way}"] = median([priced(s, reach.seconds_price) for s in timed])
    record["score"] = float(np.exp(np.mean(np.log(costs)))) if costs else math.nan
    return record


def _lowest(run: RecordedRun) -> float:
    """The lowest loss of any evaluation, that of the saved picture included."""
    return min(curve(run)[1][-1], compare.final_loss(run))


def _quality(each: Competitor, name: str) -> list[float]:
    found = (getattr(run.record.quality, name, None) for run in each.runs)
    return [number for number in found if number is not None]


def _shown(record: dict, reach: Targets | None) -> dict[str, str]:
    """One row for people."""
    shown = {
        "Rank": f"{record['rank']:.0f}",
        "Competitor": record["competitor"],
        "Steps": str(record["steps"]),
        "Repeats": str(record["repeats"]),
        "Final loss": loss_text(record["loss"]),
        "Best loss": number(record["loss_best"]),
    }
    for target in reach.targets if reach else ():
        way = target.way
        reached = record[f"reached_{way}"], record["repeats"]
        shown[f"Evaluations to {way} %"] = _cost(record[f"evaluations_{way}"], *reached)
        shown[f"Seconds to {way} %"] = _cost(record[f"seconds_{way}"], *reached)
    quality = {name.upper(): number(record[name]) for name in ("ssim", "psnr")}
    return shown | quality | {"Status": record["status"]}


def _caption(reach: Targets | None, penalty: float) -> str:
    if reach is None:
        return "No finished run has a loss, so there is no target."
    told = ", ".join(f"{each.way} % of it is a loss of {each.loss:.4g}" for each in reach.targets)
    return (
        f"The way goes from the start's loss to the lowest that any competitor found: {told}. "
        f"Missing a target costs {penalty:g} times the largest budget: "
        f"{reach.evaluations_price:.0f} evaluations or {reach.seconds_price:.3g} s of updates. "
        "Ranked by the geometric mean of the evaluations to all targets."
    )


def _doubts(competitors: Sequence[Competitor]) -> list[str]:
    """What makes a comparison of costs unfair."""
    notes = []
    runs = [run for each in competitors for run in each.runs]
    most = max((each.first.steps for each in competitors), default=0)
    short = [f"{c.label} ({c.first.steps})" for c in competitors if c.first.steps < most]
    if short:
        notes.append(
            f"Stopped before the {most} steps of the longest, which may be why a target is missed: "
            f"{', '.join(short)}."
        )
    if len({run.comparable_key for run in runs}) > 1:
        notes.append("The seconds come from more than one machine or backend: do not compare them.")
    return notes + warnings.invalid_timing(runs)


def _cost(cost: float, reached: int, repeats: int) -> str:
    if reached == repeats or math.isnan(cost):
        return number(cost)
    return f"{number(cost)} ({reached} of {repeats} reached)"
