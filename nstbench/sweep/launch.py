"""Many runs: planned here, carried by one of Hydra's launchers, each in a process of its own.

Serial on this machine (`hydra/launcher=basic`) is the timed mode; joblib, slurm and ray are for
throughput. A run directory is all that a run leaves and all that is looked at afterwards, so the
same command runs again only what is missing, interrupted or failed.
"""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstbench.errors import NstbenchError, SettingsError, unknown
from nstbench.run.record import check_writable, read_record
from nstbench.run.schema import Status
from nstbench.settings import config
from nstbench.sweep import live as board
from nstbench.sweep import plan as planning
from nstbench.sweep.plan import Plan, Run
from nstbench.sweep.worker import ELSEWHERE, Outcome, Task, mark_failed, wait_for_owner

# Each launcher's own types, which its settings are held against.
LAUNCHERS = {
    "basic": ("hydra._internal.core_plugins.basic_launcher", "BasicLauncherConf"),
    "joblib": ("hydra_plugins.hydra_joblib_launcher.config", "JobLibLauncherConf"),
    "slurm": ("hydra_plugins.hydra_submitit_launcher.config", "SlurmQueueConf"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher.config", "LocalQueueConf"),
    "ray": ("hydra_plugins.hydra_ray_launcher._config", "RayLauncherConf"),
}
EXTRAS = {"submitit_local": "slurm"}  # the extra of pyproject.toml, where not named as the launcher

NOT_STARTED = "not started"
CONTINUED = (Status.INTERRUPTED, NOT_STARTED)  # what a broken launcher leaves that can go on
LAUNCHES = 3  # a launcher that breaks more often will go on breaking

# Hydra is to leave the run directories and the screen to nstbench.
QUIET = (
    "hydra/hydra_logging=disabled",
    "hydra/job_logging=disabled",
    "hydra.output_subdir=null",
    "hydra.job.chdir=false",
)


def main(arguments: Sequence[str]) -> int:
    """Carry out the sweep of a command line; 0 when every run is complete.

    Raises `SettingsError` before anything is started, and `RecordError` when the results folder
    cannot be written or holds something else than this version's runs.
    """
    plan = planning.make(arguments)
    statuses = {run.directory: _final_status(run) for run in plan.runs}
    todo = [run for run in plan.runs if statuses[run.directory] is None]
    outcomes = {d: Outcome(d, status) for d, status in statuses.items() if status is not None}
    interrupted = False
    if todo:
        with _interrupt_on_sigterm(), board.Board(todo, done=len(outcomes)):
            returned, interrupted = _carry_out(plan, todo)
        outcomes |= returned
    board.summary([(run, outcomes[run.directory]) for run in plan.runs], _again(arguments))
    if interrupted:
        return 130
    return 0 if all(outcome.status in board.FINAL for outcome in outcomes.values()) else 1


def _final_status(run: Run) -> Status | None:
    """The status of a run that needs no running."""
    record = read_record(run.directory)
    return record.status if record and record.status.is_final and not run.force else None


def _carry_out(plan: Plan, todo: Sequence[Run]) -> tuple[dict[Path, Outcome], bool]:
    """How the runs ended, and whether somebody interrupted them.

    Where a launcher breaks (its own process was killed, say), the runs it took down with it are
    continued and those it had not started are started, `LAUNCHES` times at most.
    """
    outcomes: dict[Path, Outcome] = {}
    rest = list(todo)
    for launch in range(1, LAUNCHES + 1):
        broken = False
        try:
            returned = _launch(plan, rest)
        except KeyboardInterrupt:
            return {run.directory: _settle(run, True) for run in todo}, True
        except NstbenchError:
            raise
        except Exception as error:
            print(f"nstbench: the launcher broke: {_one_line(error)}", file=sys.stderr, flush=True)
            returned, broken = [], True
        back = {outcome.directory: outcome for outcome in returned}
        lost = [run for run in rest if run.directory not in back]
        goes_on = broken and launch < LAUNCHES
        outcomes |= back | {run.directory: _settle(run, goes_on) for run in lost}
        rest = [run for run in lost if outcomes[run.directory].status in CONTINUED]
        if not (goes_on and rest):
            break
    return outcomes, False


def _launch(plan: Plan, todo: Sequence[Run]) -> list[Outcome]:
    """Hand the runs to the launcher; how they ended, as far as it brought that back."""
    _check_name(plan.launcher)
    batches = planning.batches(todo, plan.vectorize)
    jobs = [[*batch[0].overrides, f"hydra.sweep.subdir={batch[0].id}"] for batch in batches]
    overrides = [*QUIET, f"hydra.sweep.dir={_quoted(todo[0].directory.parent)}", *plan.launcher]
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3", job_name="nstbench"):
        hydra = GlobalHydra.instance().hydra
        _hide_namesakes()
        try:
            composed = hydra.compose_config("config", overrides, run_mode=RunMode.MULTIRUN)
        except (HydraException, OmegaConfBaseException) as error:
            raise SettingsError(_one_line(error)) from error
        name = _check_launcher(composed)
        check_writable(todo[0].directory.parent)
        task = Task(tuple(batches), plan.time_limit, name, str(Path.cwd()))
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(composed))
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=task, config=composed
        )
        try:
            returned = launcher.launch(jobs, 0)
        except Exception:
            if name != "slurm":
                raise
            return _wait_for_submitted(Path(composed.hydra.launcher.submitit_folder))
    return [outcome for job in returned for outcome in _value(job)]


def _wait_for_submitted(folder: Path) -> list[Outcome]:
    """submitit gives up at the first task that somebody killed: wait for the other ones here.

    What became of them all is then read from their directories. None is submitted again: whoever
    cancels a task wants it to end, and the cluster itself requeues what it preempts.
    """
    from submitit import SlurmJob

    for path in folder.glob("*_submitted.pkl"):
        SlurmJob(folder, path.name.removesuffix("_submitted.pkl")).wait()
    return []


def _value(job) -> list[Outcome]:
    try:
        return job.return_value
    except Exception as error:  # no fault of a run, which never raises: see Task
        print(f"nstbench: {_one_line(error)}", file=sys.stderr, flush=True)
        return []


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _hide_namesakes() -> None:
    """Drop the plugins' own configurations where ours have the same name: Hydra would warn."""
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in config.choices("hydra/launcher"):
        stored.pop(f"{name}.yaml", None)


def _check_name(overrides: Sequence[str]) -> None:
    for override in overrides:
        key, _, name = override.partition("=")
        if key == "hydra/launcher" and name not in LAUNCHERS:
            raise unknown("hydra/launcher", name, LAUNCHERS)


def _check_launcher(composed: DictConfig) -> str:
    """The launcher's name, once its plugin is found and its settings fit the plugin's types."""
    name = composed.hydra.runtime.choices["hydra/launcher"]
    module, types = LAUNCHERS[name]
    try:
        expected = OmegaConf.structured(getattr(import_module(module), types))
    except ImportError:
        extra = EXTRAS.get(name, name)
        raise SettingsError(
            f"hydra/launcher={name} is not installed: pip install 'nstbench[{extra}]'"
        ) from None
    settings = OmegaConf.create(OmegaConf.to_container(composed.hydra.launcher, resolve=False))
    try:
        OmegaConf.merge(expected, settings)
    except OmegaConfBaseException as error:
        what = f"hydra.launcher.{getattr(error, 'full_key', '')}"
        raise SettingsError(f"{what}: {str(error).splitlines()[0]}") from None
    return name


def _settle(run: Run, goes_on: bool) -> Outcome:
    """What the run directory says of a run of which nothing came back, and that may go on."""
    owner = wait_for_owner(run.directory)
    record = read_record(run.directory)
    if owner:
        return Outcome(run.directory, ELSEWHERE, owner)
    if record is not None and record.status != Status.RUNNING and not run.force:
        return Outcome(run.directory, record.status, record.error)
    if record is None and not (run.directory / "log.txt").exists():
        return Outcome(run.directory, NOT_STARTED)
    if goes_on:
        return Outcome(run.directory, Status.INTERRUPTED)
    return mark_failed(run, "the process that waited for the run ended without a word")


def _again(arguments: Sequence[str]) -> list[str]:
    """The arguments of the same sweep; what is complete by then is not run again."""
    kept = [argument for argument in arguments if argument != "force=true"]
    is_sweep = any(argument.startswith(("suite=", "repeats=", "vectorize=")) for argument in kept)
    return kept if is_sweep else ["-m", *kept]


def _quoted(path: Path) -> str:
    """A path as a value in Hydra's grammar."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


@contextmanager
def _interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the sweep like Ctrl-C: the runs stop at a checkpoint and the table is shown."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
