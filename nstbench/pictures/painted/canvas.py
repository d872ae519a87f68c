"""What the painters share: coordinates, palettes, noise, bristle strokes, relief."""

import numpy as np
from PIL import Image, ImageColor, ImageDraw

SIDE = 1024  # pixels of every painted picture
FINE = 2 * SIDE  # drawn at twice the size and halved: Pillow's lines are not antialiased


def palette(*colours: str) -> np.ndarray:
    """Colours such as "#1b2a6b" as an (n, 3) array in [0, 1]."""
    return np.array([ImageColor.getrgb(colour) for colour in colours]) / 255.0


def grid(side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """x to the right and y down, (side, side) each, in [0, 1] at the pixels' centres."""
    ticks = (np.arange(side, dtype=np.float32) + 0.5) / side
    return np.meshgrid(ticks, ticks)


def noise(
    rng: np.random.Generator, cells: int | tuple[int, int], octaves: int = 1, side: int = SIDE
) -> np.ndarray:
    """Smooth value noise, (side, side), mean 0, deviation 1.

    `cells`: lumps along a side, or (across, down) for stretched ones; every further octave halves
    the lumps and their strength.
    """
    across, down = (cells, cells) if isinstance(cells, int) else cells
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        shape = (min(down << octave, side), min(across << octave, side))
        lattice = Image.fromarray(rng.standard_normal(shape).astype(np.float32))
        total += np.asarray(lattice.resize((side, side), Image.Resampling.BICUBIC)) / 2**octave
    return (total - total.mean()) / total.std()


def blend(colours: np.ndarray, position: np.ndarray) -> np.ndarray:
    """`position` in [0, 1] looked up in the gradient through `colours` (n, 3)."""
    stops = np.linspace(0.0, 1.0, len(colours))
    return np.stack([np.interp(position, stops, channel) for channel in colours.T], axis=-1)


def lay(under: np.ndarray, over: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`over` (a colour or a picture) laid on the picture `under` where `mask` in [0, 1] says so."""
    mask = np.clip(mask, 0.0, 1.0)[..., None]
    return under * (1.0 - mask) + over * mask


def stroke_paths(
    starts: np.ndarray, angles: np.ndarray, length: float, points: int = 8
) -> np.ndarray:
    """Follow the direction field `angles` (side, side, radians) from and to both ends of `starts`.

    `starts` (n, 2) and `length` are in canvas sides. Returns (n, points, 2).
    """
    side = len(angles)
    step = length / (points - 1)

    def walk(sign: float, count: int) -> list[np.ndarray]:
        path, at = [], starts
        for _ in range(count):
            column, row = np.clip(at * side, 0, side - 1).astype(int).T
            angle = angles[row, column]
            at = at + sign * step * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            path.append(at)
        return path

    half = points // 2
    return np.stack([*walk(-1.0, half)[::-1], starts, *walk(1.0, points - half - 1)], axis=1)


def brush(
    image: Image.Image,
    rng: np.random.Generator,
    paths: np.ndarray,
    colours: np.ndarray,
    width: float,
    bristles: int = 6,
    variation: float = 0.05,
) -> None:
    """Draw strokes of parallel bristles on the RGBA `image`, whose alpha keeps the paint's height.

    `paths` (n, points, 2) and `width` in canvas sides, `colours` (n, 3) in [0, 1]; each bristle
    differs from its stroke's colour by `variation`, begins and ends raggedly.
    """
    count, points, _ = paths.shape
    along = np.gradient(paths, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-9
    offsets = (np.arange(bristles) + 0.5) / bristles - 0.5
    # A stroke is a little wider in its middle, as a pressed brush is.
    pressure = 0.65 + 0.35 * np.sin(np.linspace(0.2, np.pi - 0.2, points))
    shift = width * offsets[:, None] * pressure
    lines = paths[:, None] + across[:, None] * shift[None, :, :, None]
    lines = (lines * image.width).reshape(count, bristles, 2 * points)
    tints = colours[:, None] + variation * rng.standard_normal((count, bristles, 1))
    tints = tints + 0.4 * variation * rng.standard_normal((count, bristles, 3))
    height = rng.uniform(0.25, 1.0, (count, bristles, 1))
    inks = (np.clip(np.concatenate([tints, height], axis=-1), 0, 1) * 255).astype(int)
    first = 2 * rng.integers(0, 2, count * bristles)
    last = 2 * points - 2 * rng.integers(0, 2, count * bristles)
    thick = max(1, round(1.35 * width * image.width / bristles))
    draw = ImageDraw.Draw(image)
    bristle_lines = lines.reshape(count * bristles, -1).tolist()  # lists: far faster for Pillow
    for line, ink, start, end in zip(
        bristle_lines, inks.reshape(-1, 4).tolist(), first.tolist(), last.tolist(), strict=True
    ):
        draw.line(line[start:end], tuple(ink), thick)


def relief(image: Image.Image, strength: float) -> np.ndarray:
    """Halve the RGBA `image` and light the paint's height from the upper left: (SIDE, SIDE, 3)."""
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255.0
    down, right = np.gradient(small[..., 3])
    light = 1.0 + strength * np.clip(down + right, -0.5, 0.5)
    return small[..., :3] * light[..., None]


def develop(pixels: np.ndarray) -> Image.Image:
    """(SIDE, SIDE, 3) floats to an RGB image."""
    return Image.fromarray((np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def scatter(rng: np.random.Generator, count: int, margin: float = 0.03) -> np.ndarray:
    """About `count` evenly spread, jittered points (n, 2) in random order, `margin` outside too."""
    rows = round(count**0.5)
    ticks = (np.arange(rows) + 0.5) / rows * (1 + 2 * margin) - margin
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    points = points + rng.uniform(-0.6, 0.6, points.shape) / rows
    return points[rng.permutation(len(points))]


def sample(scene: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The values of `scene` (side, side, ...) nearest to `points` (n, 2) in canvas sides."""
    side = len(scene)
    column, row = np.clip(points * side, 0, side - 1).astype(int).T
    return scene[row, column]
