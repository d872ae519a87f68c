"""Pictures that the project paints itself: one module each, named after the picture.

Every module has `paint() -> PIL.Image.Image`: RGB, `canvas.SIDE` pixels square, the same
picture every time (seeded). The styles stay at one size so that what a run sees is one painting
photographed from different distances, not a different painting at every size.
"""

import hashlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from nstbench.files import cache_dir, replacing

STYLES = (
    "brushwork", "geometric", "glass", "wave", "dots",
    "woodcut", "ink", "mosaic", "watercolour", "poster",
)  # fmt: skip
DRAWINGS = ("sketch",)  # contents made of lines, to be coloured by a style


def paint(name: str) -> Image.Image:
    """The picture `name`, one of `STYLES` or `DRAWINGS`: RGB, `canvas.SIDE` pixels square."""
    return import_module(f"nstbench.pictures.painted.{name}").paint()


def kept(name: str) -> Image.Image:
    """`paint(name)`, from the cache where it was painted before: painting takes a second."""
    path = cache_dir() / f"{name}-{_painters()}.png"
    with suppress(OSError, SyntaxError), Image.open(path) as image:  # none yet, or damaged
        image.load()
        return image
    image = paint(name)
    with suppress(OSError):  # nowhere to keep it: the next one paints again
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            image.save(temporary, format="PNG")
    return image


def _painters() -> str:
    """Digest of all that decides how the pictures come out."""
    digest = hashlib.sha256(f"{PIL.__version__} {np.__version__}".encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:12]
