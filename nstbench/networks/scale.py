"""Features as large as VGG-19's, so that an objective's weights mean the same with any network.

Published weights are made for VGG-19, whose features are near 100 where other networks' are near 1:
the content term is then too small by ten thousand, a Gram matrix's by a hundred million.
"""

from dataclasses import replace

import numpy as np
from keras import ops

from nstbench.networks import stages
from nstbench.networks.extractor import Extractor
from nstbench.networks.find import default_layers
from nstbench.pictures import images

# Root mean squares of VGG-19's features, ImageNet weights, of `PICTURE` at 256 pixels: in
# block1_conv1, block2_conv1, ..., block5_conv1 and, for the content, in block5_conv2.
STYLE_SIZES = (57.0, 278.0, 383.0, 1270.0, 202.0)
CONTENT_SIZE = 99.0
PICTURE = "astronaut"


def scaled(extractor: Extractor, height: int, width: int) -> Extractor:
    """The same network, the features of its default layers multiplied by a constant each.

    The constants make the root mean squares those of VGG-19 for one picture, which is always the
    same, at this size. A layer that both terms take by default has the content's.
    """
    chosen = default_layers(extractor)
    places = stages.chosen(range(len(STYLE_SIZES)), len(chosen["style"]))["style"]
    wanted = dict(zip(chosen["style"], (STYLE_SIZES[place] for place in places), strict=True))
    wanted |= dict.fromkeys(chosen["content"], CONTENT_SIZE)
    picture = images.load(PICTURE, max(height, width)).pixels[None, :height, :width]
    measured = extractor.features(
        ops.convert_to_tensor(picture), extractor.parameters, tuple(wanted)
    )
    gains = {layer: _gain(measured[layer], size) for layer, size in wanted.items()}

    def compute(image, parameters, layers):
        found = extractor.compute(image, parameters, layers)
        return {layer: gains.get(layer, 1.0) * found[layer] for layer in layers}

    return replace(extractor, compute=compute)


def _gain(features, size: float) -> float:
    values = np.asarray(ops.convert_to_numpy(features), np.float64)
    found = float(np.sqrt(np.mean(np.square(values))))
    return size / found if found > 0 else 1.0
