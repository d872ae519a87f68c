"""`dots`: an evening at a lake, in dots of pure colour that mix in the eye."""

import numpy as np
from PIL import Image, ImageDraw

from nstbench.pictures.painted.canvas import (
    FINE,
    blend,
    develop,
    grid,
    lay,
    noise,
    palette,
    relief,
    sample,
    scatter,
)

SKY = palette("#3f6fb5", "#7d93cf", "#c9a0c8", "#f4a98a", "#fbd06a", "#fdeaa0")
SUN = palette("#fffbe0", "#ffe680", "#fbc15a")
HILLS = palette("#6d6bb0", "#4a5d9c", "#3d7a86")
MEADOW = palette("#d9c23a", "#7fae3a", "#3e8f48", "#1f6b57")
LEAVES = palette("#e8b33a", "#7da834", "#2f7a3f", "#1d4f5e")
TRUNK = np.array([0.28, 0.15, 0.30])
POPPIES = palette("#e63322", "#f2663a", "#f6d8e0")
SHORE = 0.46  # where the water begins


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1884)
    scene = _lake(rng)
    _meadow(rng, scene)
    _tree(rng, scene)
    image = Image.new("RGBA", (FINE, FINE), (236, 222, 196, 40))
    draw = ImageDraw.Draw(image)
    for count, radius in ((9000, 0.0085), (15000, 0.0058), (15000, 0.004)):
        _dab(rng, draw, scene, count, radius)
    return develop(relief(image, 0.8))


def _lake(rng: np.random.Generator) -> np.ndarray:
    """Sky, sun, hills, and all of it again in the water."""
    x, y = grid()
    depth = np.where(y < SHORE, y / SHORE, (2 * SHORE - y) / SHORE)
    ripple = np.where(y > SHORE, 0.03 * noise(rng, (5, 70)), 0.05 * noise(rng, (4, 14), 3))
    scene = blend(SKY, np.clip(depth + ripple, 0, 1))
    mirrored = np.where(y < SHORE, y, 2 * SHORE - y)
    sideways = x + np.where(y > SHORE, 0.02 * noise(rng, (6, 60)), 0.0)
    for number, (level, height, rate) in enumerate(
        ((0.36, 0.05, 6.0), (0.40, 0.035, 9.0), (0.435, 0.02, 13.0))
    ):
        ridge = level - height * np.sin(rate * sideways + 1.7 * number) * (0.6 + 0.4 * sideways)
        scene = lay(scene, HILLS[number], np.where(mirrored > ridge, 0.92, 0.0))
    scene = lay(scene, HILLS[1], np.where(y > SHORE, 0.3 + 0.15 * noise(rng, (5, 50)), 0.0))
    far = np.hypot(sideways - 0.36, mirrored - 0.24) / 0.075
    scene = lay(scene, blend(SUN, np.clip(far, 0, 1)), np.where(y < 0.5, 6 * (1.05 - far), 0))
    glow = np.exp(-(((sideways - 0.36) / 0.045) ** 2)) * (y > SHORE) * (noise(rng, (9, 80)) > -0.1)
    scene = lay(scene, SUN[1], 0.95 * glow)
    for bx, by, size in ((0.60, 0.505, 0.085), (0.12, 0.49, 0.05)):
        up = (by - y) / size
        sail = (up > 0) & (up < 1) & (np.abs(x - bx) < 0.33 * size * (1 - up))
        below = (up < 0) & (up > -0.8) & (np.abs(sideways - bx) < 0.3 * size * (1 + up))
        hull = (np.abs(up + 0.06) < 0.09) & (np.abs(x - bx) < 0.5 * size)
        scene = lay(scene, np.array([1.0, 0.96, 0.9]), sail + 0.6 * below)
        scene = lay(scene, np.array([0.55, 0.16, 0.22]), 1.0 * hull)
    return scene


def _meadow(rng: np.random.Generator, scene: np.ndarray) -> None:
    """The bank in front, with poppies."""
    x, y = grid()
    bank = 0.80 - 0.10 * x + 0.03 * np.sin(8 * x) + 0.004 * noise(rng, 40)
    inside = y > bank
    tone = 0.15 + 2.0 * (y - bank) + 0.16 * noise(rng, (14, 24), 3)
    scene[inside] = blend(MEADOW, np.clip(tone, 0, 1))[inside]
    poppies = inside & (noise(rng, 44) + 0.5 * noise(rng, 6) > 1.75)
    kind = np.clip((noise(rng, 10) + 1.2) / 2.4 * 3, 0, 2).astype(int)
    scene[poppies] = POPPIES[kind][poppies]


def _tree(rng: np.random.Generator, scene: np.ndarray) -> None:
    """A tree on the right, lit from the left."""
    x, y = grid()
    bend = 0.83 + 0.025 * np.sin(6 * y)
    trunk = (np.abs(x - bend) < 0.016 + 0.03 * np.clip(y - 0.72, 0, 1)) & (y > 0.3) & (y < 0.86)
    scene[trunk] = TRUNK
    for cx, cy, radius in (
        (0.84, 0.24, 0.16),
        (0.72, 0.33, 0.09),
        (0.95, 0.36, 0.11),
        (0.78, 0.13, 0.10),
        (0.93, 0.16, 0.11),
    ):
        far = np.hypot(x - cx, y - cy) / radius + 0.13 * noise(rng, 26, 2)
        light = 0.45 + 0.42 * ((x - cx) + (y - cy)) / radius + 0.16 * noise(rng, 30)
        crown = far < 1.0
        scene[crown] = blend(LEAVES, np.clip(light, 0, 1))[crown]


def _dab(rng, draw: ImageDraw.ImageDraw, scene: np.ndarray, count: int, radius: float) -> None:
    """Dots whose colours scatter about the scene's, one in seven towards its complement."""
    places = scatter(rng, count)
    colours = sample(scene, places)
    grey = colours.mean(axis=1, keepdims=True)
    vivid = grey + 1.25 * (colours - grey) + 0.075 * rng.standard_normal(colours.shape)
    contrast = rng.random((len(places), 1)) < 1 / 7
    vivid = np.where(contrast, grey - 0.55 * (colours - grey) + 0.06, vivid)
    vivid = vivid + 0.05 * rng.standard_normal((len(places), 1))
    height = rng.uniform(0.5, 1.0, (len(places), 1))
    inks = (np.clip(np.concatenate([vivid, height], axis=1), 0, 1) * 255).astype(int).tolist()
    radii = radius * rng.uniform(0.75, 1.2, (len(places), 1))
    boxes = np.concatenate([places - radii, places + radii], axis=1) * FINE
    for box, ink in zip(boxes.tolist(), inks, strict=True):
        draw.ellipse(box, fill=tuple(ink))
