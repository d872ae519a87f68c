"""Convolution, pooling and the Gram product against exact values, in value and in gradient."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.signal import correlate

from nstbench import winograd
from nstbench.engine import kernels, load

RNG = np.random.default_rng(0)
# N, h, w, C, K: odd sizes, sizes below one tile, channels on both sides of the fast kernels' rule
SHAPES = [
    (1, 8, 8, 3, 4),
    (2, 7, 5, 5, 3),
    (1, 1, 1, 16, 16),
    (3, 9, 17, 16, 40),
    (2, 12, 3, 3, 64),
    (1, 2, 31, 64, 3),
    (1, 6, 5, 512, 512),
]

FAST = list(winograd.Fast)


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def value_and_gradient(function, x, upstream, parameters=(), compiled=False):
    """function(x, parameters), and the gradient of sum(upstream * function(x))."""
    engine = load()
    compile = engine.compile if compiled else lambda function: function
    upstream = ops.convert_to_tensor(upstream)

    def terms(x, parameters):
        weighted = ops.sum(upstream * function(x, parameters), axis=(1, 2, 3))
        zero = ops.zeros_like(weighted)
        return {"content": weighted, "style": zero, "tv": zero}

    x = ops.convert_to_tensor(x)
    parameters = keras.tree.map_structure(ops.convert_to_tensor, parameters)
    value = compile(function)(x, parameters)
    _, gradient = compile(engine.gradient(terms))(x, parameters)
    return engine.to_numpy((value, gradient))


def exact(x, kernel, bias=0.0):
    """'same' cross-correlation in float64."""
    x, kernel = x.astype("float64"), kernel.astype("float64")
    r = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcab,abck->nhwk", windows, kernel, optimize=True) + bias


def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def test_the_exact_convolution_is_scipys():
    x, kernel = normal(1, 6, 7, 3), normal(3, 3, 3, 1)
    padded = np.pad(x[0].astype("float64"), ((1, 1), (1, 1), (0, 0)))
    expected = correlate(padded, kernel[..., 0].astype("float64"), mode="valid")
    np.testing.assert_allclose(exact(x, kernel)[0], expected, atol=1e-12)


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize("n, h, w, c, k", SHAPES)
def test_convolution_and_its_gradient(n, h, w, c, k, fast):
    x, kernel, bias, upstream = (
        normal(n, h, w, c),
        normal(3, 3, c, k),
        normal(k),
        normal(n, h, w, k),
    )
    layer = winograd.prepare(kernel, bias, fast)
    y, dx = value_and_gradient(kernels.conv2d, x, upstream, layer)
    assert relative(y, exact(x, kernel, bias)) < 1e-5
    assert relative(dx, exact(upstream, kernel[::-1, ::-1].swapaxes(2, 3))) < 1e-5


@pytest.mark.parametrize("fast", FAST)
def test_compiled_is_the_same(fast):
    x, upstream = normal(2, 11, 6, 20), normal(2, 5, 3, 24)
    layer = winograd.prepare(normal(3, 3, 20, 24), normal(24), fast)

    def block(x, layer):
        return kernels.max_pool(ops.relu(kernels.conv2d(x, layer)))

    eager = value_and_gradient(block, x, upstream, layer)
    compiled = value_and_gradient(block, x, upstream, layer, compiled=True)
    for a, b in zip(compiled, eager, strict=True):
        assert relative(a, b) < 1e-5


def test_every_layer_gets_the_kernels_that_suit_it():
    wide, bias = normal(3, 3, 64, 64), normal(64)
    native = keras.backend.backend() == "torch"
    direct = {"native", "bias"} if native else {"kernel", "flipped", "bias"}
    assert set(kernels.prepare(wide, bias)) == direct
    assert set(winograd.prepare(wide, bias, winograd.Fast.BACK)) == {"kernel", "winograd", "bias"}
    assert set(winograd.prepare(wide, bias, winograd.Fast.BOTH)) == {"winograd", "bias"}
    narrow = winograd.prepare(normal(3, 3, 3, 64), bias, winograd.Fast.BACK)
    assert set(narrow) == {"kernel", "taps", "bias"}
    five = winograd.prepare(normal(5, 5, 64, 64), bias, winograd.Fast.BOTH)
    assert set(five) == {"kernel", "flipped", "bias"}


@pytest.mark.parametrize(
    "size, expected", [(64, "BBNNN"), (128, "BB2NN"), (256, "BB22N"), (512, "BB222")]
)
def test_flat_areas_stay_flat_and_few_positions_stay_direct(size, expected):
    """The scales of VGG's five blocks."""
    chosen = [winograd.choose(scale, size * size) for scale in (1, 2, 4, 8, 16)]
    letters = {winograd.Fast.NOWHERE: "N", winograd.Fast.BACK: "B", winograd.Fast.BOTH: "2"}
    assert "".join(letters[fast] for fast in chosen) == expected


def test_a_five_by_five_layer():
    x, kernel, upstream = normal(2, 9, 6, 4), normal(5, 5, 4, 7), normal(2, 9, 6, 7)
    layer = winograd.prepare(kernel, np.zeros(7, "float32"), winograd.Fast.BOTH)
    y, dx = value_and_gradient(kernels.conv2d, x, upstream, layer)
    assert relative(y, exact(x, kernel)) < 1e-5
    assert relative(dx, exact(upstream, kernel[::-1, ::-1].swapaxes(2, 3))) < 1e-5


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3)])
def test_max_pool_and_its_gradient(size):
    x, upstream = normal(2, *size, 3), normal(2, size[0] // 2, size[1] // 2, 3)
    y, dx = value_and_gradient(lambda x, _: kernels.max_pool(x), x, upstream)
    expected = np.zeros_like(x)
    for n, i, j, c in np.ndindex(upstream.shape):
        window = x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        assert y[n, i, j, c] == window.max()
        a, b = np.unravel_index(window.argmax(), (2, 2))
        expected[n, 2 * i + a, 2 * j + b, c] = upstream[n, i, j, c]
    np.testing.assert_array_equal(dx, expected)


def test_max_pool_gives_a_tie_to_the_first_in_reading_order():
    x = np.array([[0, 1, 2, 2], [1, 1, 2, 2]], "float32").reshape(1, 2, 4, 1)
    _, dx = value_and_gradient(lambda x, _: kernels.max_pool(x), x, np.ones((1, 1, 2, 1), "f4"))
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_avg_pool_and_its_gradient(size):
    x, upstream = normal(2, *size, 3), normal(2, size[0] // 2, size[1] // 2, 3)
    y, dx = value_and_gradient(lambda x, _: kernels.avg_pool(x), x, upstream)
    expected = np.zeros_like(x)
    for n, i, j, c in np.ndindex(upstream.shape):
        window = np.s_[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        np.testing.assert_allclose(y[n, i, j, c], x[window].mean(), rtol=1e-5, atol=1e-6)
        expected[window] = upstream[n, i, j, c] / 4
    np.testing.assert_allclose(dx, expected, rtol=1e-6)


def test_self_product_and_its_gradient():
    x, upstream = normal(2, 5, 7, 4), normal(2, 1, 4, 4)  # no symmetric gradient from above

    def function(x, _):
        return kernels.self_product(ops.reshape(x, (2, 35, 4)))[:, None]

    y, dx = value_and_gradient(function, x, upstream)
    flat = x.reshape(2, 35, 4).astype("float64")
    assert relative(y[:, 0], flat.swapaxes(1, 2) @ flat) < 1e-6
    both = upstream[:, 0] + upstream[:, 0].swapaxes(1, 2)
    assert relative(dx.reshape(flat.shape), flat @ both) < 1e-6


@pytest.mark.parametrize("fast", FAST)
def test_the_pictures_of_a_batch_do_not_touch(fast):
    x, upstream = normal(3, 10, 9, 16), normal(3, 5, 4, 24)
    layer = winograd.prepare(normal(3, 3, 16, 24), normal(24), fast)

    def block(x, layer):
        return kernels.max_pool(ops.relu(kernels.conv2d(x, layer)))

    together = value_and_gradient(block, x, upstream, layer)
    for lane in range(3):
        pick = np.s_[lane : lane + 1]
        alone = value_and_gradient(block, x[pick], upstream[pick], layer)
        for a, b in zip(together, alone, strict=True):
            assert relative(a[pick], b) < 1e-5
