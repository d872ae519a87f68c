"""Keras's own optimizers, one evaluation per step, the image clipped to [0, 1] after each.

Several runs that share a problem can advance as lanes of one batch: one pass through the network
evaluates all pictures, then each lane's own optimizer updates its own picture. One run is a batch
of one, so there is one code path.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench.optimizers.base import Epoch, Evaluation
from nstbench.transfer.objective import Objective

CLASSES = {
    "adam": "Adam",
    "adam_decay": "Adam",
    "adamw": "AdamW",
    "nadam": "Nadam",
    "adamax": "Adamax",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
    "lion": "Lion",
    "ftrl": "Ftrl",
    "adafactor": "Adafactor",
}


def make(name: str, lr: float, hyperparameters: dict[str, Any]) -> keras.optimizers.Optimizer:
    """Keras's optimizer `name` (a key of `CLASSES`) with every hyperparameter given.

    `decay` and `decay_steps`, where there are any, make the rate lr * decay^(step / decay_steps).
    """
    options = dict(hyperparameters)
    decay, steps = options.pop("decay", 1.0), options.pop("decay_steps", 1)
    rate = lr if decay == 1.0 else keras.optimizers.schedules.ExponentialDecay(lr, steps, decay)
    return getattr(keras.optimizers, CLASSES[name])(learning_rate=rate, **options)


class FirstOrder:
    """Lanes of pictures under Keras optimizers; see `base.Optimizer`.

    `starts` is `(lanes, H, W, 3)`, one Keras optimizer per lane. On TensorFlow `optimizer.apply`
    runs inside the compiled step, on JAX its stateless form does: the engine decides.
    """

    def __init__(
        self,
        engine,
        objective: Objective,
        optimizers: Sequence[keras.optimizers.Optimizer],
        starts: np.ndarray,
    ):
        self._engine = engine
        self._optimizers = optimizers
        self._images = [keras.Variable(start, dtype=engine.dtype) for start in starts]
        for optimizer, image in zip(optimizers, self._images, strict=True):
            optimizer.build([image])
        self._step = engine.compile_update(
            objective.terms, objective.parameters, optimizers, self._images
        )
        self._taken = 0

    @property
    def images(self) -> np.ndarray:
        return np.stack([ops.convert_to_numpy(image.value) for image in self._images])

    def warm_up(self) -> None:
        self._probe()

    def advance(self, steps: int) -> list[Epoch]:
        # Device values are gathered and read once at the end: a wait per step would cost an
        # accelerator more than the step's own launch.
        results = [self._step() for _ in range(steps)]
        first = self._taken + 1
        self._taken += steps
        values = [self._engine.to_numpy(result) for result in results]
        return [
            Epoch(evaluations, evaluations)
            for evaluations in (
                tuple(_pick(value, lane, first + i) for i, value in enumerate(values))
                for lane in range(len(self._images))
            )
        ]

    def evaluate(self) -> list[Evaluation]:
        values = self._probe()
        return [_pick(values, lane, self._taken) for lane in range(len(self._images))]

    def state(self, lane: int) -> dict[str, np.ndarray]:
        # A copy: on some backends the host array is a view of the variable's own buffer.
        held = enumerate(self._held(lane))
        arrays = {f"v{i}": np.array(ops.convert_to_numpy(v.value)) for i, v in held}
        return arrays | {"taken": np.array(self._taken)}

    def restore(self, lane: int, state: dict[str, np.ndarray]) -> None:
        for i, variable in enumerate(self._held(lane)):
            variable.assign(state[f"v{i}"])
        self._taken = int(state["taken"])

    def _held(self, lane: int) -> list[keras.Variable]:
        return [self._images[lane], *self._optimizers[lane].variables]

    def _probe(self):
        """Values at the pictures as they are: a step whose update is taken back.

        The step is compiled anyway; a separate evaluation would be compiled a second time.
        """
        lanes = range(len(self._images))
        saved = [self.state(lane) for lane in lanes]
        values = self._engine.to_numpy(self._step())
        for lane in lanes:
            self.restore(lane, saved[lane])
        return values


def _pick(values, lane: int, number: int) -> Evaluation:
    loss, content, style, tv, grad_norm = (float(value[lane]) for value in values)
    return Evaluation(number, number, loss, content, style, tv, grad_norm)
