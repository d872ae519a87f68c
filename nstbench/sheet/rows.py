"""What a sheet shows of one run: its pictures with their losses, and when they stop changing."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nstbench.errors import SettingsError
from nstbench.report.data.reader import RecordedRun
from nstbench.run.record import snapshots


@dataclass(frozen=True)
class Moment:
    """A snapshot `(H, W, 3)` uint8 after so many evaluations.

    `loss` is that of the start and of the result themselves; between, the one before the last
    update, which is on record.
    """

    evaluations: int
    loss: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Row:
    """One run: `settled` is the first of its moments from which on nothing visible changes.

    `halfway` is the SSIM of the newest snapshot at half the evaluations to the result.
    """

    run: RecordedRun
    label: str
    moments: tuple[Moment, ...]
    settled: Moment | None
    halfway: float

    @property
    def says(self) -> str:
        """When it stops to change, in words."""
        if self.run.status == "diverged":
            return "diverged"
        of = self.moments[-1].evaluations
        if self.settled is None:
            return f"still changing after {of} evaluations (SSIM {self.halfway:.2f} to half-way)"
        return f"no visible change after {self.settled.evaluations} of {of} evaluations"

    def at(self, evaluations: float) -> Moment:
        """The newest snapshot by then."""
        return newest(self.moments, evaluations)


def read(runs: Sequence[RecordedRun], same: float) -> list[Row]:
    """A row for each run that kept two pictures or more; `same` as for `settled`."""
    told_apart = [facts for facts in zip(*map(_facts, runs), strict=True) if len({*facts}) > 1]
    labels = [
        ", ".join([run.label, *own])
        for run, own in zip(runs, _turned(told_apart, runs), strict=True)
    ]
    kept = [(run, label, _moments(run)) for run, label in zip(runs, labels, strict=True)]
    return [
        Row(run, label, moments, settled(moments, same), _halfway(moments))
        for run, label, moments in kept
        if len(moments) > 1
    ]


def _facts(run: RecordedRun) -> tuple[str, ...]:
    """What may tell runs apart that share optimizer and rate."""
    styles = "+".join(picture.name for picture in run.record.style)
    settings = run.record.settings
    return (
        run.record.content.name, styles, f"{settings['size']} px", f"{run.setup.epochs} epochs",
        settings["objective"]["name"], f"from {settings['init']}", f"repeat {run.repeat}",
    )  # fmt: skip


def _turned(columns: Sequence[tuple[str, ...]], runs: Sequence[RecordedRun]) -> list[list[str]]:
    """For each run its entry of each column."""
    return [[column[place] for column in columns] for place in range(len(runs))]


def _moments(run: RecordedRun) -> tuple[Moment, ...]:
    """The pictures that a run kept."""
    kept = snapshots(run.path, len(run.epochs))
    evaluations = [0, *run.epochs["evaluations"].astype(int)]
    losses = [_start(run), *run.epochs["loss_last"]]
    if run.record.final and run.record.final.loss is not None:
        losses[-1] = run.record.final.loss
    return tuple(Moment(evaluations[n], losses[n], _pixels(path)) for n, path in kept.items())


def settled(moments: Sequence[Moment], same: float) -> Moment | None:
    """The first moment from which on all have an SSIM of at least `same` to the last one.

    None where that comes after half of the evaluations. Every run comes to look like its own end;
    only where as many evaluations again changed nothing is that not for want of time.
    """
    end, first = moments[-1], None
    for moment in reversed(moments[:-1]):
        if ssim(end, moment) < same:
            break
        first = moment
    return first if first is not None and 2 * first.evaluations <= end.evaluations else None


def newest(moments: Sequence[Moment], evaluations: float) -> Moment:
    """The newest snapshot after so many evaluations."""
    times = [moment.evaluations for moment in moments]
    return moments[max(0, bisect_right(times, evaluations) - 1)]


def ssim(one: Moment, other: Moment) -> float:
    """Structural similarity, 1 for equal pictures."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(one.pixels, other.pixels, channel_axis=2, data_range=255))


def _halfway(moments: Sequence[Moment]) -> float:
    return ssim(moments[-1], newest(moments, moments[-1].evaluations / 2))


def _start(run: RecordedRun) -> float:
    return float("nan") if run.start_loss is None else run.start_loss


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise SettingsError(f"snapshot {path} cannot be read: {error}") from error
