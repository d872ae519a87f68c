"""AlexNet's convolutions as torchvision defines it: A. Krizhevsky, "One weird trick ...", 2014."""

from keras import ops

from nstbench.engine import kernels
from nstbench.networks import weights
from nstbench.networks.extractor import Extractor, Request
from nstbench.networks.sequence import Step, convolution, sequence

STRIDE, PADDING = 4, 2  # of its first convolution
POOLED = ("conv1", "conv2", "conv5")  # followed by a 3x3 max pool with stride 2
DEFAULTS = {"content": ("conv4",), "style": tuple(f"conv{n}" for n in range(1, 6))}


def build(request: Request) -> Extractor:
    """AlexNet; it has no options, and its kernels are the direct ones."""
    request.refuse_options()
    loaded = weights.load("alexnet", request.weights, request.progress, request.seed)
    steps: dict[str, Step] = {}
    for name in loaded.layers:
        steps |= convolution(name, _strided if name == "conv1" else kernels.conv2d)
        if name in POOLED:
            steps[name.replace("conv", "pool")] = lambda x, parameters: _pool(x)
    return sequence(loaded, steps, {}, request.taps, DEFAULTS)


def _pool(x):
    return ops.max_pool(x, 3, strides=2, padding="valid", data_format="channels_last")


def _strided(x, layer):
    return kernels.strided(x, layer, STRIDE, PADDING)
