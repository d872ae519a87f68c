"""`sketch`: a pencil drawing of a house, a tree and mountains, for a style to colour."""

import numpy as np
from PIL import Image, ImageDraw

from nstbench.pictures.painted.canvas import FINE, SIDE, develop, noise

PAPER = 255


def paint() -> Image.Image:
    """The picture, RGB (grey on white), `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1503)
    pencil = Pencil(rng)
    _sky(pencil)
    _mountains(pencil)
    _hill(pencil)
    _house(pencil)
    _fence(pencil)
    _tree(pencil, rng)
    _grass(pencil, rng)
    small = pencil.image.resize((SIDE, SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float32) / 255.0
    # Graphite stays on the grain of the paper.
    grey = 1.0 - (1.0 - grey) * np.clip(0.95 + 0.10 * noise(rng, 300), 0, 1.1)
    return develop(np.repeat(grey[..., None], 3, axis=-1))


class Pencil:
    """Draws wavering lines, each gone over twice; coordinates are in canvas sides."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.image = Image.new("L", (FINE, FINE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, corners, width: float = 0.0042, grey: int = 45, passes: int = 2) -> None:
        """A line through `corners`, straight between them but for the hand's wavering."""
        corners = np.asarray(corners, dtype=float)
        lengths = np.hypot(*np.diff(corners, axis=0).T)
        at = np.concatenate([[0.0], np.cumsum(lengths)])
        ticks = np.linspace(0.0, at[-1], max(3, int(at[-1] / 0.008)))
        path = np.stack([np.interp(ticks, at, axis) for axis in corners.T], axis=-1)
        for _ in range(passes):
            lumps = max(3, len(ticks) // 9)
            knots = self.rng.normal(0, 0.0016, (lumps, 2))
            where = np.linspace(0, 1, lumps)
            waver = [np.interp(np.linspace(0, 1, len(ticks)), where, knot) for knot in knots.T]
            points = [tuple(point) for point in (path + np.stack(waver, axis=-1)) * FINE]
            shade = int(np.clip(grey + self.rng.normal(0, 14), 10, 200))
            thick = max(1, round(width * FINE * self.rng.uniform(0.7, 1.15)))
            self.draw.line(points, shade, thick, joint="curve")

    def curve(self, function, start: float, end: float, **pencil) -> None:
        """The line through `function(t)` -> (x, y) for t from `start` to `end`."""
        self.line([function(t) for t in np.linspace(start, end, 60)], **pencil)

    def shape(self, corners, **pencil) -> None:
        """A closed outline that hides what lies behind it."""
        self.erase(corners)
        self.line([*corners, corners[0]], **pencil)

    def erase(self, corners) -> None:
        self.draw.polygon([(x * FINE, y * FINE) for x, y in corners], fill=PAPER)

    def hatch(self, a, b, c, d, count: int, grey: int = 120) -> None:
        """`count` light lines from the side a-b to the side d-c of a quadrilateral."""
        a, b, c, d = map(np.asarray, (a, b, c, d))
        for t in (np.arange(count) + 0.5) / count + self.rng.normal(0, 0.12 / count, count):
            self.line([a + (b - a) * t, d + (c - d) * t], width=0.0022, grey=grey, passes=1)


def _arc(cx: float, cy: float, rx: float, ry: float):
    return lambda turn: (cx + rx * np.cos(turn), cy + ry * np.sin(turn))


def _sky(pencil: Pencil) -> None:
    pencil.curve(_arc(0.2, 0.17, 0.075, 0.075), 0, 6.5)
    for ray in range(14):
        turn = 2 * np.pi * ray / 14
        inner, outer = 0.095, 0.125 + 0.03 * (ray % 2)
        way = np.array([np.cos(turn), np.sin(turn)])
        pencil.line([(0.2, 0.17) + inner * way, (0.2, 0.17) + outer * way])
    for x, y, size in ((0.56, 0.13, 1.0), (0.84, 0.2, 0.7)):
        for dx, dy, r, start, end in (
            (-0.075, 0.0, 0.035, 1.6, 4.9),
            (-0.03, -0.028, 0.045, 3.1, 5.9),
            (0.035, -0.012, 0.04, 3.7, 6.5),
            (0.08, 0.008, 0.028, 4.4, 7.9),
        ):
            pencil.curve(_arc(x + size * dx, y + size * dy, size * r, size * r), start, end)
        pencil.line([(x - 0.075 * size, y + 0.036 * size), (x + 0.08 * size, y + 0.036 * size)])
    for x, y in ((0.36, 0.1), (0.41, 0.14), (0.71, 0.08)):
        pencil.curve(_arc(x - 0.016, y, 0.016, 0.012), 3.3, 6.2, passes=1)
        pencil.curve(_arc(x + 0.016, y, 0.016, 0.012), 3.3, 6.2, passes=1)


def _mountains(pencil: Pencil) -> None:
    for left, top, right, height in (
        (0.52, 0.76, 1.10, 0.24),
        (0.10, 0.37, 0.74, 0.27),
    ):
        peak, base = (top, height), 0.66
        notch = [(top + 0.03, height + 0.09), (top + 0.055, height + 0.07)]
        ridge = [(left, base), (top - 0.09, height + 0.13), (top - 0.06, height + 0.12), peak]
        pencil.shape([*ridge, *notch, (right, base)])
        snow = [(-0.065, 0.12), (-0.035, 0.10), (-0.015, 0.125), (0.012, 0.095), (0.05, 0.12)]
        pencil.line([(top + dx, height + dy) for dx, dy in snow], passes=1)
        shade = (top + 0.07, height + 0.14)
        pencil.hatch(
            shade, (right - 0.05, base), (top + 0.06, base), (top + 0.02, height + 0.15), 15
        )


def _hill(pencil: Pencil) -> None:
    def ground(x: float) -> tuple[float, float]:
        return x, 0.66 - 0.035 * np.sin(3.4 * x + 0.5)

    pencil.erase([ground(x) for x in np.linspace(-0.02, 1.02, 40)] + [(1.02, 1.02), (-0.02, 1.02)])
    pencil.curve(ground, -0.02, 1.02)
    for number in range(26):  # the turf, in short lines that follow the slope
        x = (0.618 * number) % 1.0
        y = ground(x)[1] + 0.03 + 0.19 * ((0.324 * number) % 1.0)
        sweep = 0.03 + 0.02 * ((0.7 * number) % 1.0)
        pencil.line([(x, y), (x + sweep, y - 0.004)], width=0.0024, grey=125, passes=1)
    path = [(0.445, 0.80), (0.505, 0.80), (0.60, 1.02), (0.20, 1.02)]
    pencil.erase(path)
    pencil.curve(lambda t: (0.475 - 0.20 * t**2 + 0.05 * np.sin(5 * t), 0.80 + 0.22 * t), 0, 1)
    pencil.curve(lambda t: (0.535 + 0.04 * t**2 + 0.06 * np.sin(4 * t), 0.80 + 0.22 * t), 0, 1)


def _house(pencil: Pencil) -> None:
    pencil.shape([(0.60, 0.46), (0.60, 0.36), (0.645, 0.36), (0.645, 0.50)])
    for turn in range(4):
        x, y = 0.625 + 0.03 * turn, 0.325 - 0.045 * turn
        pencil.curve(_arc(x, y, 0.018 + 0.006 * turn, 0.016 + 0.005 * turn), 0.5, 6.0, passes=1)
    front = [(0.36, 0.80), (0.36, 0.58), (0.47, 0.44), (0.58, 0.58), (0.58, 0.80)]
    pencil.hatch((0.63, 0.37), (0.63, 0.42), (0.643, 0.42), (0.643, 0.37), 9)
    pencil.hatch((0.58, 0.805), (0.80, 0.805), (0.87, 0.835), (0.62, 0.835), 34, grey=105)
    pencil.shape([(0.58, 0.58), (0.78, 0.58), (0.78, 0.80), (0.58, 0.80)])
    pencil.shape(front)
    pencil.shape([(0.47, 0.43), (0.70, 0.43), (0.81, 0.585), (0.59, 0.585)], width=0.005)
    pencil.hatch((0.475, 0.44), (0.59, 0.58), (0.80, 0.58), (0.695, 0.44), 9, grey=95)
    pencil.hatch((0.48, 0.435), (0.69, 0.435), (0.80, 0.58), (0.59, 0.58), 22, grey=140)
    pencil.line([(0.335, 0.605), (0.47, 0.43), (0.595, 0.59)], width=0.006)
    pencil.shape([(0.445, 0.80), (0.445, 0.66), (0.505, 0.66), (0.505, 0.80)])
    pencil.curve(_arc(0.475, 0.66, 0.03, 0.03), 3.14, 6.28)
    pencil.hatch((0.447, 0.66), (0.503, 0.66), (0.503, 0.80), (0.447, 0.80), 6, grey=110)
    pencil.curve(_arc(0.494, 0.735, 0.004, 0.004), 0, 6.3)
    for row in range(7):  # boards of the gable
        y = 0.625 + 0.025 * row
        pencil.line([(0.365, y), (0.435, y)], width=0.0022, grey=130, passes=1)
        pencil.line([(0.515, y), (0.575, y)], width=0.0022, grey=130, passes=1)
    pencil.curve(_arc(0.47, 0.545, 0.026, 0.026), 0, 6.4)
    pencil.line([(0.47, 0.52), (0.47, 0.57)], passes=1)
    pencil.line([(0.445, 0.545), (0.495, 0.545)], passes=1)
    for x in (0.62, 0.70):
        pencil.shape([(x, 0.64), (x + 0.055, 0.64), (x + 0.055, 0.72), (x, 0.72)])
        pencil.line([(x + 0.0275, 0.64), (x + 0.0275, 0.72)], passes=1)
        pencil.line([(x, 0.68), (x + 0.055, 0.68)], passes=1)
    pencil.hatch((0.585, 0.60), (0.775, 0.60), (0.775, 0.625), (0.585, 0.625), 26, grey=110)


def _fence(pencil: Pencil) -> None:
    for rail in (0.79, 0.835):
        pencil.line([(0.80, rail + 0.012), (1.02, rail - 0.005)])
    for x in np.arange(0.81, 1.01, 0.042):
        post = [(x, 0.86), (x, 0.77), (x + 0.011, 0.755), (x + 0.022, 0.77), (x + 0.022, 0.86)]
        pencil.shape(post)


def _tree(pencil: Pencil, rng: np.random.Generator) -> None:
    trunk = [(0.125, 0.88), (0.15, 0.80), (0.15, 0.60), (0.205, 0.60), (0.205, 0.80), (0.235, 0.88)]
    pencil.erase(trunk)
    pencil.line(trunk[:3])
    pencil.line(trunk[3:])
    pencil.hatch((0.185, 0.62), (0.19, 0.86), (0.215, 0.86), (0.203, 0.62), 20)
    lobes = [(0.175 + 0.125 * np.cos(t), 0.53 + 0.10 * np.sin(t)) for t in np.arange(0, 6.2, 0.62)]
    outline = [(0.175 + 0.15 * np.cos(t), 0.53 + 0.125 * np.sin(t)) for t in np.arange(0, 6.2, 0.1)]
    pencil.erase(outline)
    for (x, y), turn in zip(lobes, np.arange(0, 6.2, 0.62), strict=True):
        pencil.curve(_arc(x, y, 0.05, 0.045), turn - 1.5, turn + 1.5)
    for turn in np.arange(-0.5, 1.9, 0.12):  # shade at the lower right
        rim = np.array([0.175 + 0.145 * np.cos(turn), 0.53 + 0.115 * np.sin(turn)])
        inner = rim - [0.045 + 0.015 * np.cos(5 * turn), 0.03]
        pencil.line([rim, inner], width=0.0026, grey=100, passes=1)
    for _ in range(26):
        x, y = 0.175 + rng.uniform(-0.11, 0.11), 0.53 + rng.uniform(-0.08, 0.09)
        pencil.curve(_arc(x, y, 0.017, 0.013), 0.2, 2.8, width=0.003, grey=90, passes=1)


def _grass(pencil: Pencil, rng: np.random.Generator) -> None:
    for _ in range(46):
        x, y = rng.uniform(0.02, 0.98), rng.uniform(0.87, 0.985)
        if 0.28 < x < 0.60:
            continue  # the path
        for lean in (-0.010, 0.0, 0.011):
            tip = (x + 1.6 * lean, y - 0.026 + abs(lean))
            pencil.line([(x + 0.5 * lean, y), tip], width=0.0028, grey=80, passes=1)
