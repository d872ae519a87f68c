"""What a run needs to go on: the minimisation's state and the loop's counters, as one archive."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nstbench.optimizers.contract import Evaluation

META, STATE = "meta", "state_"


@dataclass
class Counters:
    """How far a run has come. `pending_*` are of the epoch under way, which has no row yet."""

    created: str
    epoch: int = 0
    evaluations: int = 0  # of whole epochs
    best: float = math.inf
    pending_steps: list[Evaluation] = field(default_factory=list)
    pending_evaluations: list[Evaluation] = field(default_factory=list)


def pack(
    counters: Counters, clocks: Mapping[str, float], state: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint."""
    meta = {"counters": asdict(counters), "clocks": dict(clocks)}
    arrays = {STATE + name: value for name, value in state.items()}
    return arrays | {META: np.array(json.dumps(meta))}


def unpack(
    arrays: Mapping[str, np.ndarray],
) -> tuple[Counters, dict[str, float], dict[str, np.ndarray]]:
    """Counters, clocks and state. Raises `ValueError` for what is not a checkpoint, or has NaN."""
    try:
        meta: dict[str, Any] = json.loads(str(arrays[META]))
        values = meta["counters"]
        for name in ("pending_steps", "pending_evaluations"):
            values[name] = [Evaluation(**evaluation) for evaluation in values[name]]
        counters = Counters(**values)
        clocks = {name: float(value) for name, value in meta["clocks"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"it cannot be read ({error})") from error
    state = {n.removeprefix(STATE): a for n, a in arrays.items() if n.startswith(STATE)}
    for name, array in state.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError(f"{name} holds what is not a number")
    return counters, clocks, state
