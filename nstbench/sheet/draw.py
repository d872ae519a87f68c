"""The sheet as a figure: rows of pictures, below them content, style and the curves of all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nstbench.files import replacing
from nstbench.notation import short
from nstbench.report.figures import looks
from nstbench.report.figures.draw import number_ticks
from nstbench.report.figures.looks import Look, print_style
from nstbench.sheet.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TALL = 1.55  # inches of a picture's longer side
NAMES, GAP, CAPTION = 1.55, 0.08, 0.36  # inches: the rows' names, between cells, below each
HEAD, CURVES, FOOT = 0.85, 2.6, 0.5
NARROWEST = 6.0  # inches, for the curves
GREY, GREEN = "#555555", "#009E73"


def save(path: Path, rows: Sequence[Row], columns: int, command: str) -> None:
    """Draw the sheet as PNG; `command` made it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with print_style(), replacing(path) as temporary:
        draw(rows, columns, command).savefig(temporary, format="png", dpi=160)


def moments(rows: Sequence[Row], columns: int) -> list[float]:
    """The evaluations of the columns: the start, then each twice the one before, up to the end."""
    end = max(row.moments[-1].evaluations for row in rows)
    return [0.0, *(end / 2**power for power in reversed(range(columns - 1)))]


def draw(rows: Sequence[Row], columns: int, command: str) -> "Figure":
    """The figure: every picture keeps its proportions, its longer side is the same for all."""
    from matplotlib.figure import Figure

    sides = [_sides(row) for row in rows]
    pitch = max(wide for wide, _ in sides) + GAP
    tops = np.cumsum([HEAD, *(max(tall, 0.7) + CAPTION + GAP for _, tall in sides)])
    size = (max(NAMES + columns * pitch + GAP, NARROWEST), float(tops[-1]) + CURVES + FOOT)
    figure = Figure(size)
    place = _Place(figure, size)
    _head(place, rows, command)
    for row, (wide, tall), top in zip(rows, sides, tops, strict=False):
        place.text(GAP, top, _folded(row.label), size=9, weight="bold")
        below = top + 0.17 * (1 + _folded(row.label).count("\n")) + 0.03
        place.text(GAP, below, _folded(row.says), size=7.5, color=GREY)
        for column, evaluations in enumerate(moments(rows, columns)):
            moment = row.at(evaluations)
            left = NAMES + column * pitch
            is_settled = row.settled is not None and moment.evaluations >= row.settled.evaluations
            place.picture((left, top, wide, tall), moment.pixels, GREEN if is_settled else None)
            caption = f"{moment.evaluations} evaluations\nloss {short(moment.loss)}"
            place.text(left, top + tall + 0.04, caption, size=6.5, color="#333333")
    _below(place, rows, float(tops[-1]) + 0.15)
    return figure


def _sides(row: Row) -> tuple[float, float]:
    """Width and height of a row's pictures in inches."""
    height, width = row.moments[0].pixels.shape[:2]
    return TALL * width / max(width, height), TALL * height / max(width, height)


class _Place:
    """A figure that is filled from its upper left corner, in inches; no text of it is a formula."""

    def __init__(self, figure: "Figure", size: tuple[float, float]):
        self._figure, self.size = figure, size

    def text(self, left: float, top: float, text: str, **how) -> None:
        wide, tall = self.size
        self._figure.text(left / wide, 1 - top / tall, text, va="top", parse_math=False, **how)

    def axes(self, box: tuple[float, float, float, float]):
        left, top, width, height = box
        wide, tall = self.size
        return self._figure.add_axes(
            (left / wide, 1 - (top + height) / tall, width / wide, height / tall)
        )

    def picture(self, box, pixels: np.ndarray, frame: str | None = None) -> None:
        axes = self.axes(box)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set(visible=True, color=frame or "#BBBBBB", linewidth=2.0 if frame else 0.4)
        axes.imshow(pixels, interpolation="antialiased", aspect="auto")


def _head(place: _Place, rows: Sequence[Row], command: str) -> None:
    contents = {row.run.record.content.name: None for row in rows}
    styles = {"+".join(each.name for each in row.run.record.style): None for row in rows}
    title = f"{', '.join(contents)} in the style of {', '.join(styles)}"
    place.text(GAP, 0.08, title, size=12, weight="bold")
    place.text(
        GAP, 0.34, "Each column shows the newest snapshot by then. Green: nothing visible changes "
        "any more.", size=8, color=GREY,
    )  # fmt: skip
    place.text(GAP, 0.52, command, size=6, color=GREY, family="monospace")


def _below(place: _Place, rows: Sequence[Row], top: float) -> None:
    """The two pictures it began with, and the loss of every run."""
    side = 1.05
    is_one_pair = len({(row.run.record.content, *row.run.record.style) for row in rows}) == 1
    for number, name in enumerate(("content", "style")):
        path = rows[0].run.path / f"{name}.png"
        if is_one_pair and path.is_file():
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            share = side / max(pixels.shape[:2])
            height, width = (share * length for length in pixels.shape[:2])
            at = top + number * (side + 0.2)
            place.text(GAP, at, name, size=6.5, color="#333333")
            place.picture((GAP, at + 0.13, width, height), pixels)
    left = NAMES + 0.45
    axes = place.axes((left, top + 0.1, place.size[0] - left - 0.15, CURVES - 0.25))
    for row, look in zip(rows, _looks(rows), strict=True):
        _curve(axes, row, look)
    axes.set(xlabel="evaluations", ylabel="loss, log scale", yscale="log", xlim=(0, None))
    number_ticks(axes.xaxis, axes.yaxis)
    axes.legend(fontsize=7.5)


def _curve(axes, row: Row, look: Look) -> None:
    trace = row.run.trace
    axes.plot(
        trace["evaluation"], trace["loss"], color=look.colour, linestyle=look.linestyle,
        linewidth=1.3, label=row.label,
    )  # fmt: skip
    if row.settled is not None:
        axes.plot(
            [row.settled.evaluations], [row.settled.loss], marker=look.marker, color=GREEN,
            markersize=6, linestyle="none", zorder=3,
        )  # fmt: skip


def _looks(rows: Sequence[Row]) -> list[Look]:
    """An optimizer's colour, paler from one of its runs to the next."""
    own = looks.assign({row.run.method: row.run.preset for row in rows})
    methods = [row.run.method for row in rows]
    return [
        own[method].shade(methods[:number].count(method), methods.count(method))
        for number, method in enumerate(methods)
    ]


def _folded(text: str) -> str:
    """Lines that fit beside the pictures."""
    import textwrap

    return "\n".join(textwrap.wrap(text, 24))
