"""What a result carries: the command that made it, and of what, as text inside the PNG.

So a picture that was sent or moved can be made again: `python -m nstbench from image.png`.
"""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from nstbench.arguments import typed
from nstbench.errors import ImageError
from nstbench.pictures import images
from nstbench.settings import identity
from nstbench.settings.model import Settings

KEY = "nstbench"  # of the text that `read` understands; the others are for people
LOCAL = ("out", "force")  # settings that say where and whether, not what


class Recipe(BaseModel):
    """The arguments of a run, and the SHA-256 of fitted pictures and weights that it saw."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    version: str  # of nstbench
    backend: Literal["tensorflow", "jax", "torch"]
    run: str  # its identity: the name of its directory
    command: tuple[str, ...]
    content: str
    style: tuple[str, ...]
    weights: str


def of(settings: Settings, facts: Mapping[str, Any]) -> Recipe:
    """The recipe of a run; `facts` are those of `provenance.of_problem`."""
    return Recipe(
        version=metadata.version("nstbench"),
        backend=settings.backend,  # type: ignore[arg-type]
        run=identity.run_id(settings),
        command=tuple(a for a in settings.command if a.partition("=")[0] not in LOCAL),
        content=facts["content"].sha256,
        style=tuple(style.sha256 for style in facts["style"]),
        weights=facts["weights"].sha256,
    )


def as_text(recipe: Recipe) -> dict[str, str]:
    """What goes into the picture: for `read`, and in words."""
    return {
        "Software": f"nstbench {recipe.version}",
        "Description": typed(*recipe.command),
        KEY: recipe.model_dump_json(),
    }


def read(path: str | Path) -> Recipe:
    """The recipe in a picture. Raises `ImageError`, in one line, where there is none.

    What it says is a stranger's word: its types are checked, its values are not.
    """
    text, name = images.text_in(path, KEY), images.shown(path)
    if text is None:
        raise ImageError(
            f"{name} carries no recipe: nstbench did not make it, or another program saved it anew"
        )
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "not JSON"
        raise ImageError(f"{name}: its recipe cannot be read ({where})") from None
