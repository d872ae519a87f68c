"""What an optimizer is to nstbench: a first point, then steps that ask for evaluations.

An *evaluation* is one loss with its gradient, a *step* one update of the image. The harness
(`minimise`) counts both, keeps them on record, projects the image onto [0, 1] after each step where
the settings say `box`, and ends a run whose loss is not finite. An optimizer does none of that.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

State = dict[str, Any]
"""A flat dict of arrays (NumPy or backend tensors) from which a run continues exactly.

Its arrays may be the optimizer's own: they hold until the next step. Who keeps them copies them.
"""


@dataclass(frozen=True)
class Evaluation:
    """One value-and-gradient of one picture, as plain numbers."""

    number: int  # from 1, over the whole run
    step: int  # the update it was made for, from 1
    loss: float
    terms: dict[str, float]  # weighted, by name; their sum is the loss
    grad_norm: float  # Euclidean norm over all pixels and channels

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


Evaluate = Callable[[Any], tuple[Evaluation, Any]]
"""x (1, H, W, 3) -> its evaluation, counted and on record, and the gradient, a tensor like x."""


class Optimizer(Protocol):
    """Any method that improves an image; x is a backend tensor (1, H, W, 3) of the engine's dtype.

    `resumable` is False where no state can be restored (a library that keeps its own loop): such a
    run starts again and, being deterministic, repeats itself.
    """

    resumable: bool

    def init(self, x) -> State:
        """The state before the first step from x. Evaluates nothing."""
        ...

    def step(self, x, state: State, evaluate: Evaluate) -> tuple[Any, State, str | None]:
        """One update: the new x, the new state, and why no further step will come (or None).

        x may differ from the one that the last step returned: the harness has projected it.
        `evaluate` may be called any number of times; what it raises ends the run and is passed on.
        """
        ...
