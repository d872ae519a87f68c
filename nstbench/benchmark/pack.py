"""`python -m nstbench pack RUN... -o NAME.zip`: runs as one file that a stranger can check."""

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nstbench import errors
from nstbench.benchmark import packs
from nstbench.benchmark.packs import Entry, Manifest, PackError
from nstbench.files import replacing
from nstbench.pictures import images
from nstbench.run import machine
from nstbench.run.record import read_record
from nstbench.run.schema import RunRecord
from nstbench.settings import identity, inputs
from nstbench.settings.model import Settings

SCORES = "scores.json"  # marks a benchmark's folder
OF_RUN = ("run.json", "epochs.csv", "trace.csv", "checkpoint.npz")
OF_BENCHMARK = (SCORES, "report.md", "ecdf.png", "loss.png")


def main(arguments: Sequence[str]) -> int:
    """Make a pack; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m nstbench pack",
        description="Runs in one file that `python -m nstbench verify` checks: records, pictures, "
        "the optimizer's source, versions, commands, and the SHA-256 of each file.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN",
        help="run directories, or a benchmark's folder (results/benchmark/small): its scored runs",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="NAME.zip")
    chosen = parser.parse_args(arguments)
    return errors.exit_code("nstbench pack", lambda: _pack(chosen.runs, chosen.out))


def _pack(paths: Sequence[Path], out: Path) -> None:
    make(paths, out)
    print(f"{out}  {out.stat().st_size / 1e6:.1f} MB; python -m nstbench verify {out}")


def make(paths: Sequence[Path], out: Path) -> None:
    """Write the pack of run directories and benchmark folders to `out`.

    Raises `PackError` for a path that holds neither, and for a run whose own pictures are gone.
    """
    files: dict[str, Path] = {}
    commands: list[list[str]] = []
    directories: dict[str, Path] = {}
    for path in paths:
        if (path / SCORES).is_file():
            scores = json.loads((path / SCORES).read_text())
            commands.append(_command(scores))
            directories |= {name: path / "runs" / name for name in _scored(path, scores)}
            present = (name for name in OF_BENCHMARK if (path / name).is_file())
            files |= {f"benchmark/{name}": path / name for name in present}
        else:
            directories[path.resolve().name] = path
    pictures: dict[str, Path] = {}
    alone = not commands
    for name, directory in directories.items():
        record = read_record(directory)
        if record is None:
            raise PackError(f"{directory} is neither a run nor a benchmark's folder")
        for file in _of_run(directory, record):
            files[f"runs/{name}/{file.relative_to(directory).as_posix()}"] = file
        pictures |= _pictures(record)
        commands += [record.command] if alone else []
    named = {name: f"inputs/{packs.digest(file)}{file.suffix}" for name, file in pictures.items()}
    files |= {named[name]: file for name, file in pictures.items()}
    _write(out, files, commands, named)


def _write(
    out: Path, files: Mapping[str, Path], commands: list[list[str]], named: dict[str, str]
) -> None:
    for name in files:
        if not packs.is_name(name):
            raise PackError(f"{name}: no file of a pack may be called so; rename it")
    manifest = Manifest(
        format=packs.FORMAT,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=machine.versions(),
        commands=commands,
        inputs=named,
        files={
            name: Entry(sha256=packs.digest(file), size=file.stat().st_size)
            for name, file in files.items()
        },
    )
    try:
        with replacing(out) as temporary:
            packs.write(temporary, files, manifest)
    except OSError as error:
        raise PackError(f"cannot write {out}: {error.strerror}") from None


def _scored(folder: Path, scores: Mapping[str, Any]) -> list[str]:
    """The directories of a benchmark's scored runs."""
    listed = [each.get("runs") for each in scores["optimizers"].values()]
    if None in listed:
        raise PackError(
            f"{folder / SCORES} names no runs, as older versions wrote it: the command that made "
            "it writes it anew, and runs nothing again"
        )
    return [name for names in listed for name in names]


def _command(scores: Mapping[str, Any]) -> list[str]:
    chosen = scores["benchmark"]
    names = ",".join(each["target"] for each in scores["optimizers"].values())
    return ["benchmark", f"benchmark={chosen['name']}", f"optimizer={names}"]


def _of_run(directory: Path, record: RunRecord) -> list[Path]:
    """The files of a run that go into a pack: record, tables, pictures, source."""
    source = record.settings.get("optimizer", {}).get("source", {})
    names = [*OF_RUN, source["file"]] if "sha256" in source else [*OF_RUN]
    files = [directory / name for name in names if (directory / name).is_file()]
    return [*files, *sorted(directory.glob("*.png")), *sorted(directory.glob("frames/*.png"))]


def _pictures(record: RunRecord) -> dict[str, Path]:
    """The files that a run was made from, by the names in its settings; none for built-in ones."""
    try:
        settings = Settings.model_validate(record.settings)
    except ValidationError:
        return {}  # of an older version: kept, but nobody can repeat it
    named = {settings.content, *settings.style, settings.init}
    own = named - {*images.builtin_contents(), *images.builtin_styles(), *inputs.STARTS}
    if own and identity.run_id(settings) != record.id:
        raise PackError(f"{record.id}: {min(own)} is not (or no longer) what it was made from")
    return {name: Path(name).expanduser() for name in own}
