"""Formulas of neural style transfer, one pure function each, in `keras.ops`.

Every tensor has a leading axis N: pictures that are evaluated together. `F` are the features of the
image, `(N, h, w, C)`; a target has N = 1 and is shared. Every distance returns shape `(N,)`, so the
pictures of one batch never mix.

Every published objective that nstbench knows is one canonical form,

    sum_l a_l mean((F_l - P_l)^2) + sum_l b_l mean((S(F_l) - S(A_l))^2) + c TV(x),

with S a style statistic (the Gram matrix over the number of positions, as a rule; others are in
`STATISTICS`). What authors
write differently (half sums, 1/(4 N^2 M^2), ...) is a factor that depends on shapes alone: see
`CONTENT_FACTORS` and `STYLE_FACTORS`.
"""

from types import MappingProxyType

import numpy as np
from keras import ops

from nstbench.engine import kernels

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


ACTIVATION_SHIFT = -1.0  # Novak & Nikulin 2016, section on the activation shift
ADAIN_EPSILON = 1e-5  # under the square root; Huang & Belongie's code
SLICES = 64  # random directions of `sliced_quantiles`; Heitz et al. take one per channel


def mean_squared(values, target):
    """mean((values - target)^2) over all but the first axis: `(N, ...)`, `(1, ...)` -> `(N,)`."""
    axes = tuple(range(1, len(values.shape)))
    return ops.mean(ops.square(values - target), axis=axes)


def gram(features):
    """Gram matrix per position, G / M = F^T F / (h w): `(N, h, w, C)` -> `(N, C, C)`."""
    n, h, w, c = features.shape
    flat = ops.reshape(features, (n, h * w, c))
    return kernels.self_product(flat) / (h * w)


def centred_gram(features):
    """Covariance of the channels, (F - mean F)^T (F - mean F) / (h w).

    `(N, h, w, C)` -> `(N, C, C)`. The Gram matrix without the means' share: it tells textures
    apart but for their average colour. Li, Wang, Liu & Hou, "Demystifying neural style transfer"
    (2017), place it among the feature statistics that define a style.
    """
    return gram(features - ops.mean(features, axis=(1, 2), keepdims=True))


def shifted_gram(features):
    """Gram matrix of shifted activations, (F + s)^T (F + s) / (h w), s = `ACTIVATION_SHIFT`.

    `(N, h, w, C)` -> `(N, C, C)`. After a ReLU most entries of F are 0, and so are most products:
    shifted, an absent feature counts too. Novak & Nikulin, "Improving the neural algorithm of
    artistic style" (2016).
    """
    return gram(features + ACTIVATION_SHIFT)


def mean_std(features):
    """Mean and standard deviation of each channel, `(N, h, w, C)` -> `(N, 2, C)`.

    The statistics that adaptive instance normalisation matches: Huang & Belongie, "Arbitrary style
    transfer in real-time with adaptive instance normalization" (2017), equation 13.
    """
    mean, variance = ops.moments(features, axes=[1, 2])
    return ops.stack([mean, ops.sqrt(variance + ADAIN_EPSILON)], axis=1)


def sliced_quantiles(features):
    """Sorted projections onto random directions, `(N, h, w, C)` -> `(N, h w, SLICES)`.

    Column k holds F v_k in ascending order, |v_k| = 1, always the same v. The mean squared
    difference of two such tensors is the sliced Wasserstein-2 distance squared between the
    distributions of features: Heitz, Vanhoey, Chambon & Belcour, "A sliced Wasserstein loss for
    neural texture synthesis" (2021), equations 4 to 7. Use `resample` where the sizes differ.
    """
    n, h, w, c = features.shape
    # Directions come from NumPy: one sequence on every backend, device and day.
    directions = np.random.default_rng(0).standard_normal((c, SLICES))
    directions /= np.linalg.norm(directions, axis=0)
    flat = ops.reshape(features, (n, h * w, c))
    slices = ops.matmul(flat, ops.convert_to_tensor(directions, dtype=features.dtype))
    # Sorted along the last axis, where every backend does it in place.
    return ops.transpose(ops.sort(ops.transpose(slices, (0, 2, 1)), axis=-1), (0, 2, 1))


def resample(target, rows: int):
    """A statistic `(1, M, K)` with `rows` in place of M rows, read as M quantiles and interpolated.

    Row i is the quantile (i + 1/2) / M. Only `sliced_quantiles` has a number of rows that depends
    on the picture's size; a statistic that has the wanted number already is returned as it is.
    """
    m = target.shape[1]
    if m == rows:
        return target
    place = np.clip((np.arange(rows) + 0.5) * m / rows - 0.5, 0, m - 1)
    below = np.floor(place).astype("int32")
    above = np.minimum(below + 1, m - 1)
    share = ops.convert_to_tensor((place - below)[None, :, None], dtype=target.dtype)
    lower, upper = ops.take(target, below, axis=1), ops.take(target, above, axis=1)
    return lower + share * (upper - lower)


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
STATISTICS = MappingProxyType(
    {
        "gram": gram,
        "centred_gram": centred_gram,
        "shifted_gram": shifted_gram,
        "mean_std": mean_std,
        "sliced_quantiles": sliced_quantiles,
    }
)
