"""Limited-memory BFGS on device arrays: two-loop recursion, optional strong Wolfe search and box.

Liu & Nocedal 1989; Nocedal & Wright, algorithms 7.4 and 7.5. One continuous optimisation: its
history survives epochs and checkpoints.

With `box=False, reevaluate=True` this is PyTorch's `LBFGS(max_iter=1)` called once per step, which
evaluates the objective anew at the start of every step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from nstbench import errors
from nstbench.optimizers.contract import Evaluate, State
from nstbench.optimizers.line_search import Trial, strong_wolfe

SMALLEST_CURVATURE = 1e-10  # a pair with a smaller s.y is not remembered (PyTorch's constant)
LINE_SEARCHES = ("none", "strong_wolfe")
PAIRS = ("s", "y", "rho", "scale")


class LBFGS:
    """L-BFGS; see `contract.Optimizer`.

    `lr` is the first length tried along every direction but the first one, whose length is
    min(1, 1/|g|_1) lr; `schedule` maps a step, from 0, to a factor on it. With `box`, trial points
    are projected onto [0, 1], and pixels that a bound holds back are left out of the direction.
    Where a search finds no lower point, the memory is dropped once; if the steepest descent that
    follows finds none either, the method ends.
    """

    resumable = True

    def __init__(
        self,
        engine,
        *,
        lr: float = 1.0,
        memory: int = 10,
        line_search: str = "strong_wolfe",
        reevaluate: bool = False,
        box: bool = True,
        schedule: Callable[[int], Any] | None = None,
    ):
        if line_search not in LINE_SEARCHES:
            raise errors.unknown("optimizer.line_search", line_search, LINE_SEARCHES)
        if memory < 1:
            raise errors.SettingsError(f"optimizer.memory={memory} must be at least 1")
        self._direct = engine.compile(_direction)
        self._pair = engine.compile(_remember)
        free = _inside_box if box else _everywhere
        self._hold = engine.compile(lambda x, g: g * free(x, -g))
        self._slope = engine.compile(lambda x, g, d: _line_facts(g, d * free(x, d)))
        self._move = engine.compile(_projected_move if box else _plain_move)
        self._lr, self._schedule = lr, schedule
        self._length = memory
        self._search = line_search == "strong_wolfe"
        self._reevaluate = reevaluate
        self._dtype = engine.dtype

    def init(self, x) -> State:
        """No pairs: rows of zeros with rho = 0 leave the two loops as they are; H_0 = 1."""
        return {"taken": np.array(0), **self._no_pairs(x)}

    def step(self, x, state: State, evaluate: Evaluate) -> tuple[Any, State, str | None]:
        if "gradient" not in state or self._reevaluate:
            evaluation, gradient = evaluate(x)
            loss = evaluation.loss
        else:
            loss, gradient = float(state["loss"]), ops.convert_to_tensor(state["gradient"])
        state = self._learn(x, gradient, state)
        direction, slope, largest, l1_norm, state = self._descent(x, gradient, state)
        taken = int(state["taken"])
        after = {name: state[name] for name in PAIRS} | {"taken": np.array(taken + 1)}
        if not slope < 0:
            return x, after, "no descent direction is left"
        length = self._rate(taken) * (min(1.0, 1.0 / l1_norm) if taken == 0 else 1.0)
        after |= {"previous_x": x, "previous_gradient": gradient}
        if not self._search:
            return self._move(x, direction, self._tensor(length)), after, None

        def trial(t: float) -> Trial:
            point = self._move(x, direction, self._tensor(t))
            evaluation, at_point = evaluate(point)
            facts = self._slope(point, at_point, direction)
            return Trial(t, evaluation.loss, float(facts[0]), (point, at_point))

        best = strong_wolfe(trial, Trial(0.0, loss, slope, (x, gradient)), length, largest)
        if best.loss >= loss:
            return self._stalled(x, gradient, loss, state)
        point, gradient = best.payload
        return point, after | {"loss": np.array(best.loss), "gradient": gradient}, None

    def _stalled(self, x, gradient, loss: float, state: State):
        """No point on the line is lower: drop the memory once, then say so."""
        here = {"loss": np.array(loss), "gradient": gradient, "taken": state["taken"] + 1}
        fresh = {**self._no_pairs(x), **here}
        is_fresh = float(ops.convert_to_numpy(ops.sum(ops.abs(state["rho"])))) == 0.0
        return x, fresh, "no further decrease" if is_fresh else None

    def _descent(self, x, gradient, state: State):
        """A direction that goes down, its slope, its largest component, |g|_1, and the memory."""
        held = self._hold(x, gradient)
        direction = self._direct(held, *(state[name] for name in PAIRS))
        facts = self._slope(x, gradient, direction)
        if not float(facts[0]) < 0:  # the box can spoil the history's direction: start afresh
            state = state | self._no_pairs(x)
            direction = -held
            facts = self._slope(x, gradient, direction)
        return direction, *map(float, facts), state

    def _learn(self, x, gradient, state: State) -> State:
        """Remember the pair (s, y) of the last move, now that both its gradients are known."""
        state = {name: ops.convert_to_tensor(v) for name, v in state.items() if name in PAIRS} | {
            name: value for name, value in state.items() if name not in PAIRS
        }
        if "previous_x" not in state:
            return state
        old_x, old_gradient = (
            ops.convert_to_tensor(state[name]) for name in ("previous_x", "previous_gradient")
        )
        memory = [state[name] for name in PAIRS]
        *pairs, curvature = self._pair(*memory, old_x, x, old_gradient, gradient)
        if float(curvature) > SMALLEST_CURVATURE:
            state |= dict(zip(PAIRS, pairs, strict=True))
        return state

    def _no_pairs(self, x) -> State:
        empty = ops.zeros((self._length, *x.shape[1:]), self._dtype)
        rho = ops.zeros((self._length,), self._dtype)
        return {"s": empty, "y": empty, "rho": rho, "scale": self._tensor(1.0)}

    def _rate(self, taken: int) -> float:
        return self._lr * (float(self._schedule(taken)) if self._schedule else 1.0)

    def _tensor(self, number: float):
        # A tensor, not a Python number: a number would be compiled in, once for every value.
        return ops.convert_to_tensor(number, dtype=self._dtype)


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
