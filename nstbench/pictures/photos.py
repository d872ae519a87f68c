"""Photographs inside scikit-image's wheel: where each comes from, and why it is free to use.

Nothing is downloaded. `rights` is what the docstrings of `skimage.data` say of each. Others of that
wheel are left out because nothing is said of them (`moon`, `motorcycle`), or because they are poor
contents (textures, diagrams, stars on black, a photograph blurred on purpose).
"""

from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from PIL import Image


@dataclass(frozen=True)
class Photo:
    """A file of `skimage.data`, what it shows, who made it, and its licence in their words."""

    file: str
    shows: str
    source: str
    rights: str

    def open(self) -> Image.Image:
        """The picture, not yet decoded."""
        return Image.open(files("skimage") / "data" / self.file)


PHOTOS = MappingProxyType(
    {
        "astronaut": Photo(
            "astronaut.png", "Eileen Collins", "NASA, https://flic.kr/p/r9qvLn", "public domain"
        ),
        "cat": Photo("chelsea.png", "Chelsea, a cat", "Stefan van der Walt", "CC0"),
        "coffee": Photo("coffee.png", "a cup at Pikolo Espresso Bar", "Rachel Michetti", "CC0"),
        "rocket": Photo(
            "rocket.jpg", "a Falcon 9 that carries DSCOVR",
            "SpaceX, https://www.flickr.com/photos/spacexphotos/16511594820/", "public domain",
        ),
        "photographer": Photo("camera.png", "a man with a camera", "Lav Varshney", "CC0"),
        "retina": Photo(
            "retina.jpg", "the back of a healthy eye",
            "Mikael Häggström, WikiJournal of Medicine, 2014, doi:10.15347/wjm/2014.008", "CC0",
        ),
        "coins": Photo(
            "coins.png", "Greek coins from Pompeii",
            "Brooklyn Museum, archives, image 51611", "no known copyright restrictions",
        ),
        "tissue": Photo(
            "ihc.png", "glands of a colon, stained, under a microscope",
            "Center for Microscopy and Molecular Imaging", "no known copyright restrictions",
        ),
    }
)  # fmt: skip
