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
        run_on(backend, "test_optimizers.py", "test_engine.py", "test_programs.py")


def run_on(backend, *files):
    if importlib.util.find_spec(backend) is None:
        assert os.environ.get("CI") != "true", f"{backend} is part of the test extra"
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist",
         *(str(HERE / name) for name in files)],
        env=os.environ | {"KERAS_BACKEND": backend}, cwd=HERE.parent,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
