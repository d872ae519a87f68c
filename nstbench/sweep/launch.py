"""Many runs: planned, carried by one of Hydra's launchers, each in a process of its own.

Serial on this machine (`hydra/launcher=basic`) is the timed mode; joblib, slurm and ray are for
throughput. A run directory is all that a run leaves and all that is looked at afterwards, so the
same command runs again only what is missing, interrupted or failed.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nstbench.errors import NstbenchError
from nstbench.run.lock import live_owner
from nstbench.run.progress import quiet_start
from nstbench.run.record import read_record
from nstbench.run.schema import Status
from nstbench.settings import inputs
from nstbench.sweep import launchers, live, preview, summary
from nstbench.sweep import plan as planning
from nstbench.sweep.plan import Plan, Run, launch_order
from nstbench.sweep.supervise import (
    ELSEWHERE,
    GRACE_S,
    NOT_STARTED,
    Outcome,
    is_complete,
    mark_failed,
)

CONTINUED = (Status.INTERRUPTED, NOT_STARTED)  # what a broken launcher leaves that can go on
LAUNCHES = 3  # a launcher that breaks more often will go on breaking
POLL_S = 0.5  # between two looks at a run that another process has


def main(arguments: Sequence[str], multirun: bool = True, dry: bool = False) -> int:
    """Carry out the sweep of a command line; 0 when every run is complete.

    `dry` says what would run and runs nothing. Raises `SettingsError` before anything is started,
    and `RecordError` when the results folder cannot be written.
    """
    with quiet_start():  # optimizers from outside may bring a backend, which greets
        plan = planning.make(arguments, multirun)
    again = ["-m", *_without_force(arguments)] if multirun else _without_force(arguments)
    return carry_out(plan, again, dry)


def carry_out(plan: Plan, again: Sequence[str], dry: bool = False) -> int:
    """Carry out a plan, as `main` does; `again` is the command that continues it."""
    for run in plan.runs:
        inputs.check(run.settings)
    launchers.check(plan.launcher)
    survey = preview.survey(plan.runs)
    if dry:
        preview.show(survey)
        return 0
    outcomes = {s.run.directory: s.outcome for s in survey if s.outcome is not None}
    todo = [seen.run for seen in survey if seen.outcome is None]
    interrupted = False
    if todo:
        preview.announce(survey)
        with live.LiveTable(todo, done=len(outcomes)):
            returned, interrupted = _carry_out_all(plan, todo)
        outcomes |= returned
    summary.show([(run, outcomes[run.directory]) for run in plan.runs], again)
    if interrupted:
        return 130
    return 0 if all(outcome.status in summary.FINAL for outcome in outcomes.values()) else 1


def _carry_out_all(plan: Plan, todo: Sequence[Run]) -> tuple[dict[Path, Outcome], bool]:
    """How the runs ended, and whether somebody interrupted them.

    Runs that other processes have are passed over at first; then they are waited for, and carried
    out here where their owners left them unfinished.
    """
    outcomes: dict[Path, Outcome] = {}
    rest = list(todo)
    try:
        while rest:
            outcomes |= _carry_out(plan, rest)
            rest = [run for run in rest if outcomes[run.directory].status == ELSEWHERE]
            outcomes |= {run.directory: done for run in rest if (done := _wait_for(run))}
            rest = [run for run in rest if outcomes[run.directory].status == ELSEWHERE]
    except KeyboardInterrupt:
        is_serial = launchers.name_of(plan.launcher) == "basic"  # then its run has ended by now
        deadline = time.monotonic() + (0 if is_serial else GRACE_S + 10)
        rest = [run for run in todo if run.directory not in outcomes or run in rest]
        return outcomes | {run.directory: _finalise(run, True, deadline) for run in rest}, True
    return outcomes, False


def _wait_for(run: Run) -> Outcome | None:
    """How a run ended that another process had; None where it has to be carried out still."""
    while run.directory.is_dir() and live_owner(run.directory):
        time.sleep(POLL_S)
    try:
        record = read_record(run.directory)
    except NstbenchError as error:
        return Outcome(run.directory, Status.FAILED, str(error))
    if record is not None and record.status.is_final:
        return Outcome(run.directory, record.status)  # whoever forced it, it was made just now
    return None


def _carry_out(plan: Plan, todo: Sequence[Run]) -> dict[Path, Outcome]:
    """How the runs ended.

    Where a launcher breaks (its own process was killed, say), the runs it took down with it are
    continued and those it had not started are started, `LAUNCHES` times at most.
    """
    outcomes: dict[Path, Outcome] = {}
    rest = launch_order(todo)
    for launch in range(1, LAUNCHES + 1):
        returned, broken = _launch(plan, rest)
        back = {outcome.directory: outcome for outcome in returned}
        lost = [run for run in rest if run.directory not in back]
        goes_on = broken and launch < LAUNCHES
        deadline = time.monotonic() + GRACE_S + 10
        outcomes |= back | {run.directory: _finalise(run, goes_on, deadline) for run in lost}
        rest = [run for run in lost if outcomes[run.directory].status in CONTINUED]
        if not (goes_on and rest):
            break
    return outcomes


def _launch(plan: Plan, todo: Sequence[Run]) -> tuple[list[Outcome], bool]:
    """What the launcher brought back, and whether it broke."""
    try:
        return launchers.launch(plan, todo), False
    except NstbenchError:
        raise
    except Exception as error:
        text = launchers.one_line(error)
        print(f"nstbench: the launcher broke: {text}", file=sys.stderr, flush=True)
        return [], True


def _finalise(run: Run, goes_on: bool, deadline: float) -> Outcome:
    """What the run directory says of a run of which nothing came back, and that may go on."""
    owner = live_owner(run.directory) if run.directory.is_dir() else None
    while owner and time.monotonic() < deadline:
        time.sleep(POLL_S)
        owner = live_owner(run.directory)
    try:
        record = read_record(run.directory)
    except NstbenchError as error:
        return Outcome(run.directory, Status.FAILED, str(error))
    if owner:
        return Outcome(run.directory, ELSEWHERE, str(owner))
    if is_complete(run, record):
        return Outcome(run.directory, record.status)
    if record is not None and record.status not in (Status.RUNNING, *summary.FINAL):
        return Outcome(run.directory, record.status, record.error)
    if record is None and not (run.directory / "log.txt").exists():
        return Outcome(run.directory, NOT_STARTED)
    if goes_on:
        return Outcome(run.directory, Status.INTERRUPTED)
    return mark_failed(run, "the process that waited for the run ended without a word")


def _without_force(arguments: Sequence[str]) -> list[str]:
    """The arguments that run what is not complete by then, and nothing else."""
    return [argument for argument in arguments if argument != "force=true"]
