"""Sheets of pictures: what was asked for, what came out, and how it came to be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nstbench.notation import number, short
from nstbench.report.data.compare import (
    Competitor,
    Group,
    competitors,
    final_loss,
    timing_groups,
)
from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.select import of_table, runs_of_row
from nstbench.report.data.settings import ReportedTable
from nstbench.report.figures.curves import drawn, longest
from nstbench.run.record import snapshots

MOST_FRAMES, MOST_STRIPS = 8, 8
FEWEST_SYSTEMS = 3
SHARES_OF_TIME = (1 / 8, 1 / 4, 1 / 2, 1)  # columns of the sheet at equal time


@dataclass(frozen=True)
class Snapshot:
    """A picture of a run and when it was: after `epoch`, `seconds` of optimisation, at `loss`.

    Seconds of a run that was not alone on its machine are not `timed`, and not told.
    """

    path: Path
    epoch: int
    seconds: float
    loss: float
    timed: bool

    @property
    def caption(self) -> str:
        seconds = f", {number(self.seconds, 3)} s" if self.timed else ""
        return f"epoch {self.epoch}{seconds}\nloss {short(self.loss)}"


@dataclass(frozen=True)
class SheetCell:
    """One picture with its caption; without a path, an empty place."""

    caption: str
    path: Path | None = None


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows of `columns`."""

    name: str
    title: str
    cells: tuple[SheetCell, ...]
    columns: int
    subtitle: str = ""


@dataclass(frozen=True)
class Entry:
    """One competitor's picture: that of its first repeat."""

    label: str
    caption: str
    run: RecordedRun


@dataclass(frozen=True)
class Gallery:
    """The results on one problem, in the order of the report's table, then the lowest first."""

    key: str
    title: str
    entries: tuple[Entry, ...]


def frames(run: RecordedRun, most: int = MOST_FRAMES) -> list[Snapshot]:
    """At most `most` snapshots of a run in their order, and at the end its result.

    A snapshot of epoch 0 is the start image; its loss is that of the first evaluation.
    """
    found = snapshots(run.path, len(run.epochs))
    seconds = np.concatenate([[0.0], run.epochs["optimise_s"]])
    first = run.trace if len(run.trace) else run.epochs
    losses = np.concatenate([first["loss"][:1], run.epochs["loss"]])
    timed = run.record.timing_valid
    made = [Snapshot(found[e], e, float(seconds[e]), float(losses[e]), timed) for e in found]
    places = np.linspace(0, len(made) - 1, min(len(made), most)).round().astype(int)
    return [made[place] for place in places]


def galleries(runs: Iterable[RecordedRun], table: ReportedTable) -> list[Gallery]:
    """One for each of the largest problems."""
    return [Gallery(group.key, group.title, tuple(_entries(group, table))) for group in drawn(runs)]


def _entries(group: Group, table: ReportedTable) -> Iterable[Entry]:
    rest = list(group.runs)
    for row in table.rows:
        of_row = runs_of_row(rest, row)
        if of_row:
            yield _entry(of_row[0], f"Row {row.row}: {of_row[0].label}")
            rest = [run for run in rest if run not in of_row]
    for member in sorted(competitors(rest), key=lambda member: _loss(member.first)):
        yield _entry(member.first, member.label)


def _loss(run: RecordedRun) -> float:
    loss = final_loss(run)
    return np.inf if loss is None else loss


def _entry(run: RecordedRun, label: str) -> Entry:
    final = run.record.final
    loss = f"loss {short(final.loss)}" if final and final.loss is not None else "diverged"
    rose = " (rose)" if run.ends_above_start else ""
    return Entry(label, f"{len(run.epochs)} epochs, {loss}{rose}", run)


def inputs(run: RecordedRun) -> list[SheetCell]:
    """Content and style, or styles, as they entered the run."""
    cells = [SheetCell("content", run.path / "content.png")]
    for place in range(1, len(run.record.style) + 1):
        suffix = "" if place == 1 else f"_{place}"
        cells.append(SheetCell(f"style{suffix.replace('_', ' ')}", run.path / f"style{suffix}.png"))
    return cells


def contact_sheet(gallery: Gallery) -> Sheet:
    """Content, style, then every result of the gallery."""
    cells = inputs(gallery.entries[0].run)
    for entry in gallery.entries:
        caption = f"{entry.label}\n{entry.caption}".replace(", loss", "\nloss")
        cells.append(SheetCell(caption, entry.run.path / "image.png"))
    columns = 4 if len(cells) <= 16 else 6
    title = "Every result"
    return Sheet(f"contact_{gallery.key}", title, tuple(cells), columns, _sentence(gallery.title))


def systems_sheet(runs: Iterable[RecordedRun], table: ReportedTable) -> list[Sheet]:
    """The systems that were run as presets, whatever their pictures: a cell for each.

    Their losses are different quantities and are not shown. Rows of the report's table are no
    systems of their own; fewer than `FEWEST_SYSTEMS` make no sheet.
    """
    first: dict[str, RecordedRun] = {}
    for run in sorted(runs, key=lambda run: (run.repeat, run.id)):
        if run.experiment and not of_table([run], table) and run.record.final:
            first.setdefault(run.experiment, run)
    if len(first) < FEWEST_SYSTEMS:
        return []
    inputs_seen: dict[str, SheetCell] = {}
    for run in first.values():
        pictures = (run.record.content, *run.record.style)
        for cell, picture in zip(inputs(run), pictures, strict=True):
            kind = cell.caption.split()[0]
            caption = f"{kind}: {picture.name}"
            inputs_seen.setdefault(caption, SheetCell(caption, cell.path))
    cells = [inputs_seen[key] for key in sorted(inputs_seen)]
    cells += [
        SheetCell(_of_system(name, run), run.path / "image.png") for name, run in first.items()
    ]
    return [Sheet("systems", "Every system once", tuple(cells), 5)]


def _of_system(name: str, run: RecordedRun) -> str:
    return f"{name}\n{run.label}\n{run.record.final.evaluations} evaluations"


def filmstrips(runs: Iterable[RecordedRun]) -> list[Sheet]:
    """One strip for each of the first competitors that kept snapshots: its first repeat, on the
    way to its result."""
    sheets = []
    for group in drawn(runs):
        for member in longest(group.runs):
            kept = frames(member.first)
            if len(kept) > 1:
                sheets.append(_filmstrip(group, member, kept))
    return sheets[:MOST_STRIPS]


def _filmstrip(group: Group, member: Competitor, kept: Sequence[Snapshot]) -> Sheet:
    cells = tuple(SheetCell(frame.caption, frame.path) for frame in kept)
    columns = len(cells) if len(cells) < 6 else (len(cells) + 1) // 2
    name = f"filmstrip_{member.first.path.name}"
    return Sheet(name, f"{member.label} on its way", cells, columns, _sentence(group.title))


def equal_time(runs: Iterable[RecordedRun]) -> list[Sheet]:
    """Competitors side by side after the same seconds of optimisation, one row for each; of runs
    that were alone on their machine."""
    usable = [r for r in runs if r.status.is_final and len(r.epochs) and r.record.timing_valid]
    sheets = []
    for group in timing_groups(usable):
        kept = [
            (member, frames(member.first, len(member.first.epochs)))
            for member in longest(group.runs)
        ]
        kept = [(member, pictures) for member, pictures in kept if len(pictures) > 1]
        if len(kept) > 1:
            sheets.append(_equal_time(group, kept))
    return sheets


def _equal_time(group: Group, kept: Sequence[tuple[Competitor, list[Snapshot]]]) -> Sheet:
    shared = min(pictures[-1].seconds for _, pictures in kept)
    cells = []
    for member, pictures in kept:
        for share in SHARES_OF_TIME:
            seconds = share * shared
            made = [picture for picture in pictures if picture.seconds <= seconds]
            caption = f"{member.label}, {number(seconds, 3)} s"
            if made:
                cells.append(SheetCell(f"{caption}\nepoch {made[-1].epoch}", made[-1].path))
            else:
                cells.append(SheetCell(f"{caption}\nno snapshot by then"))
    return Sheet(
        name=f"equal_time_{group.key}",
        title="Side by side after equal time",
        cells=tuple(cells),
        columns=len(SHARES_OF_TIME),
        subtitle=_sentence(group.title),
    )


def read_picture(path: Path, side: int) -> Image.Image | None:
    """The picture in RGB, shrunk to at most `side` pixels; None for a file that is no picture."""
    try:
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
    picture.thumbnail((side, side))
    return picture


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
