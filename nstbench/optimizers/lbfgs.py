"""Limited-memory BFGS on device arrays: two-loop recursion, optional strong Wolfe search and box.

Liu & Nocedal 1989; Nocedal & Wright, algorithms 7.4 and 7.5. One continuous optimisation: its
history survives epochs and checkpoints, and every evaluation is counted.

With `box=False, reevaluate=True` this is PyTorch's `LBFGS(max_iter=1)` called once per step, which
evaluates the objective anew at the start of every step.
"""

from dataclasses import astuple, replace

import numpy as np
from keras import ops

from nstbench.optimizers.base import Epoch, Evaluation
from nstbench.optimizers.line_search import Trial, strong_wolfe
from nstbench.transfer.objective import Objective

SMALLEST_CURVATURE = 1e-10  # a pair with a smaller s.y is not remembered (PyTorch's constant)
LINE_SEARCHES = ("none", "strong_wolfe")


class LBFGS:
    """One picture under L-BFGS; see `base.Optimizer`.

    `start` is `(1, H, W, 3)`. `lr` is the first length tried along every direction but the first
    one, whose length is min(1, 1/|g|_1) lr. With `box`, trial points are projected onto [0, 1],
    and pixels that a bound holds back are left out of the direction.
    """

    def __init__(
        self,
        engine,
        objective: Objective,
        start: np.ndarray,
        *,
        lr: float,
        memory: int,
        line_search: str,
        box: bool,
        reevaluate: bool,
    ):
        self._engine = engine
        self._values = engine.compile_evaluation(objective.terms, objective.parameters)
        self._direct = engine.compile(_direction)
        self._pair = engine.compile(_remember)
        free = _inside_box if box else _everywhere
        self._hold = engine.compile(lambda x, g: g * free(x, -g))
        self._slope = engine.compile(lambda x, g, d: _line_facts(g, d * free(x, d)))
        self._move = engine.compile(_projected_move if box else _plain_move)
        self._lr = lr
        self._search = line_search == "strong_wolfe"
        self._reevaluate = reevaluate
        self._dtype = engine.dtype
        self._x = ops.convert_to_tensor(start, dtype=engine.dtype)
        self._length = memory
        self._forget()
        self._steps = self._count = 0
        self._known = None  # (Evaluation, gradient) at x, where a line search ended on it
        self._previous = None  # (x, gradient) before the last move
        self._finished = None

    @property
    def images(self) -> np.ndarray:
        return np.array(ops.convert_to_numpy(self._x))

    def warm_up(self) -> None:
        _, gradient = self._values(self._x)
        direction = self._direct(self._hold(self._x, gradient), *self._memory)
        self._slope(self._x, gradient, direction)
        moved = self._move(self._x, direction, self._tensor(0.0))
        self._pair(*self._memory, self._x, moved, gradient, gradient)
        self._engine.synchronise()

    def advance(self, steps: int) -> list[Epoch]:
        began, evaluations = [], []
        for _ in range(steps):
            if self._finished:
                break
            began.append(self._take_step(evaluations))
        return [Epoch(tuple(began), tuple(evaluations), self._finished)]

    def evaluate(self) -> list[Evaluation]:
        values, _ = self._values(self._x)
        return [_plain(values, self._count, self._steps)]

    def state(self, lane: int) -> dict[str, np.ndarray]:
        s, y, rho, scale = self._memory
        state = {"x": self._x, "s": s, "y": y, "rho": rho, "scale": scale}
        if self._previous:
            state |= {"previous_x": self._previous[0], "previous_gradient": self._previous[1]}
        if self._known:
            evaluation, gradient = self._known
            state |= {"known": np.array(astuple(evaluation)), "known_gradient": gradient}
        state |= {"steps": self._steps, "count": self._count}
        return {name: np.array(ops.convert_to_numpy(value)) for name, value in state.items()}

    def restore(self, lane: int, state: dict[str, np.ndarray]) -> None:
        self._x = ops.convert_to_tensor(state["x"])
        self._memory = tuple(
            ops.convert_to_tensor(state[name]) for name in ("s", "y", "rho", "scale")
        )
        self._steps, self._count = int(state["steps"]), int(state["count"])
        self._previous = self._known = None
        if "previous_x" in state:
            names = ("previous_x", "previous_gradient")
            self._previous = tuple(ops.convert_to_tensor(state[name]) for name in names)
        if "known" in state:
            number, step, *values = state["known"].tolist()
            evaluation = Evaluation(int(number), int(step), *values)
            self._known = (evaluation, ops.convert_to_tensor(state["known_gradient"]))

    def _take_step(self, log: list[Evaluation]) -> Evaluation:
        self._steps += 1
        if self._known is None or self._reevaluate:
            self._known = self._counted(self._x, log)
        here, gradient = self._known
        here = replace(here, step=self._steps)  # a search of the step before may have made it
        if not here.is_finite:
            self._finished = "the loss is not finite"
            return here
        if self._previous:
            self._learn(*self._previous, gradient)
        direction, slope, largest, l1_norm = self._descent(gradient)
        if not slope < 0:
            self._finished = "no descent direction is left"
            return here
        length = self._lr * (min(1.0, 1.0 / l1_norm) if self._steps == 1 else 1.0)
        self._previous = (self._x, gradient)
        if self._search:
            start = Trial(0.0, here.loss, slope, (self._x, here, gradient))
            trial = strong_wolfe(lambda t: self._trial(direction, t, log), start, length, largest)
            self._x, *known = trial.payload
            self._known = tuple(known)
        else:
            self._x, self._known = self._move(self._x, direction, self._tensor(length)), None
        return here

    def _descent(self, gradient):
        """A direction that goes down, with its slope, its largest component and |g|_1."""
        held = self._hold(self._x, gradient)
        direction = self._direct(held, *self._memory)
        facts = self._slope(self._x, gradient, direction)
        if not float(facts[0]) < 0:  # the box can spoil the history's direction: start afresh
            self._forget()
            direction = -held
            facts = self._slope(self._x, gradient, direction)
        return direction, *map(float, facts)

    def _trial(self, direction, t: float, log: list[Evaluation]) -> Trial:
        x = self._move(self._x, direction, self._tensor(t))
        evaluation, gradient = self._counted(x, log)
        slope, _, _ = self._slope(x, gradient, direction)
        return Trial(t, evaluation.loss, float(slope), (x, evaluation, gradient))

    def _learn(self, old_x, old_gradient, gradient) -> None:
        """Remember the pair (s, y) of the last move, now that both its gradients are known."""
        *memory, curvature = self._pair(*self._memory, old_x, self._x, old_gradient, gradient)
        if float(curvature) > SMALLEST_CURVATURE:
            self._memory = tuple(memory)

    def _forget(self) -> None:
        """No pairs: rows of zeros with rho = 0 leave the two loops as they are; H_0 = 1."""
        empty = ops.zeros((self._length, *self._x.shape[1:]), self._dtype)
        self._memory = (empty, empty, ops.zeros((self._length,), self._dtype), self._tensor(1.0))

    def _tensor(self, number: float):
        # A tensor, not a Python number: a number would be compiled in, once for every value.
        return ops.convert_to_tensor(number, dtype=self._dtype)

    def _counted(self, x, log: list[Evaluation]):
        values, gradient = self._values(x)
        self._count += 1
        log.append(_plain(values, self._count, self._steps))
        return log[-1], gradient


def _direction(gradient, s, y, rho, scale):
    """-H g by the two-loop recursion; pairs are `(memory, H, W, 3)`, oldest first.

    The loops are the backend's: written out, a hundred pairs would take minutes to compile.
    """
    memory = s.shape[0]
    places = ops.arange(memory)

    def newest_first(i, state):
        r, alphas = state
        k = memory - 1 - i
        alpha = rho[k] * ops.sum(s[k] * r)
        return r - alpha * y[k], ops.where(places == k, alpha, alphas)

    def oldest_first(k, r):
        return r + (alphas[k] - rho[k] * ops.sum(y[k] * r)) * s[k]

    start = (-gradient[0], ops.zeros_like(rho))
    r, alphas = ops.fori_loop(0, memory, newest_first, start)
    return ops.fori_loop(0, memory, oldest_first, scale * r)[None]


def _remember(s, y, rho, scale, old_x, x, old_gradient, gradient):
    """The memory with one more pair and its scale s.y / y.y; last, s.y itself."""
    step, change = x - old_x, gradient - old_gradient
    curvature = ops.sum(step * change)
    return (
        ops.concatenate([s[1:], step]),
        ops.concatenate([y[1:], change]),
        ops.concatenate([rho[1:], ops.reshape(1.0 / curvature, (1,))]),
        curvature / ops.sum(ops.square(change)),
        curvature,
    )


def _line_facts(gradient, direction):
    """Slope along the direction, its largest component, and the gradient's l1 norm."""
    return (
        ops.sum(gradient * direction),
        ops.max(ops.abs(direction)),
        ops.sum(ops.abs(gradient)),
    )


def _plain_move(x, direction, length):
    return x + length * direction


def _projected_move(x, direction, length):
    return ops.clip(x + length * direction, 0.0, 1.0)


def _everywhere(x, direction):
    return 1.0


def _inside_box(x, direction):
    """1 where a pixel can move along the direction, 0 where a bound of [0, 1] holds it back."""
    held = ops.logical_or(
        ops.logical_and(x <= 0.0, direction < 0.0), ops.logical_and(x >= 1.0, direction > 0.0)
    )
    return 1.0 - ops.cast(held, x.dtype)


def _plain(values, number: int, step: int) -> Evaluation:
    return Evaluation(number, step, *(float(value[0]) for value in values))
