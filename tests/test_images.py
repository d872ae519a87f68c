"""Reading, fitting and saving pictures: every mode, every kind of broken file, the laws."""

import io
import json
import os
import struct
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2yiq

from nstbench.errors import ImageError
from nstbench.pictures import images

GOLDEN = Path(__file__).parent / "golden"
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I", "F")


def picture(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    """A random picture of any mode; its blocks are large enough to survive reduction."""
    rng = np.random.default_rng(seed)
    rgb = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    rgb = rgb.resize((width, height), Image.Resampling.NEAREST)
    grey = np.asarray(rgb.convert("L"))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "LAB":
        return Image.merge("LAB", rgb.split())
    return rgb.convert(mode)


def message(call) -> str:
    """The text of the ImageError that `call` raises: one line."""
    with pytest.raises(ImageError) as caught:
        call()
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def encoded(format: str, **options) -> bytes:
    buffer = io.BytesIO()
    noisy = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(noisy).save(buffer, format=format, **options)
    return buffer.getvalue()


# --- the golden pictures -------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "golden"), [("astronaut", "content"), ("cat", "style")])
def test_builtin_photos_fit_as_the_golden_pictures_were(name, golden):
    expected = np.asarray(Image.open(GOLDEN / f"{golden}.png"), dtype=np.float32) / 255
    # Exact with Pillow's Lanczos; a level of slack is left for other versions of its decoders.
    np.testing.assert_allclose(images.load(name, 64).pixels, expected, atol=1.01 / 255)


def test_golden_values_are_there_for_those_who_need_them():
    assert json.loads((GOLDEN / "golden.json").read_text())


# --- every picture that can be read --------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(MODES),
    width=st.integers(images.MIN_SIDE, 90),
    height=st.integers(images.MIN_SIDE, 90),
    size=st.integers(images.MIN_SIDE, 64),
    seed=st.integers(0, 9),
)
def test_any_mode_and_shape_becomes_a_square_of_floats(mode, width, height, size, seed):
    pixels = images.load(picture(mode, width, height, seed), size).pixels
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.float32
    assert 0.0 <= pixels.min() <= pixels.max() <= 1.0
    # What entered the run can be saved as 8 bits without loss.
    np.testing.assert_allclose(pixels * 255, np.rint(pixels * 255), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(images.MIN_SIDE, 300),
    height=st.integers(images.MIN_SIDE, 300),
    size=st.integers(images.MIN_SIDE, 64),
)
def test_keeping_the_aspect_ratio(width, height, size):
    source = picture("RGB", width, height)
    shorter = size * min(width, height) / max(width, height)
    if round(shorter) < images.MIN_SIDE:
        assert str(images.MIN_SIDE) in message(lambda: images.load(source, size, keep_aspect=True))
        return
    rows, columns, _ = images.load(source, size, keep_aspect=True).pixels.shape
    assert max(rows, columns) == size
    assert (rows >= columns) == (height >= width) or rows == columns
    assert abs(min(rows, columns) - shorter) <= 0.5


@pytest.mark.parametrize("mode", ["L", "I;16", "I", "F", "LA"])
def test_grey_of_any_depth_is_three_equal_channels_of_the_same_brightness(mode):
    expected = images.load(picture("L", 48, 48), 48).pixels
    pixels = images.load(picture(mode, 48, 48), 48).pixels
    assert (pixels == pixels[..., :1]).all()
    np.testing.assert_allclose(pixels, expected, atol=1.01 / 255)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV"])
def test_other_colour_spaces_keep_their_colours(mode):
    expected = images.load(picture("RGB", 48, 48), 48).pixels
    np.testing.assert_allclose(images.load(picture(mode, 48, 48), 48).pixels, expected, atol=0.03)


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.bmp", "p.gif", "p.webp", "p.tif", "ä p.PNG"])
def test_file_formats(tmp_path, name):
    colours = Image.new("RGB", (40, 30), (200, 40, 90))
    colours.save(tmp_path / name)
    loaded = images.load(tmp_path / name, 32)
    assert loaded.name == name
    expected = np.full((32, 32, 3), np.array([200, 40, 90]) / 255)
    np.testing.assert_allclose(loaded.pixels, expected, atol=0.02)


def test_cmyk_jpeg_file(tmp_path):
    Image.new("RGB", (32, 32), (250, 20, 30)).convert("CMYK").save(tmp_path / "p.jpg")
    red, green, blue = images.load(tmp_path / "p.jpg", 16).pixels[8, 8]
    assert red > 0.9
    assert max(green, blue) < 0.2


def test_16_bit_colour_png_is_scaled_not_cut(tmp_path):
    """Pillow cannot write one, so it is put together here: 20 x 20, red, at 3/4 and 1/2."""
    row = b"\0" + struct.pack(">3H", 65535, 49151, 32768) * 20

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">2I5B", 20, 20, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(row * 20)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    pixels = images.load(tmp_path / "deep.png", 20).pixels
    np.testing.assert_allclose(pixels[5, 5], [1.0, 0.75, 0.5], atol=1 / 255)


def test_16_bit_grey_png_file(tmp_path):
    Image.fromarray(np.full((20, 20), 13107, np.uint16)).save(tmp_path / "deep.png")
    np.testing.assert_allclose(images.load(tmp_path / "deep.png", 20).pixels, 0.2, atol=1e-6)


def test_transparency_is_laid_on_white(tmp_path):
    half = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    half.paste((0, 0, 255, 255), (0, 0, 32, 16))
    half.save(tmp_path / "half.png")
    pixels = images.load(tmp_path / "half.png", 32).pixels
    np.testing.assert_allclose(pixels[4, 4], [0, 0, 1], atol=1 / 255)
    np.testing.assert_allclose(pixels[28, 4], [1, 1, 1], atol=1 / 255)


def test_transparent_colour_of_a_palette_is_white(tmp_path):
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(1, (0, 0, 32, 16))
    palette.save(tmp_path / "p.png", transparency=0)
    pixels = images.load(tmp_path / "p.png", 32).pixels
    np.testing.assert_allclose(pixels[28, 4], [1, 1, 1], atol=1 / 255)
    np.testing.assert_allclose(pixels[4, 4] * 255, [200, 100, 50], atol=1)


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation_equals_the_turned_file(tmp_path, orientation, undo):
    upright = picture("RGB", 60, 40, seed=3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.transpose(undo).save(tmp_path / "turned.png", exif=exif)
    turned = images.load(tmp_path / "turned.png", 32, keep_aspect=True)
    expected = images.load(upright, 32, keep_aspect=True)
    np.testing.assert_array_equal(turned.pixels, expected.pixels)


def test_the_centre_is_cropped():
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 255
    assert images.load(wide, 20).pixels.min() == 1.0


def test_reduction_is_antialiased():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = images.load(stripes, 32).pixels[:, 4:-4]
    np.testing.assert_allclose(inner, 0.5, atol=0.01)


def test_small_pictures_are_enlarged():
    assert images.load(picture("RGB", 16, 16), 64).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 1), (20, 20, 3), (20, 20, 4)])
def test_arrays_of_every_kind(dtype, shape):
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    loaded = images.load(np.full(shape, top, dtype), 16)
    assert loaded.name == "array"
    assert (loaded.pixels == 1.0).all()


# --- every picture that cannot -------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7])
def test_truncated_file(tmp_path, format, kept):
    data = encoded(format)
    path = tmp_path / f"cut.{format.lower()}"
    path.write_bytes(data[: int(len(data) * kept)])
    assert "cut." in message(lambda: images.load(path, 32))


@settings(deadline=None, max_examples=60)
@given(
    format=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]),
    position=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_damaged_byte_is_an_image_error_or_a_picture(tmp_path_factory, format, position, value):
    data = bytearray(encoded(format))
    data[int(position * len(data))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    try:
        assert images.load(path, 16).pixels.shape == (16, 16, 3)
    except ImageError as error:
        assert "\n" not in str(error)


def test_empty_file(tmp_path):
    (tmp_path / "nothing.png").touch()
    assert "empty" in message(lambda: images.load(tmp_path / "nothing.png", 32))


def test_text_file(tmp_path):
    (tmp_path / "words.png").write_text("not a picture\n" * 50)
    assert "not a picture" in message(lambda: images.load(tmp_path / "words.png", 32))


def test_folder(tmp_path):
    assert "folder" in message(lambda: images.load(tmp_path, 32))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a file" in message(lambda: images.load(tmp_path / "pipe.png", 32))


@pytest.mark.parametrize("side", [11_000, 30_000])
def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    """A header that promises too many pixels; nothing but the header is there to decode."""
    header = b"IHDR" + struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunk += struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    assert "pixels" in message(lambda: images.load(tmp_path / "bomb.png", 32))


@pytest.mark.filterwarnings("error")
def test_a_large_photo_is_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)  # where Pillow begins to warn
    Image.new("1", (30, 30), 1).save(tmp_path / "large.png")
    assert (images.load(tmp_path / "large.png", 16).pixels == 1.0).all()


def test_too_small_picture_names_both_numbers():
    text = message(lambda: images.load(picture("RGB", 200, 9), 32))
    assert "200x9" in text and str(images.MIN_SIDE) in text


def test_too_small_size_names_both_numbers():
    text = message(lambda: images.load("cat", 8))
    assert "8x8" in text and str(images.MIN_SIDE) in text


@pytest.mark.parametrize("name", ["astronot", "astronaut.png", "nowhere/astronaut"])
def test_unknown_name_or_missing_file_names_the_nearest(name):
    text = message(lambda: images.load(name, 32))
    assert repr(name) in text and "did you mean astronaut" in text


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000, "a\nb"])
def test_impossible_names(name):
    message(lambda: images.load(name, 32))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((20,)),
        np.zeros((20, 20, 2)),
        np.zeros((2, 20, 20, 3)),
        np.zeros((20, 20, 3), np.int64),
        np.full((20, 20, 3), 255.0),
        np.full((20, 20, 3), -0.1),
        np.full((20, 20, 3), np.nan),
        np.zeros((0, 20, 3)),
        np.zeros((20, 20, 3), complex),
    ],
)
def test_arrays_that_are_no_pictures(array):
    message(lambda: images.load(array, 16))


@pytest.mark.parametrize(
    "value", [np.float32(7.5), np.float32("nan"), np.int32(-3), np.int32(70000)]
)
def test_file_out_of_range(tmp_path, value):
    Image.fromarray(np.full((20, 20), value)).save(tmp_path / "deep.tif")
    assert f"{value:g}" in message(lambda: images.load(tmp_path / "deep.tif", 16))


def test_a_file_with_a_builtin_name_is_reached_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 20), "white").save("cat", format="PNG")
    assert (images.load("./cat", 16).pixels == 1.0).all()
    assert not (images.load("cat", 16).pixels == 1.0).all()
    assert (images.load(Path("cat"), 16).pixels == 1.0).all()


# --- names are data ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["${oc.env:HOME}.png", "$(id).png", "a\nb.png", "cost_$100_$200.png", "-x.png", " .png",
             "photo(1).png", "{{7*7}}.png", "<script>.png", "a=b,c.png", "ünï.png", "~.png"]
)  # fmt: skip
def test_any_name_is_taken_as_it_is(tmp_path, name):
    Image.new("RGB", (20, 20), "white").save(tmp_path / name, format="PNG")
    assert images.load(tmp_path / name, 16).name == name
    images.check(tmp_path / name)
    assert images.in_folder(str(tmp_path)) == [str(tmp_path / name)]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_names_that_are_not_utf8_are_shown_with_replacement_characters(tmp_path):
    name = os.fsdecode(b"M\xfcller.png")
    Image.new("RGB", (20, 20), "white").save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    (found,) = images.in_folder(str(tmp_path))
    assert images.load(found, 16).name == "M\ufffdller.png"
    assert images.shown(found) == str(tmp_path / "M\ufffdller.png")
    Path(found).write_bytes(b"no picture")
    for call in (images.check, lambda path: images.load(path, 16)):
        message(lambda call=call: call(found)).encode()  # a lone surrogate would not encode
    message(lambda: images.load(found + "x", 16)).encode()


# --- what can be said without decoding -----------------------------------------------------------


def test_check_says_what_load_says_for_whatever_a_header_shows(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.png").write_text("not a picture\n" * 50)
    Image.new("L", (200, 9)).save(tmp_path / "flat.png")
    names = ("empty.png", "words.png", "flat.png", "missing.png", ".", "x" * 300)
    for source in ("astronot", *(str(tmp_path / name) for name in names)):
        expected = message(lambda source=source: images.load(source, 32))
        assert message(lambda source=source: images.check(source)) == expected


def test_check_knows_the_size_too(tmp_path):
    Image.new("L", (400, 40)).save(tmp_path / "wide.png")
    images.check(tmp_path / "wide.png")
    images.check(tmp_path / "wide.png", 64)
    assert "64x6" in message(lambda: images.check(tmp_path / "wide.png", 64, keep_aspect=True))


@pytest.mark.parametrize("name", ["astronaut", "woodcut", "sketch"])
def test_check_of_a_builtin_picture_paints_nothing(name, monkeypatch):
    monkeypatch.setattr(images.painted, "kept", None)
    monkeypatch.setattr(images, "PHOTOS", None)
    monkeypatch.setattr(images, "builtin_contents", lambda: ("astronaut", "sketch"))
    images.check(name)


def test_check_decodes_nothing(tmp_path):
    """Ten thousand pixels a side take seconds to decode; and half a file is enough."""
    Image.new("RGB", (9000, 9000)).save(tmp_path / "large.png", compress_level=1)
    data = (tmp_path / "large.png").read_bytes()
    (tmp_path / "large.png").write_bytes(data[: len(data) // 2])
    started = time.process_time()
    images.check(tmp_path / "large.png")
    assert time.process_time() - started < 0.2


# --- decoders keep quiet -------------------------------------------------------------------------


def test_warnings_of_pillow_are_not_shown(tmp_path, capfd, monkeypatch):
    data = bytearray(encoded("PNG"))
    chunk = b"acTL" + struct.pack(">2I", 0, 0)  # an animation of no frames: Pillow warns
    chunk = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "odd.png").write_bytes(data[:33] + chunk + data[33:])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        images.check(tmp_path / "odd.png")
        images.load(tmp_path / "odd.png", 16)
    assert heard == []
    with pytest.warns(UserWarning), Image.open(tmp_path / "odd.png"):
        pass  # else this test tests nothing


def test_libtiff_is_not_heard(tmp_path, capfd):
    """It writes to the process's standard error itself; Python's warnings know nothing of that."""
    path = tmp_path / "cut.tif"
    data = encoded("TIFF", compression="tiff_lzw")
    path.write_bytes(data[:8] + bytes(600) + data[608:])
    message(lambda: images.load(path, 16))
    assert capfd.readouterr().err == ""
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


# --- saving --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(16, 40), columns=st.integers(16, 40), seed=st.integers(0, 99))
def test_save_then_load_is_within_half_a_level(tmp_path_factory, rows, columns, seed):
    pixels = np.random.default_rng(seed).random((rows, columns, 3), dtype=np.float32)
    path = tmp_path_factory.getbasetemp() / "round.png"
    images.save(path, pixels)
    again = images.load(path, max(rows, columns), keep_aspect=True).pixels
    assert np.abs(again - pixels).max() <= 1 / 510 + 1e-6


def test_a_fitted_picture_is_saved_without_loss(tmp_path):
    fitted = images.load("coffee", 50)
    images.save(tmp_path / "content.png", fitted.pixels)
    again = images.load(tmp_path / "content.png", 50)
    np.testing.assert_array_equal(again.pixels, fitted.pixels)
    assert again.sha256 == fitted.sha256


def test_to_uint8_rounds_to_nearest_and_clips():
    values = np.array([-1.0, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 9.0, np.nan, np.inf])
    assert images.to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255, 255, 0, 255]


def test_save_replaces_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    images.save(path, np.zeros((16, 16, 3)))
    before = path.read_bytes()

    def full(self, file, **options):
        Path(file).write_bytes(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="no space"):
        images.save(path, np.ones((16, 16, 3)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["image.png"]


# --- colours -------------------------------------------------------------------------------------


def test_luminance_is_the_luma_in_three_equal_channels():
    coffee = images.load("coffee", 32)
    grey = images.luminance(coffee)
    assert grey.pixels.shape == (32, 32, 3) and grey.pixels.dtype == np.float32
    assert (grey.pixels == grey.pixels[..., :1]).all()
    red, green, blue = np.moveaxis(coffee.pixels, -1, 0)
    np.testing.assert_allclose(
        grey.pixels[..., 0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-6
    )


def test_colours_are_the_contents_and_luminance_the_results():
    """Colours that stay clear of 0 and 1, so that nothing is clipped; scikit-image's YIQ judges."""
    rng = np.random.default_rng(2)
    content = (0.4 + 0.2 * rng.random((16, 16, 3))).astype(np.float32)
    result = (0.4 + 0.2 * rng.random((16, 16, 3))).astype(np.float32)
    kept = rgb2yiq(images.with_colours_of(result, content))
    np.testing.assert_allclose(kept[..., 0], rgb2yiq(result)[..., 0], atol=1e-3)
    np.testing.assert_allclose(kept[..., 1:], rgb2yiq(content)[..., 1:], atol=1e-3)


def test_kept_colours_stay_in_range():
    content, result = images.load("cat", 32).pixels, images.load("rocket", 32).pixels
    kept = images.with_colours_of(result, content)
    assert 0.0 <= kept.min() <= kept.max() <= 1.0
    np.testing.assert_allclose(images.with_colours_of(content, content), content, atol=1e-6)


# --- identity ------------------------------------------------------------------------------------


def test_the_same_picture_twice_is_the_same():
    first, second = images.load("rocket", 40), images.load("rocket", 40)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.sha256 == second.sha256


def test_the_digest_sees_pixels_and_shape():
    tall, wide = np.zeros((32, 16, 3)), np.zeros((16, 32, 3))
    digests = {images.load(a, 32, keep_aspect=True).sha256 for a in (tall, wide)}
    wide[3, 3] = 0.5
    digests.add(images.load(wide, 32, keep_aspect=True).sha256)
    assert len(digests) == 3


def test_pixels_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        images.load("cat", 16).pixels[0] = 0
