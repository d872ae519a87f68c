"""`brushwork`: a night sky in thick, curling brush strokes over hills and a dark cypress."""

import numpy as np
from PIL import Image

from nstbench.pictures.painted.canvas import (
    FINE,
    blend,
    brush,
    develop,
    grid,
    lay,
    noise,
    palette,
    relief,
    sample,
    scatter,
    stroke_paths,
)

NIGHT = palette("#0b1a4a", "#1c3f94", "#2f6fc4", "#12296b", "#5fa8d8", "#1d4aa5", "#a9d6df")
GLOW = palette("#fff7c9", "#ffd94a", "#f7a823", "#8fc7b5", "#2f6fc4")
EARTH = palette("#0f2e3d", "#1f5c4c", "#4f8a3c", "#c9b037", "#24508a", "#e08a2c")
CYPRESS = palette("#081410", "#15351f", "#2f5a22", "#4a2c17")

UNDER = 512  # pixels of the underpainting, whose details the strokes cover

# x, y, radius of each whirl of the wind, and its sense of rotation
WHIRLS = ((0.46, 0.36, 0.17, 1.0), (0.71, 0.44, 0.11, -1.0), (0.30, 0.16, 0.09, 1.0))
# x, y and radius of the glow of each star; the first is the moon
STARS = (
    (0.86, 0.14, 0.125),
    (0.12, 0.12, 0.06),
    (0.55, 0.10, 0.065),
    (0.33, 0.48, 0.05),
    (0.60, 0.24, 0.035),
    (0.93, 0.42, 0.055),
    (0.70, 0.09, 0.035),
    (0.06, 0.40, 0.05),
    (0.40, 0.08, 0.03),
)


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1889)
    scene, angles = _sky(rng)
    _hills(rng, scene, angles)
    _cypress(rng, scene, angles)
    image = Image.fromarray(
        np.dstack([(np.clip(scene, 0, 1) * 255), np.full(scene.shape[:2], 64)]).astype(np.uint8)
    ).resize((FINE, FINE))
    for count, length, width in ((1400, 0.15, 0.040), (2600, 0.10, 0.024), (1600, 0.06, 0.014)):
        starts = scatter(rng, count)
        colours = sample(scene, starts) + 0.045 * rng.standard_normal((len(starts), 3))
        brush(image, rng, stroke_paths(starts, angles, length), colours, width)
    return develop(relief(image, 1.1))


def _sky(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours (UNDER, UNDER, 3) and stroke directions (UNDER, UNDER) of wind, whirls and stars."""
    x, y = grid(UNDER)
    drift = 0.35 * np.sin(5.0 * x + 1.0) + 0.25 * noise(rng, 4, 1, UNDER)
    east, south = np.cos(drift), np.sin(drift)
    bands = 2.6 * (y + 0.05 * np.sin(7.0 * x)) + 0.22 * noise(rng, 5, 3, UNDER)
    for cx, cy, radius, sense in WHIRLS + tuple((*star, 1.0) for star in STARS):
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) + 1e-6
        near = np.exp(-((r / (1.15 * radius)) ** 4))
        # The tangent, drawn a little inwards, makes a spiral instead of circles.
        tangent = np.arctan2(dy, dx) + sense * (np.pi / 2 + 0.22)
        east = east * (1 - near) + near * np.cos(tangent)
        south = south * (1 - near) + near * np.sin(tangent)
        spiral = 2.2 * r / radius - sense * np.arctan2(dy, dx) / (2 * np.pi)
        bands = bands * (1 - near) + near * spiral
    colours = blend(NIGHT, bands % 1.0)
    for cx, cy, radius in STARS:
        r = np.hypot(x - cx, y - cy) / radius + 0.05 * noise(rng, 24, 1, UNDER)
        colours = lay(colours, blend(GLOW, np.clip(r, 0, 1)), 1.6 * (1.15 - r))
    return colours, np.arctan2(south, east)


def _hills(rng: np.random.Generator, scene: np.ndarray, angles: np.ndarray) -> None:
    """Paint three ridges into `scene` and `angles`."""
    x, y = grid(UNDER)
    for ridge, (level, height, rate, phase) in enumerate(
        ((0.70, 0.055, 7.0, 0.4), (0.79, 0.045, 9.0, 2.2), (0.89, 0.04, 6.0, 4.1))
    ):
        top = level - height * np.sin(rate * x + phase) - 0.3 * height * np.sin(2.3 * rate * x)
        inside = y > top
        furrows = (5.0 * (y - top) + 0.9 * x + 0.12 * noise(rng, 6, 3, UNDER) + 0.31 * ridge) % 1.0
        colours = (
            blend(EARTH, furrows) * (1.0 - 0.5 * np.exp(-(((y - top) / 0.012) ** 2)))[..., None]
        )
        scene[inside] = colours[inside]
        slope = np.arctan(np.gradient(top, axis=1) * len(top))
        angles[inside] = (slope + 0.3 * noise(rng, 8, 1, UNDER))[inside]


def _cypress(rng: np.random.Generator, scene: np.ndarray, angles: np.ndarray) -> None:
    """Paint a dark tree like a flame into `scene` and `angles`."""
    x, y = grid(UNDER)
    sway = 0.018 * np.sin(17.0 * y) + 0.012 * np.sin(41.0 * y + 1.0)
    width = 0.105 * np.clip((y - 0.2) / 0.8, 0, 1) ** 0.75
    across = (x - 0.19 - sway) / (width + 1e-6)
    inside = (np.abs(across + 0.12 * noise(rng, (30, 14), 1, UNDER)) < 1.0) & (y > 0.2)
    flame = (
        0.5 + 0.35 * np.sin(3.0 * across + 16.0 * y) + 0.12 * noise(rng, (40, 10), 1, UNDER)
    ) % 1.0
    scene[inside] = blend(CYPRESS, flame)[inside]
    upright = np.pi / 2 + 0.55 * np.sin(17.0 * y + 1.5 * across)
    angles[inside] = upright[inside]
