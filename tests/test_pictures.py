"""The built-in pictures: there without a network, the same every time, worth a style."""

import re
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from nstbench.pictures import images, sheet
from nstbench.pictures import painted as pictures
from nstbench.pictures.painted import canvas
from nstbench.pictures.photos import PHOTOS

MONOCHROME = ("ink",)  # styles of one ink, with a touch of another
PAINTED = (*pictures.STYLES, *pictures.DRAWINGS)


@pytest.fixture(scope="module")
def painted() -> dict[str, np.ndarray]:
    return {name: np.asarray(pictures.paint(name), np.float32) / 255 for name in PAINTED}


def test_names():
    assert images.builtin_contents()[0] == "astronaut"
    assert "sketch" in images.builtin_contents()
    assert len(PHOTOS) >= 8  # without the sketch
    assert len(images.builtin_styles()) >= 8
    names = (*images.builtin_contents(), *images.builtin_styles())
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+", name) for name in names)


@pytest.mark.parametrize("name", images.builtin_contents())
def test_contents_are_there(name):
    content = images.load(name, 64)
    assert content.name == name
    assert content.pixels.shape == (64, 64, 3)
    assert content.pixels.std() > 0.1


@pytest.mark.parametrize("name", PHOTOS)
def test_photographs_are_in_the_wheel_and_free(name):
    """None that scikit-image would have to fetch, none whose docstring is silent on its rights."""
    photo = PHOTOS[name]
    with photo.open() as image:
        assert min(image.size) >= 300
    assert photo.rights in ("public domain", "CC0", "no known copyright restrictions")
    assert photo.shows and photo.source


def test_no_content_is_another_one_again():
    contents = [images.load(name, 64).pixels.mean(axis=-1) for name in images.builtin_contents()]
    scaled = [(grey - grey.mean()) / grey.std() for grey in contents]
    for i, first in enumerate(scaled):
        for second in scaled[i + 1 :]:
            assert (first * second).mean() < 0.7


@pytest.mark.parametrize("name", PAINTED)
def test_paintings_are_the_same_every_time_and_at_every_size(painted, name):
    """`images.load` takes the one that was painted when it was first asked for, here or before."""
    assert painted[name].shape == (canvas.SIDE, canvas.SIDE, 3)
    whole = Image.fromarray(images.to_uint8(painted[name]))
    expected = images.load(whole, 48).pixels
    np.testing.assert_array_equal(images.load(name, 48).pixels, expected)


@pytest.mark.parametrize("name", pictures.STYLES)
def test_styles_are_colourful_and_full_of_contrast(painted, name):
    """Spread of lightness, and of the two opponent colours (red-green, yellow-blue)."""
    red, green, blue = np.moveaxis(painted[name], -1, 0)
    colour = np.hypot((red - green).std(), ((red + green) / 2 - blue).std())
    assert (red + green + blue).std() / 3 > 0.12
    assert colour < 0.1 if name in MONOCHROME else colour > 0.18


@pytest.mark.parametrize("name", pictures.STYLES)
@pytest.mark.parametrize("size", [128, 256, 512])
def test_styles_have_texture_at_every_scale(painted, name, size):
    """Band-passed contrast of the fitted style, an octave at a time, nowhere dies out."""
    fitted = images.load(painted[name], size).pixels
    grey = Image.fromarray(images.to_uint8(fitted)).convert("L")
    side = size
    while side > 16:
        half = grey.resize((side // 2, side // 2), Image.Resampling.BOX)
        coarse = half.resize((side, side), Image.Resampling.BICUBIC)
        band = np.asarray(grey, np.float32) - np.asarray(coarse, np.float32)
        assert band.std() / 255 > 0.02, f"no texture at {side} of {size} pixels"
        grey, side = half, side // 2


def test_styles_are_distinct_in_colour(painted):
    """No two share a palette: common part of their colour histograms."""
    histograms = {}
    for name in pictures.STYLES:
        cube = np.histogramdd(painted[name].reshape(-1, 3), bins=6, range=[(0, 1)] * 3)[0]
        histograms[name] = cube.ravel() / cube.sum()
    for first, second in combinations(pictures.STYLES, 2):
        overlap = np.minimum(histograms[first], histograms[second]).sum()
        assert overlap < 0.5, f"{first} and {second} share {overlap:.0%} of their colours"


def test_styles_are_distinct_in_structure(painted):
    """Nor strokes: strength, sparseness and directions of their edges at three scales."""
    found = {name: edges(painted[name].mean(axis=-1)) for name in pictures.STYLES}
    for first, second in combinations(pictures.STYLES, 2):
        apart = np.abs(found[first] - found[second]).sum()
        assert apart > 0.9, f"the strokes of {first} and {second} are alike ({apart:.2f})"


def edges(grey: np.ndarray) -> np.ndarray:
    """Ten numbers per scale of the lightness `grey` (side, side); each 0 to 1 or so."""
    numbers = []
    for side in (512, 256, 128):
        small = Image.fromarray(grey).resize((side, side), Image.Resampling.BOX)
        down, right = np.gradient(np.asarray(small))
        strength = np.hypot(down, right)
        turn = np.arctan2(down, right) % np.pi
        turns = np.histogram(turn, bins=8, range=(0, np.pi), weights=strength)[0]
        sparse = (strength**4).mean() ** 0.25 / strength.mean()
        numbers += [4 * strength.mean(), sparse / 4, *(2 * turns / turns.sum())]
    return np.array(numbers)


def test_the_sketch_is_grey_lines_on_white(painted):
    sketch = painted["sketch"]
    assert (sketch == sketch[..., :1]).all()
    assert np.median(sketch) > 0.95
    assert 0.02 < (sketch < 0.5).mean() < 0.25


def test_names_cost_no_heavy_import():
    """`--help` and the settings' validation need names, not painters."""
    code = (
        "import sys; from nstbench.pictures import images; images.builtin_styles();"
        "print(sorted({'scipy', 'skimage', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_strokes_follow_the_field():
    angles = np.full((64, 64), np.pi / 2)
    start = np.array([[0.5, 0.5]])
    path = canvas.stroke_paths(start, angles, length=0.2, points=5)
    np.testing.assert_allclose(path[0, :, 0], 0.5, atol=1e-12)
    np.testing.assert_allclose(path[0, :, 1], [0.4, 0.45, 0.5, 0.55, 0.6], atol=1e-12)


def test_noise_is_normalised_and_smooth():
    lumps = canvas.noise(np.random.default_rng(0), 8)
    assert lumps.shape == (canvas.SIDE, canvas.SIDE)
    assert abs(lumps.mean()) < 1e-3 and abs(lumps.std() - 1) < 1e-3
    assert np.abs(np.diff(lumps, axis=0)).max() < 0.1


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NSTBENCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_picture_is_painted_once_and_kept(cache, monkeypatch, painted):
    assert_same(pictures.kept("wave"), painted["wave"])
    monkeypatch.setattr(pictures, "paint", None)
    assert_same(pictures.kept("wave"), painted["wave"])


def test_a_damaged_picture_is_painted_again(cache, painted):
    pictures.kept("wave").close()
    file = only_file(cache)
    for broken in (b"", b"no picture", file.read_bytes()[:5000]):
        file.write_bytes(broken)
        assert_same(pictures.kept("wave"), painted["wave"])
        assert len(file.read_bytes()) > 5000


def test_another_painters_picture_is_not_taken(cache, monkeypatch, painted):
    with monkeypatch.context() as other:
        other.setattr(pictures.PIL, "__version__", "0")
        pictures.kept("wave").close()
        Image.new("RGB", (64, 64)).save(only_file(cache))
    assert_same(pictures.kept("wave"), painted["wave"])


def test_pictures_need_no_cache(tmp_path, monkeypatch, painted):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NSTBENCH_HOME", str(tmp_path / "file" / "cache"))
    assert_same(pictures.kept("wave"), painted["wave"])


def test_the_sheets_of_the_readme(tmp_path):
    assert sheet.main([str(tmp_path / "new")]) == 0
    for kind, names in (
        ("contents", images.builtin_contents()),
        ("styles", images.builtin_styles()),
    ):
        path = tmp_path / "new" / f"{kind}.jpg"
        assert 10_000 < path.stat().st_size < 150_000
        # The first picture stands at the upper left, uncut.
        corner = np.asarray(Image.open(path), np.float32)[sheet.GAP :, sheet.GAP :]
        expected = images.load(names[0], sheet.SIDE).pixels * 255
        assert np.abs(corner[: sheet.SIDE, : sheet.SIDE] - expected).mean() < 12


def only_file(cache):
    (file,) = cache.iterdir()
    return file


def assert_same(image, pixels):
    np.testing.assert_array_equal(np.asarray(image, np.float32) / 255, pixels)
