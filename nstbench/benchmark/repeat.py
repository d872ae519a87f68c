"""A packed run repeated: its first epochs, a segment after a checkpoint, the loss of its picture.

Everything goes through the ordinary run loop, into a temporary folder.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nstbench.benchmark import consistency
from nstbench.benchmark.packs import plain
from nstbench.benchmark.recorded import Unchecked
from nstbench.errors import NstbenchError
from nstbench.report.data.reader import RecordedRun
from nstbench.run.kept import Kept
from nstbench.run.listener import Silent
from nstbench.run.record import read_rows
from nstbench.run.schema import TRACE_COLUMNS, Status
from nstbench.settings import identity
from nstbench.settings.model import Settings

# Another machine sums in another order. That moves a first loss by 5e-6 at most (as in
# tests/test_golden.py, with its leeway of 3 for another order of summation), and every step may
# amplify it. By how much depends on the run: an oscillating one has forgotten after ten steps where
# it came from, another knows it after fifty. So the run is repeated from its start image and from
# that image moved by the last bit of each pixel, in several ways; a loss on record may be `LEEWAY`
# times as far from the first repetition as the farthest other one is, `AHEAD` evaluations later at
# most (what blows up may do so a little sooner elsewhere). Once they are `LOST` apart, nothing is
# compared. Seven methods, stable and not, at 32 and 64 pixels, on one core against two: 3.5 times
# at most. Where a run comes to a fork (of two equal maxima, say), some nudges take the other way
# and some do not: of one own optimizer's 24 runs one came to such a fork, which 2 of 4 nudges saw.
# So before a run is said to differ, it is repeated more often.
FIRST = 1.5e-5  # relative
LEEWAY = 30  # for other libraries and instructions, too
AHEAD = 2
LOST = 3e-3
EVALUATIONS = 30  # that are compared at most
NUDGES = (2, 8)  # repetitions from a moved image: of every run, and before it is said to differ
PICTURE = 0.05  # relative: what 8 bits of a pixel move the loss of a picture; see verify's tests


@dataclass(frozen=True)
class Comparison:
    """Recorded losses held against repeated ones; `differs` says where and how, None: nowhere."""

    epochs: int  # whole ones among the evaluations that were compared
    evaluations: int
    largest: float  # relative deviation
    differs: str | None = None


class Nudging(Kept):
    """Keeps what runs share; with a `number` they start one bit beside their start image."""

    number = 0

    def start(self, settings: Settings, problem: Any) -> np.ndarray:
        return nudge(super().start(settings, problem), self.number)


def nudge(image: np.ndarray, number: int) -> np.ndarray:
    """Every pixel moved by its last bit within [0, 1]: for 0 not, for 1 towards grey, else up or
    down by chance, which `number` seeds."""
    if number < 2:
        return np.nextafter(image, image.dtype.type(0.5)) if number else image
    ways = np.random.default_rng(number).integers(0, 2, image.shape).astype(image.dtype)
    return np.nextafter(image, ways)


class _Enough(Exception):
    """Ends a repeated run when it has come far enough."""


class _Until(Silent):
    """Looks on until an epoch is on record."""

    def __init__(self, epoch: int):
        self._epoch = epoch

    def epoch(self, row: dict[str, Any]) -> None:
        if row["epoch"] >= self._epoch:
            raise _Enough


def first_epochs(run: RecordedRun, settings: Settings, kept: "Nudging", folder: Path) -> Comparison:
    """Repeat the run's first `EVALUATIONS`, as they were and nudged."""
    wanted = min(EVALUATIONS, len(run.trace))
    if not wanted:
        raise Unchecked("it has no evaluation on record")
    epoch = int(run.trace["epoch"].iloc[wanted - 1])

    def repeat(number: int) -> list[float]:
        out = str(folder / f"nudge{number}")
        kept.number = number
        try:
            return _repeated(settings.model_copy(update={"out": out}), kept, epoch)
        finally:
            kept.number = 0

    return compared(run, repeat, repeat(0))


def segment(
    run: RecordedRun, settings: Settings, kept: "Nudging", folder: Path
) -> Comparison | None:
    """Continue the run from its checkpoint; None where it has none, or no row after it."""
    if not (run.path / "checkpoint.npz").is_file():
        return None
    before = 0

    def repeat(number: int) -> list[float]:
        nonlocal before
        own = settings.model_copy(update={"out": str(folder / f"nudge{number}")})
        directory = identity.run_directory(own)
        directory.mkdir(parents=True)
        for name in ("run.json", "epochs.csv", "trace.csv", "checkpoint.npz"):
            shutil.copyfile(run.path / name, directory / name)
        before = int((run.trace["epoch"] <= _checkpoint_epoch(directory, number)).sum())
        end = min(before + EVALUATIONS, len(run.trace)) - 1
        return _repeated(own, kept, int(run.trace["epoch"].iloc[end])) if before <= end else []

    repeated = repeat(0)
    return compared(run, repeat, repeated, before) if repeated else None


def compared(
    run: RecordedRun,
    repeat: Callable[[int], Sequence[float]],
    repeated: Sequence[float],
    before: int = 0,
) -> Comparison:
    """Compare, with more nudged repetitions while the record lies beyond those that there are.

    `repeat(number)` gives the losses of the one that `nudge` moves by `number`.
    """
    few, most = NUDGES
    nudged = [repeat(number) for number in range(1, few + 1)]
    while (found := compare(run, repeated, nudged, before)).differs and len(nudged) < most:
        nudged.append(repeat(len(nudged) + 1))
    return found


def picture_loss(run: RecordedRun, settings: Settings, kept: Nudging) -> float | None:
    """The loss of `image.png` over the final loss on record; None where they are not comparable."""
    pixels, final = consistency.read_picture(run, "image.png"), run.record.final
    comparable = settings.optimizer.box and not settings.keep_colours
    if pixels is None or final is None or not final.loss or not comparable:
        return None
    engine = kept.engine(settings)
    with engine.scope():
        objective = kept.problem(settings, engine, Silent().download).objective
        terms = objective.terms(pixels[None].astype(engine.dtype), objective.parameters)
    return math.fsum(float(v[0]) for v in engine.to_numpy(terms).values()) / final.loss


def compare(
    run: RecordedRun,
    repeated: Sequence[float],
    nudged: Sequence[Sequence[float]],
    before: int = 0,
) -> Comparison:
    """The losses on record after the `before` first ones, as far as all repetitions agree."""
    recorded, epochs = run.trace["loss"].to_numpy(), run.trace["epoch"].to_numpy()
    wanted = min(len(recorded), before + EVALUATIONS)
    count = min(wanted, *map(len, (repeated, *nudged)))
    farthest = np.max([_apart(one[before:count], repeated[before:count]) for one in nudged], axis=0)
    rounding = np.maximum.accumulate(farthest)
    rounding = rounding[np.minimum(np.arange(len(rounding)) + AHEAD, len(rounding) - 1)]
    known = max(int(np.count_nonzero(rounding < LOST)), min(1, len(rounding)))
    apart = _apart(recorded[before:count], repeated[before:count])[:known]
    end = before + known
    whole = int(epochs[end - 1]) if end == len(epochs) else int(epochs[end]) - 1
    found = Comparison(whole, known, float(apart.max(initial=0.0)))
    wrong = np.flatnonzero(apart > FIRST + LEEWAY * rounding[:known])
    if len(wrong):
        at = before + int(wrong[0])
        return replace(
            found, differs=f"at epoch {epochs[at]:.0f}: the loss of evaluation {at + 1} is "
            f"{recorded[at]:.9g} on record and {repeated[at]:.9g} here",
        )  # fmt: skip
    if end == len(repeated) < wanted:
        return replace(found, differs=f"at epoch {epochs[end]:.0f}: it ends before that here")
    return found


def _apart(some: Sequence[float], others: Sequence[float]) -> np.ndarray:
    """Relative deviations; none where both are not finite, infinite where one is not."""
    one, other = np.asarray(some, dtype=float), np.asarray(others, dtype=float)
    with np.errstate(all="ignore"):
        deviations = np.where(one == other, 0.0, np.abs(one / other - 1))
    both_lost = ~np.isfinite(one) & ~np.isfinite(other)
    return np.where(both_lost, 0.0, np.where(np.isnan(deviations), np.inf, deviations))


def _repeated(settings: Settings, kept: Any, epoch: int) -> list[float]:
    """The losses of the run, repeated until `epoch` is on record; `KeyboardInterrupt` at a stop."""
    from nstbench.run import loop

    try:
        if loop.run(settings, _Until(epoch), kept).status == Status.INTERRUPTED:
            raise KeyboardInterrupt
    except _Enough:
        pass
    except NstbenchError as error:
        raise Unchecked(plain(error)) from None
    except Exception as error:  # the code of an optimizer may raise anything
        raise Unchecked(plain(f"{type(error).__name__}: {error}")) from None
    rows = read_rows(identity.run_directory(settings) / "trace.csv", TRACE_COLUMNS)
    return [float(row["loss"]) for row in rows]


def _checkpoint_epoch(directory: Path, number: int) -> int:
    """Epochs before the checkpoint in `directory`, whose image is nudged by `number`.

    Raises `Unchecked` where it is damaged.
    """
    from nstbench.run import checkpoint

    file = directory / "checkpoint.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            if sum(info.file_size for info in archive.zip.infolist()) > 4 * file.stat().st_size:
                raise ValueError("it is packed too tightly")
            arrays = {name: archive[name] for name in archive.files}
        counters, _, _ = checkpoint.unpack(arrays)
    except Exception as error:  # numpy and zipfile raise at least six kinds
        raise Unchecked(f"its checkpoint cannot be read ({plain(error)})") from None
    if number:
        image = next(name for name in ("state_v0", "state_x") if name in arrays)
        np.savez(file, **arrays | {image: nudge(arrays[image], number)})
    return counters.epoch
