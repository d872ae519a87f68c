"""What every optimizer offers: advance pictures by one epoch, and say what happened.

A *step* is one update of the image; an *evaluation* is one loss and gradient. They differ under a
line search, so both are counted. The loss of a step is the loss before its update.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """One value-and-gradient of one picture, as plain numbers."""

    number: int  # from 1, over the whole run
    step: int  # the update it was made for, from 1
    loss: float
    content: float
    style: float
    tv: float
    grad_norm: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True)
class Epoch:
    """What one picture went through in one epoch."""

    steps: tuple[Evaluation, ...]  # the evaluation before each update
    evaluations: tuple[Evaluation, ...]  # every evaluation made, in order
    finished: str | None = None  # why no further step will come, in words


class Optimizer(Protocol):
    """A trajectory of one or several pictures (lanes) that advance together.

    `state` and `restore` carry everything that the next step depends on, so that a run continued
    from a checkpoint repeats an undisturbed one. `restore` raises nothing for a state it wrote.
    """

    @property
    def images(self) -> np.ndarray:
        """The pictures now, `(lanes, H, W, 3)` in [0, 1]."""
        ...

    def warm_up(self) -> None:
        """Trace and compile everything a step needs; leaves the state as it was."""
        ...

    def advance(self, steps: int) -> Sequence[Epoch]:
        """Take up to `steps` updates; one `Epoch` per lane."""
        ...

    def evaluate(self) -> Sequence[Evaluation]:
        """The loss of the pictures as they are now; counts as no evaluation of the run."""
        ...

    def state(self, lane: int) -> dict[str, np.ndarray]:
        """Everything that lane's next step depends on."""
        ...

    def restore(self, lane: int, state: dict[str, np.ndarray]) -> None:
        """Continue that lane from `state`."""
        ...
