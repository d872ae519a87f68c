"""The harness around an optimizer: it hands out evaluations, counts them, and keeps to the box.

`Minimisation` is one image under one optimizer. Numbering, finiteness, the projection onto [0, 1]
and the state for a checkpoint are here, so that an adapter holds nothing but its method.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from nstbench.engine.base import Engine, FusedOptimizer, Values, project
from nstbench.optimizers.contract import Evaluation, Optimizer
from nstbench.transfer.objective import Objective

NOT_FINITE = "the loss is not finite"
SPENT = "its budget of evaluations is spent"


@dataclass(frozen=True)
class Epoch:
    """What the image went through in some steps."""

    steps: tuple[Evaluation, ...]  # the evaluation before each update
    evaluations: tuple[Evaluation, ...]  # every evaluation made, in order
    finished: str | None = None  # why no further step will come, in words


class Minimisation(Protocol):
    """One image on its way down. `state` and `restore` carry all that the next step depends on."""

    @property
    def resumable(self) -> bool:
        """Whether `state` holds all that a continuation needs."""

    @property
    def image(self) -> np.ndarray:
        """The image now, `(H, W, 3)`: the point that the optimizer would hand over."""

    def allow(self, evaluations: int | None) -> None:
        """End after so many evaluations in all, inside a step if need be; None: without end."""

    def warm_up(self) -> None:
        """Trace and compile what a step needs; leaves the state as it was."""

    def advance(self, steps: int) -> Epoch:
        """Take up to `steps` updates; a fused step goes on where a loss is not finite."""

    def evaluate(self) -> Evaluation:
        """The loss of `image`; counts as no evaluation of the run."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on; empty where the optimizer cannot be resumed."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`. Raises `ValueError` or `KeyError` for one that does not fit."""

    def close(self) -> None:
        """Let go of whatever the optimizer holds (SciPy's thread)."""


def create(
    engine: Engine,
    objective: Objective,
    start: np.ndarray,
    optimizer: Optimizer | FusedOptimizer,
    box: bool = True,
) -> Minimisation:
    """The image `start` (H, W, 3) under `optimizer`, in [0, 1] with `box`."""
    if hasattr(optimizer, "step"):
        return _Stepwise(engine, objective, start, optimizer, box)
    return _Fused(engine, objective, start, optimizer, box)


class _Fused:
    """Value, gradient and update compiled into one step; one evaluation per step."""

    resumable = True

    def __init__(self, engine, objective, start, optimizer, box):
        self._engine, self._optimizer = engine, optimizer
        self._image = keras.Variable(start, dtype=engine.dtype)
        optimizer.build([self._image])
        self._step = engine.compile_update(
            objective.terms, objective.parameters, optimizer, self._image, box
        )
        self._taken = 0
        self._most: float = math.inf
        # A method that averages its iterates is measured at the average.
        point = getattr(optimizer, "evaluation_point", None)
        self._point = (lambda: project(point(self._image), box)) if point else None

    @property
    def image(self) -> np.ndarray:
        value = self._point() if self._point else self._image.value
        return np.array(ops.convert_to_numpy(value))

    def allow(self, evaluations: int | None) -> None:
        self._most = math.inf if evaluations is None else evaluations

    def warm_up(self) -> None:
        self._probe()

    def advance(self, steps: int) -> Epoch:
        steps = int(min(steps, self._most - self._taken))
        # Device values are gathered and read once at the end: a wait per step would cost an
        # accelerator more than the step's own launch.
        results = [self._step() for _ in range(steps)]
        numbers = range(self._taken + 1, self._taken + steps + 1)
        self._taken += steps
        evaluations = tuple(
            _plain(self._engine.to_numpy(values), number, number)
            for number, values in zip(numbers, results, strict=True)
        )
        return Epoch(evaluations, evaluations, SPENT if self._taken >= self._most else None)

    def evaluate(self) -> Evaluation:
        return _plain(self._engine.to_numpy(self._probe(at_point=True)), self._taken, self._taken)

    def state(self) -> dict[str, np.ndarray]:
        # A copy: on some backends the host array is a view of the variable's own buffer.
        variables = [self._image, *self._optimizer.variables]
        arrays = {f"v{i}": np.array(ops.convert_to_numpy(v.value)) for i, v in enumerate(variables)}
        return arrays | {"taken": np.array(self._taken)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        for i, variable in enumerate([self._image, *self._optimizer.variables]):
            variable.assign(state[f"v{i}"])
        self._taken = int(state["taken"])

    def close(self) -> None:
        pass

    def _probe(self, at_point: bool = False) -> Values:
        """Values at the image as it is: a step whose update is taken back.

        The step is compiled anyway; a separate evaluation would be compiled a second time.
        """
        saved = self.state()
        if at_point and self._point:
            self._image.assign(self._point())
        values = self._engine.to_numpy(self._step())
        self.restore(saved)
        return values


class _NotFinite(Exception):
    """Ends a step at the point where the loss is not finite."""


class _Spent(Exception):
    """Ends a step that asks for more evaluations than are left; the image stays where it was."""


class _Stepwise:
    """An optimizer of the contract, which asks for its evaluations."""

    def __init__(self, engine, objective, start, optimizer, box):
        self._engine, self._optimizer, self._box = engine, optimizer, box
        self._values = engine.compile_evaluation(objective.terms, objective.parameters)
        self._x = ops.convert_to_tensor(start[None], dtype=engine.dtype)
        self._state = optimizer.init(self._x)
        self._steps = self._count = 0
        self._made: list[tuple[Any, Evaluation]] = []  # of the step under way, with their points
        self._known: Evaluation | None = None  # at the image, where the last step made one there
        self._finished: str | None = None
        self._most: float = math.inf

    @property
    def resumable(self) -> bool:
        return self._optimizer.resumable

    @property
    def image(self) -> np.ndarray:
        return np.array(ops.convert_to_numpy(self._x))[0]

    def allow(self, evaluations: int | None) -> None:
        self._most = math.inf if evaluations is None else evaluations

    def warm_up(self) -> None:
        """One evaluation and, where a step leaves nothing behind, one step: neither is kept."""
        values, gradient = self._values(self._x)
        if self._optimizer.resumable:
            evaluation = _plain(self._engine.to_numpy(values), 0, 0)
            kept = self._state
            self._optimizer.step(
                self._x, self._optimizer.init(self._x), lambda x: (evaluation, gradient)
            )
            self._state = kept
        self._engine.synchronise()

    def advance(self, steps: int) -> Epoch:
        began: list[Evaluation] = []
        evaluations: list[Evaluation] = []
        while len(began) < steps and not self._finished:
            self._steps += 1
            began.append(self._take_step())
            evaluations += [evaluation for _, evaluation in self._made]
        return Epoch(tuple(began), tuple(evaluations), self._finished)

    def evaluate(self) -> Evaluation:
        values, _ = self._values(self._x)
        return _plain(self._engine.to_numpy(values), self._count, self._steps)

    def state(self) -> dict[str, np.ndarray]:
        if not self._optimizer.resumable:
            return {}
        counters = {"steps": self._steps, "count": self._count, "finished": self._finished}
        known = self._known and asdict(self._known)
        own = {f"own_{name}": _array(value) for name, value in self._state.items()}
        return own | {
            "x": _array(self._x),
            "harness": np.array(json.dumps(counters | {"known": known})),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        harness = json.loads(str(state["harness"]))
        self._x = ops.convert_to_tensor(state["x"])
        self._state = {
            name.removeprefix("own_"): value
            for name, value in state.items()
            if name.startswith("own_")
        }
        self._steps, self._count = harness["steps"], harness["count"]
        self._finished = harness["finished"]
        self._known = Evaluation(**harness["known"]) if harness["known"] else None

    def close(self) -> None:
        if hasattr(self._optimizer, "close"):
            self._optimizer.close()

    def _take_step(self) -> Evaluation:
        """The evaluation before the update; the image is then where the update led."""
        self._made = []
        try:
            x, self._state, self._finished = self._optimizer.step(
                self._x, self._state, self._evaluate
            )
            self._x = project(x, self._box)
        except _NotFinite:
            self._x, self._finished = self._made[-1][0], NOT_FINITE
        except _Spent:
            self._finished = SPENT
        if self._count >= self._most and not self._finished:
            self._finished = SPENT
        began = self._known or self._made[0][1]
        self._known = self._at(self._x)
        return replace(began, step=self._steps)

    def _evaluate(self, x):
        """What the optimizer is given as `evaluate`: x (1, H, W, 3) -> (Evaluation, gradient)."""
        if self._count >= self._most:
            raise _Spent
        values, gradient = self._values(x)
        self._count += 1
        evaluation = _plain(self._engine.to_numpy(values), self._count, self._steps)
        self._made.append((x, evaluation))
        if not evaluation.is_finite:
            raise _NotFinite
        return evaluation, gradient

    def _at(self, x) -> Evaluation | None:
        """The newest evaluation made at exactly `x` in this step; None where there is none."""
        for point, evaluation in reversed(self._made):
            if point is x or bool(ops.convert_to_numpy(ops.all(point == x))):
                return evaluation
        return self._known if not self._made else None


def _plain(values: Values, number: int, step: int) -> Evaluation:
    return Evaluation(number, step, *_numbers(values))


def _numbers(values: Values) -> tuple[float, dict[str, float], float]:
    terms = {name: float(value[0]) for name, value in values.terms.items()}
    return float(values.loss[0]), terms, float(values.grad_norm[0])


def _array(value: Any) -> np.ndarray:
    return np.array(value if isinstance(value, np.ndarray) else ops.convert_to_numpy(value))
