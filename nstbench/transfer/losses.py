"""Formulas of neural style transfer, one pure function each, in `keras.ops`.

Every tensor has a leading axis N: pictures that are evaluated together. `F` are the features of the
image, `(N, h, w, C)`; a target has N = 1 and is shared. Every distance returns shape `(N,)`, so the
pictures of one batch never mix.

Every published objective that nstbench knows is one canonical form,

    sum_l a_l mean((F_l - P_l)^2) + sum_l b_l mean((S(F_l) - S(A_l))^2) + c TV(x),

with S a style statistic (the Gram matrix over the number of positions, as a rule). What authors
write differently (half sums, 1/(4 N^2 M^2), ...) is a factor that depends on shapes alone: see
`CONTENT_FACTORS` and `STYLE_FACTORS`.
"""

from types import MappingProxyType

from keras import ops

# Factor on mean((F - P)^2) for a layer of C channels, M = h w positions.
CONTENT_FACTORS = MappingProxyType(
    {
        "mean": lambda c, m, pixels: 1.0,  # mean squared error
        "half_sum": lambda c, m, pixels: c * m / 2,  # Gatys et al. 2015, eq. 1
        "sum": lambda c, m, pixels: c * m,  # the Keras example
    }
)

# Factor on mean((G_F/M_F - G_A/M_A)^2); G is the raw Gram matrix, `pixels` = rows x columns of x.
STYLE_FACTORS = MappingProxyType(
    {
        "mean": lambda c, m, pixels: 1.0,  # the TensorFlow tutorial: G / M
        "per_channel": lambda c, m, pixels: 1 / c**2,  # G / (C M): neural-style, PyTorch tutorial
        "paper": lambda c, m, pixels: 1 / 4,  # sum (G - A)^2 / (4 C^2 M^2), pictures of one size
        # The Keras example divides the raw Gram's sum of squares by 4 * 3^2 * (rows * columns)^2.
        "keras_example": lambda c, m, pixels: c**2 * m**2 / (36 * pixels**2),
    }
)


def mean_squared(values, target):
    """mean((values - target)^2) over all but the first axis: `(N, ...)`, `(1, ...)` -> `(N,)`."""
    axes = tuple(range(1, len(values.shape)))
    return ops.mean(ops.square(values - target), axis=axes)


def gram(features):
    """Gram matrix per position, G / M = F^T F / (h w): `(N, h, w, C)` -> `(N, C, C)`."""
    n, h, w, c = features.shape
    flat = ops.reshape(features, (n, h * w, c))
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (h * w)


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
STATISTICS = MappingProxyType({"gram": gram})
