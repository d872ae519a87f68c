"""Winograd's fast convolution, as far as it depends on the weights alone. Needs no framework.

It is F(4x4, 3x3) [Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016]:
6x6 input tiles, 36 products for 16 outputs instead of 144, summed over channels by one batched
matrix product. Its interpolation points 0, +-sqrt(2), +-1/sqrt(2) and infinity have two virtues.
They are closed under p -> 1/p, which is what flipping a kernel does to its transform, so the
gradient reuses the forward weights. And they round better than the textbook's 0, +-1, +-2: the
largest error of one layer is below 1e-5 of the largest output, tested up to 512 channels; the
direct sum's own is about 1e-6.

Which of a network's layers are fast is `choose`'s simple rule:

- Before the second pool, the gradient alone. Where a picture is flat, the values in a window of a
  max pool are equal, and the first gets the gradient. Only the direct sum keeps them equal to the
  last bit; Winograd's rounding would pick a winner of its own, and turn the gradient of a picture
  with a black background by a tenth. Higher up nothing is flat any more.
- Where fewer than `ENOUGH` positions are left, neither way: the transformed weights, four times the
  kernel's, take longer to read than the few tiles save.
- Elsewhere both ways.
"""

from enum import Enum

import numpy as np

WIDE = 16  # fewest input and output channels for which Winograd's products outweigh its transforms
ENOUGH = 512  # fewest positions of a layer for which Winograd's products outweigh its weights
NOWHERE_FLAT = 4  # pixels per step of a layer from which rounding may decide, see above
AT_A_TIME = 1 << 13  # taps transformed in double precision: they stay in the cache
TILE = 4  # outputs of a tile along each axis; its inputs are two more


class Fast(Enum):
    """Where a layer's kernels are fast."""

    NOWHERE = 0
    BACK = 1  # the gradient
    BOTH = 2  # the convolution and its gradient


def choose(scale: int, pixels: int) -> Fast:
    """What suits a layer with one position for scale x scale of a picture's `pixels`."""
    if pixels < ENOUGH * scale**2:
        return Fast.NOWHERE
    return Fast.BACK if scale < NOWHERE_FLAT else Fast.BOTH


def prepare(kernel: np.ndarray, bias: np.ndarray, fast: Fast = Fast.NOWHERE) -> dict:
    """The arrays that `conv2d` needs for one layer.

    kernel: (k, k, C, K) with k odd, in the order height, width, input, output channel; bias: (K,).
    A `fast` 3x3 layer gets Winograd's kernels if it has at least `WIDE` channels on both sides, and
    a cheaper gradient if it has fewer inputs. Any other layer is direct. The keys of the result are
    `conv2d`'s own business.
    """
    size, _, inputs, outputs = kernel.shape
    quick = size == 3 and fast is not Fast.NOWHERE
    layer = {"bias": bias}
    if quick and min(inputs, outputs) >= WIDE:
        layer["winograd"] = _products(kernel)
        return layer | ({"kernel": kernel} if fast is Fast.BACK else {})
    if quick and inputs < WIDE:
        taps = np.ascontiguousarray(kernel.reshape(-1, outputs).T)
        return layer | {"kernel": kernel, "taps": taps}
    flipped = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
    return layer | {"kernel": kernel, "flipped": flipped}


def _products(kernel: np.ndarray) -> np.ndarray:
    """(G g) G' of every tap: (3, 3, C, K) -> (36, C, K), the tile position column by column."""
    to_products = tile_transforms()[1]
    matrix = np.kron(to_products, to_products)
    taps = kernel.swapaxes(0, 1).reshape(9, -1)
    products = np.empty((len(matrix), taps.shape[1]), np.float32)
    for start in range(0, taps.shape[1], AT_A_TIME):
        part = slice(start, start + AT_A_TIME)
        products[:, part] = matrix @ taps[:, part].astype(np.float64)
    return products.reshape(-1, *kernel.shape[2:])


def tile_transforms():
    """B (6, 6), G (6, 3) and A (4, 6) of y = A [(G g) * (B d)]: d 6 inputs, g 3 taps, y 4 outputs.

    With V_n the Vandermonde matrix of n columns at the six points, A = V_4' and, but for scale,
    G = V_3 and B = V_6^-T. Row p of G is divided by 3 |p|: by |p|, so that a reversed g gives the
    row of 1/p, and by 3, which leaves more ones in B.
    """
    points = np.array([0, 2**0.5, -(2**0.5), -(2**-0.5), 2**-0.5])
    scale = np.append(np.where(points == 0, 1, 3 * abs(points)), 1)[:, None]

    def vandermonde(columns):
        infinity = np.eye(columns)[-1]
        return np.vstack([np.vander(points, columns, increasing=True), infinity])

    to_tiles = np.linalg.inv(vandermonde(TILE + 2)).T * scale
    return to_tiles.round(12), vandermonde(3) / scale, vandermonde(TILE).T
