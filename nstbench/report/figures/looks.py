"""How every figure looks: one colour, marker and dash per optimizer, the same everywhere.

Looks that are fixed stand in `conf/`; other optimizers take the next free ones of a cycle in which
two that share a colour differ in marker and in dash, so that every figure also reads in grey.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from nstbench.files import conf_dir
from nstbench.report.data.presets import Preset, read_yaml

BLUE, VERMILLION, SKY = "#0072B2", "#D55E00", "#56B4E9"
MEASURED, REPORTED = BLUE, VERMILLION  # where no optimizer is meant
ON_DARK = {BLUE: "#4BA3E3", VERMILLION: "#F07C2B"}
LIGHT_PAPER, DARK_PAPER = "#FDFDFC", "#14161A"
PALEST = 0.6  # how far the last of several rates fades into the paper


@dataclass(frozen=True)
class Look:
    """The look of one curve."""

    colour: str
    on_dark: str  # the colour on a dark page
    marker: str  # matplotlib's code; `plotly_marker` is the same shape's name there
    dash: tuple[int, ...]  # on, off, on, off ... in points; empty is solid

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

    def shade(self, variant: int, variants: int) -> "Look":
        """The look of one of several rates of an optimizer: from its colour to a pale one."""
        share = PALEST * variant / (variants - 1) if variants > 1 else 0.0
        return replace(
            self,
            colour=_mixed(self.colour, LIGHT_PAPER, share),
            on_dark=_mixed(self.on_dark, DARK_PAPER, share),
        )


REFERENCE = "reference"  # whose curves stand behind all others
GREY = Look("#B8B8B8", "#5A5F66", "o", ())

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


def assign(optimizers: Mapping[str, Preset]) -> dict[str, Look]:
    """A look for each of `optimizers` (what tells it apart -> its preset), fixed ones first."""
    palette = read_yaml(conf_dir() / "report" / "looks.yaml")
    fixed = {name: _fixed(preset, palette) for name, preset in optimizers.items()}
    looks = {name: look for name, look in fixed.items() if look}
    free = (look for look in _cycle(palette) if not _is_taken(look, looks.values()))
    for name in sorted(optimizers.keys() - looks.keys()):
        look = next(free)
        own = optimizers[name].colour
        looks[name] = replace(look, **_colours(own, palette)) if own else look
    return looks


def _fixed(preset: Preset, palette: Mapping) -> Look | None:
    if preset.colour is None or preset.marker is None:
        return None
    dash = tuple(palette["dashes"][preset.dash or "solid"])
    return Look(**_colours(preset.colour, palette), marker=preset.marker, dash=dash)


def _colours(name: str, palette: Mapping) -> dict[str, str]:
    """The two colours of a name of the palette; any other text is taken for a colour itself."""
    both = palette["colours"].get(name, {"light": name, "dark": name})
    return {"colour": both["light"], "on_dark": both["dark"]}


def _cycle(palette: Mapping) -> Iterator[Look]:
    """Looks without end: colours change fastest, markers and dashes with every colour."""
    colours, markers = list(palette["colours"]), palette["markers"]
    dashes = list(palette["dashes"].values())
    place = 0
    while True:
        rounds = place // len(colours)
        marker, dash = markers[place % len(markers)], dashes[(place + rounds) % len(dashes)]
        colour = colours[(place + 3 * rounds) % len(colours)]
        yield Look(**_colours(colour, palette), marker=marker, dash=tuple(dash))
        place += 1


def _is_taken(look: Look, others: Iterable[Look]) -> bool:
    return any((look.colour, look.marker) == (other.colour, other.marker) for other in others)


def _mixed(colour: str, paper: str, share: float) -> str:
    """`colour` faded into `paper`; both are "#rrggbb". Other notations of a colour stay."""
    if not share or len(colour) != 7 or not colour.startswith("#"):
        return colour
    pairs = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round((1 - share) * a + share * b):02X}" for a, b in pairs)


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
