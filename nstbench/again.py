"""`python -m nstbench from image.png [name=value ...]`: the run that made a picture, once more.

A picture may come from a stranger, and what it says is data: only settings of a run are taken from
it, and no code is run that it names. Whoever has that code names it on the command line.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from nstbench import arguments as given
from nstbench.errors import SettingsError

HELP = """\
python -m nstbench from IMAGE.PNG [name=value ...]: run again what made a picture

  python -m nstbench from results/runs/adam-lr0.02-e50x5-1a2b3c4d/image.png
  python -m nstbench from image.png size=512 epochs=200     # the same with other settings
  python -m nstbench from image.png --dry-run               # only say what would run

The settings come from the PNG text that every image.png carries. Pictures and weights are looked
for where its command names them; where they are others than they were, a line says so. The source
of an optimizer of one's own is not in a picture: repeat its setting to use the file that you have.
"""

# Settings that decide which pixels or values a check-sum is of; of a file, its name does not.
DECIDING = {
    "content": ("content", "size", "keep_aspect", "keep_colours", "experiment"),
    "style": ("style", "size", "keep_aspect", "keep_colours", "experiment", "content"),
    "weights": ("weights", "extractor", "seed", "experiment"),
}
OPTIMIZER = ("optimizer", "lr", "schedule")  # settings that go with the optimizer they were for


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command("from", HELP, arguments, lambda: _run_again(*arguments))


def _run_again(path: str, *more: str) -> int:
    from nstbench import cli
    from nstbench.run import recipe as recipes

    recipe = recipes.read(os.path.expanduser(path))
    os.environ.setdefault("KERAS_BACKEND", recipe.backend)
    command = merged(path, recipe.command, more)
    print(given.typed(*command), file=sys.stderr, flush=True)
    is_one_run = not given.is_sweep(command) and not any(map(given.is_flag, command))
    if is_one_run and not more:
        _compare_identity(recipe, command)
    code = cli.main(command)
    if is_one_run and code == 0:
        _compare_sources(recipe, command, {text.partition("=")[0] for text in more})
    return code


def merged(path: str, recipe: Sequence[str], more: Sequence[str]) -> list[str]:
    """The arguments of a picture under those of the command line, which win.

    Raises `SettingsError` for what a picture may not ask for, and where it names code of its own
    that the command line does not name, too.
    """
    from nstbench.settings import values

    flags = [text for text in given.joined(more) if given.is_flag(text)]
    own = {values.split(text)[0]: text for text in given.joined(more) if text not in flags}
    theirs = dict(_checked(path, recipe))
    if "optimizer" in own and _last(own["optimizer"]) != _last(theirs.get("optimizer", "")):
        theirs = {k: text for k, text in theirs.items() if k.partition(".")[0] not in OPTIMIZER}
    theirs = {key: text for key, text in theirs.items() if key not in own}
    named = [text for key, text in theirs.items() if any(_code(key, text))]
    if named:
        command = given.typed("from", path, *more, *named)
        raise SettingsError(
            f"{path} names code that it does not hold, {', '.join(named)}; "
            f"to run what you have under this name: {command}"
        )
    return [*flags, *theirs.values(), *own.values()]


def _checked(path: str, recipe: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Key and argument of each setting; a picture starts no sweep and brings no folder of YAML."""
    from nstbench.settings import values

    for text in recipe:
        key, _ = values.split(text)
        foreign = key in (*given.SWEEP_OPTIONS, given.CONFIG_DIR) or key.startswith("hydra")
        if foreign or given.is_flag(text):
            raise SettingsError(f"{path}: {text} is no setting of a run that a picture may choose")
        yield key, text


def _code(key: str, text: str) -> Iterator[str]:
    """The paths of code in the value of one argument; names of layers may have dots, too."""
    from nstbench import outside
    from nstbench.settings import values

    if key.partition(".")[0] in values.GROUPS and not key.endswith(".layers"):
        value = values.read(*values.split(text))
        yield from (each for each in _texts(value) if outside.is_path(each))


def _texts(value: Any) -> list[str]:
    """All texts in a value, however deep in lists and mappings."""
    if isinstance(value, str):
        return [value]
    parts = list(value.values()) if isinstance(value, dict) else value
    return [text for part in parts for text in _texts(part)] if isinstance(parts, list) else []


def _last(text: str) -> str:
    """`my_opt.py:MyAdam` of `optimizer=./elsewhere/my_opt.py:MyAdam`."""
    return text.partition("=")[2].rpartition("/")[2]


def _compare_identity(recipe: Any, command: Sequence[str]) -> None:
    from nstbench.settings import compose, identity

    here = identity.run_id(compose.resolve(command))
    if here.rpartition("-")[2] != recipe.run.rpartition("-")[2]:
        print(
            f"note: this is not the same run: {recipe.run} made the picture, {here} starts "
            f"(other pictures, code or version; it was nstbench {recipe.version})",
            file=sys.stderr,
        )


def _compare_sources(recipe: Any, command: Sequence[str], changed: set[str]) -> None:
    """Say which pictures and weights are not those that made the picture."""
    from nstbench.run.record import read_record
    from nstbench.settings import compose, identity

    record = read_record(identity.run_directory(compose.resolve(command)))
    assert record is not None  # the run has just ended well
    seen = {
        "content": record.content.sha256,
        "style": tuple(style.sha256 for style in record.style),
        "weights": record.weights.sha256,
    }
    for name, digest in seen.items():
        if not changed & set(DECIDING[name]) and digest != getattr(recipe, name):
            print(f"note: {name} is not what made the picture: other values", file=sys.stderr)
