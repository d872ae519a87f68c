"""Convolution, pooling and the Gram product with explicit input gradients, tuned for speed.

The network is a constant of the problem: only the image is differentiated. So every operation
here has a gradient with respect to its input alone, written out, and everything that depends on
the weights only is computed once, in NumPy:

    layer = winograd.prepare(kernel, bias, fast)    once; a dict of float32 arrays, handed to the
                                                    compiled function as an argument
    y = conv2d(x, layer)                            in the compiled function, as often as wanted

Tensors are (N, h, w, C), float32, on any Keras backend. N counts independent pictures.
"""

from functools import reduce
from operator import add

import keras
import numpy as np
from keras import ops

from nstbench import winograd
from nstbench.winograd import TILE, tile_transforms


def prepare(kernel: np.ndarray, bias: np.ndarray) -> dict:
    """The arrays that `conv2d` needs for one layer with direct kernels.

    kernel: (k, k, C, K) with k odd, in the order height, width, input, output channel; bias: (K,).
    """
    return _native().prepare(kernel, bias) if _native() else winograd.prepare(kernel, bias)


def conv2d(x, layer: dict):
    """Convolution as networks mean it (cross-correlation), stride 1, zero-padded to x's size.

    y[n,i,j,k] = bias[k] + sum_{a,b,c} x[n,i+a-r,j+b-r,c] kernel[a,b,c,k],  r = (k - 1) / 2

    x: (N, h, w, C), `layer`: from `prepare`; returns (N, h, w, K). The gradient with respect to x
    is the convolution of the upstream gradient with the kernel flipped in space and transposed in
    channels; weights get none.
    """

    if "native" in layer:
        return _native().conv2d(x, layer)

    def forward(x):
        y = _direct(x, layer["kernel"]) if "kernel" in layer else _winograd(x, layer["winograd"])

        def gradient(upstream):
            if "winograd" in layer:
                return _winograd(upstream, layer["winograd"], flipped=True)
            if "taps" in layer:
                return _spread(upstream, layer["taps"])
            return _direct(upstream, layer["flipped"])

        return y + layer["bias"], gradient

    return _with_gradient(forward, x)


def strided(x, layer: dict, stride: int, padding: int):
    """The same with a stride and as many zeros around x; differentiated by the backend."""
    if "native" in layer:
        return _native().conv2d(x, layer, stride, padding)
    pad = (padding, padding)
    x = ops.pad(x, ((0, 0), pad, pad, (0, 0)))
    y = ops.conv(x, layer["kernel"], stride, padding="valid", data_format="channels_last")
    return y + layer["bias"]


def max_pool(x):
    """Largest value of every 2x2 window, stride 2: (N, h, w, C) -> (N, h//2, w//2, C).

    An odd last row or column is left out ("valid"), and gets gradient zero. Among equal values the
    first in reading order gets the gradient, as in TensorFlow's and PyTorch's own max pool.
    """

    if _native():
        return _native().max_pool(x)

    def forward(x):
        windows = _windows(x)
        corners = [windows[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]
        y = ops.maximum(ops.maximum(*corners[:2]), ops.maximum(*corners[2:]))

        def gradient(upstream):
            winner = ops.full_like(y, 3, dtype="int32")
            for index in (2, 1, 0):
                winner = ops.where(corners[index] == y, index, winner)
            order = ops.reshape(ops.arange(4, dtype="int32"), (1, 1, 2, 1, 2, 1))
            spread = ops.where(_repeat(winner) == order, _repeat(upstream), 0.0)
            return _unwindow(spread, x)

        return y, gradient

    return _with_gradient(forward, x)


def avg_pool(x):
    """Mean of every 2x2 window, stride 2, "valid": (N, h, w, C) -> (N, h//2, w//2, C)."""

    if _native():
        return _native().avg_pool(x)

    def forward(x):
        def gradient(upstream):
            quarters = ops.tile(_repeat(upstream * 0.25), (1, 1, 2, 1, 2, 1))
            return _unwindow(quarters, x)

        return ops.mean(_windows(x), axis=(2, 4)), gradient

    return _with_gradient(forward, x)


def self_product(x):
    """X^T X of each matrix, (N, M, C) -> (N, C, C).

    The gradient is X (U + U^T), one product where differentiation would make two.
    """

    def forward(x):
        def gradient(upstream):
            return ops.matmul(x, upstream + ops.transpose(upstream, (0, 2, 1)))

        return ops.einsum("nmc,nmd->ncd", x, x), gradient

    return _with_gradient(forward, x)


def _native():
    """PyTorch's own operations, where it is the backend: eager, it has no use for ours."""
    if keras.backend.backend() != "torch":
        return None
    from nstbench.engine import native

    return native


def _with_gradient(forward, x):
    """The y of `forward(x) -> (y, gradient)`, where gradient(dL/dy) = dL/dx.

    Torch hands the upstream gradient over by name after the inputs, the others by position. The
    forward pass is hidden from the backend's own differentiation, which would only record it.
    """

    def function(x):
        y, gradient = forward(ops.stop_gradient(x))

        def input_gradient(*args, upstream=None):
            return gradient(args[0] if upstream is None else upstream)

        return y, input_gradient

    return ops.custom_gradient(function)(x)


def _direct(x, kernel):
    return ops.conv(x, kernel, strides=1, padding="same", data_format="channels_last")


def _spread(upstream, taps):
    """Gradient of a 3x3 convolution of few input channels: the products first, then their sums.

    upstream: (N, h, w, K); taps: (K, 9 C). One matrix product gives what each output says to each
    of the inputs under its taps, and nine shifted sums collect it: four times as fast as a
    convolution to three channels.
    """
    _, height, width, _ = upstream.shape
    products = ops.matmul(upstream, taps)
    products = ops.pad(products, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [
        products[:, 2 - a : 2 - a + height, 2 - b : 2 - b + width]
        for a in range(3)
        for b in range(3)
    ]
    channels = taps.shape[1] // 9
    return sum(y[..., i * channels : (i + 1) * channels] for i, y in enumerate(shifts))


def _winograd(x, products, flipped: bool = False):
    """3x3 convolution of x with a kernel that `prepare` transformed, or with that kernel flipped.

    x: (N, h, w, C); products: (36, C, K), the tile position counted column by column. Flipping
    reverses the order of the interpolation points and swaps C with K.
    """
    to_tiles, _, from_tiles = tile_transforms()
    order = slice(None, None, -1 if flipped else 1)
    if flipped:
        products = ops.transpose(products, (0, 2, 1))
    batch, height, width, channels = x.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    span = len(to_tiles)

    below, right = (rows + 1) * TILE - 1 - height, (columns + 1) * TILE - 1 - width
    x = ops.pad(x, ((0, 0), (1, below), (1, right), (0, 0)))
    # A stack is what keeps XLA from fusing (and so recomputing) one transform into the next.
    x = ops.stack(_to_tiles(to_tiles, _entries(x, 1))[order])
    x = ops.stack(_to_tiles(to_tiles, _entries(x, 3))[order])
    y = ops.matmul(ops.reshape(x, (span * span, -1, channels)), products)

    y = ops.reshape(y, (span, span, batch, rows, columns, -1))
    y = ops.stack(_from_tiles(from_tiles, ops.unstack(y, axis=1)[order]))
    y = ops.transpose(y, (1, 2, 3, 0, 4, 5))[:, :, :, :, :, None]
    coefficients = ops.convert_to_tensor(from_tiles.T[..., None], dtype=y.dtype)
    pairs = zip(ops.unstack(coefficients), ops.unstack(y)[order], strict=True)
    y = _sum(c * t for c, t in pairs)
    return ops.reshape(y, (batch, rows * TILE, columns * TILE, -1))[:, :height, :width]


def _entries(x, axis: int):
    """The six d of all tiles along one axis of x, whose length is a tile more than the tiles'.

    Every tile begins `TILE` after the one before: four of its entries are its own, and two are the
    next one's first.
    """
    count = x.shape[axis] // TILE - 1
    x = ops.reshape(x, (*x.shape[:axis], count + 1, TILE, *x.shape[axis + 1 :]))

    def of_tiles(first):
        chosen = (*[slice(None)] * axis, slice(first, first + count))
        return ops.unstack(x[chosen], axis=axis + 1)

    return [*of_tiles(0), *of_tiles(1)[:2]]


def _to_tiles(matrix, d):
    """B d. The rows of p and -p agree on d's even entries and are opposite on the odd ones."""

    def even(row):
        return _combine(matrix[row, ::2], d[::2])

    def odd(row):
        return _combine(matrix[row, 1::2], d[1::2])

    pairs = [(even(row), odd(row)) for row in (1, 3)]
    return [even(0), *(t for e, o in pairs for t in (e + o, e - o)), odd(5)]


def _from_tiles(matrix, m):
    """A m. The columns of p and -p agree in A's even rows and are opposite in the odd ones."""
    sums = [m[0], m[1] + m[2], m[4] + m[3], m[5]]
    differences = [m[0], m[1] - m[2], m[4] - m[3], m[5]]
    return [
        _combine(row[[0, 1, 4, 5]], differences if number % 2 else sums)
        for number, row in enumerate(matrix)
    ]


def _combine(coefficients, tensors):
    """The sum of c t, with as few operations as there are coefficients beside 0 and 1."""
    terms = zip(coefficients, tensors, strict=True)
    return _sum(t if c == 1 else float(c) * t for c, t in terms if c)


def _sum(terms):
    """The built-in sum, but for its start at zero: one operation less to trace and compile."""
    return reduce(add, terms)


def _windows(x):
    """(N, h, w, C) -> (N, h//2, 2, w//2, 2, C); an odd last row or column is dropped."""
    _, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))


def _repeat(y):
    """(N, h, w, C) -> (N, h, 1, w, 1, C): one value for each window."""
    return y[:, :, None, :, None, :]


def _unwindow(windows, x):
    """Undo `_windows`: back to the shape of x, zero where it dropped."""
    _, height, width, channels = x.shape
    rows, columns = height // 2 * 2, width // 2 * 2
    image = ops.reshape(windows, (-1, rows, columns, channels))
    if (rows, columns) != (height, width):
        image = ops.pad(image, ((0, 0), (0, height - rows), (0, width - columns), (0, 0)))
    return image
