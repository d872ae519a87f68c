"""`python -m nstbench verify NAME.zip`: does a pack say what its runs do when they are repeated?

First all that costs nothing: digests, and whether tables, records, pictures and scores agree with
one another. Then a random few of its runs are repeated, from their start, after their checkpoint,
and at their end: the picture must have the loss on record.
"""

import random
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nstbench import arguments as given
from nstbench import errors
from nstbench.errors import SettingsError

HELP = """\
python -m nstbench verify NAME.zip

  Checks a pack (python -m nstbench pack): the SHA-256 of its files, whether records, tables,
  pictures and scores agree, and, for a random few of its runs, whether they do here what they did
  there: the first epochs, a segment after a checkpoint where there is one, and the loss of the
  picture. A minute at 64 pixels. Exit code 0: nothing speaks against it, and every run that was
  tried is verified; 1: something differs or cannot be checked.

  runs=3             how many are repeated
  seed=17            which ones: as an earlier call said; left away: other ones each time
  run_source=true    execute the optimizer's source in the pack, which is somebody's code: read it
"""
WITHIN = "within the tolerance for another machine"


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    pack: Path
    runs: int = 3
    seed: int | None = None
    run_source: bool = False


def main(arguments: Sequence[str]) -> int:
    """Verify a pack; the exit code."""
    return given.command("verify", HELP, arguments, lambda: _verify(read(arguments)))


def read(arguments: Sequence[str]) -> Request:
    """A command line's request; `SettingsError`, in one line, for what cannot be asked."""
    from nstbench.settings import values

    packs = [argument for argument in arguments if argument.endswith(".zip")]
    if len(packs) != 1:
        raise SettingsError("verify takes one pack: python -m nstbench verify NAME.zip")
    own: dict[str, Any] = {}
    for argument in (argument for argument in arguments if argument not in packs):
        key, text = values.split(argument)
        kinds = {"runs": int, "seed": int, "run_source": bool}
        if key not in kinds:
            raise errors.unknown("setting of verify", key, kinds)
        own[key] = values.read(key, text)
        if type(own[key]) is not kinds[key] or own[key] < 0:
            raise SettingsError(f"{argument}: {key} must be {_kind(kinds[key])}")
    return Request(Path(packs[0]), **own)


def _kind(kind: type) -> str:
    return "true or false" if kind is bool else "a whole number"


def _verify(request: Request) -> int:
    from nstbench.benchmark import packs
    from nstbench.report.data import reader

    began = time.monotonic()
    with packs.opened(request.pack) as pack:
        found = reader.read(pack.folder)
        if not found.runs and not found.damaged:
            raise packs.PackError(f"{request.pack} holds no run")
        faults = _faults(pack, found)
        for fault in faults:
            print(f"differs: {packs.plain(fault)}")
        if faults:
            return 1
        print(f"{len(found.runs)} runs: digests, records, tables and pictures agree")
        scores_hold = _check_scores(pack, found.runs)
        verified = _repeat_some(request, pack, found.runs) and scores_hold
        print(f"{request.pack}: {'verified' if verified else 'not verified'}, "
              f"{time.monotonic() - began:.0f} s")  # fmt: skip
        return 0 if verified else 1


def _faults(pack, found) -> list[str]:
    """Sentences on all that is seen without repeating a run."""
    from nstbench.benchmark import consistency, recorded
    from nstbench.settings import identity

    faults = list(map(str, found.damaged))
    for run in found.runs:
        faults += [f"{run.path.name}: {fault}" for fault in consistency.faults(run)]
        try:
            settings = recorded.settings_of(run, pack)
        except recorded.Unchecked:
            continue
        if not identity.is_of(settings, run.id):
            faults.append(f"{run.id}: its settings are not those that it is named after")
    return faults


def _check_scores(pack, runs: Sequence[Any]) -> bool:
    """Whether the scores of a benchmark, where it is one's, are those that its runs give."""
    from nstbench.benchmark import packs, scored
    from nstbench.benchmark.recorded import Unchecked

    try:
        faults = list(scored.faults(pack, runs))
    except Unchecked as why:
        print(f"its scores cannot be checked because {why}")
        return False
    for fault in faults:
        print(f"differs: {packs.plain(fault)}")
    return not faults


def _repeat_some(request: Request, pack, runs: Sequence[Any]) -> bool:
    """Whether all of a random few runs, one at least, are verified; each is told of."""
    from nstbench.benchmark.recorded import Unchecked
    from nstbench.run.progress import quiet_start

    seed = secrets.randbelow(10**6) if request.seed is None else request.seed
    chosen = random.Random(seed).sample(runs, min(request.runs, len(runs)))
    print(f"repeating {len(chosen)} of them (seed={seed} chooses the same ones again)", flush=True)
    with quiet_start():
        from nstbench.benchmark.repeat import Nudging
    kept, verified = Nudging(), bool(chosen)
    for run in sorted(chosen, key=lambda run: run.problem):  # one problem's network serves all
        try:
            is_good, said = _repeat(request, pack, run, kept)
        except Unchecked as why:
            is_good, said = False, f"cannot be checked because {why}"
        print(f"{run.id}: {said}", flush=True)
        verified = verified and is_good
    return verified


def _repeat(request: Request, pack, run, kept) -> tuple[bool, str]:
    """Whether a run does here what it did there, in words. Raises `Unchecked`."""
    from nstbench.benchmark import recorded, repeat
    from nstbench.benchmark.packs import plain

    settings = recorded.repeatable(run, recorded.settings_of(run, pack), request.run_source)
    code = recorded.own_code(settings)
    if code is not None:
        print(f"executing {plain(code)}, which came with the pack", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="nstbench-verify-") as folder:
        start = repeat.first_epochs(run, settings, kept, Path(folder, "start"))
        if start.differs:
            return False, f"differs {start.differs}{_elsewhere(run)}"
        later = repeat.segment(run, settings, kept, Path(folder, "segment"))
        if later and later.differs:
            return False, f"differs after its checkpoint, {later.differs}{_elsewhere(run)}"
    ratio = repeat.picture_loss(run, settings, kept)
    if ratio is not None and not abs(ratio - 1) < repeat.PICTURE:
        return False, f"differs at the end: the loss of image.png is {ratio:.4g} of that on record"
    largest = max(start.largest, later.largest if later else 0.0)
    parts = [
        f"verified to epoch {start.epochs} {WITHIN}"
        if start.epochs
        else f"verified within epoch 1 {WITHIN}",
        f"{start.evaluations} evaluations, "
        + (f"{largest:.1g} apart at most" if largest else "bit for bit"),
        f"{later.evaluations} more after its checkpoint" if later else "",
        "and its picture has the loss on record" if ratio is not None else "",
    ]
    return True, "; ".join(part for part in parts if part)


def _elsewhere(run) -> str:
    """Versions that differ from those here, for whoever looks for the reason."""
    from nstbench.run import machine

    here = machine.versions()
    others = [
        f"{name} {version} there, {here[name]} here"
        for name, version in run.record.versions.items()
        if name in here and version is not None and here[name] not in (None, version)
    ]
    return f" ({', '.join(others)})" if others else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
