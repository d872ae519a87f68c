"""A `Plot` as Plotly's traces and layout: the same data that `figures` draws for print.

Nothing here is drawn: the page's script hands these dictionaries to Plotly and only changes what
a reader switches (axis, logarithm, what is hidden, light or dark).
"""

from collections.abc import Mapping
from typing import Any

from nstbench.report.figures.looks import MEASURED, ON_DARK, REPORTED, Look, marker_points
from nstbench.report.figures.plots import Curve, Level, Plot, Series
from nstbench.report.figures.ratios import Ratios

GREY = "#8a8f96"  # levels: reads on light and on dark


def plotly(plot: Plot, looks: Mapping[str, Look]) -> dict[str, Any]:
    """`plot` as JSON-ready data: traces per axis, axis labels, and the legend's entries.

    Each trace says in `meta` which series it belongs to (-1 for a level) and its colour on a
    light and on a dark page.
    """
    used = [axis for axis in plot.x if any(axis in series.curves for series in plot.series)]
    return {
        "name": plot.name,
        "title": plot.title,
        "axes": [{"key": axis, "label": plot.x[axis]} for axis in used],
        "y": plot.y,
        "rows": [],
        "log_x": plot.log_x,
        "log_y": plot.log_y,
        "distance": plot.log_y and not plot.points,  # losses, which have a lowest
        "notes": " ".join((plot.subtitle, *plot.notes)).strip(),
        "traces": {axis: _traces(plot, axis, looks) for axis in used},
    }


def legend(plot: Plot, looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    """What the page's legend shows for each series: label, colours, dash and marker."""
    return [_entry(series, _look(series, looks)) for series in plot.series]


def plotly_ratios(ratios: Ratios) -> dict[str, Any]:
    """`ratios` in the shape of `plotly`: one line per ratio, from top to bottom."""
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
    return {
        "name": ratios.name,
        "title": ratios.title,
        "axes": [{"key": "ratio", "label": ratios.x}],
        "y": "",
        "rows": [each.label for each in ratios.ratios],
        "log_x": False,
        "log_y": False,
        "distance": False,
        "notes": ratios.subtitle,
        "traces": {"ratio": traces},
    }


def legend_of_ratios(ratios: Ratios) -> list[dict[str, Any]]:
    """What the legend shows for `plotly_ratios`."""
    return [
        {
            "label": label,
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
        "hovertemplate": f"<b>{name}</b>: %{{x:.4f}}<extra></extra>",
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
        "light": look.colour,
        "dark": look.on_dark,
        "dash": " ".join(map(str, look.dash)) or "none",
        "marker": marker_points(look.marker),
        "hollow": bool(series.variant % 2),
    }


def _traces(plot: Plot, axis: str, looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    traces = []
    for number, series in enumerate(plot.series):
        if axis in series.curves:
            curve, look = series.curves[axis], _look(series, looks)
            if curve.low is not None:
                traces.append(_band(number, series, curve, look))
            traces.append(_line(plot, number, series, axis, look))
    ends = [x for series in plot.series if axis in series.curves for x in series.curves[axis].x]
    for level in plot.levels:
        start, end = min(ends, default=0), max(ends, default=1)
        traces.append(_level(level, start, end, at_start=plot.points))
    return traces


def _line(plot: Plot, number: int, series: Series, axis: str, look: Look) -> dict[str, Any]:
    curve = series.curves[axis]
    marker = look.plotly_marker + ("-open" if series.variant % 2 else "")
    between = "<br>between %{customdata[0]:.4~g} and %{customdata[1]:.4~g}" if curve.low else ""
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
            "maxdisplayed": 0 if plot.points else 9,
        },
        "hovertemplate": f"<b>%{{fullData.name}}</b><br>{plot.x[axis]}: %{{x:.4~g}}<br>"
        f"%{{y:.4~g}}{between}<extra></extra>",
        "meta": _meta(number, look),
    }
    if curve.low:
        trace["customdata"] = [list(pair) for pair in zip(curve.low, curve.high, strict=True)]
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


def _level(level: Level, start: float, end: float, at_start: bool) -> dict[str, Any]:
    """A dotted line from `start` to `end`, its name at the end where curves are not."""
    return {
        "type": "scatter",
        "mode": "lines+text",
        "x": [start, end],
        "y": [level.value, level.value],
        "text": [level.label, ""] if at_start else ["", level.label],
        "textposition": "top right" if at_start else "top left",
        "textfont": {"color": GREY},
        "line": {"color": GREY, "width": 1, "dash": "2px,3px"},
        "hoverinfo": "skip",
        "name": level.label,
        "meta": {"series": -1, "light": GREY, "dark": GREY},
    }


def _meta(number: int, look: Look) -> dict[str, Any]:
    return {"series": number, "light": look.colour, "dark": look.on_dark}
