"""The backend seam: the only package that names a backend.

TensorFlow is the default and the reference; JAX and PyTorch are reached with `KERAS_BACKEND`, the
ecosystem's own switch. Everything above writes `keras.ops`; `base.Engine` is the contract.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from nstbench import errors

if TYPE_CHECKING:
    from nstbench.engine.base import Engine

PRECISIONS = ("float32", "tf32", "bfloat16", "float64")
# Module and class of each backend's engine.
ENGINES = {
    "tensorflow": ("nstbench.engine.tensorflow", "TensorFlowEngine"),
    "jax": ("nstbench.engine.jax", "JaxEngine"),
    "torch": ("nstbench.engine.torch", "TorchEngine"),
}


def load(device: str = "auto", precision: str = "float32", purpose: str = "") -> "Engine":
    """The engine of the backend that Keras was started with.

    `device` is `auto`, `cpu`, `gpu` or `gpu:1`; `precision` one of `PRECISIONS`; by `purpose`, some
    words, compiled programs are found again. Raises `SettingsError` for a device that is not there,
    a precision or backend not known, and for float64 on PyTorch.
    """
    import keras

    backend = keras.backend.backend()
    if precision not in PRECISIONS:
        raise errors.unknown("precision", precision, PRECISIONS)
    if backend not in ENGINES:
        raise errors.unknown("KERAS_BACKEND", backend, ENGINES)
    module, name = ENGINES[backend]
    return getattr(import_module(module), name)(device, precision, purpose)


def _import_keras() -> None:
    """Keras, without what it and TensorFlow import only because it is there.

    They support these packages if they find them, which nothing here uses: 170 MB and a second of
    every run.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    hidden = {"pandas", "matplotlib", "jax"} - {backend} - sys.modules.keys()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        import keras  # noqa: F401
    finally:
        for package in hidden:
            del sys.modules[package]


_import_keras()
