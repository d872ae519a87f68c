"""The optimizers that are compared, behind one protocol (`base.Optimizer`)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nstbench.errors import SettingsError


def create(chosen: Sequence[Any], engine, objective, starts: np.ndarray):
    """The optimizer that advances `starts` `(lanes, H, W, 3)`; `chosen` has one entry per lane.

    An entry is a settings object with `name`, `lr` and that optimizer's hyperparameters. Raises
    `SettingsError` when several lanes are asked of an optimizer that advances one at a time.
    """
    # Here, not above: settings are checked against this package's names without a backend.
    from nstbench.optimizers import first_order
    from nstbench.optimizers.lbfgs import LBFGS

    options = [asdict(settings) for settings in chosen]
    names = [option.pop("name") for option in options]
    if all(name in first_order.CLASSES for name in names):
        made = [
            first_order.make(name, option.pop("lr"), option)
            for name, option in zip(names, options, strict=True)
        ]
        return first_order.FirstOrder(engine, objective, made, starts)
    if len(names) > 1:
        raise SettingsError(f"{names[0]} advances one picture at a time: use vectorize=1")
    if names[0] == "lbfgs":
        return LBFGS(engine, objective, starts, **options[0])
    from nstbench.optimizers.lbfgsb import LBFGSB  # brings SciPy, which takes a while

    options[0].pop("lr")  # SciPy's line search has no rate
    return LBFGSB(engine, objective, starts, **options[0])
