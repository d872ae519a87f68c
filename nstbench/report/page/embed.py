"""What of the file system goes into the page itself: its pictures, each once."""

import base64
import io
import math
from collections.abc import Iterable
from pathlib import Path

from nstbench.report.figures.picture_sheets import read_picture

MOST_BYTES = 5e6  # of all pictures together
BYTES_PER_PIXEL = 0.9  # about, of a stylised picture as JPEG in base64
LEAST, MOST = 96, 512  # pixels on the longer side
FEW_PIXELS = 128  # a picture so small is seen enlarged, so its colours stay sharp


class Album:
    """The pictures of a page. All are at most as large as lets them fit into it together."""

    def __init__(self, paths: Iterable[Path]):
        """Raises nothing: a file that is no picture has no place."""
        wanted = list(dict.fromkeys(paths))
        side = math.sqrt(MOST_BYTES / BYTES_PER_PIXEL / max(len(wanted), 1))
        shown = {path: data_uri(path, int(min(max(side, LEAST), MOST))) for path in wanted}
        self._places = {path: place for place, path in enumerate(p for p in wanted if shown[p])}
        self.pictures = [shown[path] for path in self._places]

    def place(self, path: Path) -> int | None:
        """The number of the picture of `path` among `pictures`."""
        return self._places.get(path)


def data_uri(path: Path, side: int) -> str | None:
    """The picture at `path` as a JPEG inside a `data:` address; None where it cannot be read."""
    picture = read_picture(path, side)
    if picture is None:
        return None
    buffer = io.BytesIO()
    sharp = {"quality": 92, "subsampling": 0} if max(picture.size) <= FEW_PIXELS else {}
    picture.save(buffer, "JPEG", **({"quality": 85, "optimize": True} | sharp))
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
