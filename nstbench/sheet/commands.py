"""`python -m nstbench sheet [name=value ...]`: which rate, how long, on pictures of one's own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nstbench import arguments as given
from nstbench import errors
from nstbench.errors import RecordError, SettingsError

HELP = """\
python -m nstbench sheet [name=value ...]: one picture of how rates and optimizers come along

  python -m nstbench sheet content=me.jpg style=wave optimizer=adam,lbfgs lr=0.01,0.03,0.1
  python -m nstbench sheet content=me.jpg style=wave,glass size=128 epochs=40

Commas make a row for each combination, as in a sweep; the runs are ordinary ones in results/runs.
A column is a moment, by evaluations; the loss stands below each picture, the curves below all. Each
row says after how many evaluations nothing visible changes any more: from there on every snapshot
has an SSIM of at least `same` to the result, and that for half of the evaluations or longer.

  columns=6   moments            same=0.98   when two pictures look alike
  The main command's: content  style  size  optimizer  lr  epochs  weights  repeats  out  ...

The picture goes to results/sheets (out=...).
"""


class Options(BaseModel):
    """The sheet's own settings, as conf/sheet.yaml explains them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    columns: Annotated[int, Field(strict=True, ge=2, le=20)]
    pictures: Annotated[int, Field(strict=True, ge=2)]
    same: Annotated[float, Field(gt=0, lt=1)]


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command(
        "sheet", HELP, arguments, lambda: _sheet(list(arguments)),
        is_whole=True, stopped=given.CONTINUES,
    )  # fmt: skip


def parse(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """The sheet's own options, and the arguments of the sweep."""
    from omegaconf import OmegaConf

    from nstbench.files import conf_dir
    from nstbench.settings import hints, values

    defaults: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "sheet.yaml"))
    own, rest = {}, []
    for argument in given.joined([a for a in arguments if a not in given.MULTIRUN]):
        if given.is_flag(argument) and argument != given.DRY_RUN:
            raise errors.unknown("option", argument, given.FLAGS)
        key = argument.partition("=")[0]
        if key in defaults:
            own[key] = values.read(*values.split(argument))
        else:
            rest.append(argument)
    try:
        return Options.model_validate(defaults | own), rest
    except ValidationError as error:
        raise hints.invalid(error) from None


def _sheet(arguments: list[str]) -> int:
    from nstbench.run.progress import quiet_start
    from nstbench.sweep import launch
    from nstbench.sweep import plan as planning

    options, rest = parse(arguments)
    is_dry = given.DRY_RUN in rest
    with quiet_start():
        plan = planning.make([text for text in rest if text != given.DRY_RUN])
    plan = replace(plan, runs=tuple(_with_snapshots(run, options.pictures) for run in plan.runs))
    code = launch.carry_out(plan, ["sheet", *arguments], is_dry)
    if is_dry or code == 130:
        return code
    print(f"\n{_drawn(plan.runs, options, arguments)}")
    return code


def _with_snapshots(run: Any, pictures: int) -> Any:
    """The run with snapshots; made again where it is complete without them."""
    from nstbench.run.record import read_record, snapshots
    from nstbench.sweep.supervise import is_complete

    every = run.settings.snapshots or -(-run.epochs // pictures)
    more = {"snapshots": every}
    try:
        is_bare = is_complete(run, read_record(run.directory)) and (
            len(snapshots(run.directory, run.epochs)) < 3
        )
    except RecordError:  # which the sweep says
        is_bare = False
    if is_bare:
        more["force"] = True
    texts = [f"{name}={str(value).lower()}" for name, value in more.items()]
    overrides = (*run.overrides, *texts)
    settings = run.settings.model_copy(update={**more, "command": overrides})
    return replace(run, overrides=overrides, settings=settings)


def _drawn(runs: Sequence[Any], options: Options, arguments: Sequence[str]) -> str:
    """What the sheet says of each run, and where it lies."""
    from nstbench.report.data import reader
    from nstbench.sheet import draw, rows

    known = reader.read_directories([run.directory for run in runs])
    shown = rows.read(known.runs, options.same)
    if not shown:
        raise SettingsError("no run has two pictures to show")
    settings = runs[0].settings
    path = Path(settings.out).expanduser() / "sheets" / _name(settings)
    command = given.typed("sheet", *arguments)
    draw.save(path, shown, options.columns, command)
    lines = [f"{row.label}: {row.says}" for row in shown]
    return "\n".join([*lines, str(path)])


def _name(settings: Any) -> str:
    names = [Path(name).stem for name in (settings.content, *settings.style)]
    return "-".join(names)[:100] + ".png"
