"""`python -m nstbench export TOOL [PATH ...]`: recorded runs for TensorBoard and its like."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nstbench import arguments as given
from nstbench import errors
from nstbench.errors import SettingsError
from nstbench.notation import count

HELP = """\
python -m nstbench export TOOL [PATH ...] [name=value ...]: recorded runs for another tool

  python -m nstbench export tensorboard results               # event files
  python -m nstbench export tensorboard results --follow      # ... that grow while runs go on
  python -m nstbench export mlflow results/runs/adam-*        # some runs
  WANDB_MODE=offline python -m nstbench export wandb results
  python -m nstbench export trackio results project=mine

TOOL is tensorboard, mlflow, wandb or trackio, each an extra: pip install 'nstbench[mlflow]'.
PATH is a results folder (results unless given) or the directory of a run. Steps are evaluations,
settings become parameters, final loss, SSIM and seconds a summary; pictures go along. Exporting
again replaces what there was of a run.

  to=...            tensorboard: a folder; mlflow: a tracking URI; wandb: a folder for its files.
                    Unless given: results/export/tensorboard, sqlite:///results/export/mlflow.db
  project=nstbench  mlflow's experiment; the project of wandb and trackio
  --follow          tensorboard only: look for new epochs every 2 s, until Ctrl-C
"""

TOOLS = ("tensorboard", "mlflow", "wandb", "trackio")  # modules of this package, and extras
FOLLOW = "--follow"
POLL_S = 2.0  # between two looks, each a few stat calls per run: nothing beside a run


@dataclass(frozen=True)
class Options:
    """What the arguments say; see `HELP`."""

    tool: str
    paths: tuple[Path, ...]
    to: str | None = None
    project: str = "nstbench"
    follow: bool = False

    @property
    def folder(self) -> Path:
        """Where files go unless `to` says otherwise."""
        first = self.paths[0].resolve()
        if (first / "run.json").is_file():
            first = first.parent
        return (first.parent if first.name == "runs" else first) / "export"


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command("export", HELP, arguments, lambda: _export(parse(arguments)))


def parse(arguments: Sequence[str]) -> Options:
    """Options from the command line. Raises `SettingsError` for what it cannot use."""
    tool, *rest = arguments
    if tool not in TOOLS:
        raise errors.unknown("tool", tool, TOOLS)
    paths: list[Path] = []
    chosen: dict[str, Any] = {"follow": FOLLOW in rest}
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == FOLLOW:
            continue
        if argument.startswith("-"):
            raise errors.unknown("option", argument, [FOLLOW])
        if not equals or Path(argument).exists():
            paths.append(Path(argument).expanduser())
        elif name in ("to", "project") and value:
            chosen[name] = value
        else:
            raise errors.unknown("setting", name, ("to", "project"))
    if chosen["follow"] and tool != "tensorboard":
        raise SettingsError(f"{FOLLOW} is for tensorboard; export {tool} when the runs are over")
    for path in paths:
        if not path.is_dir():
            raise SettingsError(f"there is no folder {path}")
    return Options(tool, tuple(paths) or (Path("results"),), **chosen)


def _export(options: Options) -> None:
    if find_spec(options.tool) is None:
        extra = f"pip install 'nstbench[{options.tool}]'"
        raise SettingsError(f"{options.tool} is not installed: {extra}")
    module = import_module(f"nstbench.export.{options.tool}")
    if options.follow:
        print(f"following; look at it with: {module.view(options)}  (Ctrl-C ends this)", flush=True)
        _follow(options, module)
        return
    runs = _read(list(directories(options.paths)))
    if not runs:
        raise SettingsError(f"no runs in {' or '.join(map(str, options.paths))}")
    with module.Writer(options) as writer:
        for run in runs:
            writer.update(run)
    print(f"{count(len(runs), 'run')}; look at them with: {module.view(options)}")


def _follow(options: Options, module: Any) -> None:
    """Hand over whatever is new, for ever: Ctrl-C is the way to end it."""
    seen: dict[Path, tuple[int, ...]] = {}
    with module.Writer(options) as writer:
        while True:
            stamps = {path: _stamp(path) for path in directories(options.paths)}
            changed = [path for path, stamp in stamps.items() if seen.get(path) != stamp]
            for run in _read(changed, say=False):  # one that is being written is read next time
                writer.update(run)
            seen = stamps
            time.sleep(POLL_S)


def directories(paths: Sequence[Path]) -> Iterator[Path]:
    """The run directories that `paths` name: themselves, or all in their `runs/`."""
    for path in paths:
        if (path / "run.json").is_file():
            yield path
            continue
        runs = path if path.resolve().name == "runs" else path / "runs"
        if runs.is_dir():
            yield from sorted(each for each in runs.iterdir() if (each / "run.json").is_file())


def _read(paths: Sequence[Path], say: bool = True) -> list:
    from nstbench.report.data import reader

    found = reader.read_directories(paths)
    for damage in found.damaged if say else ():
        print(f"left out {damage}")
    return found.runs


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes whenever a run's record or its rows do."""
    files = [path / name for name in ("run.json", "epochs.csv")]
    return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)
