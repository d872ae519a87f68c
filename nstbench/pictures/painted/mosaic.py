"""`mosaic`: a fish among smaller ones, laid of small stones in rows that follow its outline."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.interpolate import make_interp_spline
from scipy.ndimage import distance_transform_edt
from skimage.measure import find_contours

from nstbench.pictures.painted.canvas import FINE, SIDE, develop, grid, noise, palette, relief

STONE = 0.0135  # side of a stone of the ground
SMALL = 0.0098  # and of the figures
WORK = 512  # pixels of the plan after which the stones are laid
GROUT = np.array([0.36, 0.30, 0.25])
GROUND = palette("#efe3c8", "#e6d5b3", "#f4ecd8", "#dcc9a3")
DARK = palette("#33302f", "#4a3a33", "#2b3138")
RUST = palette("#b4532d", "#c96b3a", "#9c4127")
OCHRE = palette("#d9a441", "#e6bb63", "#c58a2b")
SLATE = palette("#5f7d86", "#7d9a9c", "#486570")
OLIVE = palette("#7d8450", "#98a06a", "#616a3c")
WATER = palette("#9dbdb9", "#b9cfc6", "#7fa5a6")
ROSE = palette("#d99a86", "#e3b4a0", "#c57f6c")

# A fish of length 1 that looks to the left, y down: back, tail and belly, closed.
FISH = (
    (-0.50, 0.02), (-0.40, -0.075), (-0.22, -0.165), (0.0, -0.18), (0.20, -0.105), (0.33, -0.04),
    (0.42, -0.10), (0.52, -0.20), (0.50, -0.06), (0.455, 0.02), (0.50, 0.10), (0.53, 0.22),
    (0.42, 0.13), (0.33, 0.065), (0.18, 0.115), (0.0, 0.175), (-0.22, 0.165), (-0.40, 0.09),
)  # fmt: skip
FINS = (
    ((-0.20, -0.15), (-0.10, -0.26), (0.08, -0.27), (0.20, -0.20), (0.17, -0.10), (0.0, -0.16)),
    ((-0.16, 0.15), (-0.10, 0.25), (0.02, 0.28), (0.06, 0.20), (0.0, 0.15)),
    ((0.14, 0.11), (0.20, 0.20), (0.28, 0.20), (0.27, 0.07)),
)
# x, y, length, turn (degrees) of each fish, and its stones: back, side, belly, fins
SHOAL = (
    (0.52, 0.42, 0.66, -10, (SLATE, OCHRE, RUST, RUST)),
    (0.29, 0.76, 0.33, 12, (RUST, ROSE, GROUND, SLATE)),
    (0.72, 0.77, 0.31, -8, (OLIVE, OCHRE, GROUND, RUST)),
    (0.22, 0.19, 0.22, 16, (DARK, SLATE, GROUND, OCHRE)),
)
BORDER = 0.112
QUARTERS = (np.pi * np.array([0.25, 0.75, 1.25, 1.75])).tolist()  # where a stone's corners are
FAMILIES = (GROUND, DARK, RUST, OCHRE, SLATE, OLIVE, ROSE, WATER)


def paint() -> Image.Image:
    """The picture, RGB, `canvas.SIDE` pixels square."""
    rng = np.random.default_rng(79)
    plan = Plan(rng)
    for x, y, length, turn, stones in SHOAL:
        plan.fish((x, y), length, np.radians(turn), stones)
    floor = Floor(rng)
    for region, size in plan.regions():
        for row in _rows(region, size):
            floor.lay_row(plan, row, size)
    floor.fill(plan)
    return develop(floor.seen(rng))


class Plan:
    """Which region and which family of stones each point belongs to, (WORK, WORK)."""

    def __init__(self, rng: np.random.Generator):
        x, y = grid(WORK)
        self.x, self.y = x, y
        self.region = np.zeros((WORK, WORK), int)
        waves = np.sin(
            2 * np.pi * (y * 7.0 + 0.05 * np.sin(11 * x) + 0.10 * noise(rng, 4, 2, WORK))
        )
        self.family = np.where(waves > 0.62, _index(WATER), _index(GROUND))
        self._border(x, y)

    def _border(self, x: np.ndarray, y: np.ndarray) -> None:
        away = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
        along = np.where((away == x) | (away == 1 - x), y, x)
        teeth = np.abs((along * 9) % 1.0 - 0.5) * 2  # triangles, pointing inwards
        inner = (away - STONE) / (BORDER - 2 * STONE)
        family = np.where(teeth > inner, _index(RUST), _index(GROUND))
        family = np.where((inner < 0) | (inner > 1), _index(DARK), family)
        self.put(away < BORDER, family)

    def put(self, inside: np.ndarray, family: np.ndarray | int) -> None:
        """A new region `inside`, of the stones `family` (an index or one per point)."""
        self.region[inside] = self.region.max() + 1
        self.family = np.where(inside, family, self.family)

    def regions(self) -> list[tuple[np.ndarray, float]]:
        """Masks of all regions and the size of their stones, the figures before their ground."""
        numbers = range(self.region.max(), -1, -1)
        return [(self.region == number, SMALL if number > 1 else STONE) for number in numbers]

    def fish(self, at, length: float, turn: float, stones) -> None:
        """Fins, body and eye of one fish."""
        back, side, belly, fins = (_index(family) for family in stones)
        dx, dy = self.x - at[0], self.y - at[1]
        u = (dx * np.cos(turn) + dy * np.sin(turn)) / length
        v = (dy * np.cos(turn) - dx * np.sin(turn)) / length
        dark = _index(DARK)
        for corners in FINS:
            rays = np.where(np.sin(70 * (u + 0.4 * v)) > 0.3, dark, fins)
            self.put(self._outlined(corners, at, length, turn, 1), rays)
        body = self._outlined(FISH, at, length, turn, 3)
        rim = distance_transform_edt(body) / WORK < SMALL
        family = np.where(v < -0.035 + 0.02 * np.sin(9 * u), back, side)
        family = np.where(v > 0.055, belly, family)
        bars = (np.sin(42 * u + 6 * v) > 0.35) & (v < 0.02) & (np.abs(u - 0.02) < 0.26)
        family = np.where(bars, dark if back != dark else fins, family)
        family = np.where(u > 0.33, np.where(np.sin(60 * v) > 0, fins, side), family)
        gill = np.abs(np.hypot(u + 0.44, 1.1 * v) - 0.19)
        family = np.where((gill * length < 0.55 * SMALL) | rim, dark, family)
        self.put(body, family)
        eye = np.hypot(u + 0.375, v + 0.035) * length
        ring = max(1.6 * SMALL, 0.037 * length)
        self.put(eye < ring, np.where(eye < ring - 1.02 * SMALL, dark, _index(GROUND)))

    def _outlined(self, corners, at, length: float, turn: float, degree: int) -> np.ndarray:
        """The mask of a closed curve through `corners` of a fish."""
        points = np.array([*corners, corners[0]])
        if degree > 1:
            ticks = np.arange(len(points))
            curve = make_interp_spline(ticks, points, k=degree, bc_type="periodic")
            points = curve(np.linspace(0, len(points) - 1, 300))
        cosine, sine = np.cos(turn), np.sin(turn)
        points = points @ np.array([[cosine, sine], [-sine, cosine]]) * length + at
        mask = Image.new("1", (WORK, WORK))
        ImageDraw.Draw(mask).polygon([tuple(point) for point in points * WORK], fill=1)
        return np.asarray(mask)


class Floor:
    """The stones as they are laid, and where there is none yet."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.image = Image.new("RGBA", (FINE, FINE), (*(GROUT * 255).astype(int).tolist(), 20))
        self.draw = ImageDraw.Draw(self.image)
        self.taken = Image.new("1", (SIDE, SIDE))
        self.mark = ImageDraw.Draw(self.taken)

    def lay_row(self, plan: Plan, row: np.ndarray, size: float) -> None:
        """Stones along the line `row` (n, 2), where there is room for them."""
        steps = np.hypot(*np.diff(row, axis=0).T)
        at = np.concatenate([[0.0], np.cumsum(steps)])
        count = int(at[-1] / (size * 1.04))
        if count < 1:
            return
        ticks = np.linspace(0, at[-1], count, endpoint=False)
        ticks = (ticks + self.rng.uniform(0, at[-1] / count)) % at[-1]
        x, y = (np.interp(ticks, at, axis) for axis in row.T)
        behind, ahead = (
            [np.interp((ticks + step) % at[-1], at, axis) for axis in row.T]
            for step in (-0.4 * size, 0.4 * size)
        )
        turns = np.arctan2(ahead[1] - behind[1], ahead[0] - behind[0])
        for cx, cy, turn in zip(x.tolist(), y.tolist(), turns.tolist(), strict=True):
            self.stone(plan, cx, cy, turn, size)

    def fill(self, plan: Plan) -> None:
        """Chips into the gaps that the rows have left, the larger ones first."""
        for size in (0.8 * STONE, 0.6 * STONE, 0.42 * STONE):
            room = distance_transform_edt(~np.asarray(self.taken)) / SIDE
            rows, columns = np.nonzero(room > 0.5 * size)
            turns = self.rng.uniform(0, np.pi, len(rows)).tolist()
            for number in self.rng.permutation(len(rows)).tolist():
                at = (columns[number], rows[number])
                if not self.taken.getpixel((int(at[0]), int(at[1]))):
                    self.stone(plan, at[0] / SIDE, at[1] / SIDE, turns[number], size)

    def stone(self, plan: Plan, x: float, y: float, turn: float, size: float) -> None:
        """One stone, unless another lies there already or the wall is near."""
        corners = [
            (x + half * np.cos(turn + quarter), y + half * np.sin(turn + quarter))
            for half, quarter in zip(
                (size * self.rng.uniform(0.60, 0.70, 4)).tolist(), QUARTERS, strict=True
            )
        ]
        probes = [(x, y), *((x + 0.8 * (cx - x), y + 0.8 * (cy - y)) for cx, cy in corners)]
        for px, py in probes:
            column, row = int(px * SIDE), int(py * SIDE)
            if 0 <= column < SIDE and 0 <= row < SIDE and self.taken.getpixel((column, row)):
                return
        family = FAMILIES[plan.family[int(y * WORK) % WORK, int(x * WORK) % WORK]]
        shade = family[self.rng.integers(len(family))] * self.rng.uniform(0.88, 1.10)
        shade = np.clip(shade + self.rng.normal(0, 0.012, 3), 0, 1)
        ink = (*(255 * shade).astype(int).tolist(), int(self.rng.uniform(150, 255)))
        self.draw.polygon([(cx * FINE, cy * FINE) for cx, cy in corners], fill=ink)
        self.mark.polygon([(cx * SIDE, cy * SIDE) for cx, cy in corners], fill=1)

    def seen(self, rng: np.random.Generator) -> np.ndarray:
        """The floor in a light from the upper left, worn by many feet."""
        worn = 1 + 0.05 * noise(rng, 5, 3) + 0.035 * noise(rng, 300)
        return relief(self.image, 0.55) * worn[..., None]


def _rows(region: np.ndarray, size: float) -> list[np.ndarray]:
    """Lines (n, 2) in `region`, a stone of `size` apart, along its outline, outermost first."""
    depth = distance_transform_edt(np.pad(region, 1)) / WORK
    rows = []
    for number in range(int(depth.max() / size) + 1):
        for line in find_contours(depth, (number + 0.53) * size * 1.03):
            rows.append((line[:, ::-1] - 0.5) / WORK)
    return rows


def _index(family: np.ndarray) -> int:
    return next(number for number, one in enumerate(FAMILIES) if one is family)
