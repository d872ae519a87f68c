"""Pretrained networks, anyone's own, and their weights.

    build("vgg19", options={"pooling": "max"})      a built-in network
    build("resnet50")                               any model of `keras.applications`
    build("mine", "./my_net.py:build")              a network from outside
    from_model(model)                               a Keras model at hand

`build` and the rest need Keras and are imported when they are first asked for, since weights can
be read while the framework is still loading.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nstbench.networks.extractor import Extractor, Origin
    from nstbench.networks.find import build, default_layers
    from nstbench.networks.models import from_model
    from nstbench.networks.scale import scaled
    from nstbench.networks.weights import Progress

__all__ = ["Extractor", "Origin", "Progress", "build", "default_layers", "from_model", "scaled"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import nstbench.engine  # noqa: F401 - the first import of Keras is this one
    from nstbench.networks import extractor, find, models, scale

    holder = next(each for each in (find, extractor, models, scale) if hasattr(each, name))
    return getattr(holder, name)
