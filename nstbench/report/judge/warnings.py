"""Warnings, in plain words, about the numbers of a table."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from nstbench.notation import count
from nstbench.report.data import compare
from nstbench.report.data.compare import Competitor
from nstbench.report.data.reader import RecordedRun
from nstbench.report.judge.pairs import started
from nstbench.report.judge.statistics import spread_share
from nstbench.run.schema import Status

WIDE = 0.10  # spread, as a share of the median, from which a time is called unsteady


def of_runs(
    competitors: Sequence[Competitor], others: Iterable[RecordedRun], fewest: int
) -> list[str]:
    """Warnings about any table of these competitors; `others` are runs that it leaves out."""
    runs = [run for each in competitors for run in each.runs]
    return [
        *few_repeats(competitors, fewest),
        *endings(runs),
        *above_start(runs),
        *finished_early(runs),
        *left_out(runs, others),
        *mixed_versions(runs),
    ]


def of_times(competitors: Sequence[Competitor], clock: str) -> list[str]:
    """Warnings about a table of seconds on one stopwatch."""
    runs = [run for each in competitors for run in each.runs]
    return [*invalid_timing(runs), *wide_spread(competitors, clock), *not_interleaved(competitors)]


def few_repeats(competitors: Sequence[Competitor], fewest: int) -> list[str]:
    """Rows with fewer finished repeats than a comparison needs."""
    counts = {each.label: len(_finished(each)) for each in competitors}
    few = [f"{label} ({n})" for label, n in counts.items() if n < fewest]
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


def above_start(runs: Iterable[RecordedRun]) -> list[str]:
    """Competitors with a run that ends above its start."""
    labels = list(dict.fromkeys(run.label for run in runs if run.ends_above_start))
    more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
    meaning = "the loss ends above its start, as with a rate that is too large"
    return [f"Rose: {meaning}; so of {labels[0]}{more}."] if labels else []


def finished_early(runs: Iterable[RecordedRun]) -> list[str]:
    """Runs whose optimizer stopped before its schedule's end, in its own words."""
    stopped: dict[str, RecordedRun] = {}
    for run in runs:
        if run.record.finished_early:
            stopped.setdefault(run.label, run)
    return [
        f"{label} stopped by itself after {run.epochs_made} of {run.setup.epochs} epochs "
        f"({run.record.finished_early}): its total time is not that of a whole schedule."
        for label, run in stopped.items()
    ]


def left_out(runs: Sequence[RecordedRun], others: Iterable[RecordedRun]) -> list[str]:
    """Runs of the same rows that cannot be compared with these, by the first thing that differs."""
    if not runs:
        return []
    reasons = Counter(_difference(runs[0], other) for other in others)
    return [
        f"{count(n, 'run')} left out here, because {reason} differ{'s' if one else ''}."
        for (reason, one), n in reasons.items()
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
    which = f"{len(invalid)} of {count(len(runs), 'run')}"
    return [f"{which} {were} disturbed, and their seconds are not used{why}."]


def wide_spread(competitors: Sequence[Competitor], clock: str) -> list[str]:
    """Rows whose seconds differ by more than a tenth between repeats."""
    shares = {each.label: spread_share(times(each, clock)) for each in competitors}
    wide = [f"{label} ({share:.0%})" for label, share in shares.items() if share > WIDE]
    return [f"Repeats differ by more than {WIDE:.0%}: {', '.join(wide)}."] if wide else []


def not_interleaved(competitors: Sequence[Competitor]) -> list[str]:
    """Repeats that were not run in turn (A B B A), so that drift could pass for a difference."""
    ordered = [sorted(map(started, each.runs)) for each in competitors if len(each.runs) > 1]
    apart = [
        one[-1] < other[0] or other[-1] < one[0]
        for place, one in enumerate(ordered)
        for other in ordered[place + 1 :]
    ]
    if not any(apart):
        return []
    return [
        "Some competitors were not run in turn: a machine that slows down could pass for a "
        "difference, so their repeats have no ratio."
    ]


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
