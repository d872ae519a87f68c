"""Grids of pictures with labels, for print: filters, feature maps, reconstructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nstbench.report.figures.looks import print_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 8.4  # inches
GAP = 0.05  # between cells
HEAD, LINE, FOOT = 0.47, 0.15, 0.12  # above the first row, without and per line of the subtitle
COLOURS = "magma"  # of feature maps: perceptually uniform, black is zero


@dataclass(frozen=True)
class Cell:
    """`pixels` is `(h, w, 3)` in [0, 1], or `(h, w)` drawn in `COLOURS`; the label stands below."""

    pixels: np.ndarray
    label: str
    smooth: bool = False  # False: every pixel a square


@dataclass(frozen=True)
class Grid:
    """Rows of cells, all rows of one length, with a title and what a reader must know."""

    title: str
    subtitle: str
    rows: Sequence[Sequence[Cell]]
    names: Sequence[str] = ()  # of the rows


def save(grid: Grid, path: Path) -> Path:
    """Draw `grid` as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with print_style():
        draw(grid).savefig(path, dpi=180)
    return path


def draw(grid: Grid) -> "Figure":
    """The figure: cells keep their proportions, labels below, rows named above."""
    from matplotlib.figure import Figure

    columns = max(len(row) for row in grid.rows)
    height, width = grid.rows[0][0].pixels.shape[:2]
    wide = (WIDTH - 2 * GAP) / columns
    tall = (wide - 2 * GAP) * height / width
    lines = max(cell.label.count("\n") + 1 for row in grid.rows for cell in row)
    label, name = 0.07 + 0.125 * lines, 0.24 if grid.names else 0.0
    pitch = name + tall + label + 2 * GAP
    head = HEAD + LINE * (grid.subtitle.count("\n") + 1)
    total = head + len(grid.rows) * pitch + FOOT
    figure = Figure((WIDTH, total))
    for row, cells in enumerate(grid.rows):
        top = total - head - row * pitch - name
        if grid.names:
            figure.text(
                2 * GAP / WIDTH, (top + 0.04) / total, grid.names[row], fontsize=9, weight="bold"
            )
        for column, cell in enumerate(cells):
            left, bottom = GAP + column * wide + GAP, top - tall
            box = (left / WIDTH, bottom / total, (wide - 2 * GAP) / WIDTH, tall / total)
            _draw_cell(figure.add_axes(box), cell)
    left = 2 * GAP / WIDTH
    plain = {"va": "top", "parse_math": False}  # a picture's name is no formula
    figure.text(left, 1 - 0.1 / total, grid.title, fontsize=12, weight="bold", **plain)
    figure.text(left, 1 - 0.36 / total, grid.subtitle, fontsize=8, color="#555555", **plain)
    return figure


def _draw_cell(axes, cell: Cell) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#BBBBBB", linewidth=0.4)
    how = {"interpolation": "antialiased" if cell.smooth else "nearest", "aspect": "auto"}
    if cell.pixels.ndim == 2:
        how |= {"cmap": COLOURS, "vmin": 0.0, "vmax": 1.0}
    axes.imshow(cell.pixels, **how)
    axes.annotate(
        cell.label, (0, 0), (0, -2), xycoords="axes fraction", textcoords="offset points",
        fontsize=6.5, color="#333333", va="top", linespacing=1.2, parse_math=False,
    )  # fmt: skip


def in_rows(cells: Sequence[Cell], columns: int) -> list[list[Cell]]:
    return [list(cells[start : start + columns]) for start in range(0, len(cells), columns)]


def columns_for(count: int) -> int:
    """Columns of a grid that is not much taller than wide: a power of two, as channels are."""
    return 4 if count <= 16 else 8 if count <= 64 else 16
