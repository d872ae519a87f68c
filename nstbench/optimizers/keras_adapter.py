"""Keras's own optimizers: the rate with its schedule, and the point at which one is measured."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nstbench.errors import SettingsError


class Scheduled(keras.optimizers.schedules.LearningRateSchedule):
    """`rate` times a schedule's factor at each step, from 0."""

    def __init__(self, rate: float, factor: Callable[[Any], Any]):
        self._rate, self._factor = rate, factor

    def __call__(self, step):
        return self._rate * ops.cast(self._factor(step), "float32")

    def get_config(self):
        return {"rate": self._rate, "factor": self._factor}


def create(
    make: Callable, rate_name: str | None, rate: float | None, factor, options: dict[str, Any]
) -> keras.optimizers.Optimizer:
    """The optimizer of a Keras class `make`, its rate given by the keyword `rate_name`.

    `factor` is the schedule, None where the rate is constant. Raises `SettingsError` where the
    class refuses its options.
    """
    learning_rate = rate if factor is None else Scheduled(rate, factor)
    rates = {rate_name: learning_rate} if rate_name else {}
    try:
        optimizer = make(**rates, **options)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{make.__name__} refuses its options: {reason}") from error
    average = getattr(keras.optimizers, "ScheduleFreeAdamW", None)
    if average and isinstance(optimizer, average):
        optimizer.evaluation_point = lambda image: schedule_free_average(optimizer, image)
    return optimizer


def schedule_free_average(optimizer, image):
    """x of Defazio et al., "The road less scheduled" (2024), eq. 2: y = (1 - beta) z + beta x.

    Keras's variable holds y, where gradients are taken; x, the average, is where the method says
    that its loss is to be read.
    """
    beta, z = optimizer.beta_1, optimizer._momentums[0]
    return (image.value - (1 - beta) * z.value) / beta
