"""Suites: the YAML files of `conf/suite/`, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nstbench.arguments import SWEEP_OPTIONS
from nstbench.errors import SettingsError, unknown
from nstbench.files import conf_dir
from nstbench.settings import compose, values

PARTS = ("rows", "experiments", "sweep", "suites")  # each gives runs
KEYS = (*PARTS, "overrides", *(option for option in SWEEP_OPTIONS if option != "suite"))


class Block(dict[str, list[str]]):
    """The values of each setting, as texts: their product is run. A row has one of each."""

    def __init__(self, of: Mapping[str, list[str]] | tuple[()] = (), is_row: bool = False):
        super().__init__(of)
        self.is_row = is_row

    def __or__(self, other: Mapping[str, list[str]]) -> "Block":
        return Block({**self, **other}, self.is_row)


@dataclass(frozen=True)
class Suite:
    """What a suite runs, and what it says of how (`repeats`, `time_limit`)."""

    blocks: tuple[Block, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def load(name: str | None, folders: Sequence[str] = (), within: tuple[str, ...] = ()) -> Suite:
    """The suite `name` of `conf/suite/` or of `folders`; an empty one for None.

    Raises `SettingsError` for an unknown name or key, and for one that would run nothing.
    """
    if name is None or name == "null":
        return Suite()
    offered = compose.choices("suite", folders)
    if name not in offered:
        raise unknown("suite", name, offered)
    if name in within:
        raise SettingsError(f"suite {name} is a part of itself: {' of '.join((name, *within))}")
    text = _read(name, folders)
    if not isinstance(text, dict) or not set(PARTS) & set(text):
        raise SettingsError(f"suite {name} is empty: it needs one of {', '.join(PARTS)}")
    for key in text:
        if key not in KEYS:
            raise unknown(f"key of suite {name}", key, KEYS)
    blocks = [
        block
        for other in _list(text.get("suites"))
        for block in load(other, folders, (name, *within)).blocks
    ]
    blocks += [Block({"experiment": [p]}) for p in _experiments(text)]
    blocks += [Block({key: [_text(v)] for key, v in row.items()}, True) for row in _rows(text)]
    blocks += [_product(part) for part in _list(text.get("sweep"))]
    if not blocks:
        raise SettingsError(f"suite {name} is empty: it would run nothing")
    shared = dict(values.split(argument) for argument in text.get("overrides") or [])
    common = {key: [value] for key, value in shared.items()}
    whole = tuple(Block(common | block, block.is_row) for block in blocks)
    return Suite(whole, {k: v for k, v in text.items() if k in SWEEP_OPTIONS})


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a built-in suite as they stand in its file, for whoever compares with them."""
    return _rows(_read(name, ()))


def _read(name: str, folders: Sequence[str]) -> Any:
    paths = (Path(root, "suite", f"{name}.yaml") for root in (conf_dir(), *folders))
    file = next(path for path in paths if path.is_file())
    try:
        return OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (OmegaConfBaseException, YAMLError, OSError) as error:
        raise SettingsError(f"{file}: {' '.join(str(error).split())}") from None


def _experiments(suite: dict[str, Any]) -> list[str]:
    if "experiments" in suite and not suite["experiments"]:
        raise SettingsError("a suite's experiments are an empty list")
    return _list(suite.get("experiments"))


def _rows(suite: dict[str, Any]) -> list[dict[str, Any]]:
    found = _list(suite.get("rows"))
    if "rows" in suite and not (found and all(isinstance(row, dict) and row for row in found)):
        raise SettingsError(
            "a suite's rows are a list of settings, e.g. {optimizer: adam, lr: 0.1}"
        )
    return found


def _product(part: Any) -> Block:
    listed = {k: _list(v) for k, v in part.items()} if isinstance(part, dict) else {}
    if not listed or not all(listed.values()):
        raise SettingsError("a suite's sweep has no values")
    return Block({key: [_text(value) for value in each] for key, each in listed.items()})


def _list(value: Any) -> list:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """A YAML value as it would be typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return str(value)
