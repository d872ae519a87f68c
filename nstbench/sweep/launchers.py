"""Hydra's launchers, driven with runs that are planned already.

Hydra composes one configuration, its own and the launcher's; a job is but a number and a name, so
that a thousand of them cost no thousand compositions.
"""

import copy
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from nstbench.errors import SettingsError, unknown
from nstbench.files import conf_dir
from nstbench.run.record import check_writable
from nstbench.settings import compose
from nstbench.sweep.plan import Plan, Run
from nstbench.sweep.supervise import Outcome, Task

# Each launcher's own types, which its settings are held against.
LAUNCHERS = {
    "basic": ("hydra._internal.core_plugins.basic_launcher", "BasicLauncherConf"),
    "joblib": ("hydra_plugins.hydra_joblib_launcher.config", "JobLibLauncherConf"),
    "slurm": ("hydra_plugins.hydra_submitit_launcher.config", "SlurmQueueConf"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher.config", "LocalQueueConf"),
    "ray": ("hydra_plugins.hydra_ray_launcher._config", "RayLauncherConf"),
}
EXTRAS = {"submitit_local": "slurm"}  # the extra of pyproject.toml, where not named as the launcher

# Hydra is to leave the run directories and the screen to nstbench.
QUIET = (
    "hydra/hydra_logging=disabled",
    "hydra/job_logging=disabled",
    "hydra.output_subdir=null",
    "hydra.job.chdir=false",
)


class _Composed(ConfigLoaderImpl):
    """A loader that hands every job the one configuration, with the job's name in it."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]):
        config = copy.deepcopy(master_config)
        with read_write(config.hydra), open_dict(config.hydra):
            (config.hydra.sweep.subdir,) = sweep_overrides
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config


def name_of(overrides: Sequence[str]) -> str:
    """The launcher that a plan's overrides choose. Raises `SettingsError` for an unknown one."""
    chosen = [o.partition("=")[2] for o in overrides if o.startswith("hydra/launcher=")]
    name = (chosen or ["basic"])[-1]
    if name not in LAUNCHERS:
        raise unknown("hydra/launcher", name, LAUNCHERS)
    return name


def check(overrides: Sequence[str]) -> None:
    """See that the launcher is there and takes these settings, before anything is said or done.

    Raises `SettingsError` for settings that are not the launcher's and for one that is not
    installed.
    """
    if name_of(overrides) == "slurm" and shutil.which("sbatch") is None:
        raise SettingsError("hydra/launcher=slurm: this machine has no sbatch")
    with _composition(overrides):
        pass


def launch(plan: Plan, todo: Sequence[Run]) -> list[Outcome]:
    """Hand the runs to the launcher; how they ended, as far as it brought that back.

    Raises `RecordError` where the results folder cannot be written, and whatever the launcher
    raises.
    """
    name, folder = name_of(plan.launcher), todo[0].directory.parent
    check_writable(folder)
    with _composition(plan.launcher) as (loader, composed):
        with read_write(composed.hydra):
            composed.hydra.sweep.dir = str(folder).replace("${", r"\${")
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks(composed)),
            task_function=Task(tuple(todo), plan.time_limit, name, str(Path.cwd())),
            config=composed,
        )
        try:
            returned = launcher.launch([[run.id] for run in todo], 0)
        except Exception:
            if name != "slurm":
                raise
            return _wait_for_submitted(Path(composed.hydra.launcher.submitit_folder))
    return [outcome for job in returned if (outcome := _value(job)) is not None]


@contextmanager
def _composition(overrides: Sequence[str]) -> Iterator[tuple[_Composed, DictConfig]]:
    """Hydra's own configuration with the launcher's, and what hands it to the jobs."""
    name = name_of(overrides)
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="nstbench"):
        hydra = GlobalHydra.instance().hydra
        _hide_namesakes()
        try:
            composed = hydra.compose_config(None, [*QUIET, *overrides], RunMode.MULTIRUN)
        except (HydraException, OmegaConfBaseException) as error:
            raise SettingsError(one_line(error)) from error
        _check(name, composed)
        yield _Composed(hydra.config_loader.get_search_path()), composed


def one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _wait_for_submitted(folder: Path) -> list[Outcome]:
    """submitit gives up at the first task that somebody killed: wait for the other ones here.

    How they all ended is then read from their directories. None is submitted again: whoever
    cancels a task wants it to end, and the cluster itself requeues what it preempts.
    """
    from submitit import SlurmJob

    for path in folder.glob("*_submitted.pkl"):
        SlurmJob(folder, path.name.removesuffix("_submitted.pkl")).wait()
    return []


def _value(job) -> Outcome | None:
    try:
        return job.return_value
    except Exception as error:  # no fault of a run, which never raises: see Task
        print(f"nstbench: {one_line(error)}", file=sys.stderr, flush=True)
        return None


def _hide_namesakes() -> None:
    """Drop the plugins' own configurations where ours have the same name: Hydra would warn."""
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in compose.choices("hydra/launcher"):
        stored.pop(f"{name}.yaml", None)


def _check(name: str, composed: DictConfig) -> None:
    """See that the launcher's plugin is found and its settings fit the plugin's types."""
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
