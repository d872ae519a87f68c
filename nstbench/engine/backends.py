"""The backend seam: how a gradient is taken, a function compiled and a device waited for.

This is the only module that names a backend. TensorFlow is the default and the reference; JAX and
PyTorch are reached with `KERAS_BACKEND`, the ecosystem's own switch. Everything above writes
`keras.ops`.

Each engine offers the same things:

- `compile(function)`        a pure function of tensors, made fast
- `once(function)`           the same for a function that is called a single time
- `gradient(terms)`          terms -> evaluate(images, parameters) -> (Evaluation, gradients)
- `compile_evaluation(...)`  loss and gradient of one problem, made fast
- `compile_update(...)`      one step of Keras optimizers on image variables, made fast
- `synchronise()`            wait until the device has finished
- `scope()`, `devices()`     the device everything is placed on, and its name
"""

import contextlib
import re
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from nstbench import errors

PRECISIONS = ("float32", "tf32", "bfloat16", "float64")


class Evaluation(NamedTuple):
    """Values of one evaluation, each of shape `(N,)`; `loss` = content + style + tv."""

    loss: Any
    content: Any
    style: Any
    tv: Any
    grad_norm: Any  # Euclidean norm of the gradient over all pixels and channels


def _evaluation(values: dict[str, Any], gradients) -> Evaluation:
    norm = ops.sqrt(ops.sum(ops.square(gradients), axis=(1, 2, 3)))
    return Evaluation(_total(values), values["content"], values["style"], values["tv"], norm)


def _total(values: dict[str, Any]):
    return values["content"] + values["style"] + values["tv"]


class _Engine:
    """What the three backends share.

    `dtype` is that of images, losses and optimizers, `network_dtype` that of the network's pass:
    bfloat16 is for the network alone. float64 is for checking numbers, not for speed.
    """

    def __init__(self, device: str, precision: str):
        self.device = device
        self.dtype = "float64" if precision == "float64" else "float32"
        self.network_dtype = "bfloat16" if precision == "bfloat16" else self.dtype
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
        compiled_for_cpu = self.devices() == ["CPU"] and not isinstance(self, TorchEngine)
        single = self.network_dtype == "float32"
        automatic = "fast" if compiled_for_cpu and single else "direct"
        return automatic if chosen == "auto" else chosen

    def once(self, function):
        return self.compile(function)

    def compile_evaluation(self, terms, parameters):
        compiled = self.compile(self.gradient(terms))
        return lambda images: compiled(images, parameters)

    def _check_device(self) -> None:
        if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", self.device):
            raise errors.unknown("device", self.device, ("auto", "cpu", "gpu", "gpu:1"))
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


class TensorFlowEngine(_Engine):
    """XLA-compiled `tf.function`s; weights and targets are arguments, variables stay outside."""

    def __init__(self, device: str, precision: str):
        import tensorflow as tf

        self._tf = tf
        super().__init__(device, precision)
        tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")

    def compile(self, function):
        # XLA's double precision convolution on a CPU is a plain loop: minutes for one evaluation.
        use_xla = self.dtype != "float64"
        return self._tf.function(function, jit_compile=use_xla, autograph=False)

    def gradient(self, terms):
        def evaluate(images, parameters):
            with self._tf.GradientTape() as tape:
                tape.watch(images)
                values = terms(images, parameters)
                loss = _total(values)
            gradients = tape.gradient(loss, images)
            return _evaluation(values, gradients), gradients

        return evaluate

    def once(self, function):
        # Op by op: compiling the network takes XLA longer than this one pass.
        return function

    def compile_evaluation(self, terms, parameters):
        # Captured tensors reach XLA as arguments, too, but are not checked anew at every call:
        # 0.1 ms instead of 0.9 ms for a network's fifty.
        evaluate = self.gradient(terms)
        return self.compile(lambda images: evaluate(images, parameters))

    def compile_update(self, terms, parameters, optimizers, images):
        evaluate = self.gradient(terms)

        def update():
            evaluation, gradients = evaluate(
                ops.stack([image.value for image in images]), parameters
            )
            for lane, (optimizer, image) in enumerate(zip(optimizers, images, strict=True)):
                optimizer.apply([gradients[lane]], [image])
                image.assign(ops.clip(image.value, 0.0, 1.0))
            return evaluation

        # One trace, called without looking for the one that fits the arguments.
        return self.compile(update).get_concrete_function()

    def synchronise(self):
        self._tf.test.experimental.sync_devices()

    def accelerators(self) -> list[str]:
        details = self._tf.config.experimental.get_device_details
        gpus = self._tf.config.list_physical_devices("GPU")
        return [details(gpu).get("device_name", gpu.name) for gpu in gpus]


class JaxEngine(_Engine):
    """`jax.jit` over the stateless form: the step returns new state, which is then stored."""

    def __init__(self, device: str, precision: str):
        import jax

        self._jax = jax
        super().__init__(device, precision)
        matmul = "tensorfloat32" if precision == "tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", matmul)
        jax.config.update("jax_enable_x64", precision == "float64")

    def compile(self, function):
        return self._jax.jit(function)

    def gradient(self, terms):
        def total(images, parameters):
            values = terms(images, parameters)
            # The sum over lanes: each lane's loss depends on its own picture only.
            return ops.sum(_total(values)), values

        differentiate = self._jax.value_and_grad(total, has_aux=True)

        def evaluate(images, parameters):
            (_, values), gradients = differentiate(images, parameters)
            return _evaluation(values, gradients), gradients

        return evaluate

    def compile_update(self, terms, parameters, optimizers, images):
        evaluate = self.gradient(terms)

        def update(pixels, states, parameters):
            evaluation, gradients = evaluate(ops.stack(pixels), parameters)
            updated = [
                optimizer.stateless_apply(state, [gradients[lane]], [pixels[lane]])
                for lane, (optimizer, state) in enumerate(zip(optimizers, states, strict=True))
            ]
            new_pixels = [ops.clip(trainable[0], 0.0, 1.0) for trainable, _ in updated]
            return evaluation, new_pixels, [state for _, state in updated]

        compiled = self.compile(update)

        def step():
            states = [[v.value for v in optimizer.variables] for optimizer in optimizers]
            evaluation, pixels, states = compiled([i.value for i in images], states, parameters)
            for image, optimizer, value, state in zip(
                images, optimizers, pixels, states, strict=True
            ):
                image.assign(value)
                for variable, new in zip(optimizer.variables, state, strict=True):
                    variable.assign(new)
            return evaluation

        return step

    def synchronise(self):
        # JAX has no "wait for everything": what is still being computed is some live array.
        for array in self._jax.live_arrays():
            array.block_until_ready()

    def accelerators(self) -> list[str]:
        return [d.device_kind for d in self._jax.devices() if d.platform != "cpu"]


class TorchEngine(_Engine):
    """Eager PyTorch with autograd."""

    def __init__(self, device: str, precision: str):
        import torch

        if precision == "float64":
            raise errors.SettingsError(
                "precision=float64: Keras's operations on PyTorch make float32 of it; "
                "use KERAS_BACKEND=tensorflow or jax"
            )
        self._torch = torch
        super().__init__(device, precision)
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

    def compile(self, function):
        return function

    def gradient(self, terms):
        def evaluate(images, parameters):
            images = images.detach().requires_grad_(True)
            with self._torch.enable_grad():
                values = terms(images, parameters)
                (gradients,) = self._torch.autograd.grad(_total(values).sum(), images)
            values = {name: value.detach() for name, value in values.items()}
            return _evaluation(values, gradients), gradients

        return evaluate

    def compile_update(self, terms, parameters, optimizers, images):
        evaluate = self.gradient(terms)

        def step():
            evaluation, gradients = evaluate(ops.stack([i.value for i in images]), parameters)
            with self._torch.no_grad():
                for lane, (optimizer, image) in enumerate(zip(optimizers, images, strict=True)):
                    optimizer.apply([gradients[lane]], [image])
                    image.assign(ops.clip(image.value, 0.0, 1.0))
            return evaluation

        return step

    def synchronise(self):
        if self._torch.cuda.is_available():
            self._torch.cuda.synchronize()

    def accelerators(self) -> list[str]:
        cuda = self._torch.cuda
        return [cuda.get_device_name(i) for i in range(cuda.device_count())]


def load(device: str = "auto", precision: str = "float32"):
    """The engine of the backend that Keras was started with.

    `device` is `auto`, `cpu`, `gpu` or `gpu:1`; `precision` one of `PRECISIONS`. Raises
    `SettingsError` for a device that is not there, a precision or backend not known, and for
    float64 on PyTorch.
    """
    engines = {"tensorflow": TensorFlowEngine, "jax": JaxEngine, "torch": TorchEngine}
    backend = keras.backend.backend()
    if precision not in PRECISIONS:
        raise errors.unknown("precision", precision, PRECISIONS)
    if backend not in engines:
        raise errors.unknown("KERAS_BACKEND", backend, engines)
    return engines[backend](device, precision)
