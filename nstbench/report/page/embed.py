"""What of the file system goes into the page itself."""

import base64
import io
from pathlib import Path

from nstbench.report.figures.picture_sheets import read_picture


def data_uri(path: Path, side: int) -> str | None:
    """The picture at `path` as a JPEG inside a `data:` address; None where it cannot be read."""
    picture = read_picture(path, side)
    if picture is None:
        return None
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
