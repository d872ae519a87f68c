"""Pictures that the project paints itself: one module each, named after the picture.

Every module has `paint() -> PIL.Image.Image`: RGB, `canvas.SIDE` pixels square, the same
picture every time (seeded). The styles stay at one size so that what a run sees is one painting
photographed from different distances, not a different painting at every size.
"""

from importlib import import_module

from PIL import Image

STYLES = ("brushwork", "geometric", "glass", "wave", "dots")
DRAWINGS = ("sketch",)  # contents made of lines, to be coloured by a style


def paint(name: str) -> Image.Image:
    """The picture `name`, one of `STYLES` or `DRAWINGS`: RGB, `canvas.SIDE` pixels square."""
    return import_module(f"nstbench.pictures.{name}").paint()
