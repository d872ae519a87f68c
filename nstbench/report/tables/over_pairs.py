"""The ranking over several pairs of pictures as a table."""

import math
from collections.abc import Sequence

import pandas as pd

from nstbench.report.data.compare import pictures_of
from nstbench.report.judge.over_pairs import OverPairs
from nstbench.report.judge.ranking import Entry
from nstbench.report.tables.ranking import notes_of
from nstbench.report.tables.table import Table, span

CAPTION = (
    "Each setting's lowest loss within the budget of a pair, by the lowest that any of these "
    "reaches there: the geometric mean over the pairs, below it the range. To the first: the ratio "
    "of its losses to the first one's, below it the {level:.0%} interval. ★: the leading group, "
    "which no bound over the pairs shows to end higher than the first."
)


def over_pairs_tables(pairs: OverPairs, level: float) -> list[Table]:
    """Every optimizer at its best rate, and, where rates were varied, every setting; `level` is
    that of a bound."""
    n, best = len(pairs.rankings), pairs.best_rates
    tables = [_table("over_pairs", f"Ranking over {n} pairs of pictures", pairs, best, level)]
    if len(best) < len(pairs.entries):
        title = f"Every setting over {n} pairs of pictures"
        tables.append(_table("over_pairs_all", title, pairs, pairs.entries, level))
    return tables


def _table(
    name: str, title: str, pairs: OverPairs, entries: Sequence[Entry], level: float
) -> Table:
    records = [_record(entry, pairs) for entry in entries]
    for record in records:  # among those of this table
        record["rank"] = 1 + sum(other["multiple"] < record["multiple"] for other in records)
    shown = pd.DataFrame([_shown(record, len(pairs.rankings)) for record in records])
    left_out = ", ".join(pairs.left_out)
    notes = [f"Left out, because not run on all pairs: {left_out}."] if left_out else []
    notes += notes_of(entries)
    strong = tuple(place for place, entry in enumerate(entries) if entry.is_leading)
    caption = CAPTION.format(level=2 * level - 1)
    return Table(name, title, caption, pd.DataFrame(records), shown, notes, strong)


def _record(entry: Entry, pairs: OverPairs) -> dict:
    label, run = entry.competitor.label, entry.competitor.first
    losses, ratio = pairs.losses[label], pairs.to_first[label]
    multiples = losses / pairs.lowest
    names = (pictures_of(ranking.group.runs[0].record) for ranking in pairs.rankings)
    return {
        "rank": entry.rank,
        "competitor": label,
        "optimizer": run.optimizer,
        "lr": run.lr,
        "is_best_rate": entry.is_best_rate,
        "is_leading": entry.is_leading,
        "multiple": entry.loss,
        "multiple_lowest": multiples.min(),
        "multiple_highest": multiples.max(),
        "lowest_on": pairs.lowest_on(label),
        "to_first": ratio.ratio,
        "to_first_low": ratio.low,
        "to_first_high": ratio.high,
        **{f"loss, {name}": loss for name, loss in zip(names, losses, strict=True)},
    }


def _shown(record: dict, pairs: int) -> dict[str, str]:
    return {
        "Rank": str(record["rank"]),
        "Competitor": record["competitor"],
        "Multiple of the lowest": "diverged"
        if math.isinf(record["multiple"])
        else span(record, "multiple", "multiple_lowest", "multiple_highest"),
        "Lowest on": f"{record['lowest_on']} of {pairs}",
        "To the first": span(record, "to_first", "to_first_low", "to_first_high"),
    }
