"""`geometric`: overlapping discs of coloured rings, triangles and black lines on warm ground."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import map_coordinates

from nstbench.pictures.painted.canvas import (
    FINE,
    SIDE,
    brush,
    develop,
    grid,
    noise,
    palette,
    relief,
    scatter,
    stroke_paths,
)

BRIGHT = palette(
    "#e4312b", "#f6b81c", "#1f4fa3", "#f47c20", "#2a9d8f", "#f3e9d2",
    "#7b2d8b", "#111d3c", "#f29cb7", "#5fb5e5", "#8cc152", "#c2185b",
)  # fmt: skip
GROUND = palette("#efd9a7", "#e7b36a", "#d7e3d4", "#f2c9a1", "#b9d3e0", "#e9e0c9")
INK = (16, 18, 32)

# x, y, radius, rings and first angle (degrees) of each disc, from the back to the front
DISCS = (
    (0.70, 0.30, 0.36, 7, 18),
    (0.24, 0.68, 0.31, 6, 52),
    (0.80, 0.80, 0.24, 5, 71),
    (0.22, 0.20, 0.19, 4, 33),
    (0.50, 0.52, 0.17, 4, 5),
    (0.52, 0.90, 0.10, 3, 40),
    (0.94, 0.55, 0.09, 3, 12),
)
TRIANGLES = (
    ((0.36, 0.02), (0.50, 0.30), (0.27, 0.33)),
    ((0.62, 0.60), (0.98, 0.66), (0.71, 0.71)),
    ((0.03, 0.94), (0.36, 0.86), (0.33, 0.99)),
    ((0.02, 0.33), (0.13, 0.44), (0.02, 0.52)),
)
# x0, y0, x1, y1 and width of each straight black line
LINES = (
    (0.02, 0.86, 0.62, 0.06, 0.008),
    (0.10, 0.97, 0.97, 0.12, 0.005),
    (0.30, 0.03, 0.86, 0.97, 0.010),
    (0.05, 0.56, 0.55, 0.66, 0.006),
    (0.60, 0.40, 0.99, 0.46, 0.006),
)
# x, y, radius, first and last angle (degrees) and width of each black arc
ARCS = ((0.50, 0.52, 0.215, 190, 330, 0.010), (0.24, 0.68, 0.345, 200, 290, 0.007),
        (0.70, 0.30, 0.395, 60, 150, 0.007), (0.80, 0.80, 0.27, 150, 260, 0.009))  # fmt: skip


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1913)
    scene, angles = _shapes(rng)
    # The strokes only lighten, darken and raise the paint, so that the shapes keep their edges.
    texture = Image.new("RGBA", (FINE, FINE), (140, 140, 140, 96))
    for count, length, width in ((4000, 0.05, 0.018), (7000, 0.03, 0.009)):
        starts = scatter(rng, count)
        greys = 0.55 + 0.05 * rng.standard_normal((len(starts), 1)) * np.ones(3)
        paths = stroke_paths(starts, angles, length, points=5)
        brush(texture, rng, paths, greys, width, bristles=5, variation=0.05)
    paint_over = relief(texture, 1.0) / 0.55
    return develop(_trembling(rng, scene) * (0.35 + 0.65 * paint_over))


def _trembling(rng: np.random.Generator, scene: Image.Image) -> np.ndarray:
    """The flat shapes at (SIDE, SIDE, 3) with edges as a hand draws them."""
    small = scene.resize((SIDE, SIDE), Image.Resampling.BOX)
    flat = np.asarray(small, dtype=np.float32) / 255.0
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    where = [rows + 2.0 * noise(rng, 14, 2), columns + 2.0 * noise(rng, 14, 2)]
    return np.stack(
        [map_coordinates(flat[..., c], where, order=1, mode="nearest") for c in range(3)], axis=-1
    )


def _shapes(rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """The flat shapes (FINE pixels square) and the direction in which each is brushed."""
    scene = Image.new("RGB", (FINE, FINE))
    draw = ImageDraw.Draw(scene)
    x, y = grid()
    angles = np.full((SIDE, SIDE), 0.9, np.float32)
    for band in range(9):
        edge = FINE * (band / 4.5 - 0.6)
        corners = [(edge, 0), (edge + 0.6 * FINE, 0), (edge, FINE), (edge - 0.6 * FINE, FINE)]
        draw.polygon(corners, fill=_rgb(GROUND[band % len(GROUND)]))
    for cx, cy, radius, rings, first in DISCS:
        _disc(rng, draw, (cx * FINE, cy * FINE), radius * FINE, rings, first)
        inside = np.hypot(x - cx, y - cy) < radius
        angles[inside] = (np.arctan2(y - cy, x - cx) + np.pi / 2)[inside]
    for number, corners in enumerate(TRIANGLES):
        ink = _rgb(BRIGHT[(5 * number + 1) % len(BRIGHT)])
        draw.polygon([(px * FINE, py * FINE) for px, py in corners], fill=ink)
    _ink(draw)
    return scene, angles


def _disc(rng, draw: ImageDraw.ImageDraw, centre, radius: float, rings: int, first: int) -> None:
    """Rings cut in quarters, no two neighbours alike."""
    outer = np.full(4, -1)
    for ring in range(rings, 0, -1):
        r = radius * ring / rings
        box = [centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r]
        before = -1
        for quarter in range(4):
            free = [c for c in range(len(BRIGHT)) if c not in (before, outer[quarter], outer[0])]
            before = outer[quarter] = rng.choice(free)
            start = first + 90 * quarter
            draw.pieslice(box, start, start + 90, fill=_rgb(BRIGHT[before]))


def _ink(draw: ImageDraw.ImageDraw) -> None:
    """Lines, arcs, a chequerboard and dots in black."""
    ink = INK
    for x0, y0, x1, y1, width in LINES:
        draw.line([v * FINE for v in (x0, y0, x1, y1)], ink, round(width * FINE))
    for cx, cy, radius, start, end, width in ARCS:
        box = [v * FINE for v in (cx - radius, cy - radius, cx + radius, cy + radius)]
        draw.arc(box, start, end, ink, round(width * FINE))
    cell = 0.028
    for row in range(4):
        for column in range(4):
            left, top = 0.06 + column * cell + 0.012 * row, 0.405 + row * cell
            fill = ink if (row + column) % 2 else (243, 233, 210)
            box = [v * FINE for v in (left, top, left + cell, top + cell)]
            draw.rectangle(box, fill=fill)
    for cx, cy, radius in ((0.40, 0.40, 0.018), (0.63, 0.68, 0.024), (0.90, 0.06, 0.02),
                           (0.06, 0.06, 0.014), (0.45, 0.76, 0.012)):  # fmt: skip
        box = [v * FINE for v in (cx - radius, cy - radius, cx + radius, cy + radius)]
        draw.ellipse(box, fill=ink)


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (round(255 * value) for value in colour)
    return red, green, blue
