"""A process that stays: it carries many runs, and keeps what they share.

So each costs its steps and little else; see `setup` for a run in a process of its own.
"""

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nstbench.engine.base import Engine
from nstbench.optimizers import minimise
from nstbench.run.setup import Setup
from nstbench.run.setup import optimizer as make_optimizer
from nstbench.settings import identity
from nstbench.settings.model import Settings

if TYPE_CHECKING:
    from nstbench.optimizers.minimise import Minimisation
    from nstbench.transfer.objective import Objective
    from nstbench.transfer.problem import Problem

NOTE = "several runs in one process: its seconds are no timings"
# Settings that a problem is made from; the start image is not part of it.
PROBLEM = (
    "content", "style", "style_blend", "size", "keep_aspect", "keep_colours", "objective",
    "extractor", "weights", "seed", "precision", "kernels", "device", "backend",
)  # fmt: skip
# Attributes of a Keras optimizer that say nothing of its rule; the rate is the variable below.
BOOKKEEPING = ("_self_", "_variables", "_trainable", "_tracker", "name")


class Kept(Setup):
    """Keeps engine, problem and compiled steps as long as runs ask for the same ones.

    The numbers are those of a process of one's own, bit for bit: what is kept is either constant
    (network, targets, programs) or set anew for each run (image, optimizer's variables, the rate
    among them). A rate that is a constant of a program is compiled anew.
    """

    notes = (NOTE,)

    def __init__(self) -> None:
        super().__init__()
        self._engine: tuple[Any, Any] = (None, None)
        self._problem: tuple[Any, Any] = (None, None)
        self._of_problem: dict[Any, Any] = {}  # compiled for the problem, or loaded for it

    def age(self) -> float:
        return 0.0

    def engine(self, settings: Settings) -> Engine:
        key = (settings.device, settings.precision)
        if self._engine[0] != key:
            self._engine = (key, super().engine(settings))
        return self._engine[1]

    def problem(self, settings: Settings, engine: Engine, progress: Callable) -> "Problem":
        key = problem_key(settings)
        if self._problem[0] != key:
            self._of_problem = {}
            self._problem = (None, None)
            self._problem = (key, super().problem(settings, engine, progress))
        return self._problem[1]

    def minimisation(
        self, settings: Settings, engine: Engine, problem: "Problem"
    ) -> "Minimisation":
        start = self.start(settings, problem)
        box, objective = settings.optimizer.box, problem.objective
        optimizer = make_optimizer(settings, engine)
        shared = _OnceCompiled(engine, self._of_problem)
        if hasattr(optimizer, "step"):
            return minimise.create(shared, objective, start, optimizer, box)
        key = "fused", _method_key(settings, optimizer, engine)
        fresh = minimise.create(_NotCompiling(engine), objective, start, optimizer, box)
        if key not in self._of_problem:
            again = make_optimizer(settings, engine)
            self._of_problem[key] = minimise.create(engine, objective, start, again, box)
        kept = self._of_problem[key]
        kept.restore(fresh.state())
        return kept

    def reference(self, settings: Settings, problem: "Problem", engine: Engine) -> "Objective":
        key = "reference", problem_key(settings)
        if key not in self._of_problem:
            self._of_problem[key] = super().reference(settings, problem, engine)
        return self._of_problem[key]


class _OnceCompiled:
    """An engine that compiles the evaluation of a problem once, for all who ask."""

    def __init__(self, engine: Engine, compiled: dict[Any, Any]):
        self._engine, self._compiled = engine, compiled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def compile_evaluation(self, terms: Callable, parameters: Any) -> Callable:
        key = "evaluation", id(terms), id(parameters)
        if key not in self._compiled:
            self._compiled[key] = self._engine.compile_evaluation(terms, parameters)
        return self._compiled[key]


class _NotCompiling:
    """An engine under which a minimisation has its first state and can take no step."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def compile_update(self, *_arguments: Any) -> Any:
        return None


def problem_key(settings: Settings) -> str:
    """Equal for settings of one problem: same pictures under the same names, same objective."""
    chosen = identity.identity(settings)
    names = [settings.content, settings.style, settings.weights, settings.device]
    return identity.digest([names, {name: chosen[name] for name in PROBLEM}])


def _method_key(settings: Settings, optimizer: Any, engine: Engine) -> str:
    """Equal for settings whose compiled step is the same program."""
    steps = settings.epochs * settings.steps_per_epoch
    chosen = [settings.optimizer.model_dump(), settings.schedule.model_dump(), steps]
    if not _is_variable_rate(settings, optimizer, engine):
        chosen.append(settings.lr)
    return identity.digest(chosen)


def _is_variable_rate(settings: Settings, optimizer: Any, engine: Engine) -> bool:
    """Whether the rate is a variable of the optimizer, and appears in no constant of it.

    So it is in Keras's own classes and in those derived from them, unless one makes numbers or
    functions of its rate: then two rates differ in more than variables.
    """
    rate = getattr(optimizer, "_learning_rate", None)
    if settings.lr is None or rate is None:
        return False
    import keras

    is_keras = isinstance(optimizer, keras.optimizers.Optimizer)
    if not (is_keras and isinstance(rate, keras.Variable)):
        return False
    other = make_optimizer(settings.model_copy(update={"lr": 2 * settings.lr}), engine)
    mine, others = _constants(optimizer), _constants(other)
    return mine == others and not any(isinstance(v, types.FunctionType) for v in mine.values())


def _constants(thing: Any) -> dict[str, Any]:
    """The attributes of an optimizer that are plain data or functions; not its bookkeeping."""
    plain = (bool, int, float, str, tuple, list, dict, set)
    found: dict[str, Any] = {}
    for name, value in vars(thing).items():
        if isinstance(value, types.FunctionType):
            found[name] = value
        elif isinstance(value, plain) and not name.startswith(BOOKKEEPING):
            found[name] = repr(value)
    return found
