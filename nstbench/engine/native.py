"""PyTorch's own convolution and pooling on (N, h, w, C), without a copy in either direction.

A contiguous (N, h, w, C) tensor seen as (N, C, h, w) is exactly PyTorch's memory format
"channels_last", which its convolutions take and give. Autograd differentiates with respect to the
input alone, since no weight asks for a gradient.
"""

import numpy as np
from torch.nn import functional


def prepare(kernel: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """The layer's arrays: `native` (K, k, k, C), which is channels_last once seen as (K, C, k, k).

    kernel: (k, k, C, K) with k odd; bias: (K,).
    """
    return {"native": np.ascontiguousarray(kernel.transpose(3, 0, 1, 2)), "bias": bias}


def conv2d(x, layer: dict, stride: int = 1, padding: int | None = None):
    """(N, h, w, C) -> (N, h, w, K); with stride 1 and no `padding`, zero-padded to x's size."""
    kernel = _channels_first(layer["native"])
    padding = kernel.shape[-1] // 2 if padding is None else padding
    y = functional.conv2d(_channels_first(x), kernel, layer["bias"], stride, padding)
    return _channels_last(y)


def max_pool(x):
    """2x2, stride 2, "valid"; of equal values the first in reading order gets the gradient."""
    return _channels_last(functional.max_pool2d(_channels_first(x), 2))


def avg_pool(x):
    """2x2, stride 2, "valid"."""
    return _channels_last(functional.avg_pool2d(_channels_first(x), 2))


def _channels_first(x):
    return x.permute(0, 3, 1, 2)


def _channels_last(x):
    return x.permute(0, 2, 3, 1)
