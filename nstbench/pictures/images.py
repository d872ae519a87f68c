"""Pictures: read them from anywhere, fit them to the size of a run, save them.

A picture is decoded to 8-bit sRGB, fitted with Pillow's Lanczos filter (antialiased; it enlarges
small pictures with the same filter) and only then scaled to float32 in [0, 1]. Every fitted pixel
is thus a multiple of 1/255, and the `content.png` that a run saves is exactly what entered the run.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from nstbench.errors import ImageError, unknown
from nstbench.files import replacing
from nstbench.pictures import painted
from nstbench.pictures.photos import PHOTOS
from nstbench.pictures.quiet import quiet

MIN_SIDE = 16  # pixels: VGG halves a picture four times before its last block
MAX_PIXELS = 100_000_000  # 300 MB once decoded; more is a mistake or a decompression bomb

# Luma of ITU-R BT.601, the Y of YIQ, in which colours are kept below.
LUMA = (0.299, 0.587, 0.114)

Source = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True, eq=False)
class Picture:
    """A fitted picture: `pixels` is a read-only (H, W, 3) float32 array in [0, 1], sRGB."""

    name: str
    pixels: np.ndarray

    @property
    def sha256(self) -> str:
        """Digest of shape and pixels (little-endian float32, row by row)."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(self.pixels.astype("<f4").tobytes())
        return digest.hexdigest()


def builtin_contents() -> tuple[str, ...]:
    """Names of the built-in content pictures, the default first."""
    return (*PHOTOS, *painted.DRAWINGS)


def builtin_styles() -> tuple[str, ...]:
    """Names of the built-in styles, the default first."""
    return painted.STYLES


def is_builtin(name: str) -> bool:
    """Whether `name` is a picture that nstbench brings along, and no file's."""
    return name in (*builtin_contents(), *builtin_styles())


def load(source: Source, size: int, keep_aspect: bool = False) -> Picture:
    """The picture `source` fitted to `size`.

    `source`: a built-in name; else the path of any file that Pillow reads (the first frame of an
    animation); or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of booleans, uint8, uint16 or
    floats in [0, 1]; or a Pillow image. A file that has the name of a built-in picture is
    reached as `./name`.

    The centre square is reduced to (size, size); with `keep_aspect` the whole picture is reduced
    until its longer side is `size`. Transparency is laid on white, grey becomes three equal
    channels, 16-bit values are scaled to 8 bits, EXIF rotation is applied, colour profiles are not.

    Raises ImageError, in one line, for an unknown name, a missing, unreadable, truncated, empty or
    huge file, and a picture with a side under `MIN_SIDE` pixels before or after fitting.
    """
    name, image = _open(source)
    try:
        with quiet(image.format == "TIFF"):
            rgb = _decode(name, image)
    finally:
        if image is not source:
            image.close()
    return Picture(name, _fit(name, rgb, size, keep_aspect))


def check(source: str | Path, size: int | None = None, keep_aspect: bool = False) -> None:
    """Raise the ImageError that `load` would, as far as a file's first bytes can tell.

    In milliseconds: nothing is decoded or painted. A file that is cut short or damaged behind its
    header is found by `load` only. Without a `size` the fitted sides are not looked at.
    """
    if isinstance(source, str) and is_builtin(source):
        return
    with _open_file(source) as image:
        _check_sides(_name(source), image.size)
        if size is not None:
            _fitted(_name(source), image.size, size, keep_aspect)


def shown(path: str | Path) -> str:
    """`path` as text that can be written anywhere: U+FFFD for bytes of its that are not UTF-8.

    File names are bytes; Python keeps those that it cannot read as lone surrogates, which no
    encoder takes. Use the path itself to open a file and this to name it.
    """
    return os.fsencode(path).decode("utf-8", errors="replace")


def in_folder(folder: str) -> list[str]:
    """Paths of the pictures in `folder`, by name; other files and subfolders are passed over.

    Raises ImageError when there is none.
    """
    known = Image.registered_extensions()
    entries = sorted(Path(folder).expanduser().iterdir())
    found = [str(path) for path in entries if path.suffix.lower() in known and path.is_file()]
    if not found:
        raise ImageError(f"folder {folder!r} has no pictures")
    return found


def save(path: str | Path, pixels: np.ndarray, text: Mapping[str, str] | None = None) -> None:
    """Write (H, W, 3) floats in [0, 1] as 8-bit PNG, atomically: never half a file at `path`.

    `text` goes into the file, each value under its key (Latin-1, at most 79 letters).
    """
    said = PngInfo()
    for key, value in (text or {}).items():
        said.add_itxt(key, value)
    with replacing(Path(path)) as temporary:
        Image.fromarray(to_uint8(pixels)).save(temporary, format="PNG", pnginfo=said)


def text_in(path: str | Path, key: str) -> str | None:
    """The text that a picture carries under `key`; None where it has none.

    Raises ImageError for what is no picture.
    """
    with _open_file(path) as image:
        text = image.info.get(key)
    return text if isinstance(text, str) else None


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], any shape, to the nearest of 256 levels; clipped, not-a-number is black."""
    finite = np.nan_to_num(np.asarray(pixels, dtype=np.float64), nan=0.0)
    return np.rint(np.clip(finite, 0.0, 1.0) * 255.0).astype(np.uint8)


def luminance(picture: Picture) -> Picture:
    """`picture` without its colours: Y = 0.299 R + 0.587 G + 0.114 B in three equal channels."""
    pixels = np.repeat(_luma(picture.pixels), 3, axis=-1)
    pixels.setflags(write=False)
    return Picture(picture.name, pixels)


def with_colours_of(pixels: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The luminance of `pixels` with the colours (I and Q of YIQ) of `content`.

    Both (H, W, 3) in [0, 1], and so is the result, clipped. In RGB the exchange of Y alone is
    C + Y(P) - Y(C) in every channel. Source: Gatys, Bethge, Hertzmann, Shechtman, "Preserving
    Color in Neural Artistic Style Transfer" (2016), luminance-only transfer.
    """
    return np.clip(content + _luma(pixels) - _luma(content), 0.0, 1.0)


def _luma(pixels: np.ndarray) -> np.ndarray:
    return (pixels @ np.array(LUMA, dtype=pixels.dtype))[..., None]


def _open(source: Source) -> tuple[str, Image.Image]:
    """Name and (perhaps not yet decoded) image of any source."""
    if isinstance(source, Image.Image):
        return "image", source
    if isinstance(source, np.ndarray):
        return "array", _from_array(source)
    if isinstance(source, str):
        if source in PHOTOS:
            return source, PHOTOS[source].open()
        if source in (*painted.STYLES, *painted.DRAWINGS):
            return source, painted.kept(source)
    return _name(source), _open_file(source)


def _name(source: str | Path) -> str:
    if not isinstance(source, str | os.PathLike):
        kind = type(source).__name__
        raise ImageError(f"a {kind} is no picture; a name, a path, an array, a Pillow image are")
    return shown(Path(source).name)


def _open_file(source: str | Path) -> Image.Image:
    path, text = os.path.expanduser(source), repr(shown(source))
    if not os.path.exists(path):
        names = {*builtin_contents(), *builtin_styles()}
        raise unknown("built-in picture or missing file", shown(source), names, ImageError)
    if not os.path.isfile(path):
        raise ImageError(f"{text} is not a file but a folder or a device")
    if os.path.getsize(path) == 0:
        raise ImageError(f"picture {text} is empty (0 bytes)")
    try:
        with quiet():
            return Image.open(path)
    except UnidentifiedImageError:
        raise ImageError(f"{text} is not a picture that Pillow can read") from None
    except Image.DecompressionBombError:
        raise ImageError(f"picture {text} has over {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # decoders raise nearly anything on broken data
        raise _unreadable(shown(source), error) from error


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError(f"array of shape {array.shape} is no picture; (H, W), (H, W, 3 or 4) are")
    if array.dtype == np.bool_:
        array = array.astype(np.float32)
    elif array.dtype == np.uint16:
        array = array / np.float32(65535)
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"array of {array.dtype} is no picture; bool, uint8, uint16 or floats are")
    _check_range("array", array)
    return Image.fromarray(to_uint8(array))


def _check_sides(name: str, sides: tuple[int, int]) -> None:
    width, height = sides
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"picture {name!r} is {width}x{height} pixels; each side needs at least {MIN_SIDE}"
        )
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"picture {name!r} is {width}x{height} pixels; at most {MAX_PIXELS:,} are read"
        )


def _decode(name: str, image: Image.Image) -> Image.Image:
    """Any Pillow image to upright 8-bit RGB."""
    _check_sides(name, image.size)
    try:
        return _to_rgb(name, ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Exception as error:  # decoders raise nearly anything on broken data
        raise _unreadable(name, error) from error


def _to_rgb(name: str, image: Image.Image) -> Image.Image:
    if image.mode == "F":
        values = np.asarray(image)
        _check_range(name, values)
        return Image.fromarray(to_uint8(values)).convert("RGB")
    if image.mode.startswith("I"):  # 16-bit grey, which some decoders widen to 32 bits
        values = np.asarray(image)
        _check_range(name, values, 65535)
        return Image.fromarray(to_uint8(values / 65535.0)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _fitted(name: str, sides: tuple[int, int], size: int, keep_aspect: bool) -> tuple[int, int]:
    """Width and height of a picture of `sides` once it is fitted to `size`."""
    scale = size / max(sides)
    fitted = (round(sides[0] * scale), round(sides[1] * scale)) if keep_aspect else (size, size)
    if min(fitted) < MIN_SIDE:
        raise ImageError(
            f"picture {name!r} would be {fitted[0]}x{fitted[1]} pixels at size {size}; "
            f"each side needs at least {MIN_SIDE}"
        )
    return fitted


def _fit(name: str, image: Image.Image, size: int, keep_aspect: bool) -> np.ndarray:
    fitted = _fitted(name, image.size, size, keep_aspect)
    if not keep_aspect:
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    small = image.resize(fitted, Image.Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float32) / np.float32(255)
    pixels.setflags(write=False)
    return pixels


def _check_range(name: str, values: np.ndarray, top: int = 1) -> None:
    low, high = values.min(initial=0), values.max(initial=0)
    if not (low >= 0 and high <= top):  # so written, not-a-number is refused too
        raise ImageError(f"picture {name!r} has values from {low:g} to {high:g}, not 0 to {top}")


def _unreadable(name: str, error: Exception) -> ImageError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"picture {name!r} cannot be read: {reason}")
