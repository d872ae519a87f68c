"""A packed run repeated: its first epochs, a segment after a checkpoint, the loss of its picture.

Everything goes through the ordinary run loop, into a temporary folder.
"""

import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from nstbench import outside
from nstbench.benchmark import consistency
from nstbench.benchmark.packs import Pack, plain
from nstbench.errors import NstbenchError
from nstbench.files import conf_dir
from nstbench.pictures import images
from nstbench.report.data.reader import RecordedRun
from nstbench.run.record import read_rows
from nstbench.run.schema import TRACE_COLUMNS
from nstbench.settings import identity
from nstbench.settings.inputs import STARTS
from nstbench.settings.model import Settings

# How far a loss may be from the recorded one, relative, by evaluation; straight in the logarithm
# between. Another machine sums in another order, which moves a loss by 1e-6, and every step
# amplifies that. These are the worst trajectories of tests/test_golden.py (RMSprop at 0.02, which
# oscillates: 1e-3 over 8 steps, 3e-2 over 20), with its leeway of 3 for another order of summation.
# After the last one nothing is compared: a run that oscillates has forgotten where it came from.
TOLERANCE = ((1, 1.5e-5), (8, 3e-3), (20, 9e-2))
PICTURE = 0.05  # relative: what 8 bits of a pixel move the loss of a picture; see verify's tests
LARGEST_SIDE = 1024  # pixels of a run that is repeated
LONGEST_EPOCH = 1000  # steps

# Attributes of libraries that hold nothing but optimizers and what belongs to them.
_LIBRARIES = re.compile(r"(keras\.optimizers|optax|torch\.optim|scipy)\.[\w-]+")


class Unchecked(NstbenchError):
    """Why a run cannot be checked here; completes "cannot be checked because"."""


@dataclass(frozen=True)
class Comparison:
    """Recorded losses held against repeated ones; `differs` says where and how, None: nowhere."""

    epochs: int  # whole ones among the evaluations that were compared
    evaluations: int
    largest: float  # relative deviation
    differs: str | None = None


class _Enough(Exception):
    """Ends a repeated run when it has come far enough."""


class _Until:
    """A `Listener` that looks on until an epoch is on record."""

    def __init__(self, epoch: int):
        self._epoch = epoch

    def stage(self, what: str) -> None:
        pass

    def download(self, name: str, done: int, total: int | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def epoch(self, row: dict[str, Any]) -> None:
        if row["epoch"] >= self._epoch:
            raise _Enough


def settings_of(run: RecordedRun, pack: Pack) -> Settings:
    """The run's settings with the pack's pictures in place of those that it named.

    Raises `Unchecked` for settings that this version does not have, pictures that are not in the
    pack, and code from elsewhere.
    """
    try:
        settings = Settings.model_validate(run.record.settings)
    except ValidationError:
        raise Unchecked("its settings are those of another version of nstbench") from None
    known = {*images.builtin_contents(), *images.builtin_styles(), *STARTS}
    own = {name: pack.folder / file for name, file in pack.manifest.inputs.items()}
    for name in (settings.content, *settings.style, settings.init):
        if name not in known and name not in own:
            raise Unchecked(f"the picture {plain(name)} is not in the pack")
    for name in foreign(settings):
        raise Unchecked(f"{plain(name)}, which its problem is made of, is not in the pack")
    named = {name: str(own.get(name, name)) for name in known | own.keys()}
    settings = settings.model_copy(
        update={
            "content": named[settings.content],
            "style": tuple(named[name] for name in settings.style),
            "init": named[settings.init],
        }
    )
    if max(settings.size, settings.steps_per_epoch / LONGEST_EPOCH * LARGEST_SIDE) > LARGEST_SIDE:
        raise Unchecked("it is too large to be repeated in a minute")
    return settings


def foreign(settings: Settings) -> list[str]:
    """Paths of code and files, the optimizer's aside, that no YAML file of `conf/` names."""
    sections = (settings.schedule, settings.objective, settings.extractor)
    named = [text for section in sections for text in _texts(section.model_dump())]
    return [
        text
        for text in (*named, settings.weights)
        if outside.is_path(text) and text not in _built_in()
    ]


def own_code(settings: Settings) -> str | None:
    """What of somebody's code the optimizer would execute; None for built-in ones and libraries."""
    chosen = settings.optimizer
    if "sha256" in chosen.source:
        return Path(chosen.source["file"]).name
    known = chosen.target in _built_in() or _LIBRARIES.fullmatch(chosen.target)
    return None if known else chosen.target


def repeatable(run: RecordedRun, settings: Settings, run_source: bool) -> Settings:
    """The settings under which the run is repeated here; `Unchecked` where it cannot be."""
    from nstbench.settings import compose

    backend = compose.resolve([]).backend
    if settings.backend != backend:
        raise Unchecked(
            f"it was made on {settings.backend}, and this is {backend}: "
            f"try KERAS_BACKEND={settings.backend} python -m nstbench verify ..."
        )
    code = own_code(settings)
    if code is not None and not run_source:
        raise Unchecked(
            f"that would execute {plain(code)}, somebody's code: read it, then add run_source=true"
        )
    optimizer = settings.optimizer
    if "sha256" not in optimizer.source and outside.file_of(optimizer.target):
        raise Unchecked(f"{plain(code)} is not in the pack")
    if "sha256" in optimizer.source:
        attribute = re.split(r"[.:]", optimizer.target)[-1]
        target = f"{run.path / Path(optimizer.source['file']).name}:{attribute}"
        optimizer = optimizer.model_copy(update={"target": target})
    kernels = run.record.machine.get("kernels")
    update = {"optimizer": optimizer, "device": "auto", "snapshots": 0, "force": False,
              "checkpoint_s": 1e9}  # fmt: skip
    if kernels in ("direct", "fast"):
        update["kernels"] = kernels
    return settings.model_copy(update=update)


def first_epochs(run: RecordedRun, settings: Settings, kept: Any, folder: Path) -> Comparison:
    """Repeat the run until `TOLERANCE` ends, or it does."""
    wanted = min(TOLERANCE[-1][0], len(run.trace))
    if not wanted:
        raise Unchecked("it has no evaluation on record")
    epoch = int(run.trace["epoch"].iloc[wanted - 1])
    repeated = _repeated(settings.model_copy(update={"out": str(folder)}), kept, epoch)
    return compare(run, repeated)


def segment(run: RecordedRun, settings: Settings, kept: Any, folder: Path) -> Comparison | None:
    """Continue the run from its checkpoint; None where it has none, or no row after it."""
    if not (run.path / "checkpoint.npz").is_file():
        return None
    settings = settings.model_copy(update={"out": str(folder)})
    directory = identity.run_directory(settings)
    directory.mkdir(parents=True)
    for name in ("run.json", "epochs.csv", "trace.csv", "checkpoint.npz"):
        shutil.copyfile(run.path / name, directory / name)
    began = _checkpoint_epoch(directory)
    before = int((run.trace["epoch"] <= began).sum())
    if before == len(run.trace):
        return None
    end = min(before + TOLERANCE[-1][0], len(run.trace)) - 1
    repeated = _repeated(settings, kept, int(run.trace["epoch"].iloc[end]))
    return compare(run, repeated, before)


def picture_loss(run: RecordedRun, settings: Settings, kept: Any) -> float | None:
    """The loss of `image.png` over the final loss on record; None where they are not comparable."""
    pixels, final = consistency.read_picture(run, "image.png"), run.record.final
    comparable = settings.optimizer.box and not settings.keep_colours
    if pixels is None or final is None or not final.loss or not comparable:
        return None
    engine = kept.engine(settings)
    with engine.scope():
        objective = kept.problem(settings, engine, _Until(0).download).objective
        terms = objective.terms(pixels[None].astype(engine.dtype), objective.parameters)
    return math.fsum(float(v[0]) for v in engine.to_numpy(terms).values()) / final.loss


def compare(run: RecordedRun, repeated: Sequence[float], before: int = 0) -> Comparison:
    """The first losses after the `before` first ones, in the order of evaluations."""
    recorded = run.trace["loss"].to_numpy()
    count = min(len(recorded), len(repeated), before + TOLERANCE[-1][0])
    mine, theirs = np.asarray(repeated)[before:count], recorded[before:count]
    epochs = run.trace["epoch"].to_numpy()
    with np.errstate(all="ignore"):
        deviations = np.where(mine == theirs, 0.0, np.abs(mine / theirs - 1))
    both_lost = ~np.isfinite(mine) & ~np.isfinite(theirs)
    deviations = np.where(both_lost, 0.0, np.where(np.isnan(deviations), np.inf, deviations))
    wanted = min(len(recorded), before + TOLERANCE[-1][0])
    wrong = np.flatnonzero(deviations > tolerance(np.arange(1, len(mine) + 1)))
    largest = float(deviations.max(initial=0.0))
    whole = int(epochs[count - 1]) if count == len(epochs) else int(epochs[count]) - 1
    if not len(wrong) and count < wanted:
        return Comparison(whole, count - before, largest, f"at epoch {whole + 1}: it ends here")
    if not len(wrong):
        return Comparison(whole, count - before, largest)
    at = before + int(wrong[0])
    differs = (
        f"at epoch {epochs[at]:.0f}: the loss of evaluation {at + 1} is {recorded[at]:.9g} on "
        f"record and {repeated[at]:.9g} here"
    )
    return Comparison(whole, count - before, largest, differs)


def tolerance(evaluations: np.ndarray) -> np.ndarray:
    """`TOLERANCE` at these evaluations, from 1."""
    places, values = zip(*TOLERANCE, strict=True)
    return np.exp(np.interp(evaluations, places, np.log(values)))


def _repeated(settings: Settings, kept: Any, epoch: int) -> list[float]:
    """The losses of the run, repeated until `epoch` is on record."""
    from nstbench.run import loop

    try:
        loop.run(settings, _Until(epoch), kept)
    except _Enough:
        pass
    except NstbenchError as error:
        raise Unchecked(plain(error)) from None
    except Exception as error:  # the code of an optimizer may raise anything
        raise Unchecked(plain(f"{type(error).__name__}: {error}")) from None
    rows = read_rows(identity.run_directory(settings) / "trace.csv", TRACE_COLUMNS)
    return [float(row["loss"]) for row in rows]


def _checkpoint_epoch(directory: Path) -> int:
    """Epochs before the checkpoint in `directory`; `Unchecked` where it is damaged."""
    from nstbench.run import checkpoint

    try:
        with np.load(directory / "checkpoint.npz", allow_pickle=False) as file:
            size = sum(info.file_size for info in file.zip.infolist())
            if size > 4 * (directory / "checkpoint.npz").stat().st_size + 2**20:
                raise ValueError("it is packed too tightly")
            counters, _, _ = checkpoint.unpack({name: file[name] for name in file.files})
    except Exception as error:  # numpy and zipfile raise at least six kinds
        raise Unchecked(f"its checkpoint cannot be read ({plain(error)})") from None
    return counters.epoch


@cache
def _built_in() -> frozenset[str]:
    """Every text in the YAML files of `conf/` that a run's settings are made from."""
    groups = ("optimizer", "schedule", "objective", "extractor", "experiment")
    files = [file for group in groups for file in (conf_dir() / group).glob("**/*.yaml")]
    return frozenset(text for file in files for text in _texts(yaml.safe_load(file.read_text())))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value
