"""What is drawn, as Plotly's traces: the same data that `draw` draws for print.

Nothing here is drawn: the page's script hands these dictionaries to Plotly and only changes what
a reader switches (axis, logarithm, what is hidden, light or dark).
"""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from nstbench.report.figures.boxes import Boxes
from nstbench.report.figures.looks import MEASURED, ON_DARK, REPORTED, Look, marker_points
from nstbench.report.figures.plots import (
    MOST_POINTS,
    MOST_PRINTED,
    Curve,
    Level,
    Plot,
    Series,
    fewer,
)
from nstbench.report.figures.ratios import Ratios

GREY = "#8a8f96"  # levels: reads on light and on dark
MOST_BANDS = 20  # curves of a plot that shows their bands; those of more hide each other


@singledispatch
def plotly(
    plot: Plot | Ratios | Boxes, looks: Mapping[str, Look], most: int = MOST_POINTS
) -> dict[str, Any]:
    """`plot` as JSON-ready data: traces per axis with at most `most` points a curve, the labels of
    its axes, and the stems of its printed files.

    Each trace says in `meta` which series it belongs to (-1 for what is always shown) and its
    colour on a light and on a dark page. Plots of `rows` have one named line per result.
    """
    raise TypeError(f"nothing is known of how to show a {type(plot).__name__}")


@singledispatch
def legend(plot: Plot | Ratios | Boxes, looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    """What the page's legend shows for each series: label, colours, dash and marker, and what it
    can be filtered by."""
    return []


@plotly.register
def _(plot: Plot, looks: Mapping[str, Look], most: int = MOST_POINTS) -> dict[str, Any]:
    used = [axis for axis in plot.x if any(axis in series.curves for series in plot.series)]
    return {
        "name": plot.name,
        "title": plot.title,
        "problem": plot.problem,
        "axes": [{"key": axis, "label": plot.x[axis]} for axis in used],
        "files": {axis: plot.printed or f"figures/{plot.stem(axis)}" for axis in used},
        "y": plot.y,
        "rows": [],
        "log_x": plot.log_x,
        "log_y": plot.log_y,
        "distance": plot.distance,
        "budget": plot.budget,
        "notes": " ".join((plot.subtitle, *plot.notes, *_left_out(plot))).strip(),
        "traces": {axis: _traces(plot, axis, looks, most) for axis in used},
    }


def _left_out(plot: Plot) -> list[str]:
    """What a plot of many curves goes without."""
    curves, banded = len(plot.series), any(series.repeats > 1 for series in plot.series)
    notes = ["Of so many curves the bands are left out."] if curves > MOST_BANDS and banded else []
    many = [f"Not printed: {curves} curves cannot be told apart on paper."]
    return [*notes, *(many if curves > MOST_PRINTED else ())]


@legend.register
def _(plot: Plot, looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    return [_entry(series, _look(series, looks)) for series in plot.series]


@plotly.register
def _(ratios: Ratios, looks: Mapping[str, Look], most: int = MOST_POINTS) -> dict[str, Any]:
    rows = list(enumerate(ratios.ratios))
    measured = [(place, each) for place, each in rows if each.measured is not None]
    edges = {
        "array": [each.high - each.measured if each.low else 0 for _, each in measured],
        "arrayminus": [each.measured - each.low if each.low else 0 for _, each in measured],
    }
    traces = [
        _shade(ratios, len(rows)),
        _dots("measured", [(each.measured, place) for place, each in measured], MEASURED, "circle"),
        _dots(
            "reported",
            [(each.reported, place) for place, each in rows if each.reported],
            REPORTED,
            "diamond-open",
        ),
    ]
    traces[1]["error_x"] = {"type": "data", "symmetric": False, "thickness": 3, "width": 0, **edges}
    return _of_rows(ratios, {"ratio": ratios.x}, {"ratio": ratios.name}) | {
        "rows": [each.label for each in ratios.ratios],
        "traces": {"ratio": traces},
    }


@plotly.register
def _(boxes: Boxes, looks: Mapping[str, Look], most: int = MOST_POINTS) -> dict[str, Any]:
    return _of_rows(boxes, boxes.x, {axis: boxes.stem(axis) for axis in boxes.x}) | {
        "rows": [line.label for line in boxes.lines],
        "traces": {
            axis: [
                _box(place, line.label, line.values[axis], looks[line.optimizer])
                for place, line in enumerate(boxes.lines)
            ]
            for axis in boxes.x
        },
    }


def _of_rows(plot: Ratios | Boxes, x: Mapping[str, str], stems: Mapping[str, str]) -> dict:
    """What plots of named lines have in common."""
    return {
        "name": plot.name,
        "title": plot.title,
        "problem": plot.problem,
        "axes": [{"key": axis, "label": label} for axis, label in x.items()],
        "files": {axis: f"figures/{stem}" for axis, stem in stems.items()},
        "y": "",
        "log_x": False,
        "log_y": False,
        "distance": False,
        "budget": 0,
        "notes": plot.subtitle,
    }


def _box(place: int, label: str, values: list[float], look: Look) -> dict[str, Any]:
    return {
        "type": "box",
        "orientation": "h",
        "name": label,
        "x": values,
        "y": [place] * len(values),
        "boxpoints": "all",
        "pointpos": 0,
        "jitter": 0.3,
        "width": 0.55,
        "line": {"color": look.colour, "width": 1.5},
        "marker": {"color": look.colour, "size": 6},
        "fillcolor": "rgba(0,0,0,0)",
        "hoverinfo": "skip",
        "meta": {"series": -1, "light": look.colour, "dark": look.on_dark},
    }


@legend.register
def _(ratios: Ratios, looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "family": "",
            "rate": "",
            "light": colour,
            "dark": ON_DARK[colour],
            "dash": "0 99",
            "marker": marker_points(marker),
            "hollow": hollow,
        }
        for label, colour, marker, hollow in (
            ("measured", MEASURED, "o", False),
            ("reported", REPORTED, "D", True),
        )
        if label == "measured" or any(each.reported for each in ratios.ratios)
    ]


def _dots(name: str, points: list[tuple[float, int]], colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "marker": {"symbol": symbol, "size": 10, "color": colour},
        "hovertemplate": "<b>%{fullData.name}</b>: %{customdata[0]}<extra></extra>",
        "meta": {"series": int(name == "reported"), "light": colour, "dark": ON_DARK[colour]},
    }


def _shade(ratios: Ratios, rows: int) -> dict[str, Any]:
    """The differences within the margin."""
    low, high = 1 / (1 + ratios.margin), 1 + ratios.margin
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [low, high, high, low],
        "y": [-0.5, -0.5, rows - 0.5, rows - 0.5],
        "fill": "toself",
        "opacity": 0.2,
        "line": {"width": 0, "color": GREY},
        "hoverinfo": "skip",
        "name": "within the margin",
        "meta": {"series": -1, "light": GREY, "dark": GREY},
    }


def _look(series: Series, looks: Mapping[str, Look]) -> Look:
    return looks[series.optimizer].shade(series.variant, series.variants)


def _entry(series: Series, look: Look) -> dict[str, Any]:
    return {
        "label": series.name,
        "family": series.family,
        "rate": series.rate,
        "light": look.colour,
        "dark": look.on_dark,
        "dash": " ".join(map(str, look.dash)) or "none",
        "marker": marker_points(look.marker),
        "hollow": bool(series.variant % 2),
    }


def _traces(
    plot: Plot, axis: str, looks: Mapping[str, Look], most: int = MOST_POINTS
) -> list[dict[str, Any]]:
    traces = []
    banded = len(plot.series) <= MOST_BANDS
    for number, series in enumerate(plot.series):
        if axis in series.curves:
            curve, look = fewer(series.curves[axis], most), _look(series, looks)
            if curve.low is not None and banded:
                traces.append(_band(number, series, curve, look))
            traces.append(_line(plot, number, series, curve, look))
    ends = [x for series in plot.series if axis in series.curves for x in series.curves[axis].x]
    for level in plot.levels:
        start, end = min(ends, default=0), max(ends, default=1)
        traces.append(_level(level, start, end))
    return traces


def _line(plot: Plot, number: int, series: Series, curve: Curve, look: Look) -> dict[str, Any]:
    marker = look.plotly_marker + ("-open" if series.variant % 2 else "")
    between = "<br>between %{customdata[2]} and %{customdata[3]}" if curve.low else ""
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": series.label,
        "x": curve.x,
        "y": curve.y,
        "line": {
            "color": look.colour,
            "width": 2,
            "dash": look.plotly_dash,
            "shape": "hv" if plot.stairs else "linear",
        },
        "marker": {
            "symbol": marker,
            "size": 8,
            "color": look.colour,
            "maxdisplayed": 0 if plot.points else 9 if len(plot.series) <= MOST_BANDS else 3,
        },
        "hovertemplate": "<b>%{fullData.name}</b><br>%{xaxis.title.text}: %{customdata[0]}<br>"
        f"%{{customdata[1]}}{between}<extra></extra>",
        "meta": _meta(number, look),
    }
    if curve.low:
        trace["meta"] |= {"low": curve.low, "high": curve.high}
    return trace


def _band(number: int, series: Series, curve: Curve, look: Look) -> dict[str, Any]:
    """The area between lowest and highest, as one closed outline."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": curve.x + curve.x[::-1],
        "y": curve.high + curve.low[::-1],
        "fill": "toself",
        "opacity": 0.22,
        "line": {"width": 0, "color": look.colour},
        "hoverinfo": "skip",
        "name": f"{series.label}, band",
        "meta": _meta(number, look),
    }


def _level(level: Level, start: float, end: float) -> dict[str, Any]:
    """A dotted line from `start` to `end`, its name at the start, where falling curves are not."""
    return {
        "type": "scatter",
        "mode": "lines+text",
        "x": [start, end],
        "y": [level.value, level.value],
        "text": [level.label, ""],
        "textposition": "bottom right" if level.below else "top right",
        "textfont": {"color": GREY},
        "line": {"color": GREY, "width": 1, "dash": "2px,3px"},
        "hoverinfo": "skip",
        "name": level.label,
        "meta": {"series": -1, "light": GREY, "dark": GREY},
    }


def _meta(number: int, look: Look) -> dict[str, Any]:
    return {"series": number, "light": look.colour, "dark": look.on_dark}
