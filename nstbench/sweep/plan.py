"""What a sweep is to run: suites, combinations and repeats become a list of runs."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from nstbench.arguments import CONFIG_DIR, names_folder
from nstbench.errors import SettingsError, unknown
from nstbench.files import conf_dir
from nstbench.pictures import images
from nstbench.settings import compose, identity, values
from nstbench.settings.model import Settings
from nstbench.settings.values import FILES
from nstbench.sweep import suites

# Settings that the name of a run shows, and those that change no number; an experiment does.
UNTOLD = {"optimizer", "lr", "epochs", "steps_per_epoch", *identity.NOT_IDENTITY} - {"experiment"}


@dataclass(frozen=True)
class Run:
    """One run of a sweep."""

    overrides: tuple[str, ...]  # the arguments that run exactly this
    directory: Path
    settings: Settings

    @property
    def id(self) -> str:
        return self.directory.name

    @property
    def epochs(self) -> int:
        return self.settings.epochs

    @property
    def force(self) -> bool:
        return self.settings.force


def own_settings(runs: Sequence[Run]) -> dict[Path, str]:
    """What each run was told that not all were told, and that its name does not show."""
    shared = set.intersection(*(set(run.overrides) for run in runs))
    return {
        run.directory: " ".join(
            text
            for text in run.overrides
            if text not in shared and text.partition("=")[0] not in UNTOLD
        )
        for run in runs
    }


@dataclass(frozen=True)
class Plan:
    """The runs as they are listed, and how they are carried out."""

    runs: tuple[Run, ...]
    launcher: tuple[str, ...]  # Hydra's own overrides: hydra/launcher=... hydra.launcher...=...
    time_limit: float | None  # seconds


def make(arguments: Sequence[str], multirun: bool = True) -> Plan:
    """The plan of a command line such as `["suite=table1", "size=64", "repeats=3"]`.

    A suite gives rows, experiments, combinations, or parts of other suites, and settings for all of
    its runs; the command line's own settings come last and win. `optimizer=` chooses among the rows
    of a suite that has rows. A folder as content or style stands for every picture in it. Commas in
    names of files part them only with `multirun` (-m). Repeats are interleaved: all runs once, then
    all again. Raises `SettingsError` for what cannot be read, and when nothing would run.
    """
    given, folders = _parse(arguments, multirun)
    launcher = [text for key, texts in given.items() if key.startswith("hydra") for text in texts]
    options, suite = _options(given, folders)
    ours = {k: v for k, v in given.items() if not k.startswith("hydra") and k not in options}
    if options["repeats"] > 1 and "repeat" in ours:
        raise SettingsError("repeats=... numbers the runs itself: leave repeat=... away")
    blocks = _blocks(suite, folders)
    chosen = [block | _rest(block, ours) for block in _chosen_rows(blocks, ours)]
    jobs = [[*_flags(folders), *job] for block in chosen for job in product(*block.values())]
    runs = _distinct(_runs(_with_rates(jobs), options["repeats"]))
    return Plan(tuple(runs), tuple(launcher), options["time_limit"])


def launch_order(runs: Sequence[Run]) -> list[Run]:
    """Repeat after repeat; the competitors of one in a random order, always the same one.

    So that no competitor always follows the same other one, or is always first.
    """
    keyed = {run.directory: (run.settings.repeat, _shuffled(run)) for run in runs}
    return sorted(runs, key=lambda run: keyed[run.directory])


def _shuffled(run: Run) -> float:
    return random.Random(run.id).random()


def _parse(
    arguments: Sequence[str], multirun: bool
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Each key with its arguments, one per value of a sweep, and the folders of YAML files.

    Of a key given twice the last wins.
    """
    parsed: dict[str, list[str]] = {}
    folders: list[str] = []
    for argument in arguments:
        key, text = values.split(argument)
        if key == CONFIG_DIR:
            folders.append(compose.checked_folder(text))
            continue
        parsed.pop(key, None)
        parsed[key] = [argument]
        if not key.startswith("hydra"):
            texts = _alternatives(key, text, tuple(folders), multirun)
            parsed[key] = [one for each in texts for one in _opened(key, each)]
    return parsed, tuple(folders)


def _alternatives(key: str, text: str, folders: tuple[str, ...], multirun: bool) -> list[str]:
    if key in FILES and not multirun:
        return [text]
    return values.alternatives(key, text, lambda: compose.choices(key, folders))


def _opened(key: str, text: str) -> list[str]:
    """One argument per picture where `text` is a folder of them, else the one for `text`."""
    bare = values.unquoted(text)
    if not names_folder(f"{key}={bare}"):
        return [f"{key}={text}"]
    return [f"{key}={path}" for path in images.in_folder(bare)]


def _flags(folders: Sequence[str]) -> list[str]:
    return [f"{CONFIG_DIR}={folder}" for folder in folders]


def _options(
    given: dict[str, list[str]], folders: tuple[str, ...]
) -> tuple[dict[str, Any], suites.Suite]:
    """How the sweep is carried out, from its defaults, the suite and the command line."""
    defaults = OmegaConf.to_container(OmegaConf.load(conf_dir() / "sweep.yaml"))
    said = {key: _single(given[key]) for key in defaults if key in given}
    suite = suites.load(said.get("suite", defaults["suite"]), folders)
    options = defaults | {key: suite.options[key] for key in defaults if key in suite.options}
    options |= said
    repeats, limit = options["repeats"], options["time_limit"]
    if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 1:
        raise SettingsError(f"repeats={repeats} must be a whole number of at least 1")
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if limit is not None and not (is_number and limit > 0):
        raise SettingsError(f"time_limit={limit} must be a positive number of seconds, or null")
    return options, suite


def _single(texts: list[str]) -> Any:
    if len(texts) > 1:
        raise SettingsError(f"{' '.join(texts)}: one value is needed")
    return values.read(*values.split(texts[0]))


def _blocks(suite: suites.Suite, folders: tuple[str, ...]) -> list[suites.Block]:
    """The suite's parts, each a product of values; one empty part where there is no suite."""
    blocks = []
    for block in suite.blocks:
        found = {
            k: [t for text in ts for t in _listed(k, text, folders)] for k, ts in block.items()
        }
        blocks.append(suites.Block(found, is_row=block.is_row))
    return blocks or [suites.Block()]


def _listed(key: str, text: str, folders: tuple[str, ...]) -> list[str]:
    """The arguments of one value in a suite: patterns of experiments are written out."""
    if key != "experiment":
        return [f"{key}={text}"]
    names = compose.choices("experiment", folders)
    matching = [name for name in names if fnmatchcase(name, text)]
    if not matching:
        raise unknown("experiment", text, names)
    return [f"{key}={name}" for name in matching]


def _chosen_rows(blocks: Sequence[suites.Block], ours: dict[str, list[str]]) -> list[suites.Block]:
    """The blocks, of those that are rows just the ones of the optimizers that were asked for."""
    wanted = ours.get("optimizer")
    rows = [block for block in blocks if block.is_row and "optimizer" in block]
    if wanted is None or not rows:
        return list(blocks)
    listed = [text for row in rows for text in row["optimizer"]]
    for text in wanted:
        if text not in listed:
            names = {each.partition("=")[2] for each in listed}
            raise unknown("optimizer of the suite's rows", text.partition("=")[2], names)
    return [block for block in blocks if not block.is_row or set(block["optimizer"]) & set(wanted)]


def _rest(block: suites.Block, ours: dict[str, list[str]]) -> dict[str, list[str]]:
    """The command line's settings for a block; a row keeps its own optimizer."""
    return {key: texts for key, texts in ours.items() if not (block.is_row and key == "optimizer")}


def _with_rates(jobs: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """`lr_times=3` becomes the rate that is 3 times what the job would have without it.

    A job that also has a rate of its own keeps it.
    """
    for job in jobs:
        factors = [text for text in job if text.startswith("lr_times=")]
        rest = [text for text in job if text not in factors]
        if factors and not any(text.startswith("lr=") for text in rest):
            rest.append(f"lr={_times(compose.resolve(rest), factors[0]):.4g}")
        yield rest


def _times(settings: Settings, argument: str) -> float:
    factor = values.read(*values.split(argument))
    if settings.lr is None:
        raise SettingsError(f"{argument}: {settings.optimizer.target} has no rate")
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise SettingsError(f"{argument} must be a number")
    return settings.lr * factor


def _runs(jobs: Iterable[list[str]], repeats: int) -> Iterator[Run]:
    """All jobs once, then all again, and so on."""
    resolved = [(job, compose.resolve(job)) for job in jobs]
    for repeat in range(repeats):
        for job, settings in resolved:
            if repeats == 1:
                yield _run(job, settings)
                continue
            command = (*job, f"repeat={repeat}")
            yield _run(command, settings.model_copy(update={"repeat": repeat, "command": command}))


def _run(job: Sequence[str], settings: Settings) -> Run:
    return Run(tuple(job), identity.run_directory(settings).absolute(), settings)


def _distinct(runs: Iterable[Run]) -> Iterator[Run]:
    """Of runs that share a directory, the first."""
    seen: set[Path] = set()
    for run in runs:
        if run.directory not in seen:
            seen.add(run.directory)
            yield run
