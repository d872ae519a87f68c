"""The style-transfer core: pure functions of images and weights, on any Keras backend.

`KERAS_BACKEND` chooses the backend, TensorFlow where it is not set.
"""

import os
import sys


def _import_keras() -> None:
    """Keras, without what it and TensorFlow import only because it is there.

    They support these packages if they find them, which nothing here uses: 170 MB and a second of
    every run.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    hidden = {"pandas", "matplotlib", "jax"} - {backend} - sys.modules.keys()
    sys.modules.update(dict.fromkeys(hidden))
    try:
        import keras  # noqa: F401
    finally:
        for package in hidden:
            del sys.modules[package]


_import_keras()
