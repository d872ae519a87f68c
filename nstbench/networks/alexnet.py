"""AlexNet's convolutions as torchvision defines it: A. Krizhevsky, "One weird trick ...", 2014."""

from keras import ops

from nstbench.engine import kernels
from nstbench.networks.extractor import Extractor, Request
from nstbench.networks.sequence import sequence, steps_to

STRIDE, PADDING = 4, 2  # of its first convolution
DEFAULTS = {"content": ("conv4",), "style": tuple(f"conv{n}" for n in range(1, 6))}


def build(request: Request) -> Extractor:
    """AlexNet; it has no options, and its kernels are the direct ones."""
    request.refuse_options()
    steps = steps_to("alexnet", _pool, _strided)
    return sequence(request.prepared(), steps, request.taps, DEFAULTS)


def _pool(x):
    """3x3, overlapping."""
    return ops.max_pool(x, 3, strides=2, padding="valid", data_format="channels_last")


def _strided(x, layer):
    return kernels.strided(x, layer, STRIDE, PADDING)
