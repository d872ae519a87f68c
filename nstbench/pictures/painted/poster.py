"""`poster`: stepped towers before a sunburst, sprayed through stencils, with lines of gold."""

import copy

import numpy as np
from PIL import Image

from nstbench.pictures.painted.canvas import SIDE, blend, develop, grid, lay, noise, palette

GOLD, CREAM, CORAL, BURGUNDY = palette("#e2ab45", "#f7ecd2", "#e2603a", "#5c1a35")
TEAL, MIDNIGHT, MINT, PLUM = palette("#17697a", "#10203c", "#8cc0ab", "#3a1f4d")
SUN = palette("#fff3cf", "#fbd27a", "#f2a153", "#e2603a", "#a8324a")
SEA = palette("#17697a", "#10203c")
HEART = (0.5, 0.60)  # x and y of the sun
RAYS = 36
SHORE = 0.735

# x of the middle, half-width and top of each tower, from the back to the front
TOWERS = (
    (0.06, 0.050, 0.47), (0.94, 0.050, 0.47), (0.155, 0.048, 0.36), (0.845, 0.048, 0.36),
    (0.39, 0.045, 0.33), (0.61, 0.045, 0.33), (0.255, 0.064, 0.43), (0.745, 0.064, 0.43),
    (0.11, 0.060, 0.56), (0.89, 0.060, 0.56), (0.345, 0.058, 0.53), (0.655, 0.058, 0.53),
    (0.50, 0.078, 0.20), (0.205, 0.055, 0.62), (0.795, 0.055, 0.62), (0.42, 0.045, 0.60),
    (0.58, 0.045, 0.60),
)  # fmt: skip
# x, y, half-length and thickness of each bank of cloud
CLOUDS = (
    (0.13, 0.17, 0.13, 0.022), (0.20, 0.205, 0.15, 0.020), (0.88, 0.15, 0.12, 0.022),
    (0.80, 0.185, 0.15, 0.018), (0.86, 0.285, 0.11, 0.016), (0.14, 0.30, 0.10, 0.015),
)  # fmt: skip


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1927)
    spray = Spray(rng)
    _sunburst(spray)
    _clouds(spray)
    for number, (cx, half, top) in enumerate(TOWERS):
        part = spray.part(cx - half - 0.01, top - 0.06, cx + half + 0.01, SHORE + 0.1)
        _tower(part, number, cx, half, top)
    _scallops(spray)
    _frame(spray)
    # The speckle of the airbrush and the paper's grain lie over all of it.
    speckle = 1 + 0.05 * spray.speckle + 0.025 * noise(rng, 90, 2)
    return develop(spray.picture * speckle[..., None])


class Spray:
    """The poster, or a part of it, and what lays colour on it through stencils."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.x, self.y = grid()
        self.speckle = noise(rng, 512) + 0.5 * noise(rng, 300)
        self.picture = np.broadcast_to(MIDNIGHT.astype(np.float32), (SIDE, SIDE, 3)).copy()

    def part(self, left: float, top: float, right: float, low: float) -> "Spray":
        """The rectangle between these sides; what is sprayed there is seen in the whole."""
        rows, columns = (
            slice(*(int(np.clip(edge * SIDE, 0, SIDE)) for edge in edges))
            for edges in ((top, low), (left, right))
        )
        part = copy.copy(self)
        for name in ("x", "y", "speckle", "picture"):
            setattr(part, name, getattr(self, name)[rows, columns])
        return part

    def cover(self, inside: np.ndarray, colour: np.ndarray, strength=1.0) -> None:
        """Colour where `inside` (canvas sides) is positive; a `strength` below one is mist.

        Where the strength changes, the edge of the mist is made of droplets.
        """
        thick = np.clip(strength * (1 + 0.13 * self.speckle), 0, 1)
        mask = np.clip(inside * SIDE + 0.5, 0, 1) * thick
        self.picture[:] = lay(self.picture, np.asarray(colour, np.float32), mask.astype(np.float32))

    def line(self, away: np.ndarray, width: float, colour: np.ndarray, inside=1.0) -> None:
        """A line where `away` is near zero, within `inside`."""
        edge = np.minimum(0.5 * width - np.abs(away), inside)
        self.cover(edge, colour)


def _sunburst(spray: Spray) -> None:
    """Rays in two colours that fade outwards, and the sun in rings."""
    dx, dy = spray.x - HEART[0], spray.y - HEART[1]
    r, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    ray = (turn / (2 * np.pi) * RAYS + 0.5) % 1.0
    edge = (0.25 - np.abs(ray - 0.5)) * 2 * np.pi / RAYS * r
    warm = blend(np.stack([CREAM, GOLD, CORAL, BURGUNDY]), np.clip(r / 0.85, 0, 1))
    cold = blend(np.stack([MINT, TEAL, MIDNIGHT, MIDNIGHT]), np.clip(r / 0.85, 0, 1))
    spray.cover(np.ones_like(r), cold)
    spray.cover(edge, warm)
    shade = np.clip((np.abs(ray - 0.5) - 0.25) / 0.25, 0, 1) ** 2
    spray.cover(-edge, MIDNIGHT, 0.55 * shade)
    rings = (0.34, 0.285, 0.235, 0.185, 0.13)
    for radius, colour, inner in zip(rings, SUN[::-1], (*rings[1:], 0.0), strict=True):
        spray.cover(radius - r, colour)
        spray.cover(
            radius - r, CREAM, 0.45 * np.clip(1 - (radius - r) / (radius - inner), 0, 1) ** 2
        )
        spray.line(r - radius, 0.004, GOLD)


def _clouds(spray: Spray) -> None:
    """Flat banks of cloud with rounded ends, sprayed from below."""
    for cx, cy, half, thick in CLOUDS:
        bank = spray.part(cx - half - thick, cy - thick, cx + half + thick, cy + thick)
        beyond = np.maximum(np.abs(bank.x - cx) - half, 0)
        inside = thick - np.hypot(beyond, bank.y - cy)
        bank.cover(inside, TEAL)
        bank.cover(inside, CREAM, np.clip(0.5 - (bank.y - cy) / (2 * thick), 0, 1) ** 1.5)
        bank.line(inside - 0.001, 0.0025, GOLD)


def _tower(spray: Spray, number: int, cx: float, half: float, top: float) -> None:
    """A tower in setbacks: a lit and a dark face, piers, rows of windows, a spire."""
    near = number / (len(TOWERS) - 1)
    lit = blend(np.stack([CORAL, GOLD, CREAM]), np.array(0.25 + 0.6 * (number % 3) / 2))
    dark = blend(np.stack([PLUM, BURGUNDY, MIDNIGHT]), np.array(near))
    x, y = spray.x, spray.y
    towards = 1.0 if cx <= 0.5 else -1.0  # the sun is in the middle
    height = SHORE + 0.08 - top
    steps = ((1.0, 0.30), (0.74, 0.14), (0.48, 0.05), (0.22, 0.0))  # share of width, of height
    inside = np.full_like(x, -1.0)
    for share, down in steps:
        box = np.minimum(share * half - np.abs(x - cx), y - top - down * height)
        inside = np.maximum(inside, box)
    fade = np.clip((y - top) / height, 0, 1)
    spray.cover(inside, dark)
    spray.cover(inside, TEAL, 0.55 * fade**2)
    face = np.minimum(inside, towards * (x - cx))
    spray.cover(face, lit)
    spray.cover(face, dark, np.clip(0.15 + 0.9 * fade - 0.5 * np.abs(x - cx) / half, 0, 1))
    piers = ((x - cx) / half * 3.5 + 0.5) % 1.0 - 0.5
    pier = np.minimum(inside - 0.004, 0.0016 - np.abs(piers) * half / 3.5)
    spray.cover(pier, GOLD, 0.75)
    storey, column = y / 0.0125, (x - cx) / half * 7
    window = np.minimum(0.5 - np.abs(storey % 1.0 - 0.5), 0.5 - np.abs(column % 1.0 - 0.5)) - 0.17
    window = np.minimum(0.012 * window, np.minimum(inside - 0.005, y - top - 0.25 * height))
    lamps = spray.rng.random((81, 15)) < 0.33
    on = lamps[storey.astype(int), np.clip(column + 7, 0, 14).astype(int)]
    spray.cover(np.where(on, window, -1.0), CREAM, 0.9)
    spray.line(inside, 0.003, GOLD)
    spray.line(x - cx, 0.004, GOLD, np.minimum(y - top + 0.35 * half + 0.03, top - y + 0.004))


def _scallops(spray: Spray) -> None:
    """The sea: rows of fans, each over the one behind."""
    width = 0.125
    for row in range(8):
        level = SHORE + 0.062 + 0.040 * row
        rows = spray.part(0.0, level - 0.07, 1.0, level + 0.05)
        x, y = rows.x, rows.y
        shift = 0.5 * (row % 2)
        dx = ((x / width + shift) % 1.0 - 0.5) * width
        r = np.hypot(dx, y - level) / (0.5 * width)
        inside = (1.0 - r) * 0.5 * width
        colour = blend(SEA, np.clip(r, 0, 1)) * (1.15 - 0.05 * row)
        rows.cover(np.where(y < level, inside, 0.01), TEAL * 0.55)
        rows.cover(np.where(y < level, inside, -1.0), colour)
        rows.cover(inside, MINT, 0.75 * np.clip(1 - np.abs(r - 0.98) / 0.22, 0, 1) ** 2)
        for ring in (0.98, 0.68, 0.40):
            rows.line(
                (r - ring) * 0.5 * width, 0.0034, GOLD if ring > 0.9 else CREAM, level - y + 0.01
            )


def _frame(spray: Spray) -> None:
    """A border of gold and midnight with stepped corners."""
    x, y = spray.x, spray.y
    away = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    side, other = np.minimum(x, 1 - x), np.minimum(y, 1 - y)
    corner = np.maximum.reduce(
        [np.minimum(a - side, b - other) for a, b in ((0.11, 0.045), (0.075, 0.075), (0.045, 0.11))]
    )
    band = np.maximum(0.028 - away, corner)
    spray.cover(band, MIDNIGHT)
    spray.line(band, 0.005, GOLD)
    spray.line(band - 0.011, 0.0025, CREAM)
    spray.line(away - 0.007, 0.004, GOLD)
