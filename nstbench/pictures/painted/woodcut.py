"""`woodcut`: a lighthouse by night, cut in black lines over a sky of red and gold."""

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from nstbench.pictures.painted.canvas import SIDE, blend, develop, grid, lay, noise, palette

INK = np.array([0.07, 0.06, 0.07])
PAPER = np.array([0.96, 0.90, 0.76])
SKY = palette("#8e1b1f", "#c92f22", "#e8642a", "#f5a63a", "#fbd774")  # from the top to the horizon
SEA = palette("#e9c46a", "#5f9a86", "#1f6a68", "#174a55")  # from the horizon to the shore
ROCK = np.array([0.60, 0.47, 0.36])
GLOW = np.array([0.97, 0.78, 0.45])
RED = np.array([0.80, 0.16, 0.13])
LAMP = (0.665, 0.235)  # x and y of the light
HORIZON = 0.60
# x, y and half-width of each cloud's lumps
CLOUDS = (
    ((0.10, 0.21, 0.060), (0.17, 0.175, 0.075), (0.26, 0.20, 0.065), (0.34, 0.225, 0.040)),
    ((0.86, 0.42, 0.040), (0.92, 0.385, 0.055), (1.00, 0.41, 0.060)),
    ((0.02, 0.47, 0.045), (0.09, 0.445, 0.050), (0.16, 0.475, 0.035)),
    ((0.36, 0.075, 0.030), (0.42, 0.055, 0.042), (0.49, 0.08, 0.030)),
)


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1919)
    x, y = grid()
    # A knife never cuts quite straight: everything is drawn in these trembling coordinates.
    x = x + 0.0022 * noise(rng, 22, 2)
    y = y + 0.0022 * noise(rng, 22, 2)
    print_ = Print(rng, x, y)
    _sky(print_)
    _clouds(print_)
    _sea(print_)
    _rocks(print_)
    _tower(print_)
    return develop(print_.pulled())


class Print:
    """A colour block (SIDE, SIDE, 3) and the black key block (SIDE, SIDE), 1 where it prints."""

    def __init__(self, rng: np.random.Generator, x: np.ndarray, y: np.ndarray):
        self.rng, self.x, self.y = rng, x, y
        self.colour = np.broadcast_to(PAPER, (SIDE, SIDE, 3)).copy()
        self.key = np.zeros((SIDE, SIDE), np.float32)
        self.uneven = noise(rng, (26, 26), 2)  # how deep the knife went

    def put(
        self, inside: np.ndarray, colour: np.ndarray, key: np.ndarray, rim: float = 0.0
    ) -> None:
        """Cover where `inside` (canvas sides, positive within) by colour and key, black `rim`."""
        mask = np.clip(inside * SIDE + 0.5, 0, 1)
        self.colour = lay(self.colour, colour, mask)
        if rim:
            key = np.maximum(key, np.clip((rim - inside) * SIDE + 0.5, 0, 1))
        self.key = self.key * (1 - mask) + key * mask

    def hatch(self, phase: np.ndarray, dark: np.ndarray) -> np.ndarray:
        """Black lines at whole numbers of `phase`, wide where `dark` (0 to 1) is near one."""
        dark = np.clip(dark + 0.07 * self.uneven, 0.0, 1.0)
        down, right = np.gradient(phase)
        away = 1 - np.abs(2 * (phase % 1.0) - 1)  # 0 on a line, 1 halfway to the next
        slope = 2 * np.hypot(down, right) + 1e-6
        cover = np.clip((dark - away) / slope + 0.5, 0, 1)
        return np.where(dark < 0.06, 0, cover)

    def pulled(self) -> np.ndarray:
        """The print on paper: grain of the board in the ink, tool marks, register a little off."""
        grain = noise(self.rng, (7, 210), 2)
        flecks = np.clip((grain + 0.6 * noise(self.rng, 230) - 2.1) * 2, 0, 0.8)
        tint = 1.0 + 0.05 * grain[..., None] + 0.03 * noise(self.rng, 200)[..., None]
        colour = np.pad(self.colour, ((2, 0), (0, 3), (0, 0)), "edge")[:SIDE, 3:] * tint
        return lay(colour, INK, self.key * (1 - flecks))


def _sky(print_: Print) -> None:
    """Arcs about the lamp, parted by its beams."""
    x, y, rng = print_.x, print_.y, print_.rng
    dx, dy = x - LAMP[0], y - LAMP[1]
    r, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    beams = np.zeros_like(x)
    for centre, width in ((2.93, 0.15), (-2.55, 0.07), (0.18, 0.15), (-0.62, 0.07)):
        away = np.abs((turn - centre + np.pi) % (2 * np.pi) - np.pi)
        beams = np.maximum(beams, np.clip(1.6 - 1.6 * away / width, 0, 1))
    phase = 42.0 * r + 0.22 * noise(rng, 5, 2)
    dark = 0.24 + 0.62 * np.clip(r / 0.75, 0, 1) + 0.16 * (0.45 - y) + 0.05 * noise(rng, (9, 9), 2)
    key = print_.hatch(phase, (dark - 0.1 * np.exp(-((r / 0.1) ** 2))) * (1 - beams))
    colours = blend(SKY, np.clip(y / HORIZON + 0.04 * noise(rng, (4, 7), 2), 0, 1))
    colours = lay(colours, SKY[4], 0.9 * beams * np.exp(-r / 0.9))
    colours = lay(colours, SKY[4], np.exp(-((r / 0.16) ** 2)))
    print_.put(np.ones_like(x), colours, key)


def _clouds(print_: Print) -> None:
    """White heaps with lines that follow their lower sides."""
    x, y = print_.x, print_.y
    for lumps in CLOUDS:
        fields = np.stack([r - np.hypot(x - cx, 1.15 * (y - cy)) for cx, cy, r in lumps])
        base = max(cy + 0.45 * r for _, cy, r in lumps)
        inside = np.minimum(fields.max(axis=0), 0.9 * (base - y))
        below = np.clip((y - base + 0.09) / 0.09, 0, 1)
        key = print_.hatch(fields.max(axis=0) * 85.0, 0.75 * below)
        print_.put(inside, PAPER, key, rim=0.0028)


def _sea(print_: Print) -> None:
    """Swell that widens towards the shore, broken by crests and by the light's path."""
    x, y, rng = print_.x, print_.y, print_.rng
    depth = np.clip(y - HORIZON, 0, 1)
    swell = noise(rng, (5, 9), 2)
    rise = np.sin(2 * np.pi * (x * 3.0 / (0.35 + depth) + 1.3 * swell) + 9 * depth)
    phase = 20.0 * np.log(depth + 0.045) + 0.30 * rise + 0.35 * noise(rng, (11, 16), 2)
    crest = np.clip(noise(rng, (14, 34), 2) - 0.55, 0, 1)
    path = np.exp(-(((x - LAMP[0] + 0.03 * swell) / (0.07 + 0.32 * depth)) ** 2))
    dark = 0.50 + 0.55 * depth + 0.14 * rise - 0.55 * path - 0.6 * crest
    colours = blend(SEA, np.clip(depth / 0.4 + 0.06 * rise, 0, 1))
    colours = lay(colours, SKY[4], 0.75 * path)
    print_.put(y - HORIZON, colours, print_.hatch(phase, dark), rim=0.003)


def _rocks(print_: Print) -> None:
    """The island: facets of black with strokes of light, each its own way."""
    x, y, rng = print_.x, print_.y, print_.rng
    shore = (
        0.77
        - 0.16 * np.exp(-(((x - 0.68) / 0.19) ** 2))
        - 0.05 * np.exp(-(((x - 0.97) / 0.08) ** 2))
    )
    shore = shore + 0.012 * noise(rng, (26, 1), 2) + 0.75 * np.clip(0.50 - x, 0, 1)
    seeds = rng.uniform((0.25, 0.52), (1.05, 1.05), (150, 2))
    nearest = _nearest(x, 1.4 * y, seeds * (1.0, 1.4))
    turns = rng.uniform(0.2, 1.3, len(seeds)) * np.where(rng.random(len(seeds)) < 0.5, -1, 1)
    lit = np.clip(0.95 - 0.8 * rng.random(len(seeds)), 0.3, 0.97)
    turn, dark = turns[nearest], lit[nearest]
    phase = 60.0 * (x * np.sin(turn) + y * np.cos(turn))
    glow = 1.1 * np.exp(-np.hypot(x - 0.62, y - 0.60) / 0.16)
    edges = (nearest != np.roll(nearest, 2, 0)) | (nearest != np.roll(nearest, 2, 1))
    key = np.maximum(print_.hatch(phase, dark + 0.25 * (y - 0.75)), edges)
    print_.put(y - shore, lay(ROCK * np.ones_like(print_.colour), GLOW, glow), key, rim=0.004)
    foam = 0.010 + 0.006 * noise(rng, (40, 40), 2)
    print_.put(foam - np.abs(y - shore - 0.004), PAPER, np.zeros_like(x), rim=0.0022)


def _tower(print_: Print) -> None:
    """A round tower in bands, its gallery, lamp and roof."""
    x, y = print_.x, print_.y
    cx, cy = LAMP
    top, foot = cy + 0.055, 0.66
    half = 0.040 + 0.026 * np.clip((y - top) / (foot - top), 0, 1) ** 1.4
    across = (x - cx) / half
    bands = (np.floor((y - top - 0.02 * (1 - across**2)) / 0.066) % 2)[..., None]
    round_ = y + 0.012 * across**2
    dark = np.clip(0.1 + 0.75 * across, 0.0, 0.97) + 0.25 * np.clip(-across - 0.75, 0, 1)
    body = np.minimum(np.minimum((1 - np.abs(across)) * half, y - top), foot - y)
    print_.put(body, PAPER * (1 - bands) + RED * bands, print_.hatch(82.0 * round_, dark), 0.0035)

    def box(left: float, up: float, right: float, low: float) -> np.ndarray:
        wide = np.minimum(x - cx - left, right + cx - x)
        return np.minimum(wide, np.minimum(y - up, low - y))

    none = np.zeros_like(x)
    full = none + 1
    for low in (0.36, 0.465, 0.57):
        print_.put(box(-0.012, low, 0.006, low + 0.032), INK, full)
    print_.put(box(-0.030, cy - 0.036, 0.030, cy + 0.040), PAPER, none, rim=0.004)
    print_.put(0.021 - np.hypot(x - cx, y - cy), SKY[4], none, rim=0.002)
    for at in (-0.015, 0.015):
        print_.put(box(at - 0.0018, cy - 0.036, at + 0.0018, cy + 0.036), INK, full)
    print_.put(box(-0.058, cy + 0.038, 0.058, cy + 0.058), INK, full)
    roof = np.minimum(0.046 - np.abs(x - cx) - 0.9 * np.abs(y - cy + 0.036), cy - 0.034 - y)
    print_.put(roof, RED, print_.hatch(95.0 * (x - cx), 0.3 + 12 * (x - cx)), rim=0.004)
    print_.put(box(-0.0025, cy - 0.12, 0.0025, cy - 0.07), INK, full)


def _nearest(x: np.ndarray, y: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Which of `seeds` (n, 2) is nearest to each point."""
    return cKDTree(seeds).query(np.stack([x.ravel(), y.ravel()], -1))[1].reshape(x.shape)
