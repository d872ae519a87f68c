"""`wave`: breaking waves before a red sun, as a woodcut in a few inks on cream paper."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.interpolate import make_interp_spline

from nstbench.pictures.painted.canvas import FINE, SIDE, blend, develop, grid, lay, noise, palette

PAPER = palette("#f3e4bd", "#efd29a", "#e9b27c", "#c9c3a4")
INDIGO, BLUE, PALE, FOAM = palette("#16264f", "#2f63a0", "#9cc3cf", "#f8f2df")
SUN = palette("#d63a22", "#e8702c")
STRIPES = (INDIGO, BLUE, INDIGO, PALE, BLUE, INDIGO, FOAM, BLUE, PALE, INDIGO, BLUE)

# A breaking wave of height 1, x to the right and y up: from its hanging tip down its hollow face
# to the trough before it, and from the tip over its crest to the foot of its back.
FACE = ((0.66, 0.60), (0.55, 0.73), (0.38, 0.74), (0.22, 0.60), (0.16, 0.38), (0.26, 0.17),
        (0.52, 0.05), (0.95, 0.0), (1.6, -0.02))  # fmt: skip
BACK = ((0.66, 0.60), (0.66, 0.80), (0.50, 0.96), (0.22, 1.02), (-0.05, 0.92), (-0.30, 0.66),
        (-0.55, 0.36), (-0.95, 0.12), (-1.6, 0.0))  # fmt: skip

# x and y of the foot, height and lean (-1 mirrors) of each wave, from the back to the front
WAVES = (
    (0.80, 0.66, 0.17, -1.0),
    (0.52, 0.68, 0.13, 1.0),
    (0.97, 0.76, 0.26, -1.0),
    (0.28, 0.80, 0.62, 1.0),
    (0.78, 0.90, 0.17, 1.0),
    (0.30, 1.00, 0.24, -1.0),
    (0.88, 1.05, 0.22, -1.0),
)


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1831)
    sky = Image.fromarray((np.clip(_sky(rng), 0, 1) * 255).astype(np.uint8)).resize((FINE, FINE))
    draw = ImageDraw.Draw(sky)
    _mountain(draw)
    for number, wave in enumerate(WAVES):
        _water(draw, wave[1] - 0.03, number)
        _wave(rng, draw, *wave)
    print_ = np.asarray(sky.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255.0
    x, y = grid()
    grain = noise(rng, (5, 170), 2) * 0.5 + 0.5 * noise(rng, (9, 60), 2)
    wood = 1.0 + 0.10 * grain + 0.06 * noise(rng, 260) + 0.06 * noise(rng, 6, 3)
    return develop(print_ * np.where(print_.mean(axis=-1) > 0.8, 0.6 + 0.4 * wood, wood)[..., None])


def _sky(rng: np.random.Generator) -> np.ndarray:
    """Paper, wiped from dark to light, with bars of cloud and the sun."""
    x, y = grid()
    sky = blend(PAPER, np.clip(0.35 * y / 0.5 + 0.10 * noise(rng, (3, 8), 2), 0, 1))
    sky = lay(sky, BLUE, 0.95 * np.exp(-((y / 0.10) ** 2)))
    far = np.hypot(x - 0.76, y - 0.24)
    sky = lay(sky, blend(SUN, np.clip((y - 0.12) / 0.24, 0, 1)), (0.125 - far) * SIDE / 2)
    for cx, cy, half, thick in (
        (0.92, 0.30, 0.20, 0.014),
        (0.66, 0.335, 0.13, 0.010),
        (0.10, 0.22, 0.16, 0.012),
        (0.86, 0.17, 0.10, 0.008),
        (0.55, 0.12, 0.11, 0.010),
    ):
        inside = np.hypot(np.maximum(np.abs(x - cx) - half, 0), y - cy)
        sky = lay(sky, FOAM, (thick - inside) * SIDE / 2)
        sky = lay(sky, INDIGO, (0.0016 - np.abs(inside - thick)) * SIDE / 2)
    return sky


def _mountain(draw: ImageDraw.ImageDraw) -> None:
    """A far peak with snow."""
    left, peak, right = (0.34, 0.62), (0.585, 0.40), (0.90, 0.62)
    _polygon(
        draw, [left, (0.50, 0.505), (0.565, 0.405), peak, (0.605, 0.405), (0.69, 0.51), right], BLUE
    )
    snow = [(0.535, 0.45), (0.565, 0.405), peak, (0.605, 0.405), (0.645, 0.455)]
    _polygon(draw, [*snow, (0.62, 0.445), (0.605, 0.475), (0.585, 0.448), (0.565, 0.48)], FOAM)


def _water(draw: ImageDraw.ImageDraw, level: float, number: int) -> None:
    """Striped swell from `level` down to the edge of the picture."""
    xs = np.linspace(-0.02, 1.02, 120)
    for stripe, colour in enumerate((INDIGO, BLUE, PALE, BLUE, INDIGO, BLUE, INDIGO)):
        roll = 0.018 * np.sin(7 * xs + 1.9 * number) + 0.008 * np.sin(19 * xs + number)
        top = level + 0.02 * stripe**1.25 + roll * (1 + 0.25 * stripe)
        _polygon(draw, [*zip(xs, top, strict=True), (1.02, 1.05), (-0.02, 1.05)], colour)


def _wave(rng, draw, x: float, y: float, height: float, lean: float) -> None:
    """One breaking wave: stripes from its face to its back, then the foam on its crest."""

    def place(points: np.ndarray) -> np.ndarray:
        return np.array([x, y]) + height * points * np.array([lean, -1.0])

    face, back = _smooth(FACE), _smooth(BACK)
    outline = np.concatenate([face, back[::-1]])
    _polygon(draw, place(outline), INDIGO)
    edges = np.linspace(0.0, 1.0, len(STRIPES) + 1) ** 0.9
    for colour, start, end in zip(STRIPES, edges[:-1], edges[1:], strict=True):
        inner = face + (back - face) * start
        outer = face + (back - face) * (end - 0.02)
        _polygon(draw, place(np.concatenate([inner, outer[::-1]])), colour)
    line = [tuple(point) for point in place(outline) * FINE]
    draw.line([*line, line[0]], _ink(INDIGO), max(2, round(0.012 * height * FINE)), joint="curve")
    _foam(rng, draw, place, back, height)


def _foam(rng, draw, place, back: np.ndarray, height: float) -> None:
    """Claws and bubbles along the crest, spray before it."""
    crest = back[: int(0.58 * len(back))]
    normal = np.gradient(crest, axis=0)
    normal = np.stack([normal[:, 1], -normal[:, 0]], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    blobs = []
    for at in rng.integers(0, len(crest), 110):
        size = 0.045 * (1 - 0.75 * at / len(crest)) * rng.uniform(0.5, 1.15)
        drop = rng.normal(0.0, 0.05 * (1 - 0.7 * at / len(crest)))
        blobs.append((*(crest[at] + normal[at] * drop), size))
    tip = np.array([0.62, 0.70])
    for _ in range(36):  # claws reach down from the tip
        turn, reach = rng.uniform(-1.9, 0.5), rng.uniform(0.02, 0.17)
        way = np.array([np.cos(turn), np.sin(turn)])
        blobs += [(*(tip + way * reach * t), 0.026 * (1.25 - t)) for t in (0.25, 0.5, 0.75, 1.0)]
    spray = tip + rng.normal(0, 1, (45, 2)) * [0.24, 0.16] + [0.12, 0.10]
    blobs += [(*point, rng.uniform(0.003, 0.010)) for point in spray]
    for colour, grow in ((INDIGO, 0.006), (FOAM, 0.0)):
        for px, py, size in blobs:
            centre = place(np.array([px, py])) * FINE
            radius = (size + grow) * height * FINE
            draw.ellipse([*(centre - radius), *(centre + radius)], fill=_ink(colour))


def _smooth(points) -> np.ndarray:
    """A smooth curve (120, 2) through `points`."""
    points = np.array(points)
    return make_interp_spline(np.linspace(0, 1, len(points)), points)(np.linspace(0, 1, 120))


def _polygon(draw: ImageDraw.ImageDraw, points, colour: np.ndarray) -> None:
    draw.polygon([(px * FINE, py * FINE) for px, py in points], fill=_ink(colour))


def _ink(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (round(255 * value) for value in colour)
    return red, green, blue
