"""Contact sheets of the built-in pictures: `python -m nstbench.pictures.sheet FOLDER`.

Writes `contents.jpg` and `styles.jpg` to FOLDER; those of the README lie in
`results/reference/readme/`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from nstbench import errors
from nstbench.files import replacing
from nstbench.pictures import images

SIDE, GAP, CAPTION = 176, 12, 26  # pixels of a picture, around it, and of the name below
PAPER, TEXT = "#ffffff", "#57606a"


def sheet(names: Sequence[str], columns: int) -> Image.Image:
    """The pictures `names` (whatever `images.load` reads) in rows, each above its name."""
    rows = -(-len(names) // columns)
    size = (columns * (SIDE + GAP) + GAP, rows * (SIDE + CAPTION + GAP) + GAP)
    paper = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(paper)
    font = ImageFont.load_default(size=15)
    for number, name in enumerate(names):
        row, column = divmod(number, columns)
        left, top = GAP + column * (SIDE + GAP), GAP + row * (SIDE + CAPTION + GAP)
        picture = images.load(name, SIDE)
        paper.paste(Image.fromarray(images.to_uint8(picture.pixels)), (left, top))
        middle = (left + SIDE / 2, top + SIDE + CAPTION / 2 + 2)
        draw.text(middle, picture.name, fill=TEXT, font=font, anchor="mm")
    return paper


def main(arguments: Sequence[str]) -> int:
    """The command line; its exit code."""
    if len(arguments) != 1:
        raise errors.SettingsError("give one folder for contents.jpg and styles.jpg")
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    every = {"contents": images.builtin_contents(), "styles": images.builtin_styles()}
    for kind, names in every.items():
        path = folder / f"{kind}.jpg"
        with replacing(path) as temporary:
            sheet(names, columns=5).save(
                temporary, format="JPEG", quality=78, optimize=True, progressive=True
            )
        print(f"{path}: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(errors.exit_code("nstbench.pictures.sheet", lambda: main(sys.argv[1:])))
