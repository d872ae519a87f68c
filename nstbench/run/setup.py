"""What a run works with: engine, problem and minimisation, each made anew."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nstbench import engine as engines
from nstbench.engine.base import Engine
from nstbench.networks.prepared import Begun
from nstbench.optimizers import find, minimise, schedules
from nstbench.run import machine
from nstbench.settings.model import Settings
from nstbench.transfer import problem as problems

if TYPE_CHECKING:
    from nstbench.optimizers.minimise import Minimisation
    from nstbench.transfer.objective import Objective
    from nstbench.transfer.problem import Problem


class Setup:
    """A run in a process of its own: everything anew, but for what was begun ahead."""

    notes: tuple[str, ...] = ()  # why the seconds of such a run are no timings

    def __init__(self, begun: Begun | None = None):
        self._begun = begun

    def age(self) -> float:
        """Seconds that the process had lived for this run before its clocks were made."""
        return machine.process_age()

    def engine(self, settings: Settings) -> Engine:
        purpose = f"{settings.extractor.name} {settings.size} {settings.optimizer.name}"
        return engines.load(settings.device, settings.precision, purpose)

    def problem(self, settings: Settings, engine: Engine, progress: Callable) -> "Problem":
        """Raises `NstbenchError` where pictures, network or objective cannot be had."""
        return problems.load(settings, engine, progress, self._begun)

    def minimisation(
        self, settings: Settings, engine: Engine, problem: "Problem"
    ) -> "Minimisation":
        """Raises `SettingsError` where the optimizer cannot be made."""
        start, box = self.start(settings, problem), settings.optimizer.box
        return minimise.create(engine, problem.objective, start, optimizer(settings, engine), box)

    def start(self, settings: Settings, problem: "Problem") -> np.ndarray:
        """The image that the minimisation starts from, (H, W, 3)."""
        return problems.start_image(settings, problem.content.pixels)

    def reference(self, settings: Settings, problem: "Problem", engine: Engine) -> "Objective":
        """`problem`'s pictures under the objective and network of `settings`, for a single look."""
        return problems.measured_by(settings, problem, engine).objective


def optimizer(settings: Settings, engine: Engine) -> Any:
    """The optimizer of a run with its schedule; see `find.create`."""
    schedule = schedules.build(settings.schedule, settings.epochs * settings.steps_per_epoch)
    return find.create(settings.optimizer, settings.lr, schedule, engine)
