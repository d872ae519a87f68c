"""The ratios of time that the report's sentences are about, as data of one figure."""

from collections.abc import Iterable
from dataclasses import dataclass

from nstbench.report.data.reader import display_name
from nstbench.report.data.settings import ReportSettings, Row
from nstbench.report.judge.verdicts import Comparison, Verdict


@dataclass(frozen=True)
class Ratio:
    """Time of one row by another's: measured with its interval, and as the report has it.

    `low` and `high` are None where there are too few repeats for an interval, `measured` too
    where there are none.
    """

    label: str
    measured: float | None
    low: float | None
    high: float | None
    reported: float


@dataclass(frozen=True)
class Ratios:
    """Ratios from top to bottom; within 1 / (1 + margin) ... 1 + margin they do not matter."""

    name: str
    title: str
    x: str
    margin: float
    ratios: tuple[Ratio, ...]
    subtitle: str


def ratios_of_time(verdicts: Iterable[Verdict], settings: ReportSettings) -> Ratios | None:
    """Every comparison of two rows of equal length that a sentence on time rests on, once."""
    timed = {claim.id for claim in settings.claims.claims if claim.metric == "total_s"}
    found: dict[tuple[int, int], Ratio] = {}
    for verdict in verdicts:
        for each in verdict.comparisons if verdict.id in timed else ():
            pair = tuple(sorted((each.a.row, each.b.row)))
            if each.a.steps == each.b.steps and pair not in found:
                found[pair] = _ratio(each)
    if not any(ratio.measured for ratio in found.values()):
        return None
    level = f"{settings.claims.level:.0%}"
    return Ratios(
        name="ratios",
        title="Ratios of total time, measured and reported",
        x="ratio of total time",
        margin=settings.claims.margin,
        ratios=tuple(found.values()),
        subtitle=f"Bars: {level} interval of the paired ratio. Shaded: differences of at most "
        f"{settings.claims.margin:.0%}, which do not matter. Hollow: the report's single runs.",
    )


def _ratio(comparison: Comparison) -> Ratio:
    estimate = comparison.estimate
    whole = estimate.n > 1 and 0 < estimate.low <= estimate.high < float("inf")
    return Ratio(
        label=_label(comparison.a, comparison.b),
        measured=estimate.ratio if estimate.n else None,
        low=estimate.low if whole else None,
        high=estimate.high if whole else None,
        reported=comparison.reported_ratio,
    )


def _label(a: Row, b: Row) -> str:
    names = [f"{display_name(row.optimizer)} {row.lr:g}" for row in (a, b)]
    return f"{names[0]} / {names[1]}, {a.epochs} epochs"
