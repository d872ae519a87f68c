"""What the settings name has to be there: seen before a framework is loaded."""

import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from nstbench import hardware
from nstbench.errors import SettingsError, unknown
from nstbench.networks.names import DEFAULT_LAYERS, layer_names
from nstbench.pictures import images
from nstbench.run.lock import reason
from nstbench.settings.model import Settings

STARTS = ("content", "noise", "grey")  # of `init`, besides a picture


def check(settings: Settings) -> None:
    """Raise `SettingsError`, in one line, for a picture or weights that are not there, a layer
    that the network lacks, a device that nobody has, and a folder that cannot be written to."""
    hardware.check(settings.device)
    _check_out(settings.out)
    pictures = (*images.builtin_contents(), *images.builtin_styles())
    named = [("content", settings.content), *(("style", style) for style in settings.style)]
    if settings.init not in STARTS:
        named.append(("init", settings.init))
    for key, name in named:
        _check(key, name, (*STARTS, *pictures) if key == "init" else pictures)
        if Path(name).expanduser().is_file():
            images.check(name, settings.size, settings.keep_aspect)
    if _is_path(settings.weights):
        _check("weights", settings.weights, ())
    for term in settings.objective.terms.values():
        check_layers(settings.extractor.name, term.get("layers", ()))


def check_layers(network: str, layers: Iterable[str]) -> None:
    """Raise `SettingsError` for a layer that `network` lacks, where its layers are known already.

    Those of `keras.applications` are known when the model is built.
    """
    known = layer_names(network)
    for layer in layers:
        if known and layer not in (*known, DEFAULT_LAYERS):
            raise unknown(f"layer of {network}", layer, known)


def _check(key: str, name: str, known: tuple[str, ...]) -> None:
    if name in known or Path(name).expanduser().is_file():
        return
    if _is_path(name) or not known:
        raise SettingsError(f"{key}={name}: there is no such file")
    raise unknown(key, name, known)


@lru_cache
def _check_out(out: str) -> None:
    """An `out` that is not there yet can be made: the nearest folder above it takes one."""
    wanted = Path(out).expanduser().absolute()
    if wanted.is_dir():  # complete runs in it can be read, whoever may write
        return
    nearest = next(path for path in (wanted, *wanted.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".nstbench-", dir=nearest):
            pass
    except OSError as error:
        raise SettingsError(f"out={out}: cannot write to {nearest}: {reason(error)}") from None


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or "." in name
