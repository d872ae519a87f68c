"""`watercolour`: poppies in wet washes that run into each other, with dry edges and white paper."""

import numpy as np
from PIL import Image

from nstbench.pictures.painted.canvas import SIDE, develop, grid, noise, palette

PAPER = palette("#fbf8f0")[0]
# What a full wash of each pigment lets through.
POPPY, VERMILION, ROSE, SAP, OLIVE, COBALT, VIOLET, OCHRE, SEPIA, LEMON = palette(
    "#d3222a", "#f0562a", "#e56a97", "#5c8a32", "#8b9440",
    "#3f74c4", "#6a4fa8", "#dba43c", "#3a2a35", "#f3d13f",
)  # fmt: skip

# x, y, radius, turn (radians) of each flower, and its two pigments
FLOWERS = (
    (0.33, 0.30, 0.185, 0.3, (POPPY, VERMILION)),
    (0.68, 0.24, 0.145, 1.4, (VERMILION, ROSE)),
    (0.60, 0.53, 0.175, 2.2, (POPPY, ROSE)),
    (0.19, 0.60, 0.125, 0.9, (ROSE, VIOLET)),
    (0.86, 0.47, 0.095, 2.9, (VERMILION, OCHRE)),
    (0.83, 0.72, 0.105, 0.1, (ROSE, POPPY)),
    (0.36, 0.73, 0.090, 1.9, (VERMILION, LEMON)),
)


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1842)
    sheet = Sheet(rng)
    _ground(sheet)
    _stems(sheet)
    for x, y, radius, turn, pigments in FLOWERS:
        _flower(sheet, (x, y), radius, turn, pigments)
    _cornflowers(sheet)
    _splashes(sheet)
    return develop(sheet.dry())


class Sheet:
    """Wet paper: `depth` (SIDE, SIDE, 3) is how much of red, green and blue the pigments take.

    Washes are glazes: the light that comes back is the paper's times exp(-depth), as in layers of
    filters (Beer and Lambert).
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.x, self.y = grid()
        self.depth = np.zeros((SIDE, SIDE, 3), np.float32)
        self.tooth = 0.6 * noise(rng, 230) + 0.6 * noise(rng, 120)
        self.pools = noise(rng, 12, 4)
        self.tremble = [noise(rng, 26, 4) for _ in range(2)]
        self.soft = [noise(rng, 7, 3) for _ in range(2)]

    def wash(
        self,
        shape,
        centre,
        reach,
        pigments,
        amount=1.0,
        wet=0.0,
        rough=0.006,
        around=None,
        over=0.0,
    ):
        """A wash where `shape(dx, dy)` (canvas sides from `centre`, positive within) says so.

        `reach` bounds it `around` its middle; `pigments` are one colour or two that run into each
        other; `wet` is the width over which its edge has run, 0 for the crisp dark edge of a wash
        on dry paper; `over` is the share of what lies below that it takes away.
        """
        middle = centre if around is None else around
        left, top = (max(0, int((c - reach) * SIDE)) for c in middle)
        right, low = (min(SIDE, int((c + reach) * SIDE)) for c in middle)
        if left >= right or top >= low:
            return
        here = np.s_[top:low, left:right]
        there = self._elsewhere(top, low), self._elsewhere(left, right)
        dx = self.x[here] - centre[0] + rough * self.tremble[0][there]
        dy = self.y[here] - centre[1] + rough * self.tremble[1][there]
        cover, rim = self._covered(shape(dx, dy), wet, self.soft[0][there])
        pool = np.clip(1 + 0.30 * self.pools[there] + 0.25 * self.soft[1][there], 0.25, 2.2)
        grain = np.clip(1 + 0.20 * self.tooth[here], 0.3, 2)
        strength = amount * cover * (0.70 * pool * grain + 0.75 * rim)
        if over:
            self.depth[here] *= 1 - over * cover[..., None]
        self.depth[here] += strength[..., None] * self._absorbed(pigments, there)

    def _elsewhere(self, first: int, last: int) -> slice:
        """As many rows or columns from anywhere: every wash trembles and pools in its own way."""
        start = int(self.rng.integers(0, SIDE - (last - first) + 1))
        return slice(start, start + last - first)

    def _covered(self, inside: np.ndarray, wet: float, soft: np.ndarray):
        """How much of the wash lies where, and how much pigment its drying edge has drawn."""
        if wet:
            inside = np.clip((inside + 0.5 * wet * soft) / (0.3 * wet), -30, 30)
            return 1 / (1 + np.exp(-inside)), 0.0
        away = np.abs(inside)
        rim = np.exp(-away / 0.0032) + 0.35 * np.exp(-away / 0.014)
        return np.clip(inside * SIDE / 2.0 + 0.5, 0, 1), rim

    def _absorbed(self, pigments, there) -> np.ndarray:
        pigments = -np.log(np.atleast_2d(pigments).astype(np.float32))
        mix = np.clip(0.5 + 0.75 * self.soft[0][there] + 0.3 * self.pools[there], 0, 1)[..., None]
        return pigments[0] + (pigments[-1] - pigments[0]) * mix

    def bloom(self, centre, radius: float) -> None:
        """A drop of water that pushed the pigment aside, to where its edge dried."""
        reach = int(2.2 * radius * SIDE)
        column, row = (int(c * SIDE) for c in centre)
        here = np.s_[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
        away = np.hypot(self.x[here] - centre[0], self.y[here] - centre[1])
        inside = radius - away + 0.010 * self.tremble[0][here]
        left = 1 - 0.45 * np.clip(inside / 0.02, 0, 1) + 0.55 * np.exp(-np.abs(inside) / 0.0028)
        self.depth[here] *= left[..., None]

    def dry(self) -> np.ndarray:
        """The sheet (SIDE, SIDE, 3), its grain lit from the side."""
        down, right = np.gradient(self.tooth)
        light = 1 + np.clip(0.10 * (down + right), -0.06, 0.06)
        return PAPER * np.exp(-self.depth) * light[..., None]


def _ellipse(width: float, height: float):
    """A shape with these half axes."""
    return lambda dx, dy: min(width, height) * (1 - np.hypot(dx / width, dy / height))


def _ground(sheet: Sheet) -> None:
    """Sky, distance and meadow run into each other behind the flowers."""
    for x, y, width, height, pigments, amount in (
        (0.15, 0.10, 0.35, 0.20, (COBALT, VIOLET), 0.42),
        (0.75, 0.06, 0.42, 0.16, (COBALT, ROSE), 0.36),
        (0.95, 0.34, 0.22, 0.20, (VIOLET, COBALT), 0.36),
        (0.03, 0.42, 0.20, 0.22, (OCHRE, ROSE), 0.38),
        (0.50, 0.42, 0.30, 0.16, (LEMON, OLIVE), 0.35),
        (0.20, 0.93, 0.40, 0.24, (SAP, COBALT), 0.62),
        (0.75, 0.98, 0.40, 0.22, (OLIVE, SAP), 0.66),
        (0.55, 0.78, 0.34, 0.14, (OLIVE, LEMON), 0.42),
    ):
        shape = _ellipse(width, height)
        sheet.wash(shape, (x, y), 1.1, pigments, amount, wet=0.10, rough=0.02)
    for _ in range(9):  # blooms, where a drop of water pushed the pigment aside
        sheet.bloom(sheet.rng.uniform(0.03, 0.97, 2), sheet.rng.uniform(0.02, 0.055))


def _stems(sheet: Sheet) -> None:
    """Stems from the flowers down, and blades of grass and leaves."""
    rng = sheet.rng
    for x, y, radius, _, _ in FLOWERS:
        foot = 0.5 + 0.75 * (x - 0.5) + rng.normal(0, 0.05)

        def stem(dx, dy, x=x, y=y, foot=foot, half=0.03 * radius + 0.0022):
            t = np.clip(dy / (1.02 - y), 0, 1)
            return np.where(dy > 0, half - np.abs(dx - (foot - x) * t**1.6), -1.0)

        sheet.wash(stem, (x, y), 1.0 - y + 0.05, (SAP, OLIVE), 1.0, rough=0.003)
    for _ in range(34):
        at = (rng.uniform(0, 1), rng.uniform(0.70, 1.05))
        length, lean = rng.uniform(0.07, 0.22), rng.normal(0, 0.45)
        pigments = ((SAP, OLIVE), (SAP, COBALT), (OLIVE, OCHRE))[rng.integers(3)]

        half = rng.uniform(0.006, 0.017)

        def blade(dx, dy, length=length, lean=lean, half=half):
            t = np.clip(-dy / length, 0, 1)
            width = half * np.sin(np.pi * np.clip(t, 0.02, 1) ** 0.8)
            return np.where(
                (dy < 0) & (dy > -length), width - np.abs(dx - lean * length * t**1.7), -1
            )

        sheet.wash(blade, at, length + 0.05, pigments, rng.uniform(0.5, 1.1), rough=0.004)


def _flower(sheet: Sheet, at, radius: float, turn: float, pigments) -> None:
    """Petals over petals, their folds, and a dark heart with its stamens."""
    rng = sheet.rng
    for number in range(5):
        angle = turn + number * 2 * np.pi / 5 + rng.normal(0, 0.16)
        reach = radius * rng.uniform(0.9, 1.15)
        petal = _petal(angle, reach, rng.uniform(0.62, 0.78))
        middle = (at[0] + 0.5 * reach * np.cos(angle), at[1] + 0.5 * reach * np.sin(angle))
        pair = pigments if number % 2 else pigments[::-1]
        place = {"around": middle, "rough": 0.035 * radius + 0.003}
        amount = rng.uniform(0.55, 0.95)
        sheet.wash(petal, at, 0.8 * reach, pair, amount, over=0.72, **place)
        fold = _petal(angle + rng.normal(0, 0.2), 0.62 * reach, 0.38)
        sheet.wash(fold, at, 0.8 * reach, pair[:1], 0.5, wet=0.16 * radius, **place)
    glow = _ellipse(0.3 * radius, 0.28 * radius)
    sheet.wash(glow, at, 0.9 * radius, (SEPIA, VIOLET), 0.5, wet=0.12 * radius)
    heart = _ellipse(0.15 * radius, 0.13 * radius)
    sheet.wash(heart, at, 0.5 * radius, SEPIA, 1.0, rough=0.02 * radius)
    for _ in range(26):
        angle, far = rng.uniform(0, 2 * np.pi), radius * rng.normal(0.28, 0.06)
        spot = (at[0] + far * np.cos(angle), at[1] + far * np.sin(angle))
        size = radius * rng.uniform(0.010, 0.024) + 0.0008
        sheet.wash(_ellipse(size, size), spot, 0.02, SEPIA, 1.2, rough=0.0015)


def _petal(angle: float, reach: float, spread: float):
    """A petal from the origin towards `angle`: a fan with a waved rim."""

    def shape(dx, dy):
        r = np.hypot(dx, dy)
        away = np.abs((np.arctan2(dy, dx) - angle + np.pi) % (2 * np.pi) - np.pi) / spread
        rim = reach * (1 - 0.38 * away**2.4 + 0.035 * np.cos(9 * away))
        return np.minimum(rim - r, 1.2 * (1.12 - away) * (r + 0.1 * reach) * spread)

    return shape


def _cornflowers(sheet: Sheet) -> None:
    """Small blue flowers and buds between the large ones."""
    rng = sheet.rng
    for x, y in (
        (0.49, 0.10),
        (0.10, 0.20),
        (0.47, 0.87),
        (0.93, 0.88),
        (0.08, 0.80),
        (0.72, 0.86),
    ):
        for _ in range(9):
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.010, 0.026)
            spot = (x + far * np.cos(angle), y + far * np.sin(angle))
            petal = _petal(angle, rng.uniform(0.018, 0.032), 0.42)
            pair = ((COBALT, VIOLET), (VIOLET, COBALT))[rng.integers(2)]
            sheet.wash(petal, spot, 0.06, pair, rng.uniform(0.6, 1.0), rough=0.003)
        sheet.wash(_ellipse(0.007, 0.006), (x, y), 0.03, (VIOLET, SEPIA), 1.2, rough=0.002)


def _splashes(sheet: Sheet) -> None:
    """Drops shaken from the brush."""
    rng = sheet.rng
    for _ in range(150):
        pigment = (POPPY, VERMILION, SAP, COBALT, OCHRE, ROSE)[rng.integers(6)]
        size = 0.0012 + 0.0022 * rng.exponential()
        sheet.wash(
            _ellipse(size, size),
            rng.uniform(0, 1, 2),
            0.04,
            pigment,
            rng.uniform(0.4, 1),
            rough=0.0015,
        )
