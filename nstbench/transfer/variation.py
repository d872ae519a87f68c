"""Total variation of pictures `(N, H, W, 3)`, one pure function each: `(N,)`, no mixing."""

from types import MappingProxyType

from keras import ops


def total_variation_l1(image):
    """Anisotropic total variation sum |dx| + sum |dy|: `(N, H, W, 3)` -> `(N,)`.

    Equals `tf.image.total_variation`.
    """
    dy, dx = _differences(image)
    return ops.sum(ops.abs(dy), axis=(1, 2, 3)) + ops.sum(ops.abs(dx), axis=(1, 2, 3))


def total_variation_l2(image):
    """Mean squared differences, mean dx^2 + mean dy^2: `(N, H, W, 3)` -> `(N,)`."""
    dy, dx = _differences(image)
    return ops.mean(ops.square(dy), axis=(1, 2, 3)) + ops.mean(ops.square(dx), axis=(1, 2, 3))


def total_variation_power(image):
    """sum (dx^2 + dy^2)^1.25 over the window both share: `(N, H, W, 3)` -> `(N,)`.

    The regulariser of Mahendran & Vedaldi with beta = 2.5, as in the Keras example.
    """
    dy, dx = _differences(image)
    squares = ops.square(dy[:, :, :-1]) + ops.square(dx[:, :-1])
    # x * sqrt(sqrt(x)): the same as x^1.25, without the logarithm of zero in a power's gradient;
    # the tiny offset keeps the square root's own gradient finite where a region is flat.
    return ops.sum(squares * ops.sqrt(ops.sqrt(squares + 1e-30)), axis=(1, 2, 3))


def _differences(image):
    """Forward differences (down, right): `(N, H-1, W, 3)` and `(N, H, W-1, 3)`."""
    return image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]


VARIATIONS = MappingProxyType(
    {"l1_sum": total_variation_l1, "l2_mean": total_variation_l2, "power": total_variation_power}
)
