"""VGG-16 and VGG-19 without their dense layers, with max or average pooling.

K. Simonyan & A. Zisserman, "Very deep convolutional networks", 2014, table 1, D and E. Layers bear
Keras's names: block1_conv1 ... block5_pool.
"""

from nstbench import errors, outside
from nstbench.engine import kernels
from nstbench.engine.kernels import Fast
from nstbench.networks import weights
from nstbench.networks.extractor import Extractor, Request
from nstbench.networks.sequence import sequence, steps_to
from nstbench.networks.weights import NetworkWeights

POOLINGS = {"max": kernels.max_pool, "avg": kernels.avg_pool}
OPTIONS = {"pooling": "max"}  # as trained
# The report's layers, which are those of the TensorFlow tutorial.
DEFAULTS = {
    "content": ("block5_conv2",),
    "style": tuple(f"block{n}_conv1" for n in range(1, 6)),
}


def build(request: Request) -> Extractor:
    """The VGG that `request` names; its one option is `pooling`, "max" or "avg"."""
    options = outside.check_options(request.name, request.options, OPTIONS)
    pooling = options["pooling"]
    if pooling not in POOLINGS:
        raise errors.unknown(f"extractor.pooling of {request.name}", pooling, POOLINGS)
    loaded = weights.load(request.name, request.weights, request.progress, request.seed)
    fast = _fast_layers(loaded, request.pixels) if request.kernels == "fast" else {}
    steps = steps_to(request.name, POOLINGS[pooling])
    return sequence(loaded, steps, fast, request.taps, DEFAULTS)


def _fast_layers(loaded: NetworkWeights, pixels: int) -> dict[str, Fast]:
    """Every block's pool doubles the pixels per step of the layers after it."""
    blocks = {name: int(name.partition("_")[0].removeprefix("block")) for name in loaded.layers}
    return {name: kernels.choose(2 ** (n - 1), pixels) for name, n in blocks.items()}
