"""The pictures that came out, beside what went in and what came before."""

from collections.abc import Iterable
from typing import Any

from nstbench.report.data.reader import RecordedRun
from nstbench.report.data.settings import ReportedTable
from nstbench.report.figures import picture_sheets
from nstbench.report.figures.picture_sheets import Gallery, frames, inputs
from nstbench.report.page.section import Findings, Section

MOST_FRAMES = 10  # snapshots of one run
MOST_IN_ALL = 240  # snapshots of the page
MOST_RESULTS = 400  # of the page: galleries that begin beyond them are left out
MOST_SHEETS = 4  # problems whose results are printed together


def section(findings: Findings) -> Section | None:
    table, runs = findings.settings.table, findings.runs
    if findings.kind != "table":
        table = ReportedTable(rows=())
    if findings.scores:
        runs = [run for run in runs if findings.scores.is_scored(run.record.settings)]
    found = picture_sheets.galleries(runs, table)
    sheets = [
        *map(picture_sheets.contact_sheet, found[:MOST_SHEETS]),
        *picture_sheets.systems_sheet(runs, table),
        *picture_sheets.filmstrips(runs),
        *picture_sheets.equal_time(runs),
    ]
    galleries = _galleries(found)
    if not galleries:
        return None
    return Section("pictures", "Pictures", "pictures.html", galleries=galleries, sheets=sheets)


def _galleries(galleries: Iterable[Gallery]) -> list[dict[str, Any]]:
    """Galleries whose result can be seen; snapshots of the first runs, as long as there is room."""
    room = MOST_IN_ALL
    made: list[dict[str, Any]] = []
    for gallery in galleries:
        if sum(len(each["entries"]) for each in made) >= MOST_RESULTS:
            break
        entries = []
        for entry in gallery.entries:
            path = entry.run.path / "image.png"
            if path.is_file():
                kept = _frames(entry.run) if room > 0 else []
                room -= len(kept)
                told = {"label": entry.label, "caption": entry.caption}
                entries.append(told | {"path": path, "frames": kept})
        if entries:
            made.append(_gallery(gallery, entries))
    return made


def _gallery(gallery: Gallery, entries: list[dict[str, Any]]) -> dict[str, Any]:
    first = gallery.entries[0].run
    names = [first.record.content.name, *(style.name for style in first.record.style)]
    return {
        "key": gallery.key,
        "title": gallery.title,
        "inputs": [
            {"path": cell.path, "role": cell.caption, "name": name}
            for cell, name in zip(inputs(first), names, strict=True)
        ],
        "entries": entries,
    }


def _frames(run: RecordedRun) -> list[dict[str, Any]]:
    """The snapshots for the slider, the last of them the result; none without one before it."""
    kept = frames(run, MOST_FRAMES)
    return [
        {"path": each.path, "epoch": each.epoch, "caption": each.caption.replace("\n", ", ")}
        for each in (kept if len(kept) > 1 else ())
    ]
