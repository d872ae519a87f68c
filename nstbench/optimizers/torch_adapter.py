"""Optimizers of `torch.optim` and its kind, one picture as their only parameter.

PyTorch is reached through the tensors that it is handed: this module imports no backend.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench.errors import NstbenchError, SettingsError


def is_optimizer(thing: Any) -> bool:
    """Whether `thing` is a subclass of `torch.optim.Optimizer`; PyTorch need not be imported."""
    bases = getattr(thing, "__mro__", ()) if isinstance(thing, type) else ()
    return any(b.__module__ == "torch.optim.optimizer" and b.__name__ == "Optimizer" for b in bases)


class TorchOptimizer:
    """A `torch.optim.Optimizer` class; see `contract.Optimizer`.

    `step(closure)` is called once per step; the closure evaluates as often as the method likes.
    With a `schedule` the rate of every parameter group is set before each step. The optimizer lives
    on between steps, and is loaded from a state only where that is not the one it returned last.
    A method with `train` and `eval` (schedule-free ones) is evaluated where it wants to be and
    shown at its `eval` point.

    Raises `SettingsError`, in one line, for another backend, for options that the class refuses and
    for a class that cannot update a dense picture.
    """

    resumable = True

    def __init__(
        self,
        target: str,
        cls: type,
        lr: float | None,
        schedule: Callable | None,
        options: Mapping[str, Any],
    ):
        if keras.backend.backend() != "torch":
            raise SettingsError(f"{target} needs KERAS_BACKEND=torch")
        self._target, self._cls, self._options = target, cls, dict(options)
        if lr is not None:
            self._options["lr"] = lr
        self._lr, self._schedule = lr, schedule
        self._try_out()

    def init(self, x) -> dict[str, Any]:
        self._build(x)
        return self._state()

    def step(self, x, state, evaluate):
        if state is not self._returned:
            self._load(x, state)
        image, optimizer = self._image, self._optimizer
        image.data.copy_(x)
        if self._schedule:
            for group in optimizer.param_groups:
                group["lr"] = self._lr * float(self._schedule(self._steps))

        def closure():
            evaluation, gradient = evaluate(image.detach().clone())
            image.grad = gradient.detach().clone()
            return image.new_tensor(evaluation.loss).detach()

        _switch(optimizer, "train")
        optimizer.step(closure)
        _switch(optimizer, "eval")
        self._steps += 1
        return image.detach().clone(), self._state(), None

    def _build(self, x) -> None:
        self._image = x.detach().clone().requires_grad_(True)
        self._optimizer = self._cls([self._image], **self._options)
        self._steps = 0

    def _try_out(self) -> None:
        """One step of nothing, on the smallest picture: what the class refuses, it refuses here."""
        x = ops.zeros((1, 1, 1, 3))
        try:
            self._build(x)
            self._image.grad = ops.zeros_like(x)
            _switch(self._optimizer, "train")
            self._optimizer.step(lambda: self._image.new_tensor(0.0))
            self._state()
        except Exception as error:
            text = " ".join(str(error).split())
            raise SettingsError(f"{self._target}: {type(error).__name__}: {text}") from error

    def _state(self) -> dict[str, Any]:
        """Flat: tensors as arrays of their own, all the rest as one text. It holds until a step."""
        arrays: dict[str, Any] = {}
        tree = _flatten(self._optimizer.state_dict(), "state", arrays)
        self._returned = arrays | {"steps": np.array(self._steps), "tree": np.array(tree)}
        return self._returned

    def _load(self, x, state) -> None:
        self._build(x)
        tree = json.loads(str(np.asarray(state["tree"])[()]))
        device = self._image.device
        self._optimizer.load_state_dict(_unflatten(tree, state, device))
        self._steps = int(state["steps"])


def _switch(optimizer, mode: str) -> None:
    """Between the point where a schedule-free method is evaluated and the one that it offers."""
    getattr(optimizer, mode, lambda: None)()


def _flatten(value: Any, name: str, arrays: dict[str, Any]) -> str:
    """`value` as JSON; its tensors go to `arrays` under names made from where they stood."""

    def plain(value, name):
        if ops.is_tensor(value):
            arrays[name] = value.detach()
            kind = keras.backend.standardize_dtype(value.dtype)
            return {"tensor": name, "dtype": kind, "host": value.device.type == "cpu"}
        if isinstance(value, Mapping):
            return {"dict": [[k, plain(v, f"{name}.{k}")] for k, v in value.items()]}
        if isinstance(value, tuple | list):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [plain(v, f"{name}.{i}") for i, v in enumerate(value)]}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise NstbenchError(f"its state holds a {type(value).__name__}, which cannot be saved")

    return json.dumps(plain(value, name))


def _unflatten(tree: Any, arrays: Mapping[str, Any], device) -> Any:
    """The reverse of `_flatten`; tensors go to the device that they were on."""
    if not isinstance(tree, dict):
        return tree
    if "dict" in tree:
        return {key: _unflatten(value, arrays, device) for key, value in tree["dict"]}
    if "tensor" in tree:
        tensor = ops.convert_to_tensor(arrays[tree["tensor"]], dtype=tree["dtype"])
        # A copy: the optimizer writes into its tensors, and the state is the caller's.
        return tensor.detach().clone().to("cpu" if tree["host"] else device)
    kind = tuple if "tuple" in tree else list
    return kind(_unflatten(value, arrays, device) for value in tree[kind.__name__])
