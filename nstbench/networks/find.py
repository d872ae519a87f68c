"""The one way to a network: by a built-in name, one of `keras.applications`, or a path."""

from collections.abc import Collection, Mapping
from typing import Any

from nstbench import errors
from nstbench.networks import alexnet, applications, outside, stages, vgg
from nstbench.networks.extractor import Extractor, Request
from nstbench.networks.names import application_names, is_application
from nstbench.networks.prepared import Begun
from nstbench.networks.weights import Progress

KERNELS = ("direct", "fast")
BUILT_IN = {"vgg19": vgg.build, "vgg16": vgg.build, "alexnet": alexnet.build}


def build(
    name: str,
    target: str | None = None,
    options: Mapping[str, Any] | None = None,
    weights: str = "imagenet",
    kernels: str = "direct",
    seed: int = 0,
    progress: Progress | None = None,
    taps: Collection[str] | None = None,
    pixels: int = 256 * 256,
    begun: Begun | None = None,
) -> Extractor:
    """The extractor `name`: "vgg19", "vgg16", "alexnet" or a model of `keras.applications`.

    With a `target`, the network that this path gives, whatever the name.

    `options` are the network's own, e.g. `{"pooling": "avg"}` of a VGG. `weights` as in
    `weights.load`; a model of `keras.applications` knows "imagenet", "random" and a path, one from
    outside brings its own where it is "imagenet". `kernels` is "direct" or "fast" (a
    VGG's alone, see `winograd.choose`), and `pixels` the size of picture to choose them for; any
    other can be shown. `seed` draws random weights; `progress` is told of downloads. `taps` are the
    only layers that will be asked for, None where any may be: weights above them need not be kept.
    `begun` is what `prepared.begin` gave; it counts where it is what is asked for here.

    Raises `SettingsError` for an unknown name or option and for a path without a network,
    `WeightsError` where the weights cannot be had.
    """
    if kernels not in KERNELS:
        raise errors.unknown("kernels", kernels, KERNELS)
    request = Request(
        name, target, options or {}, weights, kernels, seed, progress, taps, pixels, begun
    )
    if target:
        return outside.build(request)
    if name in BUILT_IN:
        return BUILT_IN[name](request)
    if not is_application(name):
        raise errors.unknown("extractor", name, {*BUILT_IN, *application_names()})
    return applications.build(request)


def default_layers(extractor: Extractor) -> dict[str, list[str]]:
    """Layers for `{"content": [...], "style": [...]}` where an objective's own are not there.

    One content layer and up to five style layers, from the image upwards.
    """
    chosen = extractor.defaults or stages.chosen(extractor.layers)
    return {term: list(layers) for term, layers in chosen.items()}
