"""The backend seam: how a gradient is taken, a function compiled and a device waited for.

This is the only module that names a backend. TensorFlow is the default and the reference; JAX and
PyTorch are reached with `KERAS_BACKEND`, the ecosystem's own switch. Everything above writes
`keras.ops`.

Each engine offers the same five things:

- `compile(function)`        a pure function of tensors, made fast
- `gradient(terms)`          terms -> evaluate(images, parameters) -> (Evaluation, gradients)
- `compile_update(...)`      one step of Keras optimizers on image variables, made fast
- `synchronise()`            wait until the device has finished
- `scope()`                  the device everything is placed on
"""

import contextlib
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

    def scope(self):
        """Context in which tensors and variables are created on the chosen device."""
        return contextlib.nullcontext() if self.device == "auto" else keras.device(self.device)

    def kernels(self, chosen: str) -> str:
        """`direct` or `fast`; `auto` is fast where XLA compiles for a CPU, direct elsewhere."""
        compiled_for_cpu = self.devices() == ["CPU"] and not isinstance(self, TorchEngine)
        single = self.network_dtype == "float32"
        automatic = "fast" if compiled_for_cpu and single else "direct"
        return automatic if chosen == "auto" else chosen

    def to_numpy(self, tree):
        """The same structure with host arrays; waits for the device."""
        return keras.tree.map_structure(lambda x: np.asarray(ops.convert_to_numpy(x)), tree)


class TensorFlowEngine(_Engine):
    """XLA-compiled `tf.function`s; weights and targets are arguments, variables stay outside."""

    def __init__(self, device: str, precision: str):
        import tensorflow as tf

        super().__init__(device, precision)
        self._tf = tf
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

    def compile_update(self, evaluate, optimizers, images):
        def update(parameters):
            evaluation, gradients = evaluate(
                ops.stack([image.value for image in images]), parameters
            )
            for lane, (optimizer, image) in enumerate(zip(optimizers, images, strict=True)):
                optimizer.apply([gradients[lane]], [image])
                image.assign(ops.clip(image.value, 0.0, 1.0))
            return evaluation

        return self.compile(update)

    def synchronise(self):
        self._tf.test.experimental.sync_devices()

    def devices(self) -> list[str]:
        """Names of the accelerators in use, or of the CPU."""
        gpus = self._tf.config.list_physical_devices("GPU")
        details = self._tf.config.experimental.get_device_details
        use_gpu = gpus and not self.device.startswith("cpu")
        return [details(gpu).get("device_name", gpu.name) for gpu in gpus] if use_gpu else ["CPU"]


class JaxEngine(_Engine):
    """`jax.jit` over the stateless form: the step returns new state, which is then stored."""

    def __init__(self, device: str, precision: str):
        import jax

        super().__init__(device, precision)
        self._jax = jax
        matmul = {"tf32": "tensorfloat32", "bfloat16": "default"}.get(precision, "highest")
        jax.config.update("jax_default_matmul_precision", matmul)
        if precision == "float64":
            jax.config.update("jax_enable_x64", True)

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

    def compile_update(self, evaluate, optimizers, images):
        def update(pixels, states, parameters):
            evaluation, gradients = evaluate(ops.stack(pixels), parameters)
            updated = [
                optimizer.stateless_apply(state, [gradients[lane]], [pixels[lane]])
                for lane, (optimizer, state) in enumerate(zip(optimizers, states, strict=True))
            ]
            new_pixels = [ops.clip(trainable[0], 0.0, 1.0) for trainable, _ in updated]
            return evaluation, new_pixels, [state for _, state in updated]

        compiled = self.compile(update)

        def step(parameters):
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

    def devices(self) -> list[str]:
        wanted = self._jax.devices("cpu") if self.device.startswith("cpu") else self._jax.devices()
        return ["CPU" if d.platform == "cpu" else d.device_kind for d in wanted]


class TorchEngine(_Engine):
    """Eager PyTorch with autograd."""

    def __init__(self, device: str, precision: str):
        import torch

        super().__init__(device, precision)
        self._torch = torch
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

    def compile_update(self, evaluate, optimizers, images):
        def step(parameters):
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

    def devices(self) -> list[str]:
        if self._torch.cuda.is_available() and not self.device.startswith("cpu"):
            return [self._torch.cuda.get_device_name()]
        return ["CPU"]


def load(device: str = "auto", precision: str = "float32"):
    """The engine of the backend that Keras was started with.

    `device` is `auto`, `cpu`, `gpu` or `gpu:1`; `precision` one of `PRECISIONS`. Raises
    `SettingsError` for a precision or a backend that is not known.
    """
    engines = {"tensorflow": TensorFlowEngine, "jax": JaxEngine, "torch": TorchEngine}
    backend = keras.backend.backend()
    if precision not in PRECISIONS:
        raise errors.unknown("precision", precision, PRECISIONS)
    if backend not in engines:
        raise errors.unknown("KERAS_BACKEND", backend, engines)
    return engines[backend](device, precision)
