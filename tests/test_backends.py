"""JAX and PyTorch hold the same values as TensorFlow: its tests, repeated on each of them.

`KERAS_BACKEND` is read once per process, so each backend has a process of its own, and one only.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Golden values of every term, the gradient and all trajectories; every optimizer's own tests.
FILES = ("test_golden.py", "test_optimizers.py", "test_engine.py")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backend_agrees_with_tensorflow(backend):
    if importlib.util.find_spec(backend) is None:
        assert os.environ.get("CI") != "true", f"{backend} is part of the test extra"
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
         *(str(HERE / name) for name in FILES)],
        env=os.environ | {"KERAS_BACKEND": backend}, cwd=HERE.parent,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
