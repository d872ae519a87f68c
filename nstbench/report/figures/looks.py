"""How every figure looks: one colour, marker and dash per optimizer, the same everywhere.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which stay apart under the
common colour-vision deficiencies. Their yellow is left out (too pale on white). Two optimizers
that share a colour differ in marker and in dash, so every figure also reads in grey.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"

MEASURED, REPORTED = BLUE, VERMILLION  # where no optimizer is meant

# The same hues on a dark page, lifted where the original would sink into it.
ON_DARK = {BLACK: "#E8E6E3", BLUE: "#4BA3E3", VERMILLION: "#F07C2B", GREEN: "#2CC295"}

SOLID: tuple[int, ...] = ()
DASHED, DOTTED, DASHDOT, LONG = (6, 3), (2, 2), (7, 2, 2, 2), (11, 3)
LONGDOT, DOUBLEDOT = (11, 3, 2, 3), (7, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class Look:
    """The look of one optimizer. `dash` is on, off, on, off ... in points; empty is solid."""

    colour: str
    marker: str  # matplotlib's code; `plotly_marker` is the same shape's name there
    dash: tuple[int, ...]

    @property
    def on_dark(self) -> str:
        """The colour on a dark page."""
        return ON_DARK.get(self.colour, self.colour)

    @property
    def linestyle(self) -> str | tuple[int, tuple[float, ...]]:
        """Matplotlib's line style; it counts dashes in line widths, hence the division."""
        return (0, tuple(0.7 * length for length in self.dash)) if self.dash else "solid"

    @property
    def plotly_dash(self) -> str:
        return ",".join(f"{length}px" for length in self.dash) or "solid"

    @property
    def plotly_marker(self) -> str:
        return PLOTLY_MARKERS[self.marker]


PLOTLY_MARKERS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "<": "triangle-left",
    ">": "triangle-right",
    "D": "diamond",
    "d": "diamond-tall",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
    "h": "hexagon",
    "8": "octagon",
    "*": "star",
    "H": "hexagon2",
}

STYLES = {
    "adam": Look(BLUE, "o", SOLID),
    "adam_decay": Look(BLUE, "H", DOTTED),
    "adagrad": Look(VERMILLION, "s", DASHED),
    "rmsprop": Look(GREEN, "^", DASHDOT),
    "sgd": Look(BLACK, "X", DOTTED),
    "lbfgs": Look(PURPLE, "D", SOLID),
    "lbfgsb": Look(ORANGE, "v", LONG),
    "adamw": Look(SKY, "p", SOLID),
    "nadam": Look(BLUE, "P", LONG),
    "adamax": Look(SKY, "h", DASHED),
    "adadelta": Look(VERMILLION, "<", DOTTED),
    "lion": Look(ORANGE, "*", SOLID),
    "ftrl": Look(GREEN, ">", DOTTED),
    "adafactor": Look(PURPLE, "d", DASHED),
    "muon": Look(BLACK, "8", LONGDOT),
}


def style_of(optimizer: str) -> Look:
    """The style of `optimizer` (its name in the settings); one that is not in the table is grey."""
    return STYLES.get(optimizer, Look("#777777", "H", DOUBLEDOT))


def marker_points(marker: str) -> str:
    """Matplotlib's marker as the points of an SVG polygon around 0, 0, one unit across."""
    from matplotlib.markers import MarkerStyle

    shape = MarkerStyle(marker)
    outline = shape.get_path().transformed(shape.get_transform()).to_polygons()[0]
    return " ".join(f"{x:.2f},{-y:.2f}" for x, y in outline[:: max(1, len(outline) // 24)])


@contextmanager
def print_style() -> Iterator[None]:
    """Matplotlib's settings while a figure is drawn; they are put back afterwards."""
    import matplotlib
    import seaborn

    matplotlib.use("Agg")
    context = seaborn.plotting_context("paper", font_scale=1.05)
    with matplotlib.rc_context({**context, **seaborn.axes_style("ticks"), **SETTINGS}):
        yield


SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.which": "major",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.7,
    "lines.markersize": 5.5,
    "lines.dash_capstyle": "butt",
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "svg.hashsalt": "nstbench",  # the same figure gives the same file
    "svg.fonttype": "path",
}
