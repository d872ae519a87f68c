"""Convolution and pooling against exact values, in value and in gradient."""

import numpy as np
import pytest
from keras import ops
from scipy.signal import correlate

from nstbench.transfer import kernels

RNG = np.random.default_rng(0)
SHAPES = [(1, 8, 8, 3, 4), (2, 7, 5, 5, 3), (1, 1, 1, 2, 2), (3, 9, 16, 16, 8), (1, 13, 6, 64, 64)]


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def value_and_gradient(function, x, weights):
    """sum(function(x) * weights) and its gradient with respect to x, through the backend."""
    import tensorflow as tf

    x = tf.constant(x)

    @tf.function(jit_compile=True, autograph=False)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            total = ops.sum(y * weights)
        return y, tape.gradient(total, x)

    return [np.asarray(t) for t in run(x)]


def exact(x, kernel, bias):
    """'same' cross-correlation in float64."""
    x, kernel = x.astype("float64"), kernel.astype("float64")
    r = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))
    planes = [
        [correlate(image, kernel[..., k], mode="valid")[..., 0] for k in range(kernel.shape[3])]
        for image in padded
    ]
    return np.moveaxis(np.array(planes), 1, 3) + bias


def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("n, h, w, c, k", SHAPES)
def test_convolution_and_its_gradient_are_exact(n, h, w, c, k, fast):
    x, kernel, bias, upstream = (
        normal(n, h, w, c),
        normal(3, 3, c, k),
        normal(k),
        normal(n, h, w, k),
    )
    layer = kernels.prepare(kernel, bias, fast)
    y, dx = value_and_gradient(lambda x: kernels.conv2d(x, layer), x, upstream)
    assert relative(y, exact(x, kernel, bias)) < 1e-5
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    assert relative(dx, exact(upstream, flipped, 0.0)) < 1e-5
