"""VGG-16 and VGG-19 without their dense layers, with max or average pooling.

K. Simonyan & A. Zisserman, "Very deep convolutional networks", 2014, table 1, D and E. Layers bear
Keras's names: block1_conv1 ... block5_pool.
"""

from nstbench import errors, outside
from nstbench.engine import kernels
from nstbench.networks.extractor import Extractor, Request
from nstbench.networks.sequence import sequence, steps_to

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
    steps = steps_to(request.name, POOLINGS[pooling])
    return sequence(request.prepared(), steps, request.taps, DEFAULTS)
