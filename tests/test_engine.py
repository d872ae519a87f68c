"""The backend seam, on whatever backend Keras was started with: devices, waiting, overhead."""

import time

import keras
import numpy as np
import pytest
from keras import ops

from nstbench import engine as engines
from nstbench.errors import SettingsError
from nstbench.optimizers import minimise
from nstbench.transfer.objective import Objective

STEPS = 50
# Processor seconds of one step of a trivial objective with a network's worth of arguments: what
# the harness and the backend's own dispatch cost. Several times what was measured on two busy
# cores (TensorFlow 0.2 ms, JAX 0.1 ms, PyTorch 0.5 ms), far below 1 % of a step at 256 pixels.
OVERHEAD_S = {"tensorflow": 2e-3, "jax": 1e-3, "torch": 2e-3}


@pytest.fixture(scope="module")
def engine():
    return engines.load("cpu")


def bowl(engine, arguments=45):
    """(x - 1/2)^2, with as many unused arguments as VGG-19 has."""

    def terms(images, parameters):
        loss = ops.sum(ops.square(images - parameters["target"]), axis=(1, 2, 3))
        return {"bowl": loss, "nothing": 0.0 * loss}

    unused = {f"unused{i}": ops.zeros((3,), engine.dtype) for i in range(arguments)}
    return Objective(terms, unused | {"target": ops.full((4, 4, 3), 0.5, engine.dtype)})


def test_value_and_gradient(engine):
    objective = bowl(engine)
    evaluate = engine.compile_evaluation(objective.terms, objective.parameters)
    x = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    values, gradient = engine.to_numpy(evaluate(ops.convert_to_tensor(x)))
    expected = 2 * (x - 0.5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(values.loss, np.square(x - 0.5).sum((1, 2, 3)), rtol=1e-6)
    norms = np.sqrt(np.square(expected).sum((1, 2, 3)))
    np.testing.assert_allclose(values.grad_norm, norms, rtol=1e-6)


def test_a_step_costs_little_beside_the_network(engine):
    adam = keras.optimizers.Adam(0.01)
    one = minimise.create(engine, bowl(engine), np.zeros((4, 4, 3), "float32"), adam)
    one.warm_up()
    one.advance(STEPS)

    def seconds():
        before = time.thread_time()
        one.advance(STEPS)
        return (time.thread_time() - before) / STEPS

    assert min(seconds() for _ in range(5)) < OVERHEAD_S[keras.backend.backend()]


def test_synchronise_waits_and_costs_nothing_when_idle(engine):
    a = ops.convert_to_tensor(np.random.default_rng(0).random((600, 600), np.float32))
    square = engine.compile(lambda x: ops.matmul(x, ops.matmul(x, x)))
    square(a)
    engine.synchronise()
    before = time.thread_time()
    for _ in range(100):
        engine.synchronise()
    assert (time.thread_time() - before) / 100 < 1e-3


def test_devices(engine):
    assert engine.devices() == ["CPU"]
    assert engines.load().devices() == (engine.accelerators()[:1] or ["CPU"])
    with engine.scope():
        assert engine.to_numpy(ops.ones((2,)) + 1).tolist() == [2, 2]


@pytest.mark.parametrize("device", ["gpu:9", "tpu", "gpu:x", "cpu:1", ""])
def test_a_device_that_is_not_there(device):
    with pytest.raises(SettingsError, match="device"):
        engines.load(device)


def test_precisions():
    expected = {
        "float32": ("float32", "float32"),
        "tf32": ("float32", "float32"),
        "bfloat16": ("float32", "bfloat16"),
    }
    if keras.backend.backend() == "torch":  # where Keras's operations would quietly narrow it
        with pytest.raises(SettingsError, match="float64.*tensorflow or jax"):
            engines.load("cpu", "float64")
    else:
        expected["float64"] = ("float64", "float64")
    dtypes = {p: engines.load("cpu", p) for p in expected}
    assert {p: (e.dtype, e.network_dtype) for p, e in dtypes.items()} == expected
    with pytest.raises(SettingsError, match="precision"):
        engines.load("cpu", "float16")
    engines.load("cpu", "float32")  # the last one counts: settings of a backend are global
