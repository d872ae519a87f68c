"""`ink`: bamboo before mountains in the mist, in black ink on rice paper with a red seal."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from nstbench.pictures.painted.canvas import FINE, SIDE, develop, grid, noise, palette

PAPER = palette("#f1e6cc")[0]
INK = palette("#1b1a1c")[0]
CINNABAR = palette("#b3261e")[0]
SUN = (0.735, 0.235, 0.085)  # x, y, radius

# level, height and blackness of each ridge, from the farthest to the nearest
RIDGES = ((0.40, 0.13, 0.30), (0.50, 0.17, 0.48), (0.63, 0.14, 0.70))
# x at the foot, lean, bend, half-width and blackness of each stalk, from the back to the front
STALKS = (
    (0.42, -0.06, 0.05, 0.0085, 0.42),
    (0.075, 0.05, 0.04, 0.013, 0.62),
    (0.285, -0.09, 0.07, 0.021, 0.88),
    (0.175, 0.10, -0.06, 0.026, 0.98),
)
# x, y, size, direction (radians) and blackness of each spray of leaves
SPRAYS = (
    (0.46, 0.16, 0.15, 0.6, 0.45), (0.40, 0.44, 0.13, 0.8, 0.42), (0.06, 0.10, 0.15, 1.2, 0.55),
    (0.24, 0.10, 0.21, 0.5, 0.95), (0.33, 0.30, 0.20, 0.75, 0.90), (0.13, 0.34, 0.17, 2.3, 0.85),
    (0.36, 0.54, 0.19, 0.45, 1.00), (0.20, 0.62, 0.16, 2.4, 0.92), (0.52, 0.06, 0.19, 0.85, 0.98),
    (0.30, 0.80, 0.16, 0.65, 0.98), (0.06, 0.72, 0.14, 1.9, 0.75),
)  # fmt: skip


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1082)
    fibres = noise(rng, (14, 190), 2) + noise(rng, (190, 14), 2)
    tooth = noise(rng, 260, 1)
    black = np.zeros((SIDE, SIDE), np.float32)  # how much of the paper the ink hides
    for ridge in RIDGES:
        black = _over(black, _ridge(rng, *ridge))
    black = _over(black, _birds(rng))
    for stalk in STALKS:
        black = _over(black, _stalk(rng, *stalk))
    for spray in SPRAYS:
        black = _over(black, _spray(rng, *spray))
    black = _over(black, _splashes(rng))
    # Ink sits on the paper's tooth, most of all where it is neither thick nor absent.
    black = np.clip(black * (1 + 0.045 * fibres + 0.07 * tooth) + 0.010 * fibres, 0, 1)
    paper = PAPER * (1 + 0.018 * fibres + 0.012 * noise(rng, 5, 3))[..., None]
    red = _red(rng)[..., None]
    paper = paper * (1 - red) + CINNABAR * red
    return develop(paper * (1 - black[..., None]) + INK * black[..., None])


def _over(black: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Ink laid over ink."""
    return 1 - (1 - black) * (1 - np.clip(more, 0, 1))


def _ridge(rng, level: float, height: float, dark: float) -> np.ndarray:
    """A range of peaks: a crisp upper edge, dry strokes down its sides, dissolved in mist below."""
    x, y = grid()
    peaks = np.abs(noise(rng, (5, 1), 1)) * 0.5 + 0.28 * noise(rng, (9, 1), 3)
    top = level - height * (peaks - 0.4) + 0.09 * (0.62 - x) + 0.003 * noise(rng, (90, 60), 2)
    depth = y - top
    edge = np.clip(depth * SIDE / 2.5, 0, 1)
    fade = np.exp(-np.clip(depth, 0, 1) / (0.055 + 0.03 * noise(rng, (6, 3), 2).clip(-1, 1)))
    # Texture strokes ("hemp fibre"): they run down and away from each peak.
    slope = np.gradient(top, axis=1) * SIDE
    fall = noise(rng, (70, 9), 2) * 0.7 + noise(rng, (24, 12), 2) * 0.5
    fall = fall + 0.5 * np.clip(slope, -1.5, 1.5)
    strokes = np.clip(fall, 0, 1.6) * np.exp(-np.clip(depth, 0, 1) / 0.075)
    pine = np.clip(noise(rng, (120, 120), 2) - 0.9, 0, 1) * np.exp(
        -(((depth - 0.006) / 0.011) ** 2)
    )
    return edge * dark * (0.58 * fade + 0.50 * strokes + 0.9 * pine)


def _stalk(rng, foot: float, lean: float, bend: float, half: float, dark: float) -> np.ndarray:
    """A stalk of joints, each one pull of a half-dry brush: dark rims, streaks, rings."""
    x, y = grid()
    up = 1.05 - y
    centre = foot + lean * up + bend * up**2
    knots = 1.05 - np.cumsum(rng.uniform(0.105, 0.15, 14))
    joint = np.searchsorted(-knots, -y.ravel()).reshape(y.shape)
    lower = np.concatenate([[1.05], knots])[joint]
    upper = np.concatenate([knots, [knots[-1] - 0.12]])[joint]
    along = (lower - y) / (lower - upper)
    shade = rng.uniform(0.8, 1.1, 15)[joint]
    waist = 1 + 0.13 * (2 * np.abs(along - 0.5)) ** 6
    across = (x - centre - 0.0016 * noise(rng, (3, 12))) / (half * waist)
    gap = np.minimum(along, 1 - along) * (lower - upper)
    body = np.clip((1 - np.abs(across)) * half * SIDE / 1.5, 0, 1)
    body *= np.clip((gap - 0.0028 - 0.001 * noise(rng, (60, 30))) * SIDE / 1.5, 0, 1)
    lanes = np.interp(across, np.linspace(-1.2, 1.2, 40), rng.standard_normal(40))
    dry = 0.16 * lanes * (0.5 + along) + 0.09 * noise(rng, (120, 16), 2)
    tone = 0.50 + 0.36 * np.abs(across) ** 3 - 0.20 * np.exp(-(((across + 0.25) / 0.3) ** 2))
    tone = tone + 0.45 * np.exp(-gap / 0.006) + dry
    rings = np.exp(-((along * (lower - upper) / 0.0028) ** 2)) * (np.abs(across) < 1.15)
    tone = tone + 0.14 * across  # the light falls from the left
    return dark * np.maximum(np.clip(tone, 0.05, 1) * shade * body, 0.9 * rings)


def _spray(rng, x: float, y: float, size: float, turn: float, dark: float) -> np.ndarray:
    """A twig with its leaves, all fallen to one side: (SIDE, SIDE) of ink."""
    image = Image.new("L", (FINE, FINE), 0)
    draw = ImageDraw.Draw(image)
    twig = np.array([x, y]) + np.linspace(0, 0.9, 5)[:, None] * size * np.array(
        [np.cos(turn), 0.5 * np.sin(turn)]
    )
    draw.line([tuple(point * FINE) for point in twig], int(200 * dark), 7, joint="curve")
    for at in twig:
        pressed = rng.uniform(0.45, 1.05)  # how full the brush is
        for fan in (-0.45, 0.35, 1.05):
            way = turn + fan + rng.normal(0.0, 0.22)
            reach = size * rng.uniform(0.55, 1.1) * (1 - 0.25 * (fan < 0))
            for sliver, shade in _leaf(rng, at, way, reach):
                ink = int(np.clip(255 * dark * shade * pressed, 0, 255))
                draw.polygon([tuple(point) for point in sliver * FINE], fill=ink)
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255.0


def _leaf(rng, at: np.ndarray, way: float, reach: float) -> Iterator[tuple[np.ndarray, float]]:
    """Slivers (n, 2) of one leaf with their shades: pressed in its middle, lifted to a point."""
    t = np.linspace(0, 1, 16)
    angle = way + rng.normal(0, 0.35) * t + 0.25 * t**2
    step = reach / len(t)
    spine = at + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], -1) * step, axis=0)
    normal = np.stack([-np.sin(angle), np.cos(angle)], -1)
    half = 0.072 * reach * np.sin(np.pi * t**0.75) ** 0.9 * (1.02 - t) ** 0.35
    edges = np.linspace(-1, 1, 6)
    base = rng.uniform(0.72, 1.0)
    for left, right in zip(edges[:-1], edges[1:], strict=True):
        end = len(t) if abs(left + right) < 0.7 else rng.integers(12, 17)
        sides = [spine + normal * (half * edge)[:, None] for edge in (left, right)]
        yield np.concatenate([sides[0][:end], sides[1][:end][::-1]]), base * rng.uniform(0.8, 1.05)


def _birds(rng) -> np.ndarray:
    """A flight of birds far off, two strokes each."""
    image = Image.new("L", (FINE, FINE), 0)
    draw = ImageDraw.Draw(image)
    for number in range(9):
        x, y = 0.60 + 0.037 * number, 0.10 + 0.012 * abs(number - 3) + rng.normal(0, 0.008)
        wing = rng.uniform(0.009, 0.014)
        for side in (-1, 1):
            tip = (x + side * wing, y - wing * rng.uniform(0.3, 0.9))
            middle = (x + 0.5 * side * wing, y - 0.55 * wing)
            draw.line([v * FINE for v in (x, y, *middle, *tip)], 190, 5, joint="curve")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255.0


def _splashes(rng) -> np.ndarray:
    """Drops that fell from the brush."""
    image = Image.new("L", (FINE, FINE), 0)
    draw = ImageDraw.Draw(image)
    for _ in range(90):
        x, y = rng.uniform(0, 1, 2) * FINE
        radius = FINE * 0.0008 * rng.exponential(1.2) + 1
        draw.ellipse(
            [x - radius, y - radius, x + radius, y + radius], fill=int(rng.uniform(60, 220))
        )
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255.0


def _red(rng) -> np.ndarray:
    """The sun, a pale wash with a wet rim, and the painter's seal."""
    x, y = grid()
    cx, cy, radius = SUN
    far = radius - np.hypot(x - cx, y - cy) + 0.0025 * noise(rng, 16, 3)
    sun = np.clip(far * SIDE / 3, 0, 1) * (0.62 + 0.25 * np.exp(-np.abs(far) / 0.006))
    sun = (
        sun
        * (1 + 0.10 * noise(rng, 14, 4))
        * np.clip(1.25 - (y - cy + radius) / (2.6 * radius), 0, 1)
    )
    left, top, side = 0.885, 0.845, 0.07
    within = np.minimum(
        np.minimum(x - left, left + side - x), np.minimum(y - top, top + 1.2 * side - y)
    )
    seal = np.clip((within + 0.0016 * noise(rng, 50, 2)) * SIDE / 1.5, 0, 1)
    signs = np.zeros_like(x)
    for up in (0.10, 0.32, 0.54, 0.76, 1.0):  # strokes cut out, as in old seal script
        signs = np.maximum(signs, (np.abs(y - top - up * side) < 0.0026) & (within > 0.007))
    for across, first, last in ((0.5, 0.1, 0.54), (0.22, 0.32, 1.0), (0.78, 0.54, 1.0)):
        high = (y > top + first * side) & (y < top + last * side)
        signs = np.maximum(signs, (np.abs(x - left - across * side) < 0.0026) & high)
    return np.clip(sun, 0, 1) + 0.92 * seal * (1 - signs) * (noise(rng, 170) > -1.7)
