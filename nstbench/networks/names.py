"""Names of networks, read without importing the framework: a slip is told at once."""

import functools
import importlib.util
import re
from pathlib import Path

from nstbench.networks.weights.layers import NETWORKS, shapes

DEFAULT_LAYERS = "default"  # in a term's `layers`: those that suit the network
ALEXNET_POOLS = {"conv1": "pool1", "conv2": "pool2", "conv5": "pool5"}  # what follows which


@functools.cache
def application_names() -> tuple[str, ...]:
    """The models of `keras.applications` in lower case, from the text of its index module."""
    spec = importlib.util.find_spec("keras")
    if spec is None or not spec.submodule_search_locations:
        return ()
    index = Path(spec.submodule_search_locations[0]) / "applications" / "__init__.py"
    text = index.read_text(encoding="utf-8") if index.is_file() else ""
    return tuple(name.lower() for name in re.findall(r"import ([A-Z]\w+)", text))


def is_application(name: str) -> bool:
    """Whether `name` is a model of `keras.applications` that is not built in another way.

    Underscores may be typed or left out.
    """
    return plain(name) in application_names() and plain(name) not in NETWORKS


def plain(name: str) -> str:
    """A network's name in lower case without underscores: mobilenet_v2 is MobileNetV2."""
    return name.lower().replace("_", "")


def layer_names(network: str) -> tuple[str, ...]:
    """The layers of a network whose weights are read here, from the image upwards.

    `block1_conv1.pre` comes before the ReLU, `block1_conv1` behind it. Empty for other networks,
    whose layers are known when they are built.
    """
    if network not in NETWORKS:
        return ()
    convolutions = shapes(network)
    last = {name.partition("_")[0]: name for name in convolutions}  # of each VGG's block
    pools = {name: f"{block}_pool" for block, name in last.items()}
    pools = ALEXNET_POOLS if network == "alexnet" else pools
    following = ((f"{name}.pre", name, pools.get(name)) for name in convolutions)
    return tuple(name for names in following for name in names if name)
