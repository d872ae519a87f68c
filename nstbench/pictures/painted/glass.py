"""`glass`: a rose window, panes of mottled glass in dark lead with the sun behind."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import Voronoi

from nstbench.pictures.painted.canvas import FINE, SIDE, develop, grid, lay, noise, palette

GOLD = palette("#ffe27a", "#ffc42e", "#f59b1c")
RUBY = palette("#d5182d", "#a80f2f", "#ef4b3a")
SAPPHIRE = palette("#143fa8", "#1f68d0", "#0d2a78")
SKY = palette("#39a6dc", "#7fd0ea", "#2b83c9")
EMERALD = palette("#128a4f", "#3cb55e", "#0a5f45")
VIOLET = palette("#5b2a8e", "#8a3fb0", "#3b1a6b")
PEARL = palette("#f4efd9", "#f7d9b8", "#dfeef0")
LEAD = np.array([0.07, 0.07, 0.085])

# radius, number of panes, glasses in turn and the half-turn offset of each ring
RINGS = (
    (0.055, 8, (GOLD, PEARL), 0.0),
    (0.115, 16, (RUBY, GOLD), 0.5),
    (0.175, 16, (SAPPHIRE, RUBY), 0.0),
    (0.235, 16, (SKY, PEARL, SKY, GOLD), 0.5),
    (0.295, 32, (VIOLET, SAPPHIRE), 0.0),
    (0.350, 32, (RUBY, EMERALD, GOLD, EMERALD), 0.5),
    (0.405, 32, (SAPPHIRE, SKY), 0.0),
    (0.452, 48, (GOLD, RUBY, RUBY), 0.5),
)
ROSE = 0.478  # radius of the whole rose
CIRCLES = ((0.082, 0.008), (0.205, 0.009), (0.325, 0.008), (ROSE, 0.016))  # radius, width of lead
CORNER = (SAPPHIRE, VIOLET, EMERALD, SAPPHIRE, SKY, RUBY)


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(1220)
    panes, lead = _window(rng)
    x, y = grid()
    # Hand-made glass: slow changes of thickness, streaks from the blowing, small seeds and bubbles.
    streaks = noise(rng, (6, 60), 2) * 0.5 + noise(rng, (60, 6), 2) * 0.5
    thickness = 0.10 * noise(rng, 10, 4) + 0.07 * streaks + 0.035 * noise(rng, 220)
    bubbles = np.clip(noise(rng, 150) - 2.4, 0, 1)
    near_lead = gaussian_filter(lead, SIDE * 0.008)
    sun = 1.25 - 0.75 * np.hypot(x - 0.5, y - 0.46)
    light = sun * (1.0 + thickness) * (1.12 - 0.75 * near_lead) + 0.5 * bubbles
    glass = np.clip(panes, 0.02, 1.0) ** (1.0 / np.clip(light, 0.3, 2.5))[..., None]
    glass = glass * np.clip(light, 0.0, 1.15)[..., None]
    down, right = np.gradient(gaussian_filter(lead, SIDE * 0.0015))
    metal = LEAD + np.clip(0.9 * (down + right) + 0.02 * noise(rng, 180), -0.05, 0.4)[..., None]
    return develop(lay(glass, metal, lead))


def _window(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the panes (SIDE, SIDE, 3) and where the lead is (SIDE, SIDE), 0 to 1."""
    seeds, colours = _panes(rng)
    cells = Voronoi(seeds)
    panes = Image.new("RGB", (FINE, FINE))
    lead = Image.new("L", (FINE, FINE))
    pane_draw, lead_draw = ImageDraw.Draw(panes), ImageDraw.Draw(lead)
    for region, colour in zip(cells.point_region, colours, strict=True):
        if -1 not in cells.regions[region]:
            outline = [tuple(corner) for corner in cells.vertices[cells.regions[region]] * FINE]
            pane_draw.polygon(outline, fill=tuple((255 * colour).astype(int).tolist()))
            lead_draw.line([*outline, *outline[:2]], 255, round(0.0055 * FINE), joint="curve")
    for radius, width in CIRCLES:
        reach = radius + width / 2
        box = [(0.5 - reach) * FINE] * 2 + [(0.5 + reach) * FINE] * 2
        lead_draw.ellipse(box, outline=255, width=round(width * FINE))

    def halved(image: Image.Image) -> np.ndarray:
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / 255.0

    return halved(panes), halved(lead)


def _panes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A seed (n, 2) and a colour (n, 3) for every pane; the first is the heart of the rose."""
    seeds, colours = [np.array([[0.5, 0.5]])], [PEARL[:1]]
    for radius, count, glasses, offset in RINGS:
        turn = (np.arange(count) + offset) * 2 * np.pi / count
        spread = radius * (1 + 0.035 * np.cos(turn * count / 2))
        seeds.append(0.5 + np.stack([np.cos(turn), np.sin(turn)], axis=-1) * spread[:, None])
        shades = rng.integers(0, 3, count)
        colours.append([glasses[i % len(glasses)][shade] for i, shade in enumerate(shades)])
    ticks = np.arange(-0.1, 1.15, 0.062)
    corner = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    corner = corner + rng.uniform(-0.024, 0.024, corner.shape)
    corner = corner[np.hypot(*(corner - 0.5).T) > ROSE + 0.02]
    kinds = rng.integers(0, len(CORNER), len(corner))
    seeds.append(corner)
    colours.append([CORNER[kind][rng.integers(0, 3)] for kind in kinds])
    colours = np.concatenate(colours)
    return np.concatenate(seeds), np.clip(colours * rng.uniform(0.85, 1.1, (len(colours), 1)), 0, 1)
