"""The ratios of time that the report's sentences are about, as data of one figure."""

from collections.abc import Iterable
from dataclasses import dataclass

from nstbench.report.data.settings import ReportSettings
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
    reported: float | None


@dataclass(frozen=True)
class Ratios:
    """Ratios from top to bottom; within 1 / (1 + margin) ... 1 + margin they do not matter."""

    name: str
    title: str
    x: str
    margin: float
    ratios: tuple[Ratio, ...]
    subtitle: str
    problem: str = ""


def ratios_of_time(verdicts: Iterable[Verdict], settings: ReportSettings) -> Ratios | None:
    """Every comparison of two competitors of equal length that a claim on time rests on, once."""
    found: dict[frozenset[str], Ratio] = {}
    for verdict in verdicts:
        for each in verdict.comparisons if verdict.claim.metric == "total_s" else ():
            pair = frozenset(each.names)
            if each.estimate.n and each.is_of_equal_length and pair not in found:
                found[pair] = _ratio(each)
    if not found:
        return None
    level = f"{2 * settings.claims.level - 1:.0%}"
    reported = any(ratio.reported for ratio in found.values())
    hollow = " Hollow: the report's single runs." if reported else ""
    return Ratios(
        name="ratios",
        title=f"Ratios of total time, measured{' and reported' if reported else ''}",
        x="ratio of total time",
        margin=settings.claims.margin,
        ratios=tuple(found.values()),
        subtitle=f"Bars: {level} interval of the paired ratio, valid at any number of repeats. "
        f"Shaded: within {settings.claims.margin:.0%}, which does not matter.{hollow}",
    )


def _ratio(comparison: Comparison) -> Ratio:
    estimate = comparison.estimate
    whole = estimate.n > 1 and 0 < estimate.low <= estimate.high < float("inf")
    known = 0 < estimate.ratio < float("inf")
    return Ratio(
        label=_label(comparison),
        measured=estimate.ratio if known else None,
        low=estimate.low if whole else None,
        high=estimate.high if whole else None,
        reported=comparison.reported_ratio,
    )


def _label(comparison: Comparison) -> str:
    a, b = (each.runs[0] for each in comparison.selected)
    return f"{a.label} / {b.label}, {a.setup.epochs} epochs"
