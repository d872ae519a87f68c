"""Draws plots and sheets for print, with matplotlib: the same data that the page shows.

Call these within `looks.print_style()`.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nstbench.notation import number, short
from nstbench.report.figures.boxes import Boxes
from nstbench.report.figures.looks import MEASURED, REPORTED, Look
from nstbench.report.figures.picture_sheets import Sheet, SheetCell, read_picture
from nstbench.report.figures.plots import MOST_PRINTED, Curve, Plot, Series
from nstbench.report.figures.ratios import Ratio, Ratios

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
OF_PICTURES = ("png", "pdf")  # an SVG of pictures is no smaller and no sharper
WIDTH, HEIGHT, BESIDE = 6.4, 4.3, 1.9  # inches; BESIDE is added for a legend beside the axes
LEFT = 0.8  # inches beside the axes: a number of six digits and the axis's name
SHEET_WIDTH = 7.2
LONGEST, WITHOUT_SHRINKING = 24, 17  # letters of a name beside the axes
LETTER = 0.064  # inches: a wide letter of a caption
CAPTION = {"fontsize": 7.5, "color": "#222222", "va": "top", "ha": "left", "linespacing": 1.3}
TITLE = {"fontsize": 11.5, "weight": "bold", "va": "top"}
NOTE = {"fontsize": 7.5, "color": "#555555", "va": "bottom", "ha": "left"}


def draw(plot: Plot, axis: str, looks: Mapping[str, Look]) -> "Figure":
    """The figure of `plot` over `axis` (one of `plot.x`)."""
    from matplotlib.figure import Figure

    drawn = [series for series in plot.series if axis in series.curves]
    beside = len(drawn) > 4  # a long legend stands beside the axes, a short one above
    footnote = textwrap.wrap(" ".join((plot.subtitle, *plot.notes)), 150 if beside else 115)
    figure = Figure((WIDTH + BESIDE * beside, HEIGHT))
    axes = figure.add_axes(_box(beside, len(footnote)))
    for order, series in enumerate(drawn):
        look = looks[series.optimizer].shade(series.variant, series.variants)
        _draw_series(axes, plot, series, series.curves[axis], order, look)
    _draw_levels(axes, plot)
    axes.set(xlabel=plain_text(plot.x[axis]), ylabel=plain_text(plot.y))
    _scale(axes, plot)
    _within_budget(axes, plot, axis)
    _legend(axes, beside, len(drawn))
    figure.text(
        0.015, 0.985, plain_text(plot.title), fontsize=11.5, weight="bold", va="top", ha="left"
    )
    figure.text(0.015, 0.015, plain_text("\n".join(footnote)), **NOTE)
    return figure


def plain_text(text: str) -> str:
    """`text` as matplotlib shows it letter for letter: `$` begins no formula."""
    return text.replace("$", r"\$")


def save(figure: "Figure", stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write `figure` in each of `formats` beside `stem`."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in formats]
    for path in paths:  # no date inside: the same figure gives the same file
        dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(path, metadata=dated.get(path.suffix))
    return paths


@singledispatch
def save_plot(
    plot: Plot | Ratios | Boxes, folder: Path, looks: Mapping[str, Look], axes: Sequence[str] = ()
) -> list[Path]:
    """Write `plot` over those of `axes` that it has (all when empty, or when it has none).

    Nothing where its curves are too many for paper, or where something else drew it already.
    """
    raise TypeError(f"nothing is known of how to draw a {type(plot).__name__}")


@save_plot.register
def _(plot: Plot, folder: Path, looks: Mapping[str, Look], axes: Sequence[str] = ()):
    if len(plot.series) > MOST_PRINTED or plot.printed:
        return []
    has = [axis for axis in plot.x if any(axis in series.curves for series in plot.series)]
    paths = []
    for axis in [axis for axis in has if axis in axes] or has:
        paths += save(draw(plot, axis, looks), folder / plot.stem(axis))
    return paths


@save_plot.register
def _(ratios: Ratios, folder: Path, looks: Mapping[str, Look], axes: Sequence[str] = ()):
    return save(draw_ratios(ratios), folder / ratios.name)


@save_plot.register
def _(boxes: Boxes, folder: Path, looks: Mapping[str, Look], axes: Sequence[str] = ()):
    return [
        path
        for axis in boxes.x
        for path in save(draw_boxes(boxes, axis, looks), folder / boxes.stem(axis))
    ]


def _box(beside: bool, lines: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of the axes, in shares of the figure."""
    bottom = 0.135 + 0.033 * lines
    whole = WIDTH + BESIDE * beside
    left, right = LEFT / whole, 0.98 * WIDTH / whole
    return left, bottom, right - left, (0.9 if beside else 0.85) - bottom


def number_ticks(*axes: "Axis") -> None:
    """Numbers as everywhere, and few of them on a logarithmic axis; once its curves are drawn."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for ticks in axes:
        ticks.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        if ticks.get_scale() == "log":
            low, high = ticks.get_view_interval()
            ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
            ticks.set_minor_formatter(NullFormatter())


def _scale(axes: "Axes", plot: Plot) -> None:
    axes.set(xscale="log" if plot.log_x else "linear", yscale="log" if plot.log_y else "linear")
    number_ticks(axes.xaxis, axes.yaxis)
    if not plot.log_x:
        axes.margins(x=0.02)


def _within_budget(axes: "Axes", plot: Plot, axis: str) -> None:
    """All that was compared, and no more: longer runs would seem better for their length."""
    if axis == "evaluations" and plot.budget:
        axes.set_xlim(right=plot.budget * (1.06 if plot.log_x else 1.02))


def _draw_series(
    axes: "Axes", plot: Plot, series: Series, curve: Curve, order: int, look: Look
) -> None:
    hollow = {"markerfacecolor": "white", "markeredgewidth": 1.2} if series.variant % 2 else {}
    axes.plot(
        curve.x,
        curve.y,
        color=look.colour,
        linestyle=look.linestyle,
        linewidth=1.7 if series.variant < 2 else 1.0,
        marker=look.marker,
        # Spaced by their distance on paper, and shifted so that near curves do not hide them.
        markevery=1 if plot.points else (0.02 + 0.025 * (order % 4), 0.11),
        drawstyle="steps-post" if plot.stairs else "default",
        label=plain_text(series.name),
        **hollow,
    )
    if curve.low is not None:
        step = "post" if plot.stairs else None
        band = {"color": look.colour, "alpha": 0.2, "linewidth": 0, "step": step}
        axes.fill_between(curve.x, curve.low, curve.high, **band)


def _draw_levels(axes: "Axes", plot: Plot) -> None:
    for level in plot.levels:
        axes.axhline(level.value, color="#555555", linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
        place = {"xy": (0.01, level.value), "xycoords": ("axes fraction", "data")}  # curves fall
        side = (
            {"va": "top", "xytext": (0, -1.5)}
            if level.below
            else {"va": "bottom", "xytext": (0, 1.5)}
        )
        look = {"fontsize": 7.5, "color": "#444444", "ha": "left", "textcoords": "offset points"}
        axes.annotate(plain_text(level.label), **place, **look, **side)


def _legend(axes: "Axes", beside: bool, entries: int) -> None:
    if not entries:
        return
    if beside:
        handles, names = axes.get_legend_handles_labels()
        names = [textwrap.fill(name, LONGEST) for name in names]
        size = 9 * min(1, WITHOUT_SHRINKING / max(map(len, "\n".join(names).split("\n"))))
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02), "fontsize": size}
        axes.legend(handles, names, handlelength=3.4, **place)
    else:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "ncols": entries}
        axes.legend(**place, handlelength=3.4, borderaxespad=0.2, columnspacing=1.6)


def draw_sheet(sheet: Sheet) -> "Figure":
    """The figure of a sheet of pictures: captions below, nothing between them but space."""
    from matplotlib.figure import Figure

    rows = -(-len(sheet.cells) // sheet.columns)
    side = SHEET_WIDTH / sheet.columns
    cells = [replace(cell, caption=_wrapped(cell.caption, side)) for cell in sheet.cells]
    lines = max(cell.caption.count("\n") + 1 for cell in cells)
    caption = 0.135 * lines + 0.12
    top, bottom = 0.42, 0.3
    height = top + rows * (side + caption) + bottom
    figure = Figure((SHEET_WIDTH, height))
    for place, cell in enumerate(cells):
        row, column = divmod(place, sheet.columns)
        y = height - top - row * (side + caption) - side
        gap = 0.06
        box = (column * side + gap, y + gap, side - 2 * gap, side - 2 * gap)
        shares = (box[0] / SHEET_WIDTH, box[1] / height, box[2] / SHEET_WIDTH, box[3] / height)
        _draw_cell(figure.add_axes(shares), cell)
    figure.text(
        0.01, 1 - 0.1 / height, plain_text(sheet.title), fontsize=11.5, weight="bold", va="top"
    )
    figure.text(0.01, 0.08 / height, plain_text(sheet.subtitle), **NOTE)
    return figure


def _wrapped(caption: str, side: float) -> str:
    """Lines that fit below a picture `side` inches wide, so that neighbours never touch."""
    most = max(int(side / LETTER), 8)
    return "\n".join(part for line in caption.split("\n") for part in textwrap.wrap(line, most))


def _draw_cell(axes: "Axes", cell: SheetCell) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#BBBBBB", linewidth=0.5)
    side = round(axes.get_position().width * SHEET_WIDTH * 160)  # as many pixels as are printed
    pixels = read_picture(cell.path, side) if cell.path else None
    if pixels is not None:
        axes.imshow(pixels, interpolation="none")
    axes.annotate(
        plain_text(cell.caption), (0, 0), (0, -3), "axes fraction", "offset points", **CAPTION
    )


def draw_ratios(ratios: Ratios) -> "Figure":
    """One line per ratio: measured with its interval, the report's as a hollow mark."""
    from matplotlib.figure import Figure

    rows, footnote = len(ratios.ratios), textwrap.wrap(ratios.subtitle, 118)
    height = 1.5 + 0.26 * rows
    figure = Figure((SHEET_WIDTH, height))
    bottom = 0.75 + 0.13 * len(footnote)
    axes = figure.add_axes((0.385, bottom / height, 0.595, (height - bottom - 0.62) / height))
    axes.axvspan(1 / (1 + ratios.margin), 1 + ratios.margin, color="#00000012", linewidth=0)
    axes.axvline(1, color="#555555", linewidth=0.9)
    for place, each in enumerate(ratios.ratios):
        _draw_ratio(axes, place, each)
    axes.set(xlabel=ratios.x, ylim=(rows - 0.4, -0.6))
    axes.set_yticks(range(rows), [plain_text(each.label) for each in ratios.ratios])
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.grid(axis="y", visible=False)
    place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "ncols": 2}
    axes.legend(*_first_of_each(axes), **place, borderaxespad=0.1)
    figure.text(0.015, 1 - 0.07 / height, ratios.title, fontsize=11.5, weight="bold", va="top")
    figure.text(0.015, 0.08 / height, "\n".join(footnote), **NOTE)
    return figure


def draw_boxes(boxes: Boxes, axis: str, looks: Mapping[str, Look]) -> "Figure":
    """One line per competitor: a box, and a mark for each repeat."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = len(boxes.lines)
    height = 1.5 + 0.3 * rows
    figure = Figure((SHEET_WIDTH, height))
    axes = figure.add_axes((0.26, 0.8 / height, 0.71, (height - 1.25) / height))
    for place, line in enumerate(boxes.lines):
        look, values = looks[line.optimizer], line.values[axis]
        if values:
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
            axes.barh(place, high - low, 0.5, low, fill=False, edgecolor=look.colour)
            axes.vlines(middle, place - 0.25, place + 0.25, color=look.colour, linewidth=1.6)
        axes.plot(values, [place] * len(values), look.marker, color=look.colour, markersize=4)
    axes.set(xlabel=boxes.x[axis], ylim=(rows - 0.4, -0.6))
    axes.set_yticks(range(rows), [plain_text(line.label) for line in boxes.lines])
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    title = f"{boxes.title}: {boxes.x[axis]}"
    figure.text(0.015, 1 - 0.07 / height, plain_text(title), **TITLE)
    figure.text(0.015, 0.08 / height, boxes.subtitle, **NOTE)
    return figure


def _draw_ratio(axes: "Axes", place: int, ratio: Ratio) -> None:
    if ratio.measured is not None:
        if ratio.low is not None:
            axes.plot([ratio.low, ratio.high], [place, place], color=MEASURED, linewidth=2.2)
        look = {"color": MEASURED, "marker": "o", "linestyle": "none", "label": "measured"}
        axes.plot([ratio.measured], [place], **look)
    look = {"color": REPORTED, "marker": "D", "markerfacecolor": "none", "linestyle": "none"}
    if ratio.reported is not None:
        axes.plot([ratio.reported], [place], label="reported", **look)


def _first_of_each(axes: "Axes") -> tuple[list, list]:
    """Handles and labels for the legend, every label once."""
    once = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(once.values()), list(once)
