"""The contract of an engine, and what the three backends share."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
from keras import ops

from nstbench import errors, hardware
from nstbench.engine import memory

# terms(images (N, H, W, 3), parameters) -> the weighted terms of the loss by name, each (N,).
Terms = Callable[[Any, Any], dict[str, Any]]


class Values(NamedTuple):
    """Values of one evaluation, each of shape `(N,)`; `loss` is the sum of `terms`."""

    loss: Any
    terms: dict[str, Any]
    grad_norm: Any  # Euclidean norm of the gradient over all pixels and channels


class FusedOptimizer(Protocol):
    """An optimizer whose update is compiled into the step: Keras's own, or one shaped like it.

    With `wants_value = True` both forms of the update are also given `value=`, the loss.
    """

    variables: list

    def build(self, variables: list) -> None:
        """Make the optimizer's own variables for the image variable in `variables`."""

    def apply(self, grads: list, trainable_variables: list) -> None:
        """Update the variables in place (TensorFlow, PyTorch)."""

    def stateless_apply(
        self, optimizer_variables: list, grads: list, trainable_variables: list
    ) -> tuple[list, list]:
        """The same as a pure function of values: new trainable ones, new own ones (JAX)."""


class Engine(Protocol):
    """How a gradient is taken, a function compiled and a device waited for.

    `dtype` is that of images, losses and optimizers, `network_dtype` that of the network's pass.
    """

    dtype: str
    network_dtype: str

    def compile(self, function: Callable) -> Callable:
        """A pure function of tensors, made fast."""

    def once(self, function: Callable) -> Callable:
        """The same for a function that is called a single time."""

    def compile_evaluation(self, terms: Terms, parameters: Any) -> Callable:
        """images (N, H, W, 3) -> (`Values`, gradients like the images), made fast."""

    def compile_update(
        self, terms: Terms, parameters: Any, optimizer: FusedOptimizer, image: Any, box: bool
    ) -> Callable:
        """() -> `Values` before the update: one step on the variable `image` (H, W, 3), made fast.

        With `box` the image is projected onto [0, 1] after the update.
        """

    def synchronise(self) -> None:
        """Wait until the device has finished."""

    def scope(self) -> contextlib.AbstractContextManager:
        """Context in which tensors and variables are created on the chosen device."""

    def devices(self) -> list[str]:
        """Name of the accelerator in use, or "CPU"."""

    def kernels(self, chosen: str) -> str:
        """`direct` or `fast`; `auto` is fast where XLA compiles for a CPU, direct elsewhere."""

    def to_numpy(self, tree: Any) -> Any:
        """The same structure with host arrays; waits for the device."""


def total(terms: Mapping[str, Any]) -> Any:
    """The loss: the sum of its terms, in their order."""
    return sum(terms.values())


def values_of(terms: dict[str, Any], gradients: Any) -> Values:
    """The values of one evaluation, from its terms and its gradients (N, H, W, 3)."""
    norm = ops.sqrt(ops.sum(ops.square(gradients), axis=(1, 2, 3)))
    return Values(total(terms), terms, norm)


def extra_arguments(optimizer: FusedOptimizer, values: Values) -> dict[str, Any]:
    """What an update is given beside the gradient: the loss, where it asks for it."""
    return {"value": values.loss[0]} if getattr(optimizer, "wants_value", False) else {}


def project(pixels: Any, box: bool) -> Any:
    """The nearest point of [0, 1] with `box`, else the pixels as they are."""
    return ops.clip(pixels, 0.0, 1.0) if box else pixels


class SharedEngine:
    """What the three backends share.

    `dtype` is that of images, losses and optimizers, `network_dtype` that of the network's pass:
    bfloat16 is for the network alone. float64 is for checking numbers, not for speed.
    """

    def __init__(self, device: str, precision: str, purpose: str = ""):
        self.device = device
        self.dtype = "float64" if precision == "float64" else "float32"
        self.network_dtype = "bfloat16" if precision == "bfloat16" else self.dtype
        memory.share_heap()
        self._check_device()

    def accelerators(self) -> list[str]:
        """Names of the accelerators that the backend sees."""
        raise NotImplementedError

    def scope(self):
        """Context in which tensors and variables are created on the chosen device."""
        return contextlib.nullcontext() if self.device == "auto" else keras.device(self.device)

    def devices(self) -> list[str]:
        """Name of the accelerator in use, or "CPU"."""
        found = [] if self.device == "cpu" else self.accelerators()
        index = int(self.device.partition(":")[2] or 0)
        return found[index : index + 1] or ["CPU"]

    def kernels(self, chosen: str) -> str:
        """`direct` or `fast`; `auto` is fast where XLA compiles for a CPU, direct elsewhere."""
        kind = "cpu" if self.devices() == ["CPU"] else "gpu"
        return hardware.kernels(chosen, kind, keras.backend.backend(), self.network_dtype)

    def once(self, function):
        return self.compile(function)

    def compile_evaluation(self, terms, parameters):
        memory.keep_heap()
        compiled = self.compile(self.gradient(terms))
        return lambda images: compiled(images, parameters)

    def _check_device(self) -> None:
        hardware.check(self.device)
        found = self.accelerators()
        if self.device.startswith("gpu") and self.devices() == ["CPU"]:
            sees = ", ".join(f"gpu:{i} ({name})" for i, name in enumerate(found)) or "none"
            raise errors.SettingsError(
                f"device={self.device}: there is no such accelerator "
                f"({keras.backend.backend()} sees {sees}); use device=auto or device=cpu"
            )

    def to_numpy(self, tree):
        """The same structure with host arrays; waits for the device."""
        return keras.tree.map_structure(lambda x: np.asarray(ops.convert_to_numpy(x)), tree)
