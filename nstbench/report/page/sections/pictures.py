"""The pictures that came out, beside what went in and what came before."""

from collections.abc import Iterable
from typing import Any

from nstbench.report.data.reader import RecordedRun
from nstbench.report.figures import picture_sheets
from nstbench.report.figures.picture_sheets import Gallery, frames, inputs
from nstbench.report.page.embed import data_uri
from nstbench.report.page.section import Findings, Section

FEW_PICTURES = 24  # up to so many results are shown large
LARGE, SMALL = (512, 320), (320, 160)  # pixels of a result and of a snapshot
MOST_FRAMES = 10


def section(findings: Findings) -> Section | None:
    table = findings.settings.table
    found = picture_sheets.galleries(findings.runs, table)
    sheets = [
        *map(picture_sheets.contact_sheet, found),
        *picture_sheets.systems_sheet(findings.runs, table),
        *picture_sheets.filmstrips(findings.runs),
        *picture_sheets.equal_time(findings.runs),
    ]
    galleries = _galleries(found)
    if not galleries:
        return None
    return Section("pictures", "Pictures", "pictures.html", galleries=galleries, sheets=sheets)


def _galleries(galleries: Iterable[Gallery]) -> list[dict[str, Any]]:
    galleries = list(galleries)
    total = sum(len(gallery.entries) for gallery in galleries)
    sides = LARGE if total <= FEW_PICTURES else SMALL
    made = [_gallery(gallery, *sides) for gallery in galleries]
    return [gallery for gallery in made if gallery["entries"]]


def _gallery(gallery: Gallery, side: int, frame_side: int) -> dict[str, Any]:
    first = gallery.entries[0].run
    names = [first.record.content.name, *(style.name for style in first.record.style)]
    given = [(cell, data_uri(cell.path, side)) for cell in inputs(first)]
    entries = []
    for entry in gallery.entries:
        image = data_uri(entry.run.path / "image.png", side)
        if image is not None:
            moving = {
                "label": entry.label,
                "caption": entry.caption,
                "frames": _frames(entry.run, frame_side),
            }
            entries.append({"label": entry.label, "image": image, "moving": moving})
    return {
        "key": gallery.key,
        "title": gallery.title,
        "content": given[0][1],
        "inputs": [
            {"src": src, "role": cell.caption, "name": name}
            for (cell, src), name in zip(given, names, strict=True)
            if src
        ],
        "entries": entries,
        "moving": [entry["moving"] for entry in entries],
    }


def _frames(run: RecordedRun, side: int) -> list[dict[str, Any]]:
    """The snapshots for the slider; the last is the result, which the page holds already."""
    *before, last = frames(run, MOST_FRAMES) or [None]
    if not before:
        return []
    pictures = [(frame, data_uri(frame.path, side)) for frame in before]
    return [
        {"src": src, "epoch": frame.epoch, "caption": frame.caption.replace("\n", ", ")}
        for frame, src in [*((frame, src) for frame, src in pictures if src), (last, None)]
    ]
