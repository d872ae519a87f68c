"""Convolution and pooling with explicit input gradients, tuned for speed.

The network is a constant of the problem: only the image is differentiated. So every operation
here has a gradient with respect to its input alone, written out, and everything that depends on
the weights only is computed once, by `prepare`, in NumPy:

    layer = prepare(kernel, bias, fast)     once; a dict of float32 arrays, handed to the compiled
                                            function as an argument
    y = conv2d(x, layer)                    in the compiled function, as often as wanted

Tensors are (N, h, w, C), float32, on any Keras backend. N counts independent pictures.
"""

import numpy as np
from keras import ops


def prepare(kernel: np.ndarray, bias: np.ndarray, fast: bool) -> dict[str, np.ndarray]:
    """The arrays that `conv2d` needs for one layer.

    kernel: (k, k, C, K) with k odd, in the order height, width, input, output channel; bias: (K,).
    With `fast`, a cheaper algorithm is chosen where the layer's shape makes it pay; without, the
    convolution is always the direct one. The keys of the result are `conv2d`'s own business.
    """
    flipped = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
    return {"kernel": kernel, "flipped": flipped, "bias": bias}


def conv2d(x, layer: dict):
    """Convolution as networks mean it (cross-correlation), stride 1, zero-padded to x's size.

    y[n,i,j,k] = bias[k] + sum_{a,b,c} x[n,i+a-r,j+b-r,c] kernel[a,b,c,k],  r = (k - 1) / 2

    x: (N, h, w, C), `layer`: from `prepare`; returns (N, h, w, K). The gradient with respect to x
    is the convolution of the upstream gradient with the kernel flipped in space and transposed in
    channels; weights get none.
    """

    def forward(x):
        def gradient(upstream):
            return _convolve(upstream, layer["flipped"])

        return _convolve(x, layer["kernel"]) + layer["bias"], gradient

    return _with_gradient(forward, x)


def max_pool(x):
    """Largest value of every 2x2 window, stride 2: (N, h, w, C) -> (N, h//2, w//2, C).

    An odd last row or column is left out ("valid"), and gets gradient zero. Among equal values the
    first in reading order gets the gradient, as in TensorFlow's and PyTorch's own max pool.
    """

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

    def forward(x):
        def gradient(upstream):
            quarters = ops.tile(_repeat(upstream * 0.25), (1, 1, 2, 1, 2, 1))
            return _unwindow(quarters, x)

        return ops.mean(_windows(x), axis=(2, 4)), gradient

    return _with_gradient(forward, x)


def _with_gradient(forward, x):
    """The y of `forward(x) -> (y, gradient)`, where gradient(dL/dy) = dL/dx.

    Torch hands the upstream gradient over by name after the inputs, the others by position.
    """

    def function(x):
        y, gradient = forward(x)

        def input_gradient(*args, upstream=None):
            return gradient(args[0] if upstream is None else upstream)

        return y, input_gradient

    return ops.custom_gradient(function)(x)


def _convolve(x, kernel):
    return ops.conv(x, kernel, strides=1, padding="same", data_format="channels_last")


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
