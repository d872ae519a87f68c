"""What can be seen of a run without repeating it: whether its files agree with one another."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from nstbench.benchmark import packs
from nstbench.report.data.reader import RecordedRun
from nstbench.run.quality import quality
from nstbench.run.schema import TERM, Status

EXACT = 1e-12  # relative: numbers that were written from one value, or from a sum of such
SUMMED = 1e-5  # relative: terms are summed on a device in float32, whose steps are 6e-8
# A picture is saved in 8 bits, which moves a pixel by half a grey level at most.
HALF_A_LEVEL = 0.5 / 255
SSIM = 5e-3


def faults(run: RecordedRun) -> list[str]:
    """Sentences on what does not fit together in a run that `report.data.reader` could read."""
    checks = (_name, _source, _tables, _terms, _end, _picture)
    try:
        return [fault for check in checks for fault in check(run)]
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        return [f"its files are not as their schema says ({type(error).__name__})"]


def _name(run: RecordedRun) -> Iterator[str]:
    if run.path.name != run.id:
        yield f"run.json is that of {run.id}"


def _source(run: RecordedRun) -> Iterator[str]:
    source = run.record.settings["optimizer"].get("source", {})
    if "sha256" not in source:
        return
    file = run.path / Path(source["file"]).name
    if not file.is_file():
        yield "the source of its optimizer is missing"
    elif packs.digest(file) != source["sha256"]:
        yield f"{file.name} is not the source that it was made with"


def _tables(run: RecordedRun) -> Iterator[str]:
    """Each epoch is what its evaluations say."""
    trace, per_epoch = run.trace, run.setup.steps_per_epoch
    losses = trace["loss"].to_numpy()
    best = np.minimum.accumulate(np.where(np.isfinite(losses), losses, np.inf))
    before = 0
    for row in run.epochs.to_dict("records"):
        end, where = int(row["evaluations"]), f"epoch {row['epoch']:.0f}"
        own = losses[before:end]
        if (
            not before <= end <= len(losses)
            or not (trace["epoch"].to_numpy()[before:end] == row["epoch"]).all()
        ):
            yield f"{where} has other evaluations in trace.csv than in epochs.csv"
            return
        if len(own) == per_epoch and not _same(row["loss"], own.mean()):
            yield f"{where}: its loss is not the mean of its evaluations'"
        if not np.isclose(losses[:end], row["loss_last"], EXACT, 0, equal_nan=True).any():
            yield f"{where}: its last loss is none of its evaluations'"
        if end and not _same(row["loss_best"], best[end - 1]):
            yield f"{where}: its best loss is not the lowest so far"
        before = end
    if run.status.is_final and before != len(losses):
        yield f"trace.csv has {len(losses)} evaluations, epochs.csv {before}"


def _terms(run: RecordedRun) -> Iterator[str]:
    """The loss is the sum of its terms."""
    for file, frame, total in (
        ("trace.csv", run.trace, "loss"), ("epochs.csv", run.epochs, "loss_last"),
    ):  # fmt: skip
        terms = frame[[name for name in frame if str(name).startswith(TERM)]].to_numpy()
        apart = np.abs(terms.sum(axis=1) - frame[total].to_numpy())
        wrong = np.flatnonzero(apart > SUMMED * np.abs(terms).sum(axis=1))
        if len(wrong) and terms.shape[1]:
            yield f"{file}, row {wrong[0] + 2}: the terms do not add up to the loss"


def _end(run: RecordedRun) -> Iterator[str]:
    """What `run.json` says of the end is what the tables say."""
    final = run.record.final
    if final is None or not len(run.epochs):
        return
    last = run.epochs.iloc[-1]
    if (final.epochs, final.evaluations) != (last["epoch"], last["evaluations"]):
        yield "run.json counts other epochs or evaluations than epochs.csv"
    if final.loss is None:
        return
    if not _same(final.loss_best, min(last["loss_best"], final.loss)):
        yield "run.json: the best loss is not the lowest of all"
    terms = [value for value in final.terms.values() if value is not None]
    if abs(math.fsum(terms) - final.loss) > SUMMED * math.fsum(map(abs, terms)):
        yield "run.json: the terms do not add up to the final loss"


def _picture(run: RecordedRun) -> Iterator[str]:
    """`image.png` is as far from `content.png` as `run.json` says."""
    recorded = run.record.quality
    if run.status is not Status.COMPLETED or recorded is None or recorded.ssim is None:
        return
    pictures = [read_picture(run, name) for name in ("image.png", "content.png")]
    if any(picture is None for picture in pictures):
        yield "a picture is missing, or has another size than the run's"
        return
    if run.record.settings.get("keep_colours"):
        return  # measured in other colours than those of content.png
    seen = quality(*pictures)
    apart = abs(_distance(seen.psnr) - _distance(recorded.psnr))
    if abs(seen.ssim - recorded.ssim) > SSIM or apart > HALF_A_LEVEL:
        yield (
            f"image.png is not the picture on record: SSIM {seen.ssim:.3f} against the content, "
            f"{recorded.ssim:.3f} on record"
        )


def read_picture(run: RecordedRun, name: str) -> np.ndarray | None:
    """A picture of the run, float32 (H, W, 3) in [0, 1]; None where it is not one of its size."""
    content = run.record.content
    try:
        with Image.open(run.path / name, formats=("PNG",)) as image:
            if image.size != (content.width, content.height):
                return None
            return np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _distance(psnr: float | None) -> float:
    """Root mean square of the difference; PSNR is None where there is none."""
    return 0.0 if psnr is None else 10 ** (-psnr / 20)


def _same(one: float | None, other: float) -> bool:
    if one is None or not (math.isfinite(one) and math.isfinite(other)):
        return one is not None and math.isfinite(one) == math.isfinite(other)
    return math.isclose(one, other, rel_tol=EXACT)
