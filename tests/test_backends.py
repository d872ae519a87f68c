"""JAX and PyTorch hold the same values as TensorFlow: its tests, repeated on each of them.

`KERAS_BACKEND` is read once per process, so each backend has processes of its own.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BACKENDS = pytest.mark.parametrize("backend", ["jax", "torch"])


# Two classes, so that two workers share them.
@pytest.mark.timeout(900)
@BACKENDS
class TestGoldenValues:
    def test_terms_gradient_and_all_trajectories_agree_with_tensorflow(self, backend):
        run_on(backend, "test_golden.py")


@pytest.mark.timeout(900)
@BACKENDS
class TestOptimizers:
    def test_every_optimizers_own_tests_pass(self, backend):
        files = ("optimizers", "foreign_optimizers", "engine", "programs")
        run_on(backend, *(f"test_{name}.py" for name in files))


PACKAGES = {"jax": ("jax", "optax"), "torch": ("torch",)}


def run_on(backend, *files):
    missing = [name for name in PACKAGES[backend] if importlib.util.find_spec(name) is None]
    if missing:
        assert os.environ.get("CI") != "true", f"{missing} are part of the test extra"
        pytest.skip(f"not installed: {missing}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist",
         *(str(HERE / name) for name in files)],
        env=os.environ | {"KERAS_BACKEND": backend}, cwd=HERE.parent,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
