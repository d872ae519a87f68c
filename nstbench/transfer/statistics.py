"""Style statistics: what is compared of the features, one pure function each, in `keras.ops`.

A statistic maps features `(N, h, w, C)` to `(N, M, K)`, each picture on its own. Where M depends on
the picture's size, rows are read as quantiles: see `resample`. A statistic of one's own is any
function of this form, named by path: `objective.style.statistic=./my_stat.py:moments`.
"""

import numpy as np
from keras import ops

from nstbench.engine import kernels

ACTIVATION_SHIFT = -1.0  # Novak & Nikulin 2016, section on the activation shift
ADAIN_EPSILON = 1e-5  # under the square root; Huang & Belongie's code
SLICES = 64  # random directions of `sliced_quantiles`; Heitz et al. take one per channel


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
