"""SciPy's L-BFGS-B, with the box [0, 1] as bounds.

Zhu, Byrd, Lu & Nocedal 1997, as wrapped by `scipy.optimize.minimize`. SciPy calls us, while the
harness wants to call it epoch by epoch; so SciPy runs in a thread of its own that waits whenever it
needs an evaluation or has finished an iteration. Only one of the two threads ever runs.
"""

import queue
import threading
from dataclasses import dataclass

import numpy as np
from keras import ops
from scipy import optimize

from nstbench.optimizers.base import Epoch, Evaluation
from nstbench.transfer.objective import Objective

# SciPy stops after 15,000 evaluations by default; the harness's epochs are the budget here.
NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class _Wants:
    """SciPy wants the loss and gradient at `x`."""

    x: np.ndarray


@dataclass(frozen=True)
class _Stepped:
    """SciPy has finished an iteration at `x`."""

    x: np.ndarray


@dataclass(frozen=True)
class _Ended:
    """SciPy has stopped for this reason."""

    reason: str


class LBFGSB:
    """One picture under L-BFGS-B; see `base.Optimizer`. `start` is `(1, H, W, 3)`.

    Its state lives inside SciPy and cannot be saved: `state` returns nothing, and a run that was
    interrupted starts again (and, being deterministic, repeats itself).
    """

    def __init__(
        self, engine, objective: Objective, start: np.ndarray, *, memory: int, ftol: float,
        gtol: float, max_line_search: int,
    ):  # fmt: skip
        self._values = engine.compile_evaluation(objective.terms, objective.parameters)
        self._shape = start.shape
        self._x = np.asarray(start, np.float64).ravel()
        self._options = {
            "maxcor": memory, "ftol": ftol, "gtol": gtol, "maxls": max_line_search,
            "maxiter": NO_LIMIT, "maxfun": NO_LIMIT,
        }  # fmt: skip
        self._asked: queue.Queue = queue.Queue()
        self._answers: queue.Queue = queue.Queue()
        self._thread = threading.Thread(target=self._minimise, daemon=True)
        self._steps = self._count = 0
        self._last = None  # the newest Evaluation; at an iteration's end, that of its x
        self._finished = None

    @property
    def images(self) -> np.ndarray:
        return self._x.reshape(self._shape).astype(np.float32)

    def warm_up(self) -> None:
        self._measure(self._x)

    def advance(self, steps: int) -> list[Epoch]:
        began, log = [], []
        while len(began) < steps and not self._finished:
            self._steps += 1
            began.append(self._iterate(log))
        return [Epoch(tuple(began), tuple(log), self._finished)]

    def evaluate(self) -> list[Evaluation]:
        return [self._measure(self._x)[0]]

    def state(self, lane: int) -> dict[str, np.ndarray]:
        return {}

    def restore(self, lane: int, state: dict[str, np.ndarray]) -> None:
        raise NotImplementedError("L-BFGS-B writes no state")

    def _iterate(self, log: list[Evaluation]) -> Evaluation:
        """Answer SciPy until an iteration is done; returns what the iteration began at."""
        began = self._last
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._answers.put(None)  # SciPy waits at the end of its last iteration
        while isinstance(event := self._asked.get(), _Wants):
            self._count += 1
            self._last, gradient = self._measure(event.x)
            began = began or self._last
            log.append(self._last)
            if not self._last.is_finite:
                self._finished = "the loss is not finite"
                return began
            self._answers.put((self._last.loss, gradient))
        if isinstance(event, _Ended):
            self._finished = event.reason
        else:
            self._x = event.x
        return began

    def _measure(self, x: np.ndarray):
        image = ops.convert_to_tensor(x.reshape(self._shape), dtype="float32")
        values, gradient = self._values(image)
        evaluation = Evaluation(self._count, self._steps, *(float(value[0]) for value in values))
        return evaluation, np.asarray(ops.convert_to_numpy(gradient), np.float64).ravel()

    def _minimise(self) -> None:
        def loss_and_gradient(x):
            self._asked.put(_Wants(x.copy()))
            return self._answers.get()

        def iterated(x):
            self._asked.put(_Stepped(x.copy()))
            self._answers.get()

        bounds = optimize.Bounds(np.zeros_like(self._x), np.ones_like(self._x))
        try:
            result = optimize.minimize(
                loss_and_gradient, self._x, jac=True, method="L-BFGS-B", bounds=bounds,
                callback=iterated, options=self._options,
            )  # fmt: skip
            self._asked.put(_Ended(str(result.message)))
        except Exception as error:  # a thread's error would otherwise leave the harness waiting
            self._asked.put(_Ended(f"SciPy raised {type(error).__name__}: {error}"))
