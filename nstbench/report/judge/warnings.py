"""Reasons, in plain words, to doubt the numbers of a table."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportedTable
from nstbench.report.judge.statistics import spread_share
from nstbench.run.schema import Status

WIDE = 0.10  # spread, as a share of the median, from which a time is called unsteady


def of_runs(
    competitors: Sequence[Competitor], others: Iterable[RecordedRun], fewest: int
) -> list[str]:
    """Doubts about any table of these competitors; `others` are runs that it leaves out."""
    runs = [run for each in competitors for run in each.runs]
    return [
        *few_repeats(competitors, fewest),
        *endings(runs),
        *left_out(runs, others),
        *mixed_versions(runs),
    ]


def of_times(competitors: Sequence[Competitor], clock: str) -> list[str]:
    """Doubts about a table of seconds on one stopwatch."""
    runs = [run for each in competitors for run in each.runs]
    return [*invalid_timing(runs), *wide_spread(competitors, clock), *not_interleaved(competitors)]


def few_repeats(competitors: Sequence[Competitor], fewest: int) -> list[str]:
    """Rows with fewer finished repeats than a comparison needs."""
    counts = {each.label: len(_finished(each)) for each in competitors}
    few = [f"{label} ({count})" for label, count in counts.items() if count < fewest]
    return [f"Too few repeats (fewer than {fewest}): {', '.join(few)}."] if few else []


def endings(runs: Iterable[RecordedRun]) -> list[str]:
    """Runs that diverged, failed or have not ended."""
    said = []
    for status, meaning in {
        Status.DIVERGED: "diverged: its loss stopped being a number",
        Status.FAILED: "failed",
        Status.INTERRUPTED: "was interrupted and can be continued",
        Status.RUNNING: "is not finished",
    }.items():
        ids = [run.id for run in runs if run.status is status]
        if ids:
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            said.append(f"Run {ids[0]}{more} {meaning}.")
    return said


def left_out(runs: Sequence[RecordedRun], others: Iterable[RecordedRun]) -> list[str]:
    """Runs of the same rows that cannot be compared with these, by the first thing that differs."""
    if not runs:
        return []
    reasons = Counter(_difference(runs[0], other) for other in others)
    return [
        f"{_plural(count, 'run')} left out here, because {reason} differ{'s' if one else ''}."
        for (reason, one), count in reasons.items()
    ]


def mixed_versions(runs: Iterable[RecordedRun]) -> list[str]:
    """Packages whose versions differ between the rows of one table."""
    found: dict[str, set] = {}
    for run in runs:
        for package, version in run.record.versions.items():
            found.setdefault(package, set()).add(version)
    return [
        f"Versions of {package} are mixed: {', '.join(sorted(map(str, versions)))}."
        for package, versions in sorted(found.items())
        if len(versions) > 1
    ]


def invalid_timing(runs: Sequence[RecordedRun]) -> list[str]:
    """Runs whose seconds are not used, and why."""
    invalid = [run for run in runs if run.status.is_final and not run.record.timing_valid]
    if not invalid:
        return []
    notes = Counter(note for run in invalid for note in run.record.timing_notes)
    why = f": {'; '.join(note for note, _ in notes.most_common(3))}" if notes else ""
    were = "was" if len(invalid) == 1 else "were"
    count = f"{len(invalid)} of {_plural(len(runs), 'run')}"
    return [f"{count} {were} disturbed, and their seconds are not used{why}."]


def wide_spread(competitors: Sequence[Competitor], clock: str) -> list[str]:
    """Rows whose seconds differ by more than a tenth between repeats."""
    shares = {each.label: spread_share(times(each, clock)) for each in competitors}
    wide = [f"{label} ({share:.0%})" for label, share in shares.items() if share > WIDE]
    return [f"Repeats differ by more than {WIDE:.0%}: {', '.join(wide)}."] if wide else []


def not_interleaved(competitors: Sequence[Competitor]) -> list[str]:
    """Repeats that were not run in turn (A B A B), so that drift can pass for a difference."""
    runs = sorted((r for each in competitors for r in each.runs), key=lambda r: r.record.created)
    repeats = [run.repeat for run in runs]
    if len(competitors) < 2 or len(set(repeats)) < 2 or repeats == sorted(repeats):
        return []
    return ["Repeats were not run in turn, so a machine that slows down can pass for a difference."]


def missing_rows(present: Iterable[int], table: ReportedTable) -> list[str]:
    """Rows of the report's table that were not run."""
    present = set(present)
    missing = [str(row.row) for row in table.rows if row.row not in present]
    return [f"Rows of the report's table without a run: {', '.join(missing)}."] if missing else []


def other_schedules(rows: dict[int, Competitor], table: ReportedTable) -> list[str]:
    """Rows that were run with another schedule than the report's."""
    changed = [
        f"row {number} ({rows[number].first.steps} steps, the report {table.row(number).steps})"
        for number in sorted(rows)
        if rows[number].first.steps != table.row(number).steps
    ]
    return [f"Run with another number of steps: {', '.join(changed)}."] if changed else []


def times(competitor: Competitor, clock: str) -> np.ndarray:
    """The usable readings of one stopwatch, one per repeat."""
    readings = (compare.seconds(run, clock) for run in competitor.by_repeat().values())
    return np.array([reading for reading in readings if reading is not None])


def _finished(competitor: Competitor) -> list[RecordedRun]:
    return [run for run in competitor.by_repeat().values() if run.status.is_final]


def _difference(run: RecordedRun, other: RecordedRun) -> tuple[str, bool]:
    """What sets two runs apart, and whether that word is a singular."""
    a, b = run.record, other.record
    if a.weights.sha256 != b.weights.sha256:
        return "their weights", False
    if (a.content.height, a.content.width) != (b.content.height, b.content.width):
        return "the size of their pictures", True
    if [p.sha256 for p in (a.content, *a.style)] != [p.sha256 for p in (b.content, *b.style)]:
        return "their pictures", False
    if a.problem != b.problem:
        return "their objective, network or start image", True
    return "their machine or its use (backend, precision, kernels)", True


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
